"""The peer's module name over ``transferqueue``: the same objects under the old paths.

Every name loads on first use, as in ``transferqueue`` itself.
"""

from __future__ import annotations

from typing import Any

import transferqueue
from transferqueue import __version__

__all__ = ["__version__", *(name for name in transferqueue.__all__ if name != "__version__")]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(transferqueue, name)


def __dir__() -> list[str]:
    return sorted(__all__)
