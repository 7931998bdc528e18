"""Duplicates of the core's memfds in the keeper's hands, so that the memory outlives the core."""

from __future__ import annotations

import os
import socket
import struct

#: Number and length of a segment of memory.
_MESSAGE = struct.Struct("<qq")
_MOST_FILES = 64


class KeptMemory:
    """The memfds that the core has handed over, by the numbers of their segments.

    A message of the core over the SOCK_SEQPACKET socket is a segment's number and length; with one descriptor it is to be
    kept, instead of an earlier one of that number; without one it is to be let go.
    """

    def __init__(self) -> None:
        self._files: dict[int, int] = {}

    def take(self, channel: socket.socket) -> bool:
        """Take one message; False at the channel's end."""
        message, files, _, _ = socket.recv_fds(channel, _MESSAGE.size, _MOST_FILES)
        if len(message) != _MESSAGE.size or len(files) > 1:
            close_all(files)
            return bool(message)
        number, _ = _MESSAGE.unpack(message)
        close_all([self._files.pop(number)] if number in self._files else [])
        if files:
            self._files[number] = files[0]
        return True


def close_all(files: list[int]) -> None:
    """Close descriptors."""
    for file in files:
        os.close(file)
