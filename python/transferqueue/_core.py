"""The core as Python sees it: a connection that sends requests, batch operations, and the servers.

Headers and arguments are packed MessagePack (``docs/wire.md``); what they mean is no matter of this module. Errors that
the core reports are raised as the classes of `transferqueue.errors`. Everything may be called from any thread.
"""

from __future__ import annotations

import asyncio
import enum
import os
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgpack

from transferqueue import _runtime
from transferqueue._completions import get_queue
from transferqueue._table import (
    DONE,
    NOT_YET,
    Exchange,
    Frame,
    FrameMemory,
    Functions,
    ReplyMessage,
    Segments,
    address_of,
    get_functions,
    put_back,
    release,
    take_exchange,
    to_milliseconds,
)
from transferqueue._version import __version__
from transferqueue.errors import ConnectionLostError

__all__ = [
    "BatchOperation",
    "Connection",
    "Frame",
    "FrameMemory",
    "ReplyMessage",
    "Segments",
    "Server",
    "batch_meta",
    "diagnose",
    "serve_core",
    "serve_gateway",
]

_SLICE_MS = 100
#: "0" in it switches shared memory off for this process.
SHARED_MEMORY_VARIABLE = "TRANSFERQUEUE_SHARED_MEMORY"


class BatchOperation(enum.IntEnum):
    """The operations of `batch_meta`."""

    SELECT_ROWS = 1
    SELECT_FIELDS = 2
    CHUNK = 3
    CHUNK_BY_PARTITION = 4
    CONCAT = 5
    UNION = 6
    REORDER = 7
    ADD_FIELDS = 8
    VALIDATE = 9
    SET_TAGS = 10


class Connection:
    """A client of one core: as many connections underneath as calls run at the same time.

    Made by `open`. Threads share it; a call that is cut off is repeated with the same request id until its deadline, so
    that it takes effect once.

    Attributes
    ----------
    address : str
        ``unix:///path`` or ``tcp://host:port``.
    hello : dict
        What the core told about itself: server, core_pid, epoch, shared, limits, units, capacity_bytes, polling_mode.
    shares_memory : bool
        Whether large columns lie in memory that this process and the core share; else all of them are sent.
    """

    def __init__(
        self, functions: Functions, client: int, address: str, hello: dict[str, Any], wants_shared_memory: bool = True
    ) -> None:
        self._functions = functions
        self._client = client
        self.address = address
        self.hello = hello
        self.shares_memory = wants_shared_memory and bool(hello.get("shared"))

    @classmethod
    def open(
        cls, address: str, token: bytes | None = None, timeout_s: float = 10.0, shared_memory: bool = True
    ) -> Connection:
        """Connect to the core at `address`; the first call of the process starts .NET.

        Parameters
        ----------
        address
            ``unix:///path`` or ``tcp://host:port``.
        token
            The job's secret, 32 bytes; only a TCP address asks for it.
        timeout_s
            Seconds until the core must have answered.
        shared_memory
            Whether to share memory with a core on this host. ``TRANSFERQUEUE_SHARED_MEMORY=0`` in the environment says
            no for the whole process.

        Raises
        ------
        ConnectionLostError, DeadlineExceededError, AuthenticationError, ProtocolVersionError, InvalidArgumentError
        """
        functions = get_functions()
        shared_memory = shared_memory and os.environ.get(SHARED_MEMORY_VARIABLE) != "0"
        options: dict[str, Any] = {
            "address": address,
            "connect_timeout_ms": to_milliseconds(timeout_s),
            "package": __version__,
            "shared_memory": shared_memory,
        }
        if token is not None:
            options["token"] = token
        packed = msgpack.packb(options)
        exchange = take_exchange()
        client = 0
        try:
            exchange.clear()
            status = functions.client_open(address_of(packed), len(packed), exchange.reply_at)
            client = exchange.ticket
            while status == NOT_YET:
                status = functions.client_wait(client, 0, exchange.reply_at)
            reply = exchange.read(status)
        except BaseException:
            if client:
                functions.client_close(client)
            raise
        put_back(exchange)
        hello = msgpack.unpackb(reply.header, strict_map_key=False)
        return cls(functions, client, address, hello, shared_memory)

    @property
    def is_open(self) -> bool:
        """Whether `close` has not been called yet."""
        return self._client != 0

    def close(self) -> None:
        """End the connections; calls that still run raise ConnectionLostError. Again: nothing happens."""
        client, self._client = self._client, 0
        if client and _runtime.is_started():
            self._functions.client_close(client)

    def call(
        self,
        type: int,  # noqa: A002  (the wire's word)
        header: bytes,
        segments: Segments = (),
        timeout_s: float | None = None,
    ) -> ReplyMessage:
        """Send a request and wait for its reply; Ctrl-C ends the wait within 0.1 s.

        Parameters
        ----------
        type
            Message type.
        header
            A packed MessagePack map.
        segments
            The payload: address, length in bytes and frame of each segment; frames in order, each with at least one.
            The caller keeps the memory alive until this returns.
        timeout_s
            Seconds until DeadlineExceededError (a type's own error may come first); None: the server's default, 30.

        Raises
        ------
        TransferQueueError
            Of the class that the reply's kind names; ConnectionLostError when the core is gone.
        """
        client = self._require_open()
        exchange = take_exchange()
        # The name keeps the segments' table alive.
        table = exchange.fill(header, segments, timeout_s)  # noqa: F841
        call = self._functions.client_call
        return self._finish(client, exchange, lambda: call(client, type, exchange.request_at, exchange.reply_at))

    async def acall(
        self,
        type: int,  # noqa: A002
        header: bytes,
        segments: Segments = (),
        timeout_s: float | None = None,
        keep: object = None,
    ) -> ReplyMessage:
        """Send a request without blocking the running loop and await its reply.

        As `call`; `keep` owns the segments' memory and stays alive until the core has read it, also when the task is
        cancelled. A cancelled request may still take effect.
        """
        client = self._require_open()
        loop = asyncio.get_running_loop()
        queue = get_queue(loop)
        exchange = take_exchange()
        try:
            table = exchange.fill(header, segments, timeout_s)  # noqa: F841
            status = self._functions.client_submit(client, type, exchange.request_at, queue.handle, exchange.reply_at)
            if status != DONE:
                exchange.read(status)
            ticket = exchange.ticket
            future: asyncio.Future[Any] = loop.create_future()
            queue.add(ticket, client, future, (header, keep))
        finally:
            put_back(exchange)
        try:
            reply: ReplyMessage = await future
        except asyncio.CancelledError:
            queue.cancel(ticket)
            raise
        return reply

    def reserve(self, lengths: Sequence[int], timeout_s: float | None = None) -> list[Frame]:
        """Take room in shared memory to compute into, one frame for each length in bytes.

        A later request with a segment that is such a frame, whole, uses the room up and moves none of its bytes. Room that
        was not used goes back when all its frames have been dropped. Waits for room; Ctrl-C ends the wait within 0.1 s.

        Parameters
        ----------
        lengths
            Bytes, at least 64 KiB each.
        timeout_s
            As in `call`.

        Raises
        ------
        StorageFullError
            No room by the deadline.
        """
        client = self._require_open()
        numbers = array("q", lengths)
        address, count = numbers.buffer_info()
        timeout_ms = to_milliseconds(timeout_s)
        exchange = take_exchange()
        exchange.clear()
        reserve = self._functions.client_reserve
        return self._finish(
            client, exchange, lambda: reserve(client, address, count, timeout_ms, exchange.reply_at)
        ).frames

    def _require_open(self) -> int:
        _runtime.check_process()
        if self._client == 0:
            raise ConnectionLostError(f"{self.address}: the connection was closed here; open a new one")
        return self._client

    def _finish(self, client: int, exchange: Exchange, start: Callable[[], int]) -> ReplyMessage:
        """Start a request, which gives the first status, and wait for its reply; then `exchange` is the next call's."""
        ticket = 0
        try:
            status = start()
            while status == NOT_YET:
                ticket = ticket or exchange.ticket
                status = self._functions.client_wait(client, ticket, exchange.reply_at)
            ticket = 0
            reply = exchange.read(status)
        except Exception:
            put_back(exchange)
            raise
        except BaseException:
            # An interrupt ended the wait: the core forgets the request, or its reply if that has just come.
            ticket = ticket or exchange.ticket
            if ticket:
                self._functions.client_cancel(client, ticket)
            exchange.discard()
            raise
        put_back(exchange)
        return reply

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # At the interpreter's end this module may be empty already, and the process's end closes everything.
        if getattr(self, "_client", 0) and _runtime is not None:
            self.close()

    def __repr__(self) -> str:
        return f"Connection({self.address!r}, {'open' if self.is_open else 'closed'})"


class Server:
    """A server that runs on threads of the core in this process.

    Attributes
    ----------
    answer : dict
        What it told about itself when it had started; a gateway: its address.
    """

    def __init__(self, functions: Functions, handle: int, answer: Mapping[str, Any]) -> None:
        self._functions = functions
        self._handle = handle
        self.answer = dict(answer)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return True when the server has ended, False after `timeout_s` seconds; None waits for ever. Ctrl-C works."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = _SLICE_MS if deadline is None else max(0, int((deadline - time.monotonic()) * 1000))
            if self._handle == 0 or self._functions.serve_wait(self._handle, min(left, _SLICE_MS)) == 1:
                return True
            if left == 0:
                return False

    def stop(self) -> None:
        """Stop serving and free the address; waits for the server's threads. Again: nothing happens."""
        handle, self._handle = self._handle, 0
        if handle:
            self._functions.serve_stop(handle)
            release(handle)


def serve_core(options: Mapping[str, Any]) -> Server:
    """Start a core in this process; `options` are the core's, by its names. Raises what the core reports."""
    functions = get_functions()
    return _serve(functions, functions.serve_core, options)


def serve_gateway(options: Mapping[str, Any]) -> Server:
    """Start a gateway in this process, as `serve_core`."""
    functions = get_functions()
    return _serve(functions, functions.serve_gateway, options)


def _serve(functions: Functions, start: Any, options: Mapping[str, Any]) -> Server:
    packed = msgpack.packb(dict(options))
    exchange = take_exchange()
    exchange.clear()
    try:
        reply = exchange.read(start(address_of(packed), len(packed), exchange.reply_at))
        return Server(functions, exchange.ticket, msgpack.unpackb(reply.header))
    finally:
        put_back(exchange)


def batch_meta(op: int, args: bytes) -> bytes:
    """Run an operation on packed BatchMetas.

    Parameters
    ----------
    op
        A `BatchOperation`.
    args
        A packed MessagePack array, see ``docs/wire.md`` section 5.

    Returns
    -------
    bytes
        The packed result.
    """
    functions = get_functions()
    exchange = take_exchange()
    exchange.clear()
    try:
        return exchange.read(functions.batch_meta(op, address_of(args), len(args), exchange.reply_at)).header
    finally:
        put_back(exchange)


def diagnose() -> dict[str, Any]:
    """Return what the core tells about itself: versions, collections, handles out, pool bytes."""
    functions = get_functions()
    exchange = take_exchange()
    exchange.clear()
    try:
        answer: dict[str, Any] = msgpack.unpackb(exchange.read(functions.diagnose(exchange.reply_at)).header)
        return answer
    finally:
        put_back(exchange)
