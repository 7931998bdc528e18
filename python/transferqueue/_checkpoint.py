"""``save_checkpoint`` and ``load_checkpoint``, the root's functions; `_checkpoint_work` does them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transferqueue import _session
from transferqueue._checkpoint_work import PathLike, Progress, Work, pack_metadata, resolve, run
from transferqueue._logging import get_logger
from transferqueue.errors import NotRunningError

if TYPE_CHECKING:
    from transferqueue.client import TransferQueueClient


def save_checkpoint(
    checkpoint_dir: PathLike,
    *,
    include_storage: bool = True,
    metadata: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    timeout_s: float | None = None,
) -> None:
    """Write everything that the queue holds into a folder, as it is at one moment; puts and gets go on meanwhile.

    The core writes the files, beside the place, and exchanges them in one step: whenever the machine stops, there is the
    old checkpoint whole or the new one.

    Parameters
    ----------
    checkpoint_dir : str or Path
        The folder: not there yet, empty, or a checkpoint, which is replaced. A relative path is meant from this process's
        folder; the core must see the same file system.
    include_storage : bool, default True
        False is taken as True, with a warning: a queue without its columns could not be loaded.
    metadata : dict, optional
        What ``metadata.json`` shall keep as ``user_metadata``: values that JSON can carry.
    progress : callable, optional
        Called now and then with the bytes that are written and those that it will be (0: not known yet).
    timeout_s : float, optional
        Seconds until DeadlineExceededError; default: however long it takes.

    Raises
    ------
    NotRunningError
        There is no queue to attach to; also a RuntimeError.
    InvalidTypeError, InvalidArgumentError
        `metadata` or `checkpoint_dir` can't be right; something else than a checkpoint is there.
    CheckpointError
        The files can't be written; what was there before still is.
    SamplerError
        What a sampler of one's own remembers can't be packed, or another one was registered while it was waited for.
    """
    client = _client()
    if not include_storage:
        get_logger("checkpoint").warning(
            "save_checkpoint: include_storage=False is not supported by SimpleStorage: columns are saved too"
        )
    has_columns = client.storage_manager is None
    if not has_columns:
        get_logger("checkpoint").warning(
            "save_checkpoint: columns that %s holds are not saved", type(client.storage_manager).__name__
        )
    text = pack_metadata(has_columns, metadata)
    work = Work("save", resolve(checkpoint_dir, "checkpoint_dir"), text, progress, timeout_s)
    run(client._connection, work, client._timeout_s)


def load_checkpoint(
    checkpoint_dir: PathLike, *, progress: Progress | None = None, timeout_s: float | None = None
) -> None:
    """Put a saved checkpoint in the place of everything that the queue holds.

    All files are read and verified before anything changes; then everything changes in one step. Batches of rows that
    were put after the save raise StaleBatchError, those from before it are valid again. Waiting fetches go on to wait, for
    rows of the loaded queue.

    Parameters
    ----------
    checkpoint_dir : str or Path
        A folder that `save_checkpoint` wrote.
    progress, timeout_s
        As in `save_checkpoint`.

    Raises
    ------
    NotRunningError
        There is no queue to attach to; also a RuntimeError.
    CheckpointNotFoundError
        The folder, or a file of it, is not there; also a FileNotFoundError.
    CheckpointError
        A file is damaged, or the queue has another number of storage units ("count mismatch"); also a ValueError.
    StorageFullError
        No room for it beside what there is.
    SamplerError
        A sampler of one's own refuses what it shall remember, or another one was registered meanwhile. Nothing has changed.
    """
    client = _client()
    work = Work("load", resolve(checkpoint_dir, "checkpoint_dir"), None, progress, timeout_s)
    run(client._connection, work, client._timeout_s)


def _client() -> TransferQueueClient:
    try:
        return _session.client()
    except NotRunningError as error:
        raise NotRunningError(f"TransferQueue is not initialized: {error}") from error
