"""The core's function table as ctypes functions, and the structures that travel through it.

``docs/wire.md`` section 5 is the contract. A *kept* function runs with the GIL held: it never waits and is the cheaper
one. A *released* one lets other Python threads run. Nothing here starts .NET before `get_functions` is called.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import warnings
from array import array
from collections.abc import Callable, Sequence
from itertools import chain
from numbers import Real
from typing import Any, NoReturn, TypeAlias

import msgpack

from transferqueue import _runtime
from transferqueue.errors import (
    ERRORS_BY_KIND,
    InvalidArgumentError,
    InvalidTypeError,
    ProtocolVersionError,
    TransferQueueError,
)

VERSION = 1
DONE, FAILED, NOT_YET = 0, 1, 2
#: Name, number of arguments, and whether the GIL is released, in the table's order.
SIGNATURES: tuple[tuple[str, int, bool], ...] = (
    ("client_open", 3, True),
    ("client_close", 1, True),
    ("client_call", 4, True),
    ("client_wait", 3, True),
    ("client_submit", 5, True),
    ("client_result", 3, False),
    ("client_cancel", 2, False),
    ("queue_open", 1, False),
    ("queue_take", 3, False),
    ("queue_close", 1, False),
    ("release", 1, False),
    ("batch_meta", 4, False),
    ("serve_core", 3, True),
    ("serve_gateway", 3, True),
    ("serve_wait", 2, True),
    ("serve_stop", 1, True),
    ("diagnose", 1, False),
    ("client_reserve", 5, True),
    ("fork_prepare", 0, True),
    ("fork_parent", 0, False),
)
MAX_TIMEOUT_MS = 2**32 - 1
_LARGEST_FRAME = 2**40

#: Payload of a request: address, length in bytes and frame of each segment, as triples or, number after number, as an
#: array("q"). Frames come in order, each has at least one.
Segments: TypeAlias = "Sequence[tuple[int, int, int]] | array[int]"
_NUMBERS = 3

_REPLY = struct.Struct("<8q")
_REQUEST = struct.Struct("<6q")
_BOTH = struct.Struct("<14q")
_NO_REPLY = (0,) * 8

_address_of_bytes = ctypes.pythonapi.PyBytes_AsString
_address_of_bytes.argtypes = [ctypes.py_object]
_address_of_bytes.restype = ctypes.c_void_p


class Functions:
    """The functions by name; each takes and returns ints."""

    client_open: Callable[[int, int, int], int]
    client_close: Callable[[int], int]
    client_call: Callable[[int, int, int, int], int]
    client_wait: Callable[[int, int, int], int]
    client_submit: Callable[[int, int, int, int, int], int]
    client_result: Callable[[int, int, int], int]
    client_cancel: Callable[[int, int], int]
    queue_open: Callable[[int], int]
    queue_take: Callable[[int, int, int], int]
    queue_close: Callable[[int], int]
    release: Callable[[int], int]
    batch_meta: Callable[[int, int, int, int], int]
    serve_core: Callable[[int, int, int], int]
    serve_gateway: Callable[[int, int, int], int]
    serve_wait: Callable[[int, int], int]
    serve_stop: Callable[[int], int]
    diagnose: Callable[[int], int]
    client_reserve: Callable[[int, int, int, int, int], int]
    fork_prepare: Callable[[], int]
    fork_parent: Callable[[], int]

    def __init__(self, table: int) -> None:
        version, count = (ctypes.c_int64 * 2).from_address(table)
        if version != VERSION or count < len(SIGNATURES):
            raise ProtocolVersionError(
                f"function table of {_runtime.find_core_folder()}: version {version} with {count} functions; this"
                f" package speaks version {VERSION} with {len(SIGNATURES)}: install package and core of one version"
            )
        pointers = (ctypes.c_int64 * count).from_address(table + 16)
        for pointer, (name, arguments, released) in zip(pointers, SIGNATURES, strict=False):
            make = ctypes.CFUNCTYPE if released else ctypes.PYFUNCTYPE
            setattr(self, name, make(*[ctypes.c_int64] * (1 + arguments))(pointer))


_functions: Functions | None = None
_fork_is_watched = False
# Python's finalizers may run after this module was emptied, and in forked children: None means "leave it".
_release: Callable[[int], int] | None = None


def get_functions() -> Functions:
    """Return the table's functions; the first call starts .NET. Raises what `_runtime.get_table` does."""
    global _functions, _release
    if _functions is None:
        table = _runtime.get_table()
        functions = Functions(table)
        _runtime.call_after_fork(_forget)
        _release = functions.release
        _functions = functions
        _watch_forks()
    return _functions


def _watch_forks() -> None:
    global _fork_is_watched
    if not _fork_is_watched:
        _fork_is_watched = True
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork)


def _before_fork() -> None:
    """Keep the memory that tensors of this process lie over until its children are gone, too; without any it is quick."""
    functions = _functions
    if functions is not None and functions.fork_prepare() != DONE:
        warnings.warn(
            "fork: the memory of fetched tensors can't be kept for the child; it must not read them, their bytes may change",
            RuntimeWarning,
            stacklevel=3,
        )


def _after_fork() -> None:
    functions = _functions
    if functions is not None:
        functions.fork_parent()


def _forget() -> None:
    global _functions, _release
    _functions = None
    _release = None


def release(handle: int) -> None:
    """Give a handle back to the core; 0 and a forked process are ignored. Never blocks."""
    give_back = _release
    if handle and give_back is not None:
        give_back(handle)


class FrameMemory(ctypes.c_ubyte * _LARGEST_FRAME):  # type: ignore[misc]  # a base made at run time
    """The bytes of one received frame, seen through the buffer protocol; returned to the core when the last view dies.

    One type for all lengths (a ctypes type per length would stay alive for ever), so its own length says nothing: pass
    a count to ``torch.frombuffer``, or use `Frame.buffer`.
    """

    handle: int

    def __del__(self) -> None:
        give_back = _release
        if give_back is not None:
            give_back(self.handle)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("FrameMemory: it can't be pickled or copied; copy the tensor over it (tensor.clone()) instead")


class Frame:
    """One payload frame of a reply.

    Attributes
    ----------
    address : int
        Of its first byte, 64-byte aligned; 0 in a frame without bytes.
    length : int
        Bytes.
    owner : FrameMemory or None
        Exports the buffer and keeps it alive; None in a frame without bytes.
    """

    __slots__ = ("address", "length", "owner")

    def __init__(self, address: int, length: int, handle: int) -> None:
        self.address = address
        self.length = length
        self.owner: FrameMemory | None = None
        if length > 0:
            self.owner = FrameMemory.from_address(address)
            self.owner.handle = handle
        elif handle:
            release(handle)

    @property
    def is_viewed(self) -> bool:
        """Whether a view of its bytes lives."""
        # This slot and the argument are two references.
        return self.owner is not None and sys.getrefcount(self.owner) > 2

    def buffer(self) -> memoryview:
        """Return the bytes, writable, without a copy; the view keeps them alive."""
        if self.owner is None:
            return memoryview(bytearray())
        return memoryview(self.owner).cast("B")[: self.length]

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return f"Frame({self.length} bytes at {self.address:#x})"


class ReplyMessage:
    """The answer to a request.

    Attributes
    ----------
    type : int
        100 (OK).
    header : bytes
        A MessagePack map.
    frames : list of Frame
        The payload, in the order of the header's columns.
    """

    __slots__ = ("frames", "header", "type")

    def __init__(self, type: int, header: bytes, frames: list[Frame]) -> None:  # noqa: A002
        self.type = type
        self.header = header
        self.frames = frames

    def __repr__(self) -> str:
        return f"ReplyMessage(type={self.type}, header={len(self.header)} bytes, frames={self.frames})"


class Exchange:
    """The two structures of a call; used again and again by `take_exchange` and `put_back`, one call at a time."""

    __slots__ = ("_buffer", "reply_at", "request_at")

    def __init__(self) -> None:
        self._buffer = bytearray(_REPLY.size + _REQUEST.size)
        self.reply_at = ctypes.addressof((ctypes.c_char * len(self._buffer)).from_buffer(self._buffer))
        self.request_at = self.reply_at + _REPLY.size

    def fill(self, header: bytes, segments: Segments, timeout_s: float | None) -> object:
        """Write the request; returns the owner of the segments' table, which must live until the call has returned."""
        timeout_ms = 0 if timeout_s is None else to_milliseconds(timeout_s)
        if len(segments) == 0:
            _BOTH.pack_into(self._buffer, 0, *_NO_REPLY, _address_of_bytes(header), len(header), 0, 0, timeout_ms, 0)
            return None
        table = segments if isinstance(segments, array) else array("q", chain.from_iterable(segments))
        address, numbers = table.buffer_info()
        _BOTH.pack_into(
            self._buffer,
            0,
            *_NO_REPLY,
            _address_of_bytes(header),
            len(header),
            address,
            numbers // _NUMBERS,
            timeout_ms,
            table[-1] + 1,
        )
        return table

    def clear(self) -> None:
        """Empty the reply."""
        _REPLY.pack_into(self._buffer, 0, *_NO_REPLY)

    @property
    def ticket(self) -> int:
        """The reply's ticket: what to wait for, or a new handle; 0 if there is none."""
        ticket: int = _REPLY.unpack_from(self._buffer)[6]
        return ticket

    def read(self, status: int) -> ReplyMessage:
        """Return the reply and give back what its header lay in, or raise the error that it carries."""
        header_at, length, frames_at, count, handle, kind, _, _ = _REPLY.unpack_from(self._buffer)
        header = ctypes.string_at(header_at, length)
        numbers = struct.unpack(f"<{3 * count}q", ctypes.string_at(frames_at, 24 * count)) if count else ()
        if handle:
            release(handle)
        frames = [Frame(*numbers[at : at + 3]) for at in range(0, 3 * count, 3)]
        if status == FAILED:
            raise_error(header)
        return ReplyMessage(kind, header, frames)

    def discard(self) -> None:
        """Give back all that an unread reply holds."""
        _, _, frames_at, count, handle, _, _, _ = _REPLY.unpack_from(self._buffer)
        if count:
            for frame in struct.unpack(f"<{3 * count}q", ctypes.string_at(frames_at, 24 * count))[2::3]:
                release(frame)
        release(handle)


_exchanges: list[Exchange] = []


def take_exchange() -> Exchange:
    """Return an exchange that nobody uses. Not one per thread: a signal handler may call in the middle of a call."""
    try:
        return _exchanges.pop()
    except IndexError:
        return Exchange()


def put_back(exchange: Exchange) -> None:
    """Let the next call have it."""
    _exchanges.append(exchange)


def to_milliseconds(timeout_s: float | None) -> int:
    """Return a timeout as the wire has it: 0 for None (the server's default), else at least 1."""
    if timeout_s is None:
        return 0
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, Real):
        raise InvalidTypeError(f"timeout_s: {timeout_s!r:.80} is a {type(timeout_s).__name__}; give seconds, or None")
    # `not >=` also refuses NaN.
    if not timeout_s >= 0:
        raise InvalidArgumentError(
            f"timeout_s: {timeout_s!r} given; give seconds >= 0, or None for the server's default"
        )
    return max(1, int(min(timeout_s * 1000, MAX_TIMEOUT_MS)))


def address_of(data: bytes) -> int:
    """Return the address of a bytes object's first byte; valid while it lives."""
    address: int = _address_of_bytes(data)
    return address


def raise_error(header: bytes) -> NoReturn:
    """Raise the error that an ERROR header carries."""
    carried: dict[str, Any] = msgpack.unpackb(header, strict_map_key=False)
    error = ERRORS_BY_KIND.get(carried.get("kind", 0), TransferQueueError)
    raise error(carried.get("message", "the core sent no message"), carried.get("details"))
