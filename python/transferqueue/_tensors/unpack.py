"""A reply's columns to a TensorDict; tensors are views of the received memory where they can be."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from tensordict import TensorDict

from transferqueue import _objects
from transferqueue._tensors import construct
from transferqueue._tensors.columns import DENSE, RAGGED, TEXT
from transferqueue._tensors.dtypes import DTYPES, NO_TENSOR
from transferqueue._tensors.pieces import ALIGNMENT, Piece, Rows, join, read_piece, values_start
from transferqueue._tensors.shortcuts import Layout
from transferqueue.errors import InvalidArgumentError, ProtocolError

__all__ = ["Frame", "unpack"]


class Frame(Protocol):
    """Received memory of one column."""

    def buffer(self) -> Any:
        """Writable memory (buffer protocol) that stays as long as the object; not called for a column without bytes."""


def unpack(
    columns: Sequence[Sequence[Any]],
    frames: Sequence[Frame],
    rows: int,
    *,
    layout: str = "jagged",
    copy: bool | None = None,
    allow_pickle: bool = True,
) -> TensorDict:
    """Make a TensorDict of a reply.

    Parameters
    ----------
    columns
        ``[name, dtype, [[kind, rows, shape, bytes], …]]`` of every field (docs/wire.md, section 2).
    frames
        The memory of each column, in the same order.
    rows
        Rows of the reply, B: the TensorDict's batch size.
    layout
        What a field of rows of one shape becomes: "jagged" (default), a jagged nested tensor over the rows' first
        dimension; or "dense", a tensor [B, ...]. Scalars are always dense [B]; rows that differ are nested in both.
    copy
        None (default): a tensor is a view of the received memory unless its rows must be brought together. True: every
        tensor has memory of its own. False: an error where that would take a copy.
    allow_pickle
        Whether pickled objects may be read.

    Raises
    ------
    InvalidArgumentError
        An unknown layout; copy=False where a copy is needed.
    InvalidTypeError
        A pickled object where none may be read.
    ProtocolError
        The frames are not what the columns say.
    """
    if layout not in ("jagged", "dense"):
        raise InvalidArgumentError(f"layout={layout!r}: 'jagged' and 'dense' are known")
    reader = _Reader(rows, layout == "dense", copy, allow_pickle)
    made = {
        name: reader.column(name, dtype, pieces, frame)
        for (name, dtype, pieces), frame in zip(columns, frames, strict=True)
    }
    return construct.tensordict(made, rows)


class _Reader:
    """Reads the columns of one reply; columns whose rows have the same lengths share one layout."""

    def __init__(self, rows: int, dense: bool, copy: bool | None, allow_pickle: bool) -> None:
        self.rows = rows
        self.dense = dense
        self.copy = copy
        self.allow_pickle = allow_pickle
        self.layouts: list[Layout] = []

    def column(self, name: str, dtype: int, entries: Sequence[Sequence[Any]], frame: Frame) -> Any:
        """One field: a tensor, a nested tensor or a stack of values."""
        starts = _starts(entries)
        memory = frame.buffer() if starts[-1] else b""
        if sum(entry[1] for entry in entries) != self.rows:
            raise ProtocolError(f"field {name!r}: pieces {list(entries)} came for {self.rows} rows")
        if dtype == NO_TENSOR:
            return self._values(entries, memory, starts)
        torch_dtype = DTYPES.get(dtype)
        if torch_dtype is None:
            raise ProtocolError(f"field {name!r}: torch {torch.__version__} has no dtype of number {dtype}")
        if self.copy:
            memory = bytearray(memory)
        if not entries:
            return torch.empty(0, dtype=torch_dtype)
        pieces = [read_piece(entry, memory, start, torch_dtype) for entry, start in zip(entries, starts, strict=False)]
        return self._tensor(name, pieces)

    def _tensor(self, name: str, pieces: list[Piece]) -> Any:
        joined = join(pieces)
        if self.copy is False and not _is_view(joined, pieces):
            raise InvalidArgumentError(
                f"field {name!r}: copy=False, but the shapes of its rows take a copy to be one tensor; leave copy out"
            )
        if isinstance(joined, Rows):
            return joined.tensor(construct.stack_of)
        values = joined.values
        if joined.kind == DENSE:
            return values if self.dense or values.dim() == 1 else self._uniform(values)
        ragged = joined.shape.index(-1)
        assert joined.offsets is not None
        layout = self._layout(joined.offsets)
        if self.dense and self.rows and layout.shortest == layout.longest:
            dense = values.view(self.rows, layout.longest, *values.shape[1:])
            return dense.movedim(1, ragged + 1) if ragged else dense
        return construct.jagged(values.movedim(0, ragged) if ragged else values, layout, ragged)

    def _uniform(self, values: torch.Tensor) -> torch.Tensor:
        length = values.shape[1]
        layout = next((known for known in self.layouts if known.shortest == known.longest == length), None)
        if layout is None:
            stop = self.rows * length + 1
            steps = torch.arange(0, stop, length) if length else torch.zeros(self.rows + 1, dtype=torch.int64)
            layout = Layout(steps, length)
            self.layouts.append(layout)
        return construct.jagged(values.view(self.rows * length, *values.shape[2:]), layout)

    def _layout(self, offsets: torch.Tensor) -> Layout:
        for layout in self.layouts:
            if torch.equal(layout.offsets, offsets):
                return layout
        # A copy: else the first column's memory would live as long as any other column.
        layout = Layout(offsets.clone())
        self.layouts.append(layout)
        return layout

    def _values(self, entries: Sequence[Sequence[Any]], memory: Any, starts: list[int]) -> Any:
        if all(entry[0] == TEXT for entry in entries):
            return construct.stack_of(functools.partial(_texts, entries, memory, starts), self.rows)
        values: list[Any] = []
        for entry, start in zip(entries, starts, strict=False):
            if entry[0] == TEXT:
                values += _texts([entry], memory, [start])
            else:
                values += _objects.decode_rows(*_blob(entry, memory, start), self.allow_pickle)
        return construct.stack_of(values, self.rows)


def _starts(entries: Sequence[Sequence[Any]]) -> list[int]:
    """Where each piece begins in the frame, and at last where the last one ends."""
    starts, end = [], 0
    for entry in entries:
        start = -(-end // ALIGNMENT) * ALIGNMENT
        starts.append(start)
        end = start + entry[3]
    return [*starts, end]


def _is_view(joined: Piece | Rows, pieces: list[Piece]) -> bool:
    if isinstance(joined, Rows):
        return False
    storage = joined.values.untyped_storage()
    return storage.nbytes() == 0 or any(
        storage.data_ptr() == piece.values.untyped_storage().data_ptr() for piece in pieces
    )


def _blob(entry: Sequence[Any], memory: Any, start: int) -> tuple[memoryview, np.ndarray[Any, Any]]:
    """The bytes of a text or object piece and where its rows begin in them."""
    kind, rows, _, size = entry
    offsets = np.frombuffer(memory, np.int64, rows + 1, start)
    head = values_start(rows)
    total = int(offsets[-1])
    if kind <= RAGGED or (head + total != size and total):
        raise ProtocolError(f"a piece {list(entry)} in a column of text or objects: its rows take {head + total} bytes")
    return np.frombuffer(memory, np.uint8, total, start + head if total else 0).data, offsets


def _texts(entries: Sequence[Sequence[Any]], memory: Any, starts: list[int]) -> list[str]:
    texts: list[str] = []
    for entry, start in zip(entries, starts, strict=False):
        blob, offsets = _blob(entry, memory, start)
        bounds = offsets.tolist()
        joined = str(blob, "utf-8", "surrogatepass")
        if joined.isascii():
            texts += map(joined.__getitem__, map(slice, bounds, bounds[1:]))
        else:
            octets = blob.tobytes()
            texts += [octets[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(bounds)]
    return texts
