"""Processes that measure: forked from a server that has imported torch once, before any .NET was started."""

from __future__ import annotations

import contextlib
import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

#: What a caller of the queue has imported anyway.
PRELOADED = ["torch", "tensordict", "numpy"]
PATIENCE_S = 900.0


class WorkerError(RuntimeError):
    """A process of a workload failed; the text is its traceback."""


class Worker:
    """A process, and a connection to it.

    Parameters
    ----------
    process
        Started.
    connection
        This side of the pipe.
    """

    def __init__(self, process: ForkServerProcess, connection: Connection) -> None:
        self.process = process
        self._connection = connection

    def send(self, message: Any) -> None:
        """Tell it something."""
        self._connection.send(message)

    def receive(self) -> Any:
        """The next thing it says.

        Raises
        ------
        WorkerError
            It failed, ended, or was silent for `PATIENCE_S` seconds.
        """
        if not wait([self._connection, self.process.sentinel], PATIENCE_S):
            raise WorkerError(f"process {self.process.pid}: silent for {PATIENCE_S:.0f} s")
        try:
            message = self._connection.recv() if self._connection.poll(1) else EOFError("it ended without a word")
        except EOFError as error:
            message = error
        if isinstance(message, EOFError):
            raise WorkerError(f"process {self.process.pid}: ended with status {self.process.exitcode}: {message}")
        if isinstance(message, WorkerError):
            raise message
        return message

    def end(self) -> None:
        """Wait for its end; one that does not end is killed."""
        self._connection.close()
        self.process.join(10)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()


class Crew:
    """The processes of one run; all have ended on leaving."""

    def __init__(self) -> None:
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._workers: list[Worker] = []

    def start(self, work: Callable[..., None], *arguments: Any) -> Worker:
        """Start ``work(connection, *arguments)`` in a new process."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_run, args=(theirs, work, arguments))
        process.start()
        theirs.close()
        worker = Worker(process, ours)
        self._workers.append(worker)
        return worker

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()


def _run(connection: Connection, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    try:
        work(connection, *arguments)
    except Exception:
        with contextlib.suppress(OSError):  # whoever started it may have given up
            connection.send(WorkerError(traceback.format_exc()))
    finally:
        connection.close()
