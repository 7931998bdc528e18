"""The pieces of a received tensor column: rows of one layout each, read in place and joined where there are several."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from transferqueue._tensors.columns import DENSE, JAGGED, RAGGED
from transferqueue.errors import ProtocolError

__all__ = ["ALIGNMENT", "Piece", "Rows", "dense_values", "join", "read_piece", "values_start"]

#: Bytes to which the values of a frame and the pieces of a reply are aligned.
ALIGNMENT = 64


@dataclass(slots=True)
class Piece:
    """Rows of one layout.

    Attributes
    ----------
    kind, rows, shape
        Layout, number of rows, shape of one row with -1 for a ragged dimension.
    values
        Dense: [rows, *shape]. Jagged: slices [n, *rest] along the ragged dimension. Ragged: flat.
    offsets
        int64 [rows + 1], jagged and ragged only: slices or elements.
    shapes
        int32 [rows, rank], ragged only; filled up with -1.
    """

    kind: int
    rows: int
    shape: list[int]
    values: torch.Tensor
    offsets: torch.Tensor | None = None
    shapes: np.ndarray[Any, Any] | None = None

    def sizes(self) -> np.ndarray[Any, Any]:
        """Shape of every row, int64 [rows, rank]; -1 where a row has fewer dimensions."""
        if self.shapes is not None:
            return self.shapes.astype(np.int64)
        sizes = np.empty((self.rows, len(self.shape)), np.int64)
        sizes[:] = self.shape
        if self.offsets is not None:
            sizes[:, self.shape.index(-1)] = np.diff(self.offsets.numpy())
        return sizes

    def row_tensors(self) -> Sequence[torch.Tensor]:
        """One tensor per row: views."""
        if self.kind == DENSE:
            return self.values.unbind(0)
        assert self.offsets is not None
        split = self.values.split(self.offsets.diff().tolist())  # type: ignore[no-untyped-call]
        if self.shapes is not None:
            return [
                row.view([d for d in shape if d >= 0]) for row, shape in zip(split, self.shapes.tolist(), strict=True)
            ]
        ragged = self.shape.index(-1)
        return [row.movedim(0, ragged) for row in split] if ragged else split

    def slices(self, dim: int, shape: list[int]) -> torch.Tensor:
        """The rows cut along ``dim``, that dimension first, side by side; every other one is as in ``shape``."""
        rest = [extent for place, extent in enumerate(shape) if place != dim]
        if self.kind == JAGGED:
            ragged = self.shape.index(-1)
            if ragged == dim:
                return self.values
            dense = self.values.view(self.rows, shape[ragged], *self.values.shape[1:]).movedim(1, ragged + 1)
        elif self.kind == DENSE:
            dense = self.values
        elif dim == 0:
            slice_size = math.prod(rest)
            count = int(self.sizes()[:, 0].sum()) if slice_size == 0 else self.values.numel() // slice_size
            return self.values.view(count, *rest)
        else:
            return torch.cat([row.movedim(dim, 0) for row in self.row_tensors()])
        return dense.movedim(dim + 1, 1).reshape(self.rows * dense.shape[dim + 1], *rest)


@dataclass(slots=True)
class Rows:
    """Rows that no jagged tensor can hold: several dimensions, or the number of dimensions, differ."""

    rows: Sequence[torch.Tensor]

    def tensor(self, stack_of: Callable[..., Any]) -> Any:
        """A strided nested tensor; a stack of tensors where torch has none."""
        if len({row.dim() for row in self.rows}) == 1:
            try:
                return torch.nested.as_nested_tensor(list(self.rows), layout=torch.strided)
            except (RuntimeError, NotImplementedError):
                pass  # no strided nested tensor of this dtype in this torch
        return stack_of(list(self.rows), len(self.rows))


def values_start(rows: int, shapes_bytes: int = 0) -> int:
    """Where the values begin in a piece with offsets."""
    return -(-((rows + 1) * 8 + shapes_bytes) // ALIGNMENT) * ALIGNMENT


def read_piece(entry: Sequence[Any], memory: Any, start: int, dtype: torch.dtype, apart: Any | None = None) -> Piece:
    """A tensor piece ``[kind, rows, shape, bytes]`` that begins ``start`` bytes into a frame; views of it.

    Its values follow its head, or are in memory of their own, ``apart``.
    """
    kind, rows, shape, size = entry
    if kind == DENSE:
        return Piece(kind, rows, shape, dense_values(entry, memory, start, dtype))
    if kind not in (JAGGED, RAGGED):
        raise ProtocolError(f"a piece of kind {kind} in a tensor column; 0, 1 and 2 are tensors'")
    offsets = _elements(memory, torch.int64, rows + 1, start)
    head = values_start(rows, rows * len(shape) * 4 if kind == RAGGED else 0)
    slices = int(offsets[-1])
    rest = [extent for extent in shape if extent >= 0] if kind == JAGGED else []
    count = slices * math.prod(rest)
    _check(size, head + count * dtype.itemsize, entry)
    values = _elements(memory, dtype, count, start + head) if apart is None else _elements(apart, dtype, count, 0)
    if kind == JAGGED:
        return Piece(kind, rows, shape, values.view(slices, *rest), offsets)
    shapes = np.frombuffer(memory, np.int32, rows * len(shape), start + (rows + 1) * 8).reshape(rows, len(shape))
    return Piece(kind, rows, shape, values, offsets, shapes)


def dense_values(entry: Sequence[Any], memory: Any, start: int, dtype: torch.dtype) -> torch.Tensor:
    """The values of a dense piece that begins ``start`` bytes into a frame: a view, [rows, *shape]."""
    _, rows, shape, size = entry
    count = rows * math.prod(shape)
    _check(size, count * dtype.itemsize, entry)
    return _elements(memory, dtype, count, start).view(rows, *shape)


def join(pieces: list[Piece]) -> Piece | Rows:
    """One layout for all rows: dense or jagged where they allow it; a copy unless it is one piece that lies well."""
    pieces = [piece for piece in pieces if piece.rows] or pieces[:1]
    if len(pieces) == 1 and pieces[0].kind != RAGGED:
        return pieces[0]
    ranks = {len(piece.shape) for piece in pieces}
    sizes = np.concatenate([piece.sizes() for piece in pieces]) if len(ranks) == 1 else None
    if sizes is None or (sizes < 0).any():
        return _rows(pieces)
    if len(sizes) == 0:
        return Piece(
            DENSE, 0, [max(extent, 0) for extent in pieces[0].shape], pieces[0].values.new_empty(0, *sizes.shape[1:])
        )
    varying = (sizes != sizes[0]).any(axis=0).nonzero()[0]
    if len(varying) > 1:
        return _rows(pieces)
    shape: list[int] = sizes[0].tolist()
    if not shape:
        return Piece(DENSE, len(sizes), shape, _cat([piece.values.view(piece.rows) for piece in pieces]))
    dim = int(varying[0]) if len(varying) else 0
    values = _cat([piece.slices(dim, shape) for piece in pieces])
    if len(varying) == 0:
        return Piece(DENSE, len(sizes), shape, values.view(len(sizes), *shape))
    offsets = torch.zeros(len(sizes) + 1, dtype=torch.int64)
    offsets[1:] = torch.from_numpy(np.cumsum(sizes[:, dim]))
    shape[dim] = -1
    return Piece(JAGGED, len(sizes), shape, values, offsets)


def _rows(pieces: list[Piece]) -> Rows:
    return Rows([row for piece in pieces for row in piece.row_tensors()])


def _cat(tensors: list[torch.Tensor]) -> torch.Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def _elements(memory: Any, dtype: torch.dtype, count: int, start: int) -> torch.Tensor:
    # frombuffer refuses to make an empty tensor.
    return torch.frombuffer(memory, dtype=dtype, count=count, offset=start) if count else torch.empty(0, dtype=dtype)


def _check(size: int, expected: int, entry: Sequence[Any]) -> None:
    if size != expected:
        raise ProtocolError(f"a piece {list(entry)}: its rows take {expected} bytes, it has {size}")
