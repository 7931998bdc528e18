"""Where the peer's names live here."""

from __future__ import annotations

import importlib
import importlib.util

import transferqueue
from transferqueue.migrate.reading import OURS, PEERS

__all__ = ["MODULES", "advice_for", "is_module", "new_name", "new_path"]

_LEGACY = f"{OURS}.legacy"
#: Module of the peer -> ours that has the same names (the others of its names are in `_MOVED`).
MODULES = {
    PEERS: OURS,
    f"{PEERS}.interface": OURS,
    f"{PEERS}.client": f"{OURS}.client",
    f"{PEERS}.metadata": f"{OURS}.meta",
    f"{PEERS}.dataloader": f"{OURS}.streaming",
    f"{PEERS}.dataloader.streaming_dataloader": f"{OURS}.streaming",
    f"{PEERS}.dataloader.streaming_dataset": f"{OURS}.streaming",
    f"{PEERS}.sampler": f"{OURS}.sampler",
    **{
        f"{PEERS}.sampler.{name}": f"{OURS}.sampler.{name}"
        for name in (
            "base",
            "grpo_group_n_sampler",
            "rank_aware_sampler",
            "seqlen_balanced_sampler",
            "sequential_sampler",
        )
    },
}
#: Modules of the peer without one of ours.
_GONE = tuple(f"{PEERS}.{name}" for name in ("controller", "metrics", "storage", "utils", "bootstrap"))
#: Name of the peer by module -> our module.
_MOVED = {
    **{f"{PEERS}.metadata.{name}": _LEGACY for name in ("FieldMeta", "SampleMeta")},
    f"{PEERS}.metadata.extract_field_schema": f"{OURS}.meta",
    f"{PEERS}.utils.enum_utils.ProductionStatus": _LEGACY,
}
#: Ours have all public names of their twins.
_WHOLE = (f"{OURS}.sampler", f"{OURS}.streaming")
_ALSO_AT_THE_ROOT = ("client", "interface", "metadata", "sampler", "dataloader")
_BOOTSTRAP = "init(conf) starts controller and storage, get_client() gives the client"
_ADVICE = {
    "get_logger": "logging.getLogger; TRANSFERQUEUE_LOGGING_LEVEL sets the queue's own level",
    "FieldMeta": "the schema is a dict: BatchMeta.field_schema",
    "SampleMeta": "rows have no objects: BatchMeta has a column for each attribute",
    "_TQ_CLIENT": "get_client() gives the client",
    "_TQ_CONTROLLER": "close() detaches a process",
    "_TQ_STORAGE": "close() detaches a process",
    **dict.fromkeys(
        (
            "SimpleStorageUnit",
            "TransferQueueController",
            "ZMQServerInfo",
            "get_placement_group",
            "process_zmq_server_info",
        ),
        _BOOTSTRAP,
    ),
}


def is_module(path: str) -> bool:
    """Whether a dotted name is that of a module of the peer."""
    gone = any(path == module or path.startswith(f"{module}.") for module in _GONE)
    return path in MODULES or (gone and path.islower())


def new_name(module: str, name: str) -> str | None:
    """Our module for a name of a module of the peer; None if there is none."""
    if moved := _MOVED.get(f"{module}.{name}"):
        return moved
    part = module.removeprefix(f"{PEERS}").lstrip(".").partition(".")[0]
    if name in transferqueue.__all__ and (not part or part in _ALSO_AT_THE_ROOT):
        return OURS
    home = MODULES.get(module, "")
    return home if home.startswith(_WHOLE) and not name.startswith("_") else _twin_of(part, name)


def _twin_of(part: str, name: str) -> str | None:
    """Our module that is called as the peer's, or as the package that has it, where it gives out the name."""
    path = f"{OURS}.{part}"
    if not part.isidentifier() or importlib.util.find_spec(path) is None:
        return None
    return path if name in getattr(importlib.import_module(path), "__all__", ()) else None


def new_path(path: str) -> str | None:
    """Our dotted name for one of the peer's: a module, a name of one, or an attribute of that."""
    if path in MODULES:
        return MODULES[path]
    parts = path.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        if is_module(module):
            home = new_name(module, parts[count])
            return None if home is None else ".".join([home, *parts[count:]])
    return None


def advice_for(name: str) -> str:
    """What to do about a name that is not here; through the alias transfer_queue it may still be there."""
    return f"transferqueue has no {name}: {_ADVICE.get(name, 'docs/peer_names.md says what there is instead')}"
