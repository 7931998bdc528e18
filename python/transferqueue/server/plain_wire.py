"""A client of the core in plain Python, for a process of the sidecar that must not load .NET: headers only, one call at a time.

``docs/wire.md`` is the contract.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Any

import msgpack

from transferqueue._version import __version__
from transferqueue.errors import ERRORS_BY_KIND, ConnectionLostError, TransferQueueError

HELLO, PRODUCTION_STATUS, CONSUMPTION_STATUS, STATS, TAGS, METRICS, SAMPLER_TURN, SET_SAMPLER = (
    1,
    20,
    21,
    24,
    25,
    26,
    40,
    41,
)
_ERROR = 101
_MAGIC = 0x314E5154
_VERSION = 1
_PRELUDE = struct.Struct("<IHHQQIIIIQ")


class PlainWire:
    """A connection to the core.

    Parameters
    ----------
    path
        The core's Unix socket.

    Raises
    ------
    OSError, ConnectionLostError
        Nobody serves there.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._calls = 0
        greeting = self.call(HELLO, client=os.urandom(16), pid=os.getpid(), package=__version__)
        #: The core's process.
        self.core_pid: int = greeting["core_pid"]

    def call(self, message_type: int, **header: Any) -> dict[str, Any]:
        """Send a request and wait for its answer, however long that takes; entries that are None are left out.

        Raises
        ------
        ConnectionLostError
            The core has ended the connection.
        TransferQueueError
            What the core answered, if that is an error.
        """
        self._calls += 1
        packed = msgpack.packb({key: value for key, value in header.items() if value is not None})
        prelude = _PRELUDE.pack(_MAGIC, _VERSION, message_type, self._calls, self._calls, 0, len(packed), 0, 0, 0)
        self._socket.sendall(prelude + packed)
        _, _, answer_type, _, _, _, length, _, _, _ = _PRELUDE.unpack(self._receive(_PRELUDE.size))
        answer: dict[str, Any] = msgpack.unpackb(self._receive(length), strict_map_key=False)
        if answer_type == _ERROR:
            raise ERRORS_BY_KIND.get(answer["kind"], TransferQueueError)(answer["message"], answer["details"])
        return answer

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _receive(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(min(count - len(parts), 1 << 20))
            if not part:
                raise ConnectionLostError("the core has ended the connection")
            parts += part
        return bytes(parts)
