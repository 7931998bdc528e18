"""The processes of the demo, seen from their parent: start, watch, end all of them whatever happens."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterable
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from transferqueue.demo import worker
from transferqueue.demo.settings import ROLES, Settings

#: Seconds that all processes together have to end when asked, and again when told by SIGTERM, before they are killed.
GRACE_S = 3.0
LOG_LINES = 15
PRELOADED = ["torch", "tensordict"]
#: Bytes that a socket's path may have, less those that multiprocessing adds to the temporary folder.
LONGEST_FOLDER = 107 - len("/pymp-abcdefgh/listener-abcdefgh")


class WorkerDiedError(RuntimeError):
    """A process of the demo ended before its work was done.

    Attributes
    ----------
    role : str
    exit_code : int
        Negative: the number of the signal that killed it.
    """

    def __init__(self, role: str, exit_code: int, log: str) -> None:
        how = f"was killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"failed with code {exit_code}"
        if exit_code == -signal.SIGKILL:
            how += " (by hand, or for lack of memory)"
        super().__init__(f"the {role} process {how}; all others were ended too" + (f"\n{log}" if log else ""))
        self.role, self.exit_code = role, exit_code


def start_context() -> BaseContext:
    """How processes start: forked from one that has imported torch, which takes seconds of CPU, and no .NET, which no fork survives.

    The two talk over a socket among the temporary files. Where its path would be too long, each process imports for itself.
    """
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_FOLDER:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


class Crew:
    """One process per role; leaving the ``with`` block ends them.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        context: Any = start_context()
        self._logs = tempfile.TemporaryDirectory(prefix="transferqueue-demo-")
        self._stopping = context.Event()
        self.processes = {
            role: context.Process(
                target=worker.main, args=(role, settings, self._stopping, str(self._log(role))), name=role, daemon=True
            )
            for role in ROLES
        }

    def __enter__(self) -> Self:
        # A child inherits what is ignored: no Ctrl-C may hit it while it is still importing.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for process in self.processes.values():
                process.start()
        except BaseException:
            self._end()
            raise
        finally:
            signal.signal(signal.SIGINT, before)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def is_done(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` seconds; whether the trainer, which leads, has ended well.

        Raises
        ------
        WorkerDiedError
            A process has ended badly, or another one than the trainer has ended at all.
        """
        wait([process.sentinel for process in self.processes.values()], timeout_s)
        codes = {role: process.exitcode for role, process in self.processes.items() if process.exitcode is not None}
        # The first to fail may have pulled others down: a signal says more than an exit code.
        for role, code in sorted(codes.items(), key=lambda item: item[1]):
            if code != 0 or role != "trainer":
                raise WorkerDiedError(role, code, self._last_lines(role))
        return "trainer" in codes

    def _log(self, role: str) -> Path:
        return Path(self._logs.name) / f"{role}.log"

    def _last_lines(self, role: str) -> str:
        log = self._log(role)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join(lines[-LOG_LINES:])

    def _end(self) -> None:
        self._stopping.set()
        started = [process for process in self.processes.values() if process.pid is not None]
        _join(started)
        for end in ("terminate", "kill"):
            left = [process for process in started if process.is_alive()]
            for process in left:
                getattr(process, end)()
            _join(left)
        self._logs.cleanup()


def _join(processes: Iterable[BaseProcess]) -> None:
    deadline = time.monotonic() + GRACE_S
    for process in processes:
        process.join(max(deadline - time.monotonic(), 0))
