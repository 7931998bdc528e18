"""The peer's module name over ``transferqueue``: the same objects under the old paths.

Every name loads on first use, as in ``transferqueue`` itself. Besides the names that the peer's root has today there are those
that it had up to 0.1.5.
"""

from __future__ import annotations

import importlib
from typing import Any

import transferqueue
from transferqueue import __version__

#: Names that the root has no longer, and the module that has them.
_OLDER = {
    "SimpleStorageUnit": "storage.simple_storage",
    "TransferQueueController": "controller",
    "ZMQServerInfo": "utils.zmq_utils",
    "get_placement_group": "utils.common",
    "process_zmq_server_info": "utils.zmq_utils",
}
#: Modules that can be read as attributes without being imported by name.
_MODULES = frozenset({"client", "controller", "dataloader", "interface", "metadata", "sampler", "storage", "utils"})

__all__ = ["__version__", *(name for name in transferqueue.__all__ if name != "__version__")]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _OLDER:
        return getattr(importlib.import_module(f"{__name__}.{_OLDER[name]}"), name)
    return getattr(transferqueue, name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_OLDER, *_MODULES})
