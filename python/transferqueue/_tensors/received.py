"""A column as it was received: what the reply says of it, and the memory of its one or two frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch

from transferqueue._tensors.columns import RAGGED
from transferqueue._tensors.pieces import ALIGNMENT, Piece, read_piece, values_start
from transferqueue.errors import ProtocolError

__all__ = ["Frame", "Received", "take"]

#: UTF-8 or objects side by side, and int64 [rows + 1], where each begins.
Blob = tuple[memoryview, np.ndarray[Any, Any]]


class Frame(Protocol):
    """Received memory."""

    def buffer(self) -> Any:
        """Writable memory (buffer protocol) that stays as long as the object; not called for a column without bytes."""


class Received:
    """The pieces of a column and where they are.

    Parameters
    ----------
    entries
        The pieces, ``[kind, rows, shape, bytes]``.
    memory
        The frame: the pieces, each at a multiple of 64.
    values
        The values of the only piece, where they came in a frame of their own and `memory` has its head; else None.
    """

    __slots__ = ("entries", "memory", "starts", "values")

    def __init__(self, entries: Sequence[Sequence[Any]], memory: Any, values: Any = None) -> None:
        self.entries = entries
        self.memory = memory
        self.values = values
        self.starts, end = [], 0
        for entry in entries:
            start = -(-end // ALIGNMENT) * ALIGNMENT
            self.starts.append(start)
            end = start + entry[3]

    def copied(self) -> Received:
        """The same in memory of the caller's own."""
        values = None if self.values is None else bytearray(self.values)
        return Received(self.entries, bytearray(self.memory), values)

    def pieces(self, dtype: torch.dtype) -> list[Piece]:
        """The pieces of a tensor column: views."""
        return [
            read_piece(entry, self.memory, start, dtype, self.values)
            for entry, start in zip(self.entries, self.starts, strict=True)
        ]

    def blobs(self) -> Iterator[tuple[int, Blob]]:
        """The pieces of a text or object column: kind, bytes and where the rows begin in them."""
        for entry, start in zip(self.entries, self.starts, strict=True):
            yield entry[0], self._blob(entry, start)

    def _blob(self, entry: Sequence[Any], start: int) -> Blob:
        kind, rows, _, size = entry
        offsets = np.frombuffer(self.memory, np.int64, rows + 1, start)
        head = values_start(rows)
        total = int(offsets[-1])
        if kind <= RAGGED or (head + total != size and total):
            raise ProtocolError(
                f"a piece {list(entry)} in a column of text or objects: its rows take {head + total} bytes"
            )
        if self.values is not None:
            return np.frombuffer(self.values, np.uint8, total).data, offsets
        return np.frombuffer(self.memory, np.uint8, total, start + head if total else 0).data, offsets


def take(column: Sequence[Any], frames: Iterator[Frame]) -> Received:
    """Take the frames of a reply's column, ``[name, dtype, pieces]`` or with a fourth entry, their number."""
    name, _, entries, *more = column
    count = more[0] if more else 1
    came = list(islice(frames, count))
    if len(came) < count or count not in (1, 2) or (count == 2 and len(entries) != 1):
        raise ProtocolError(
            f"field {name!r}: {len(entries)} pieces in {count} frames, {len(came)} of which came; "
            "a column has one frame, or two if it is one piece"
        )
    if not any(entry[3] for entry in entries):
        return Received(entries, b"")
    return Received(entries, *[frame.buffer() for frame in came])
