"""The keeper's loop: one thread that waits for descriptors and acts when they can be read."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Callable

#: Turns within a round. Ends of processes come before new connections: who comes after the last one has left finds the
#: sidecar ending, and starts another one.
ENDS, MESSAGES, CONNECTIONS = range(3)


class Loop:
    """Calls an action for every watched descriptor that can be read, in the order of turns."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, file: int | socket.socket, turn: int, act: Callable[[], object]) -> None:
        """Call `act` whenever `file` can be read."""
        self._selector.register(file, selectors.EVENT_READ, (turn, act))

    def forget(self, file: int | socket.socket) -> None:
        """Stop watching `file`; to be called before it is closed. One that is not watched: nothing happens."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(file)

    def step(self, timeout_s: float | None, goes_on: Callable[[], bool]) -> None:
        """Wait once, and act while `goes_on`.

        Parameters
        ----------
        timeout_s
            Seconds to wait at most; None: until something can be read.
        goes_on
            Asked before each action.
        """
        events = self._selector.select(timeout_s)
        for key, _ in sorted(events, key=lambda event: event[0].data[0]):
            # An earlier action of this round may have closed it.
            if goes_on() and self._selector.get_map().get(key.fd) is key:
                key.data[1]()
