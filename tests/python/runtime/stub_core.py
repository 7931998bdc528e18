"""A core in plain Python that speaks ``docs/wire.md`` over a Unix socket: a second implementation, and one that can misbehave."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack

PRELUDE = struct.Struct("<IHHQQIIIIQ")
MAGIC = 0x314E5154
HELLO, PING, PUT, GET, STATS = 1, 2, 10, 11, 24
OK, ERROR = 100, 101
LIMITS = {"header_bytes": 1 << 20, "frames": 64, "frame_bytes": 1 << 30, "payload_bytes": 1 << 30}


@dataclass
class Request:
    type: int
    id: int
    acknowledged: int
    timeout_ms: int
    header: dict[str, Any]
    frames: list[bytes]
    version: int
    connection: int


@dataclass
class Reply:
    header: Any = field(default_factory=dict)
    frames: list[bytes] = field(default_factory=list)
    type: int = OK
    version: int = 1
    request_id: int | None = None
    after_s: float = 0.0
    cut_at: int | None = None
    magic: int = MAGIC

    def encode(self, request: Request) -> bytes:
        header = msgpack.packb(self.header)
        lengths = [len(frame) for frame in self.frames]
        number = request.id if self.request_id is None else self.request_id
        prelude = PRELUDE.pack(
            self.magic, self.version, self.type, number, 0, 0, len(header), len(lengths), 0, sum(lengths)
        )
        return b"".join([prelude, struct.pack(f"<{len(lengths)}Q", *lengths), header, *self.frames])


def error(kind: int, message: str, **details: Any) -> Reply:
    return Reply({"kind": kind, "message": message, "details": details}, type=ERROR)


Handler = Callable[[Request], Reply | bytes | None]


class StubCore:
    """Serves until `stop`. A handler returns a Reply, raw bytes (sent as they are, then the connection ends) or None (silence)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.address = f"unix://{path}"
        self.requests: list[Request] = []
        self.connections = 0
        self.handlers: dict[int, Handler] = {HELLO: self._hello, PING: lambda request: Reply()}
        self._open: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self, kind: int, handler: Handler) -> None:
        self.handlers[kind] = handler

    def of_type(self, kind: int) -> list[Request]:
        return [request for request in self.requests if request.type == kind]

    def drop_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """End as a killed process does: the address is gone and all connections are."""
        self.path.unlink(missing_ok=True)
        self._listener.close()
        self.drop_connections()

    def __enter__(self) -> StubCore:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _hello(self, request: Request) -> Reply:
        return Reply(
            {
                "server": "stub",
                "core_pid": 1,
                "epoch": 1,
                "shared": False,
                "limits": LIMITS,
                "units": 1,
                "capacity_bytes": 1 << 30,
                "polling_mode": False,
            }
        )

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        lock = threading.Lock()
        with contextlib.suppress(OSError, EOFError), connection:
            stream = connection.makefile("rb", buffering=1 << 16)
            while True:
                request = read_request(stream, number)
                self.requests.append(request)
                answer = self.handlers[request.type](request)
                if isinstance(answer, bytes):
                    connection.sendall(answer)
                    return
                if answer is None:
                    continue
                if answer.after_s > 0:
                    threading.Thread(target=self._send, args=(connection, lock, request, answer), daemon=True).start()
                    continue
                self._send(connection, lock, request, answer)
                if answer.cut_at is not None:
                    return
        self._open.discard(connection)

    def _send(self, connection: socket.socket, lock: threading.Lock, request: Request, answer: Reply) -> None:
        time.sleep(answer.after_s)
        with contextlib.suppress(OSError), lock:
            connection.sendall(answer.encode(request)[: answer.cut_at])


def read_request(stream: Any, number: int) -> Request:
    magic, version, kind, request_id, acknowledged, timeout, header, frames, flags, payload = PRELUDE.unpack(
        read_exactly(stream, PRELUDE.size)
    )
    assert magic == MAGIC
    assert flags == 0
    lengths = struct.unpack(f"<{frames}Q", read_exactly(stream, 8 * frames))
    assert sum(lengths) == payload
    packed = read_exactly(stream, header)
    body = [read_exactly(stream, length) for length in lengths]
    return Request(kind, request_id, acknowledged, timeout, msgpack.unpackb(packed), body, version, number)


def read_exactly(stream: Any, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data
