"""What core and gateway processes have in common: start a server of the C# core, say so, serve until told to end."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from transferqueue import _logging
from transferqueue._job_folder import JobFolder

# sys/prctl.h
_PR_SET_PDEATHSIG = 1
_CHECK_S = 1.0


class Server(Protocol):
    """A server of the core in this process."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return True when it has ended, False after `timeout_s` seconds."""

    def stop(self) -> None:
        """End it."""


#: Starts a server and returns it with what it wants to tell the keeper about itself.
Start = Callable[[JobFolder, dict[str, Any], argparse.Namespace], tuple[Server, dict[str, Any]]]


def serve(name: str, start: Start, argv: Sequence[str] | None) -> int:
    """Run a server process from its first line to its exit status.

    Parameters
    ----------
    name
        What it is, for the log.
    start
        Starts the server; what it raises is told to the keeper.
    argv
        Arguments without the program's name; None takes those of the process.
    """
    arguments = parse_arguments(argv)
    _logging.configure_sidecar()
    logger = _logging.get_logger(name)
    control = socket.socket(fileno=arguments.control_fd)
    die_with_parent()
    wakeup = catch_signals()
    try:
        folder = JobFolder(Path(arguments.folder))
        server, answer = start(folder, folder.read_config(), arguments)
    except Exception as error:
        logger.exception("could not start")
        tell(control, {"error": f"{type(error).__name__}: {error}"})
        return 1
    # Once more: the runtime that was just loaded has put its own handlers in place of ours.
    wakeup = catch_signals(wakeup)
    tell(control, {"ready": {"pid": os.getpid(), **answer}})
    logger.info("serving %s", answer)
    reason = wait(server, control, wakeup)
    logger.info("ends: %s", reason)
    server.stop()
    return 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the options that the keeper gave."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True, help="the job's folder")
    parser.add_argument("--control-fd", type=int, required=True, help="socket to the keeper: answer, end")
    parser.add_argument("--listen-fd", type=int, help="the listening Unix socket")
    parser.add_argument("--memory-fd", type=int, help="socket to the keeper: duplicates of memfds")
    return parser.parse_args(argv)


def die_with_parent() -> None:
    """Let the kernel end this process when the keeper, its parent, dies; a dead one has closed its end already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def catch_signals(wakeup: socket.socket | None = None) -> socket.socket:
    """Turn SIGTERM into a byte in a socket, and leave Ctrl-C in the keeper's terminal to the keeper."""
    if wakeup is None:
        wakeup, sender = socket.socketpair()
        wakeup.setblocking(False)
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return wakeup


def tell(control: socket.socket, message: dict[str, Any]) -> None:
    """Send the keeper a line; a keeper that is gone is noticed later."""
    try:
        control.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        return


def wait(server: Server, control: socket.socket, wakeup: socket.socket) -> str:
    """Wait for SIGTERM, the keeper's end or the server's; why to end."""
    while True:
        readable, _, _ = select.select([control, wakeup], [], [], _CHECK_S)
        if wakeup in readable:
            return "SIGTERM"
        if control in readable and not control.recv(4096):
            return "the keeper has closed its end"
        if server.wait(0):
            return "the server has ended by itself"
