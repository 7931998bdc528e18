"""A program started as a user starts it, whose processes can all be found again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[3]
#: Seconds that a run may take on a machine that is busy with other things; a fraction of it on one that is not.
LIMIT_S = 280


class Started:
    """A program whose processes, however far removed, can be found again."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self._mark = f"DEMO_TEST_{uuid.uuid4().hex}"
        self.folder = folder
        # A short name: a fork server's socket lies in it, whose path has at most 107 bytes.
        self.temporary = Path(tempfile.mkdtemp(prefix="tq-", dir="/tmp"))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRANSFERQUEUE")}
        environment |= {self._mark: "1", "TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT / "python")}
        # Else torch makes a folder among the temporary files as soon as tensordict is imported, and leaves it there.
        environment["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor")
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._output = ""

    def wait(self) -> str:
        """Wait for its end; all it wrote."""
        self._output += self.process.communicate(timeout=LIMIT_S)[0]
        return self._output

    def wait_for_line(self, part: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._output += line
            if part in line:
                return
        raise AssertionError(f"no line with {part!r} in:\n{self._output}")

    def relatives(self) -> list[psutil.Process]:
        """All processes that have inherited its environment, the sidecar among them."""
        return [process for process in psutil.process_iter() if self._mark in _environment_of(process)]

    def left_running(self, patience_s: float = 10) -> list[str]:
        """Command lines of what still runs after a while."""
        end = time.monotonic() + patience_s
        while (left := self.relatives()) and time.monotonic() < end:
            time.sleep(0.1)
        return [" ".join(process.cmdline()) for process in left if process.is_running()]

    def clean(self) -> None:
        for process in self.relatives():
            process.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process.wait(10)
        shutil.rmtree(self.temporary, ignore_errors=True)


def _environment_of(process: psutil.Process) -> dict[str, str]:
    try:
        return {} if process.status() == psutil.STATUS_ZOMBIE else process.environ()
    except psutil.Error:
        return {}
