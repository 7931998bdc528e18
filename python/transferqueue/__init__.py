"""TransferQueue: columns of samples between the stages of RL post-training.

A name loads when it is first used (PEP 562): importing this package imports neither torch, tensordict, omegaconf nor
.NET. The functions are plain module attributes, so they can be replaced for a test.
"""

from __future__ import annotations

import importlib
from typing import Any

from transferqueue._version import __version__

#: Which module has which public name; type checkers read __init__.pyi, which has the same names.
_HOMES = {
    "init": "_lifecycle",
    "close": "_lifecycle",
    "get_client": "_lifecycle",
    "get_metrics_endpoint": "_lifecycle",
    "register_sampler": "_lifecycle",
    "kv_put": "_kv",
    "kv_batch_put": "_kv",
    "kv_batch_get": "_kv",
    "kv_batch_get_by_meta": "_kv",
    "kv_list": "_kv",
    "kv_clear": "_kv",
    "async_kv_put": "_kv",
    "async_kv_batch_put": "_kv",
    "async_kv_batch_get": "_kv",
    "async_kv_batch_get_by_meta": "_kv",
    "async_kv_list": "_kv",
    "async_kv_clear": "_kv",
    "save_checkpoint": "_checkpoint",
    "load_checkpoint": "_checkpoint",
    "loan": "_loan",
    "Loan": "_loan",
    "batch": "_lazy_batch",
    "Batch": "_lazy_batch",
    "BatchMeta": "meta",
    "KVBatchMeta": "meta",
    "LegacyBatchMeta": "legacy",
    "TransferQueueClient": "client",
    "AsyncTransferQueueClient": "client",
    "StorageKeyNotFoundError": "errors",
    "BaseSampler": "sampler",
    "GRPOGroupNSampler": "sampler",
    "RankAwareSampler": "sampler",
    "SeqlenBalancedSampler": "sampler",
    "SequentialSampler": "sampler",
    "StreamingDataLoader": "streaming",
    "StreamingDataset": "streaming",
}
#: Modules that can be read as attributes without being imported by name.
_MODULES = frozenset({"errors", "legacy", "meta", "sampler", "streaming"})

__all__ = ["__version__", "close", "get_client", "init"]
__all__ += sorted(set(_HOMES) - set(__all__))


def __getattr__(name: str) -> Any:
    """Load `name` from its module and keep it."""
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
