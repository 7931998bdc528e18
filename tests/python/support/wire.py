"""The wire a second time: a client in plain Python, written from ``docs/wire.md`` with `struct` and `msgpack` alone.

It sends whatever it is told, right or wrong, and counts the frames of what it sends and gets.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np

PATIENCE_S = 30.0
MAGIC = 0x314E5154
PRELUDE = struct.Struct("<IHHQQIIIIQ")

HELLO, PING, AUTH = 1, 2, 3
PUT, GET, META, RETRIEVE_META, RETRIEVE_KEYS, LIST = 10, 11, 12, 13, 14, 15
CLEAR_KEYS, CLEAR_ROWS, CLEAR_PARTITION, SET_TAGS = 16, 17, 18, 19
PRODUCTION_STATUS, CONSUMPTION_STATUS, RESET_CONSUMPTION, PARTITIONS, STATS = 20, 21, 22, 23, 24
TAGS, METRICS, SAMPLER_TURN, SET_SAMPLER = 25, 26, 40, 41
CHECKPOINT, CHECKPOINT_PROGRESS = 50, 51
OK, ERROR = 100, 101

DENSE, JAGGED, RAGGED, TEXT, OBJECT = range(5)
NO_DTYPE, UINT8, INT64, FLOAT32 = -1, 0, 4, 6


class Ended(Exception):
    """The server closed the connection."""


@dataclass(frozen=True)
class Reply:
    """A message from the server."""

    type: int
    request_id: int
    header: dict[str, Any]
    frames: list[bytes]

    @property
    def kind(self) -> int:
        """The ErrorKind of an ERROR."""
        assert self.type == ERROR, f"an answer where an error belongs: {self.header}"
        return int(self.header["kind"])

    def ok(self) -> Reply:
        """This reply, which must not be an ERROR."""
        assert self.type == OK, self.header
        return self


@dataclass(frozen=True)
class Column:
    """A column's descriptor and its frame."""

    name: str
    kind: int
    dtype: int
    shape: list[int]
    frame: bytes

    @property
    def descriptor(self) -> list[Any]:
        return [self.name, self.kind, self.dtype, self.shape]


def padded(head: bytes) -> bytes:
    return head + bytes(-len(head) % 64)


def offsets_of(lengths: Iterable[int]) -> bytes:
    return np.concatenate([[0], np.cumsum(list(lengths))]).astype("<i8").tobytes()


def dense(name: str, values: np.ndarray) -> Column:
    dtype = {"float32": FLOAT32, "int64": INT64, "uint8": UINT8}[values.dtype.name]
    return Column(name, DENSE, dtype, list(values.shape[1:]), values.tobytes())


def jagged(name: str, rows: Sequence[np.ndarray]) -> Column:
    """Rows that differ in their first dimension; int64."""
    head = padded(offsets_of(map(len, rows)))
    return Column(
        name, JAGGED, INT64, [-1, *rows[0].shape[1:]], head + b"".join(row.astype("<i8").tobytes() for row in rows)
    )


def ragged(name: str, rows: Sequence[np.ndarray]) -> Column:
    """Rows that differ in two dimensions; int64."""
    shapes = np.array([row.shape for row in rows], dtype="<i4").tobytes()
    head = padded(offsets_of(row.size for row in rows) + shapes)
    return Column(name, RAGGED, INT64, [-1, -1], head + b"".join(row.astype("<i8").tobytes() for row in rows))


def strings(name: str, rows: Sequence[bytes], kind: int) -> Column:
    return Column(name, kind, NO_DTYPE, [], padded(offsets_of(map(len, rows))) + b"".join(rows))


def text(name: str, rows: Sequence[str]) -> Column:
    return strings(name, [row.encode() for row in rows], TEXT)


def objects(name: str, rows: Sequence[bytes]) -> Column:
    return strings(name, rows, OBJECT)


def keys_of(keys: Sequence[str]) -> dict[str, Any]:
    return {"n": len(keys), "k": "\0".join(keys).encode()}


def put_header(partition: str, keys: Sequence[str], columns: Sequence[Column], **more: Any) -> dict[str, Any]:
    return {
        "n": len(keys),
        "partition": partition,
        "keys": keys_of(keys),
        "columns": [column.descriptor for column in columns],
        "want": "none",
    } | more


def message(
    type: int,  # noqa: A002  (the wire's word)
    header: dict[str, Any] | bytes,
    frames: Sequence[bytes] = (),
    *,
    request_id: int = 1,
    acknowledged: int = 0,
    timeout_ms: int = 0,
    **wrong: Any,
) -> bytes:
    """A message's bytes; ``wrong`` replaces fields of the prelude by what they should not be.

    Parameters
    ----------
    wrong
        magic, version, header_bytes, frame_count, flags, payload_bytes, frame_lengths.
    """
    packed = header if isinstance(header, bytes) else msgpack.packb(header)
    lengths = wrong.get("frame_lengths", [len(frame) for frame in frames])
    prelude = PRELUDE.pack(
        wrong.get("magic", MAGIC),
        wrong.get("version", 1),
        type,
        request_id,
        acknowledged,
        timeout_ms,
        wrong.get("header_bytes", len(packed)),
        wrong.get("frame_count", len(lengths)),
        wrong.get("flags", 0),
        wrong.get("payload_bytes", sum(lengths)),
    )
    return b"".join([prelude, struct.pack(f"<{len(lengths)}Q", *lengths), packed, *frames])


class Wire:
    """One connection.

    Parameters
    ----------
    address
        ``unix:///path``.
    client
        The client's 16 bytes; None makes up some. Say nothing (not even HELLO) with ``greet=False``.
    """

    def __init__(self, address: str, *, client: bytes | None = None, greet: bool = True) -> None:
        self.client = client or os.urandom(16)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(address.removeprefix("unix://"))
        self.last_id = 0
        self.frames_sent = self.frames_received = self.messages_sent = 0
        self.hello = self.call(HELLO, self.hello_header()).ok().header if greet else {}

    def hello_header(self) -> dict[str, Any]:
        return {"client": self.client, "pid": os.getpid(), "package": "second"}

    def send(
        self,
        type: int,  # noqa: A002
        header: dict[str, Any] | bytes,
        frames: Sequence[bytes] = (),
        **prelude: Any,
    ) -> int:
        """Send a message; its request id."""
        request_id = prelude.pop("request_id", None) or self.last_id + 1
        self.last_id = max(self.last_id, request_id)
        self.send_bytes(message(type, header, frames, request_id=request_id, **prelude))
        self.frames_sent += len(frames)
        self.messages_sent += 1
        return request_id

    def send_bytes(self, octets: bytes) -> None:
        try:
            self.socket.sendall(octets)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Ended from error

    def call(
        self,
        type: int,  # noqa: A002
        header: dict[str, Any] | bytes,
        frames: Sequence[bytes] = (),
        **prelude: Any,
    ) -> Reply:
        """Send a message and read the next reply, which must be its."""
        request_id = self.send(type, header, frames, **prelude)
        reply = self.receive()
        assert reply.request_id == request_id
        return reply

    def put(self, partition: str, keys: Sequence[str], columns: Sequence[Column], **more: Any) -> Reply:
        return self.call(PUT, put_header(partition, keys, columns, **more), [column.frame for column in columns])

    def get(self, partition: str, keys: Sequence[str], fields: Sequence[str] | None = None) -> Reply:
        wanted = {} if fields is None else {"fields": list(fields)}
        return self.call(GET, {"partition": partition, "keys": keys_of(keys), "strict": False} | wanted)

    def stats(self) -> dict[str, int]:
        return self.call(STATS, {}).ok().header

    def receive(self) -> Reply:
        """Read a message.

        Raises
        ------
        Ended
            There comes none any more.
        """
        magic, version, kind, request_id, acknowledged, _, header_bytes, count, flags, payload = PRELUDE.unpack(
            self._read(PRELUDE.size)
        )
        assert (magic, version, acknowledged, flags) == (MAGIC, 1, 0, 0)
        lengths = struct.unpack(f"<{count}Q", self._read(8 * count))
        assert sum(lengths) == payload
        header = msgpack.unpackb(self._read(header_bytes), strict_map_key=False) if header_bytes else {}
        frames = [self._read(length) for length in lengths]
        self.frames_received += count
        return Reply(kind, request_id, header, frames)

    def has_ended(self) -> bool:
        """Read what is left; true when the server closes."""
        try:
            while True:
                self.receive()
        except Ended:
            return True

    def _read(self, count: int) -> bytes:
        octets = bytearray(count)
        view, have = memoryview(octets), 0
        while have < count:
            try:
                got = self.socket.recv_into(view[have:])
            except ConnectionResetError as error:
                raise Ended from error
            if got == 0:
                raise Ended
            have += got
        return bytes(octets)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def values_of(column: list[Any], frame: bytes) -> list[bytes]:
    """The bytes of each row of a reply's column, pieces joined."""
    _, dtype, pieces = column
    item = {NO_DTYPE: 1, UINT8: 1, INT64: 8, FLOAT32: 4}[dtype]
    rows: list[bytes] = []
    at = 0
    for kind, count, shape, length in pieces:
        at += -at % 64
        piece = frame[at : at + length]
        assert len(piece) == length
        at += length
        unit = item * int(np.prod([extent for extent in shape if extent >= 0])) if kind in (DENSE, JAGGED) else item
        if kind == DENSE:
            rows += [piece[row * unit : (row + 1) * unit] for row in range(count)]
            continue
        offsets = np.frombuffer(piece, "<i8", count + 1)
        start = 8 * (count + 1) + (4 * count * len(shape) if kind == RAGGED else 0)
        start += -start % 64
        rows += [piece[start + offsets[row] * unit : start + offsets[row + 1] * unit] for row in range(count)]
        assert start + offsets[count] * unit == length
    assert at == len(frame)
    return rows
