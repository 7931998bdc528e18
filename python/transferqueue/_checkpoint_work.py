"""Checkpoints: the core writes and reads the files, this asks for it and follows its progress.

A request only begins the work, so that no call has to wait for a disk; then progress is asked for until the end. What the
client and the root's functions offer is made here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transferqueue._arguments import require_mapping
from transferqueue._logging import get_logger
from transferqueue._operations import MessageType, Operation, pack_header, unpacked_header
from transferqueue.errors import DeadlineExceededError, InvalidArgumentError, InvalidTypeError

if TYPE_CHECKING:
    from transferqueue._core import Connection

#: Called now and then with the bytes that are done and those that it will be; 0: not known yet.
Progress = Callable[[int, int], object]
PathLike = str | os.PathLike[str]

_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.1
_LOG_EVERY_S = 5.0


def resolve(path: PathLike, what: str) -> str:
    """An absolute path as text; a relative one is meant from this process's folder.

    Raises
    ------
    InvalidTypeError, InvalidArgumentError
        It is no path; it can't be one.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        raise InvalidTypeError(f"{what}: {path!r} is a {type(path).__name__}; give a str or a Path") from None
    if not isinstance(text, str):
        raise InvalidTypeError(f"{what}: bytes given; give a str or a Path")
    if not text or "\0" in text:
        raise InvalidArgumentError(f"{what}: {text!r} names no folder or file")
    return os.path.abspath(text)  # noqa: PTH100 - a link is the core's to follow


def pack_metadata(storage_saved: bool, metadata: Mapping[str, Any] | None) -> str:
    """The text of ``metadata.json``.

    Raises
    ------
    InvalidTypeError
        `metadata` is no dict, or JSON can't carry it.
    """
    metadata = require_mapping("metadata", metadata)
    try:
        return json.dumps({"storage_saved": storage_saved, "user_metadata": dict(metadata)}, indent=2)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(
            f"metadata: JSON can't carry it ({error}); give str, int, float, bool, None, list, dict"
        ) from error


@dataclass
class Work:
    """A save or a load, from the request to its end.

    Parameters
    ----------
    action
        What the wire calls it.
    path
        Folder or file, absolute.
    metadata
        The text of ``metadata.json``.
    progress
        Told how far it is.
    timeout_s
        Seconds until DeadlineExceededError; None: however long it takes.
    """

    action: str
    path: str
    metadata: str | None = None
    progress: Progress | None = None
    timeout_s: float | None = None
    _job: int | None = None
    _begun: float = field(default_factory=time.monotonic)
    _logged: float = field(default_factory=time.monotonic)

    def begin(self) -> Operation[None]:
        """The request that begins it."""
        header = pack_header(action=self.action, path=self.path, metadata=self.metadata)

        def read(reply: Any) -> None:
            self._job = unpacked_header(reply)["job"]

        return Operation(MessageType.CHECKPOINT, header, read)

    def ask(self, cancel: bool = False) -> Operation[bool]:
        """The question whether it is done."""
        return Operation(MessageType.CHECKPOINT_PROGRESS, pack_header(job=self._job, cancel=cancel), self._read)

    def pauses(self) -> Iterator[float]:
        """Seconds to wait before each question; raises when the time is up."""
        pause = _FIRST_PAUSE_S
        while True:
            if self.timeout_s is not None and time.monotonic() - self._begun > self.timeout_s:
                raise DeadlineExceededError(
                    f"checkpoint {self.path}: {self.action} took longer than {self.timeout_s} s; it was ended"
                )
            yield pause
            pause = min(_LONGEST_PAUSE_S, pause * 2)

    @property
    def has_begun(self) -> bool:
        """Whether the core works on it."""
        return self._job is not None

    def _read(self, reply: Any) -> bool:
        answer = unpacked_header(reply)
        done, total = answer["bytes"], answer["total"]
        logger = get_logger("checkpoint")
        if self.progress is not None:
            self.progress(done, total)
        now = time.monotonic()
        if answer["done"]:
            logger.info("checkpoint %s: %s: %d bytes in %.1f s", self.path, self.action, done, now - self._begun)
            if answer.get("note"):
                logger.warning("checkpoint %s: %s", self.path, answer["note"])
        elif now - self._logged > _LOG_EVERY_S:
            self._logged = now
            logger.info("checkpoint %s: %s: %d of %d MiB", self.path, self.action, done >> 20, total >> 20)
        return bool(answer["done"])


def run(connection: Connection, work: Work, timeout_s: float) -> None:
    """Do it, blocking; Ctrl-C ends it. `timeout_s` is for each single request, and for a load that waits for room."""

    def send(operation: Operation[Any]) -> Any:
        return operation.read(connection.call(operation.type, operation.header, operation.frames, timeout_s))

    try:
        send(work.begin())
        for pause in work.pauses():
            if send(work.ask()):
                return
            time.sleep(pause)
    except BaseException:
        if work.has_begun:
            with contextlib.suppress(Exception):
                send(work.ask(cancel=True))
        raise


async def arun(connection: Connection, work: Work, timeout_s: float) -> None:
    """As `run`, without blocking the loop; a cancelled task ends it."""

    async def send(operation: Operation[Any]) -> Any:
        return operation.read(await connection.acall(operation.type, operation.header, operation.frames, timeout_s))

    try:
        await send(work.begin())
        for pause in work.pauses():
            if await send(work.ask()):
                return
            await asyncio.sleep(pause)
    except BaseException:
        if work.has_begun:
            with contextlib.suppress(Exception):
                await send(work.ask(cancel=True))
        raise


class AsyncCheckpoints:
    """The halves of a checkpoint, as coroutines of the client."""

    _timeout_s: float

    if TYPE_CHECKING:

        @property
        def _connection(self) -> Connection: ...

    async def async_save_controller_checkpoint(self, path: PathLike, *, timeout_s: float | None = None) -> None:
        """Like `TransferQueueClient.save_controller_checkpoint`."""
        await arun(self._connection, _controller("save_controller", path, timeout_s), self._timeout_s)

    async def async_load_controller_checkpoint(self, path: PathLike, *, timeout_s: float | None = None) -> None:
        """Like `TransferQueueClient.load_controller_checkpoint`."""
        await arun(self._connection, _controller("load_controller", path, timeout_s), self._timeout_s)

    async def async_save_storage_checkpoint(self, checkpoint_dir: PathLike, *, timeout_s: float | None = None) -> None:
        """Like `TransferQueueClient.save_storage_checkpoint`."""
        await arun(self._connection, _storage("save_storage", checkpoint_dir, timeout_s), self._timeout_s)

    async def async_load_storage_checkpoint(self, checkpoint_dir: PathLike, *, timeout_s: float | None = None) -> None:
        """Like `TransferQueueClient.load_storage_checkpoint`."""
        await arun(self._connection, _storage("load_storage", checkpoint_dir, timeout_s), self._timeout_s)


class Checkpoints(AsyncCheckpoints):
    """The halves of a checkpoint, as plain calls of the client."""

    def save_controller_checkpoint(self, path: PathLike, *, timeout_s: float | None = None) -> None:
        """Write what the controller knows into a file: partitions, keys, tags, statuses, indexes, what samplers remember.

        It names columns that only the storage half of the same queue has; ``transferqueue.save_checkpoint`` writes both,
        of the same moment.

        Parameters
        ----------
        path : str or Path
            The file. A relative path is meant from this process's folder. What is there is replaced in one step.
        timeout_s : float, optional
            Seconds until DeadlineExceededError; default: however long it takes.

        Raises
        ------
        CheckpointError
            It can't be written.
        """
        run(self._connection, _controller("save_controller", path, timeout_s), self._timeout_s)

    def load_controller_checkpoint(self, path: PathLike, *, timeout_s: float | None = None) -> None:
        """Put a saved controller half, and the storage half loaded just before it, in the place of everything there is.

        Parameters
        ----------
        path : str or Path
            The file.
        timeout_s : float, optional
            As in `save_controller_checkpoint`.

        Raises
        ------
        CheckpointNotFoundError
            There is no such file; also a FileNotFoundError.
        CheckpointError
            It is damaged, or its storage half was not loaded; nothing has changed.
        """
        run(self._connection, _controller("load_controller", path, timeout_s), self._timeout_s)

    def save_storage_checkpoint(self, checkpoint_dir: PathLike, *, timeout_s: float | None = None) -> None:
        """Write all columns into ``simple_storage`` of a folder, a file for each storage unit.

        Parameters
        ----------
        checkpoint_dir : str or Path
            The folder; other things in it stay.
        timeout_s : float, optional
            As in `save_controller_checkpoint`.

        Raises
        ------
        CheckpointError
            They can't be written.
        """
        run(self._connection, _storage("save_storage", checkpoint_dir, timeout_s), self._timeout_s)

    def load_storage_checkpoint(self, checkpoint_dir: PathLike, *, timeout_s: float | None = None) -> None:
        """Read the columns of a storage half; they become visible with the controller half that is loaded next.

        Parameters
        ----------
        checkpoint_dir : str or Path
            The folder that has ``simple_storage``.
        timeout_s : float, optional
            As in `save_controller_checkpoint`.

        Raises
        ------
        CheckpointNotFoundError
            A file is not there; also a FileNotFoundError.
        CheckpointError
            A file is damaged, or there are more or fewer storage units than here ("count mismatch", also a ValueError).
        StorageFullError
            No room for them beside what there is.
        """
        run(self._connection, _storage("load_storage", checkpoint_dir, timeout_s), self._timeout_s)


def _controller(action: str, path: PathLike, timeout_s: float | None) -> Work:
    return Work(action, resolve(path, "path"), timeout_s=timeout_s)


def _storage(action: str, checkpoint_dir: PathLike, timeout_s: float | None) -> Work:
    return Work(action, resolve(checkpoint_dir, "checkpoint_dir"), timeout_s=timeout_s)
