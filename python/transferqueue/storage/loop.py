"""The event loop on which a client runs its storage manager's coroutines."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any

from transferqueue.errors import InvalidArgumentError


class StoreLoop:
    """A loop on a thread of its own, started at its first use. So a blocking call works in any thread, also in one that has a loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """Call a method, plain (here) or a coroutine (on the loop), and return its result; what it raises is raised."""
        if threading.current_thread() is self._thread:
            raise InvalidArgumentError(
                "storage manager: a blocking call of the queue inside a method of the manager would wait for itself; use the async_ calls"
            )
        if not inspect.iscoroutinefunction(method):
            result = method(*arguments)
            if not inspect.isawaitable(result):
                return result
            return asyncio.run_coroutine_threadsafe(_await(result), self._started()).result()
        return asyncio.run_coroutine_threadsafe(method(*arguments), self._started()).result()

    def close(self) -> None:
        """End the loop; what runs on it is cut off."""
        with self._lock:
            loop, self._loop, thread = self._loop, None, self._thread
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._serve, args=(self._loop,), name="transferqueue-store", daemon=True
                )
                self._thread.start()
            return self._loop

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        loop.run_forever()
        loop.close()


async def _await(result: Any) -> Any:
    return await result
