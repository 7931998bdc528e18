"""How replies reach an asyncio loop: the core writes one eventfd per loop, once per batch of replies."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import weakref

from transferqueue import _runtime
from transferqueue._table import Functions, get_functions, put_back, release, take_exchange

_BATCH = 256


class _Pending:
    """A submitted request: who waits for it, and what must stay in memory until the core is done with it."""

    __slots__ = ("client", "future", "keep")

    def __init__(self, client: int, future: asyncio.Future[object], keep: object) -> None:
        self.client = client
        self.future: asyncio.Future[object] | None = future
        self.keep = keep


class CompletionQueue:
    """The completions of one event loop. Only the loop's thread uses it; it holds no reference to the loop itself."""

    def __init__(self, functions: Functions, loop: asyncio.AbstractEventLoop) -> None:
        self._functions = functions
        self.closed = False
        self._tickets = (ctypes.c_int64 * _BATCH)()
        self._pending: dict[int, _Pending] = {}
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.handle = functions.queue_open(self._eventfd)
        loop.add_reader(self._eventfd, self._on_readable)

    def add(self, ticket: int, client: int, future: asyncio.Future[object], keep: object) -> None:
        """Set `future` when the core reports `ticket`; `keep` lives until then."""
        self._pending[ticket] = _Pending(client, future, keep)

    def cancel(self, ticket: int) -> None:
        """Nobody waits any more. The request's memory stays until the core reports the ticket, which it does soon."""
        pending = self._pending.get(ticket)
        if pending is not None and pending.future is not None:
            pending.future = None
            self._functions.client_cancel(pending.client, ticket)

    def close(self) -> None:
        """Cancel everything and end; what the core still reads stays in memory until a later `finish`."""
        if self.closed or not _runtime.is_started():
            return
        self.closed = True
        for ticket in list(self._pending):
            self.cancel(ticket)
        os.close(self._eventfd)  # the core has a duplicate of its own
        if not self.finish():
            _closing.append(self)

    def finish(self) -> bool:
        """Drop what the core has reported since `close`; True when nothing is left and the queue is gone."""
        self._drain()
        if self._pending:
            return False
        self._functions.queue_close(self.handle)
        return True

    def _on_readable(self) -> None:
        try:
            os.read(self._eventfd, 8)
        except BlockingIOError:
            return
        self._drain()

    def _drain(self) -> None:
        count = _BATCH
        while count == _BATCH:
            count = self._functions.queue_take(self.handle, ctypes.addressof(self._tickets), _BATCH)
            for ticket in self._tickets[:count]:
                self._complete(ticket)

    def _complete(self, ticket: int) -> None:
        pending = self._pending.pop(ticket, None)
        if pending is None or pending.future is None or pending.future.done():
            release(ticket)
            return
        exchange = take_exchange()
        try:
            exchange.clear()
            status = self._functions.client_result(pending.client, ticket, exchange.reply_at)
            pending.future.set_result(exchange.read(status))
        except Exception as error:
            pending.future.set_exception(error)
        finally:
            put_back(exchange)


_lock = threading.Lock()
_queues: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, CompletionQueue] = weakref.WeakKeyDictionary()
_closing: list[CompletionQueue] = []


def get_queue(loop: asyncio.AbstractEventLoop) -> CompletionQueue:
    """Return the queue of the running loop; queues of loops that are closed go away here or with their loop."""
    queue = _queues.get(loop)
    if queue is None:
        with _lock:
            _sweep()
            queue = _queues[loop] = CompletionQueue(get_functions(), loop)
            weakref.finalize(loop, queue.close).atexit = False
    return queue


def _sweep() -> None:
    """Close the queues of closed loops. A future that nobody awaited to its end keeps its loop alive for ever."""
    for loop in [loop for loop in list(_queues) if loop.is_closed()]:
        _queues.pop(loop).close()
    for queue in list(_closing):
        if queue.finish():
            _closing.remove(queue)
