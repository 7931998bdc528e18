"""Columns to compute into: their sizes, known beforehand, and tensors laid over memory that will be their frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from transferqueue._tensors import construct
from transferqueue._tensors.columns import DENSE, JAGGED
from transferqueue._tensors.dtypes import CODES
from transferqueue._tensors.pieces import values_start
from transferqueue._tensors.shortcuts import Layout
from transferqueue.errors import InvalidArgumentError, InvalidTypeError

__all__ = ["LoanedColumn", "loaned_columns"]


class LoanedColumn:
    """A column of B rows whose memory comes before its values.

    Attributes
    ----------
    name, kind, dtype, shape
        The field; layout, dense or jagged; torch's dtype; the shape of a row, -1 for the ragged dimension.
    frame_bytes
        Bytes of the column's frame: a jagged column's offsets, then its values.
    """

    def __init__(self, name: str, dtype: torch.dtype, rows: int, shape: list[int], layout: Layout | None) -> None:
        self.name = name
        self.kind = DENSE if layout is None else JAGGED
        self.dtype = dtype
        self.shape = shape
        self._layout = layout
        self._values = torch.empty(0, dtype=dtype)
        self._head_bytes = 0 if layout is None else values_start(rows)
        slices = rows if layout is None else int(layout.offsets[-1])
        self._values_shape = [slices, *(shape if layout is None else shape[1:])]
        self.frame_bytes = self._head_bytes + math.prod(self._values_shape) * dtype.itemsize

    @property
    def descriptor(self) -> list[Any]:
        """``[name, kind, dtype, shape]``, as a put has it."""
        return [self.name, self.kind, CODES[self.dtype], self.shape]

    def lay_over(self, memory: Any) -> torch.Tensor:
        """Make the tensor, [B, *shape] or jagged, over at least `frame_bytes` bytes of writable memory.

        Its values are whatever is there.
        """
        count = math.prod(self._values_shape)
        values = self._values
        if count:
            # No view of another tensor: one that autograd must not follow, and that `set_` empties whole.
            source = torch.frombuffer(memory, dtype=self.dtype, count=count, offset=self._head_bytes)
            values.set_(source.untyped_storage(), 0, self._values_shape)  # type: ignore[call-overload]
        else:
            values.resize_(self._values_shape)
        if self._layout is None:
            return values
        head = np.frombuffer(memory, np.int64, self._head_bytes // 8)
        head[:] = 0
        head[: self._layout.rows + 1] = self._layout.offsets.numpy()
        return construct.jagged(values, self._layout)

    def empty(self) -> None:
        """Take the memory from the tensor, whoever has it: it has no elements afterwards. Views of it keep theirs."""
        with torch.no_grad():
            self._values.set_()  # type: ignore[call-overload]


def loaned_columns(schema: Mapping[str, Sequence[Any]], rows: int) -> list[LoanedColumn]:
    """The columns of a loan.

    Parameters
    ----------
    schema
        For every field ``(dtype, shape)``, or ``(dtype, (-1, *rest), lengths)`` for rows of shape [lengths[i], *rest].
    rows
        Rows of the batch, B.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An entry is not of this form; the message names the field.
    """
    if not isinstance(schema, Mapping):
        raise InvalidTypeError(f"schema: {type(schema).__name__} given; give a dict of field: (dtype, shape)")
    if not schema:
        raise InvalidArgumentError("schema: no field given; give at least one as field: (dtype, shape)")
    layouts: list[Layout] = []
    return [_column(name, entry, rows, layouts) for name, entry in schema.items()]


def _column(name: str, entry: Any, rows: int, layouts: list[Layout]) -> LoanedColumn:
    if not isinstance(name, str) or not name:
        raise InvalidTypeError(f"schema: {name!r} is no field's name; give a str of at least one character")
    if not isinstance(entry, tuple | list) or len(entry) not in (2, 3):
        raise InvalidTypeError(f"field {name!r}: {entry!r} given; give (dtype, shape) or (dtype, (-1, ...), lengths)")
    dtype, shape, *lengths = entry
    if dtype not in CODES:
        raise InvalidTypeError(f"field {name!r}: {dtype!r} is no torch.dtype that a column can hold")
    extents = _extents(name, shape)
    if bool(lengths) != (extents[:1] == [-1]) or any(
        extent < 0 for extent in extents[1:] + extents[:1] * (not lengths)
    ):
        raise InvalidArgumentError(
            f"field {name!r}: shape {tuple(extents)} with {'' if lengths else 'no '}lengths; rows of one shape have no -1 and"
            " no lengths, rows of different lengths have -1 as their first extent and no other, and B lengths"
        )
    layout = _layout(_offsets(name, lengths[0], rows), layouts) if lengths else None
    return LoanedColumn(name, dtype, rows, extents, layout)


def _extents(name: str, shape: Any) -> list[int]:
    extents = [shape] if isinstance(shape, int) else shape
    try:
        return [int(extent) if isinstance(extent, int | np.integer) else _not_int(extent) for extent in extents]
    except TypeError:
        raise InvalidTypeError(
            f"field {name!r}: shape {shape!r} given; give the extents of one row, as a tuple"
        ) from None


def _not_int(extent: object) -> int:
    raise TypeError(extent)


def _offsets(name: str, lengths: Iterable[int] | torch.Tensor, rows: int) -> torch.Tensor:
    given = torch.as_tensor(lengths if isinstance(lengths, torch.Tensor) else list(lengths))
    if given.shape != (rows,) or (rows and given.is_floating_point()) or (given < 0).any():
        raise InvalidArgumentError(
            f"field {name!r}: lengths of shape {list(given.shape)}; give {rows} whole numbers >= 0"
        )
    offsets = torch.zeros(rows + 1, dtype=torch.int64)
    offsets[1:] = given.cumsum(0)
    return offsets


def _layout(offsets: torch.Tensor, layouts: list[Layout]) -> Layout:
    for layout in layouts:
        if torch.equal(layout.offsets, offsets):
            return layout
    layouts.append(Layout(offsets))
    return layouts[-1]
