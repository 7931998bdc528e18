"""Programs that attach to sidecars, in a rendezvous folder of the test's own."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import psutil

from support.fork_server import Forked

ROOT = Path(__file__).parents[3]
STUB_CORE = Path(__file__).with_name("stub_core.py")
PATIENCE_S = 60.0

#: Before a program's own lines: a core that only says that it is ready.
WITH_STUB = f"""
import sys
from transferqueue import _starter
_starter.COMMANDS["core"] = _starter.COMMANDS["gateway"] = [sys.executable, {str(STUB_CORE)!r}]
"""
#: A program that obeys commands from its standard input, one expression or statement a line, and answers with a line.
OBEY = """
import os, sys
import transferqueue as tq
from transferqueue import _session
for line in sys.stdin:
    try:
        answer = eval(line)
    except SyntaxError:
        exec(line); answer = None
    except BaseException as error:
        answer = f"{type(error).__name__}: {error}"
    print(repr(answer), flush=True)
"""


class Program:
    """A Python program in a process of its own, which is told what to do line by line.

    Parameters
    ----------
    code
        The program.
    environment
        Its variables.
    forked
        Whether it is forked from a process that has imported torch, which saves seconds, instead of started.
    """

    def __init__(self, code: str, environment: Mapping[str, str], *, forked: bool = False) -> None:
        start = Forked if forked else _started
        self.process = start(textwrap.dedent(code), environment)
        self.pid = self.process.pid
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._lines.put), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors.append), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream, take: Callable[[str | None], None]) -> None:
        for line in stream:
            take(line.rstrip("\n"))
        if stream is self.process.stdout:
            take(None)

    def say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")

    def hear(self) -> str:
        line = self._lines.get(timeout=PATIENCE_S)
        assert line is not None, "the program ended:\n" + "\n".join(self.errors)
        return line

    def ask(self, line: str):
        """What an expression is in the program, or ``ErrorName: message``."""
        self.say(line)
        return eval(self.hear())

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.wait()

    def finish(self) -> int:
        """Let the program run to its end; its status."""
        self.process.stdin.close()
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return status

    def close(self) -> None:
        self.process.kill()
        self.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _started(code: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        text=True,
        bufsize=1,
    )


class Host:
    """A rendezvous folder, and the programs that meet in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: list[Program] = []
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("TRANSFERQUEUE", "TORCHELASTIC"))}
        self.environment |= {"XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": str(ROOT / "python")}

    @property
    def root(self) -> Path:
        return self.folder / "transferqueue"

    def start(self, code: str = OBEY, *, stub: bool = True, **variables: str) -> Program:
        program = Program((WITH_STUB if stub else "") + textwrap.dedent(code), self.environment | variables)
        self.programs.append(program)
        return program

    def sidecar(self) -> list[psutil.Process]:
        """The living processes of sidecars in this folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                # A program may name the folder, too, but only a process of a sidecar gets it with this option.
                arguments = process.cmdline()
                here = any(a == "--folder" and b.startswith(str(self.root)) for a, b in pairwise(arguments))
                if here and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def keepers(self) -> list[psutil.Process]:
        return self._sidecar_with("serve")

    def cores(self) -> list[psutil.Process]:
        return self._sidecar_with("--memory-fd")

    def _sidecar_with(self, argument: str) -> list[psutil.Process]:
        found = []
        for process in self.sidecar():
            with contextlib.suppress(psutil.Error):  # it may end between being found and being asked
                if argument in process.cmdline():
                    found.append(process)
        return found

    def gateways(self) -> list[psutil.Process]:
        keepers_and_cores = [process.pid for process in self.keepers() + self.cores()]
        return [process for process in self.sidecar() if process.pid not in keepers_and_cores]

    def open_files(self, process: psutil.Process) -> list[str]:
        """What the descriptors of a process name."""
        return [str(fd.readlink()) for fd in Path(f"/proc/{process.pid}/fd").iterdir()]

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))

    def expect_nothing_left(self, *, but: tuple[str, ...] = ()) -> None:
        """Wait until no process and no file of a sidecar is there."""
        expect(lambda: not self.sidecar() and self.files() == sorted(but), lambda: f"{self.sidecar()} {self.files()}")

    def close(self) -> None:
        for program in self.programs:
            program.close()
        for process in self.sidecar():
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def make_host() -> Iterator[Host]:
    # Short, because a socket's path may have 107 bytes.
    host = Host(Path(tempfile.mkdtemp(prefix="tq-", dir="/tmp")))
    try:
        yield host
    finally:
        host.close()


def expect(is_so: Callable[[], bool], describe: Callable[[], str] = str, patience_s: float = PATIENCE_S) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.02)
