"""A process that the keeper started: the core or a gateway."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STARTING, READY, FAILED = "starting", "ready", "failed"


class Child:
    """A child of the keeper.

    It answers over the control socket with one line of JSON, ``{"ready": {…}}`` or ``{"error": text}``; when the
    keeper's end closes, it ends.

    Attributes
    ----------
    name : str
        What it is, for messages.
    control : socket.socket
        The keeper's end of the control socket, non-blocking; owned.
    pidfd : int
        Readable as soon as the process has ended; owned.
    state : str
        STARTING, READY or FAILED.
    answer : dict
        What the child told about itself when it was ready.
    error : str
        What it told when it failed.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.name = name
        self.control = control
        self.pidfd = os.pidfd_open(process.pid)
        self.state = STARTING
        self.answer: dict[str, Any] = {}
        self.error = ""
        self._process = process
        self._received = b""
        control.setblocking(False)

    @classmethod
    def start(cls, name: str, command: Sequence[str], folder: Path, passed: Mapping[str, int]) -> Child:
        """Start a child.

        Parameters
        ----------
        name
            What it is.
        command
            Program and arguments; ``--folder`` and the options below are added.
        folder
            The job's folder.
        passed
            Descriptors that the child gets, by the option that tells it the number. The caller keeps its own.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            passed = {**passed, "--control-fd": theirs.fileno()}
            options = [text for option, fd in passed.items() for text in (option, str(fd))]
            process = subprocess.Popen(
                [*command, "--folder", str(folder), *options],
                stdin=subprocess.DEVNULL,
                pass_fds=tuple(passed.values()),
            )
        return cls(name, process, ours)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def read_answer(self) -> bool:
        """Take what the child has sent; tell whether the control socket is still open."""
        try:
            received = self.control.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            received = b""
        self._received += received
        if self.state == STARTING and b"\n" in self._received:
            self._take_answer(json.loads(self._received.partition(b"\n")[0]))
        return bool(received)

    def _take_answer(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self.state, self.answer = READY, message["ready"]
        else:
            self.state, self.error = FAILED, str(message.get("error", message))

    def describe_end(self) -> str:
        """How the process ended, and what it said last; it has ended."""
        self.read_answer()
        code = self._process.wait()
        end = f"the {self.name} (process {self.pid}) ended with {f'signal {-code}' if code < 0 else f'status {code}'}"
        return f"{end}: {self.error}" if self.error else end

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self._process.poll() is None:
            self._process.terminate()

    def end(self, timeout_s: float) -> bool:
        """Wait until the process has ended, after `timeout_s` seconds kill it; tell whether it ended by itself."""
        try:
            self._process.wait(timeout_s)
            return True
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        finally:
            self.control.close()
            os.close(self.pidfd)
