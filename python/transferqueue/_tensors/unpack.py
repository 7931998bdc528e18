"""A reply's columns to a TensorDict; tensors are views of the received memory where they can be."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from tensordict import TensorDict

from transferqueue import _objects
from transferqueue._tensors import construct
from transferqueue._tensors.columns import DENSE, TEXT
from transferqueue._tensors.dtypes import DTYPES, NO_TENSOR
from transferqueue._tensors.pieces import Piece, Rows, dense_values, join
from transferqueue._tensors.received import Frame, Received, take
from transferqueue._tensors.shortcuts import Layout
from transferqueue.errors import InvalidArgumentError, ProtocolError

__all__ = ["Frame", "unpack"]


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
        ``[name, dtype, [[kind, rows, shape, bytes], …]]`` of every field (docs/wire.md, section 2). A fourth entry says
        how many frames it has, 1 if there is none; of 2 the first is the head of the column's only piece (offsets,
        shapes, padding), the second its values.
    frames
        The memory of the columns, in the same order.
    rows
        Rows of the reply, B: the TensorDict's batch size.
    layout
        What a field of rows of one shape becomes: "jagged" (default), a jagged nested tensor over the rows' first
        dimension; or "dense", a tensor [B, ...]. Scalars are always dense [B]; rows that differ are nested in both.
    copy
        None (default): a tensor is a view of the received memory unless its rows must be brought together. True: every
        tensor has memory of its own, and text is read at once. False: an error where that would take a copy.
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
    came = iter(frames)
    made = {column[0]: reader.column(column[0], column[1], take(column, came)) for column in columns}
    if next(came, None) is not None:
        raise ProtocolError(f"a reply of {len(columns)} columns came with {len(frames)} frames, more than they take")
    return construct.tensordict(made, rows)


class _Reader:
    """Reads the columns of one reply; columns whose rows have the same lengths share one layout."""

    def __init__(self, rows: int, dense: bool, copy: bool | None, allow_pickle: bool) -> None:
        self.rows = rows
        self.dense = dense
        self.copy = copy
        self.allow_pickle = allow_pickle
        self.layouts: list[Layout] = []

    def column(self, name: str, dtype: int, received: Received) -> Any:
        """One field: a tensor, a nested tensor or a stack of values."""
        if sum(entry[1] for entry in received.entries) != self.rows:
            raise ProtocolError(f"field {name!r}: pieces {list(received.entries)} came for {self.rows} rows")
        if dtype == NO_TENSOR:
            return self._values(received)
        torch_dtype = DTYPES.get(dtype)
        if torch_dtype is None:
            raise ProtocolError(f"field {name!r}: torch {torch.__version__} has no dtype of number {dtype}")
        if self.copy:
            received = received.copied()
        if len(received.entries) == 1 and received.entries[0][0] == DENSE:  # most columns: nothing to join
            return self._dense(dense_values(received.entries[0], received.memory, 0, torch_dtype))
        pieces = received.pieces(torch_dtype)
        return self._tensor(name, pieces) if pieces else torch.empty(0, dtype=torch_dtype)

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
            return self._dense(values)
        ragged = joined.shape.index(-1)
        assert joined.offsets is not None
        layout = self._layout(joined.offsets)
        if self.dense and self.rows and layout.shortest == layout.longest:
            dense = values.view(self.rows, layout.longest, *values.shape[1:])
            return dense.movedim(1, ragged + 1) if ragged else dense
        return construct.jagged(values.movedim(0, ragged) if ragged else values, layout, ragged)

    def _dense(self, values: torch.Tensor) -> torch.Tensor:
        if self.dense or values.dim() == 1:
            return values
        length = values.shape[1]
        layout = next((known for known in self.layouts if known.shortest == known.longest == length), None)
        if layout is None:
            layout = _uniform_layout(self.rows, length, shared=not self.copy)
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

    def _values(self, received: Received) -> Any:
        if all(entry[0] == TEXT for entry in received.entries):
            texts = functools.partial(_texts, received)
            return construct.stack_of(texts() if self.copy else texts, self.rows)
        values: list[Any] = []
        for kind, blob in received.blobs():
            values += _split(*blob) if kind == TEXT else _objects.decode_rows(*blob, self.allow_pickle)
        return construct.stack_of(values, self.rows)


#: Layouts of rows of one length, by number of rows and length: a get of few rows would spend most of its time on them.
_uniform_layouts: dict[tuple[int, int], Layout] = {}
_MOST_LAYOUTS = 64
_MOST_LAYOUT_ROWS = 4096


def _uniform_layout(rows: int, length: int, *, shared: bool) -> Layout:
    """The layout of rows that all have ``length`` slices; gets share it as long as nobody has written to its offsets."""
    layout = _uniform_layouts.get((rows, length)) if shared else None
    if layout is not None and layout.offsets._version == 0:
        return layout
    steps = torch.arange(0, rows * length + 1, length) if length else torch.zeros(rows + 1, dtype=torch.int64)
    layout = Layout(steps, length)
    # A tensor made in inference mode can't be part of a graph later.
    if shared and rows <= _MOST_LAYOUT_ROWS and not steps.is_inference():
        if len(_uniform_layouts) >= _MOST_LAYOUTS:
            _uniform_layouts.clear()
        _uniform_layouts[rows, length] = layout
    return layout


def _is_view(joined: Piece | Rows, pieces: list[Piece]) -> bool:
    if isinstance(joined, Rows):
        return False
    storage = joined.values.untyped_storage()
    return storage.nbytes() == 0 or any(
        storage.data_ptr() == piece.values.untyped_storage().data_ptr() for piece in pieces
    )


def _texts(received: Received) -> list[str]:
    return [text for _, blob in received.blobs() for text in _split(*blob)]


def _split(blob: memoryview, offsets: Any) -> list[str]:
    bounds = offsets.tolist()
    joined = str(blob, "utf-8", "surrogatepass")
    if joined.isascii():
        return list(map(joined.__getitem__, map(slice, bounds, bounds[1:])))
    octets = blob.tobytes()
    return [octets[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(bounds)]
