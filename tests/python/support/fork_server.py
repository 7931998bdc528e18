"""Programs forked from a process that has imported torch and tensordict, but neither transferqueue nor .NET.

Importing them takes seconds of CPU, a fork does not. What is forked is a process as any other: it can be stopped and
killed, has an environment and standard streams of its own, runs as ``__main__`` and ends as Python ends. Tests of
how a process starts, or of what it imports, start theirs with ``subprocess``.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

#: The most that a program and its environment may have; one message carries both.
MOST_BYTES = 1 << 17
_STATUS_BYTES = 4


class Forked:
    """A program that runs, with the part of ``subprocess.Popen`` that tests use; its streams are text.

    Parameters
    ----------
    code
        The program, as for ``python -c``.
    environment
        Its variables. Those that Python or torch read when they are loaded have no effect.
    """

    def __init__(self, code: str, environment: Mapping[str, str]) -> None:
        self.returncode: int | None = None
        (stdin, ours_in), (ours_out, stdout), (ours_err, stderr), (self._told, tell) = (os.pipe() for _ in range(4))
        theirs = [stdin, stdout, stderr, tell]
        try:
            request = json.dumps({"code": code, "environment": dict(environment), "folder": str(Path.cwd())}).encode()
            assert len(request) <= MOST_BYTES, len(request)
            socket.send_fds(_server(), [request], theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self.stdin = os.fdopen(ours_in, "w", buffering=1, encoding="utf-8")
        self.stdout = os.fdopen(ours_out, encoding="utf-8")
        self.stderr = os.fdopen(ours_err, encoding="utf-8")
        self.pid = self._read_number()

    def _read_number(self) -> int:
        said = os.read(self._told, _STATUS_BYTES)
        assert len(said) == _STATUS_BYTES, "the fork server has ended"
        return int.from_bytes(said, "little", signed=True)

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its exit code, or less than 0: the signal that killed it."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self.returncode = self._read_number()
            os.close(self._told)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """Let it run to its end; what it wrote to both of its streams."""
        with ThreadPoolExecutor(1) as pool, self.stdin, self.stdout, self.stderr:
            self.stdin.close()
            try:
                errors = pool.submit(self.stderr.read)
                said = self.stdout.read(), errors.result()
                self.wait()
                return said
            except BaseException:  # the limit of a test, for example
                self.kill()
                self.wait()
                raise


@functools.cache
def _server() -> socket.socket:
    """The connection to this process's fork server, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRANSFERQUEUE")}
    with theirs:
        process = subprocess.Popen(
            # -P: the modules beside this one have names that others have, too.
            [sys.executable, "-P", __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    atexit.register(_end, ours, process)
    return ours


def _end(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    connection.close()
    process.wait(30)


# ---- in the server ----


def serve(connection: socket.socket) -> str | None:
    """Fork a program for each request; returns its code in the child, nothing when the other side is gone."""
    tells: dict[int, int] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    while True:
        ready = select.select([connection, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            _tell_of_the_dead(tells)
        if connection not in ready:
            continue
        request, descriptors, _, _ = socket.recv_fds(connection, MOST_BYTES, 4)
        if not request:
            return None
        *streams, tell = descriptors
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (woken, wake, tell, *tells.values()):
                os.close(descriptor)
            connection.close()
            return _become(json.loads(request), streams)
        for descriptor in streams:
            os.close(descriptor)
        _tell(tell, pid)
        tells[pid] = tell


def _tell(descriptor: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # who started it may not care any more
        os.write(descriptor, number.to_bytes(_STATUS_BYTES, "little", signed=True))


def _tell_of_the_dead(tells: dict[int, int]) -> None:
    for pid, tell in list(tells.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _tell(tell, os.waitstatus_to_exitcode(status))
            os.close(tells.pop(pid))


def _become(request: dict[str, str | dict[str, str]], streams: list[int]) -> str:
    """Have the streams, variables and folder of a new program; its code."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[:0] = [
        name for name in os.environ.get("PYTHONPATH", "").split(os.pathsep) if name and name not in sys.path
    ]
    sys.argv = ["-c"]
    return request["code"]


def _main() -> None:
    import tensordict  # noqa: F401
    import torch  # noqa: F401

    code = serve(socket.socket(fileno=int(sys.argv[1])))
    if code is not None:
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(code, "<string>", "exec"), vars(main))


if __name__ == "__main__":
    _main()
