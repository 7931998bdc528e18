"""The keeper's end of a connection from a process of the job.

Lines of JSON, each an object with one entry. A process sends ``{"attach": {"package": version}}`` and gets ``{"ready":
{…}}`` as soon as the core serves, or ``{"error": text}``. Later it sends ``{"detach": {}}``, or, if it started the
sidecar, ``{"end": {}}``; that one may also ask for a gateway, ``{"listen": {"address": "tcp://host:port"}}``, and gets
``{"listening": {"tcp_address": …}}`` or ``{"error": text}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from typing import Any

from transferqueue.errors import AuthenticationError, ProtocolError

LONGEST_LINE = 64 * 1024
_CREDENTIALS = struct.Struct("3i")
# linux/socket.h; Python has no name for it yet. Unlike pidfd_open it can't hit a process that reuses the id.
_SO_PEERPIDFD = 77


class AttachedProcess:
    """A process that connected to the keeper.

    Attributes
    ----------
    connection : socket.socket
        Non-blocking; owned.
    pid : int
        The process that called connect; a forked child that has the same socket does not count.
    pidfd : int
        Readable as soon as that process has ended; owned.
    waits : bool
        It asked to attach and has no answer yet.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.setblocking(False)
        self.pid, uid, _ = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        if uid != os.geteuid():
            raise AuthenticationError(f"keeper: process {self.pid} of uid {uid} connected; only uid {os.geteuid()} may")
        self.pidfd = open_peer(connection, self.pid)
        self.waits = False
        self._received = b""

    def read(self) -> list[dict[str, Any]] | None:
        """The whole lines that have come; None at the end of the connection.

        Raises
        ------
        ProtocolError
            A line that is too long or no JSON object.
        """
        try:
            received = self.connection.recv(LONGEST_LINE)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not received:
            return None
        *lines, self._received = (self._received + received).split(b"\n")
        if len(self._received) > LONGEST_LINE:
            raise ProtocolError(f"keeper: process {self.pid} sent a line of more than {LONGEST_LINE} bytes")
        return [parse_line(line) for line in lines]

    def tell(self, message: dict[str, Any]) -> None:
        """Send a line; a process that takes none in is not waited for."""
        with contextlib.suppress(OSError):
            self.connection.send(json.dumps(message).encode() + b"\n", socket.MSG_NOSIGNAL)

    def close(self) -> None:
        """Close both descriptors."""
        self.connection.close()
        os.close(self.pidfd)


def open_peer(connection: socket.socket, pid: int) -> int:
    """A pidfd of the process at the other end."""
    try:
        return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError:  # Linux before 6.5
        return os.pidfd_open(pid)


def parse_line(line: bytes) -> dict[str, Any]:
    """Read a line."""
    try:
        message = json.loads(line)
    except ValueError as error:
        raise ProtocolError(f"keeper: a line that is no JSON: {line[:80]!r}") from error
    if not isinstance(message, dict):
        raise ProtocolError(f"keeper: a line that is no JSON object: {line[:80]!r}")
    return message
