"""Duplicates of the core's memfds in the keeper's hands, so that the memory outlives the core."""

from __future__ import annotations

import os
import socket

_LONGEST_MESSAGE = 4096
_MOST_FILES = 64


class KeptMemory:
    """The memfds that the core has handed over, by the names that it gave them.

    The core sends over a SOCK_SEQPACKET socket: ``+name`` with one descriptor to keep, ``-name`` for one to let go.
    """

    def __init__(self) -> None:
        self._files: dict[str, int] = {}

    def take(self, channel: socket.socket) -> bool:
        """Take one message; False at the channel's end."""
        message, files, _, _ = socket.recv_fds(channel, _LONGEST_MESSAGE, _MOST_FILES)
        name = message[1:].decode("utf-8", "replace")
        keeps = message[:1] == b"+" and len(files) == 1
        if message:
            self._let_go(name)
        if keeps:
            self._files[name] = files[0]
        else:
            for file in files:
                os.close(file)
        return bool(message)

    def _let_go(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            os.close(file)
