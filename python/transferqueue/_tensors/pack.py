"""Columns to what a request takes: descriptors, and the memory segments of each frame."""

from __future__ import annotations

import struct
from array import array
from typing import Any, NamedTuple

import numpy as np
from tensordict import TensorDictBase

from transferqueue import _objects
from transferqueue._table import address_of
from transferqueue._tensors.columns import (
    DENSE,
    JAGGED,
    RAGGED,
    TEXT,
    Column,
    code_of_plain,
    column_of_value,
    columns_of,
)

__all__ = ["Packed", "Segment", "pack", "pack_columns", "pack_row"]

#: Bytes of text or objects up to which they are copied behind their offsets: one stretch of memory instead of two.
_SMALL = 4096
_ONE_ROW = struct.Struct("<qq48x")


#: Address, length in bytes, frame.
Segment = tuple[int, int, int]


class Packed(NamedTuple):
    """A batch, ready to be sent.

    ``columns`` are descriptors ``[name, kind, dtype, shape]``; frame i is column i. ``numbers`` are the address, the length in
    bytes and the frame of each segment, one after the other, as docs/wire.md, section 5 has them. The memory lives as
    long as ``keepalive``.
    """

    columns: list[list[Any]]
    numbers: array[int]
    keepalive: list[Any]

    @property
    def segments(self) -> list[Segment]:
        """The segments as triples."""
        numbers = iter(self.numbers)
        return list(zip(numbers, numbers, numbers, strict=True))


def pack(fields: TensorDictBase | dict[str, Any], rows: int, allow_pickle: bool = True) -> Packed:
    """Describe a batch without copying the tensors that lie as the wire wants them.

    Parameters
    ----------
    fields
        The batch: a TensorDict, or a dict of columns (tensors with the rows as first dimension, lists, arrays).
    rows
        Rows of the batch, B.
    allow_pickle
        Whether an object that has no other encoding is pickled.

    Raises
    ------
    InvalidArgumentError
        A field has another number of rows, or no values.
    InvalidTypeError
        A value of a kind that has no column, or one that needs pickle and must not have it.
    """
    return pack_columns(columns_of(fields, rows), rows, allow_pickle)


def pack_row(fields: dict[str, Any], allow_pickle: bool = True) -> Packed:
    """As `pack`, of the values of one row: a tensor is the row itself, anything else is one object."""
    packing = _Packing(1, allow_pickle)
    columns: list[list[Any]] = []
    for frame, (name, value) in enumerate(fields.items()):
        code = code_of_plain(name, value)
        if code is None:
            column = column_of_value(name, value)
            columns.append([name, column.kind, column.dtype, column.shape])
            packing.add(column, frame)
        else:
            columns.append([name, DENSE, code, [*value.shape]])
            packing.numbers += (value.data_ptr(), value.nbytes, frame)
            packing.keepalive.append(value)
    return Packed(columns, array("q", packing.numbers), packing.keepalive)


def pack_columns(columns: list[Column], rows: int, allow_pickle: bool = True) -> Packed:
    """As `pack`, of columns that are known already."""
    packing = _Packing(rows, allow_pickle)
    for frame, column in enumerate(columns):
        packing.add(column, frame)
    return Packed([[c.name, c.kind, c.dtype, c.shape] for c in columns], array("q", packing.numbers), packing.keepalive)


class _Packing:
    """The segments of one batch; columns over the same offsets have one head."""

    def __init__(self, rows: int, allow_pickle: bool) -> None:
        self.rows = rows
        self.allow_pickle = allow_pickle
        self.numbers: list[int] = []
        self.keepalive: list[Any] = []
        self._heads: dict[int, tuple[int, int]] = {}

    def add(self, column: Column, frame: int) -> None:
        values = column.values
        if values is None:
            self._add_rows(column, frame)
            return
        if column.kind == RAGGED:
            self._add_head(column, frame)
        elif column.kind == JAGGED:
            head = self._heads.get(id(column.offsets))
            if head is None:
                self._heads[id(column.offsets)] = self._add_head(column, frame)
            else:
                self.numbers += (*head, frame)
        self.numbers += (values.data_ptr(), values.nbytes, frame)
        self.keepalive.append(values)

    def _add_head(self, column: Column, frame: int) -> tuple[int, int]:
        """The offsets, then the shapes of a ragged column, padded to where the values begin."""
        assert column.offsets is not None
        rows = self.rows
        shapes = column.shapes.reshape(-1) if column.kind != JAGGED and column.shapes is not None else None
        counted = rows + 1 + (0 if shapes is None else (shapes.nbytes + 7) // 8)
        head = np.zeros((counted + 7) & ~7, np.int64)
        head[: rows + 1] = column.offsets
        if shapes is not None:
            head.view(np.int32)[2 * (rows + 1) : 2 * (rows + 1) + len(shapes)] = shapes
        address = int(head.ctypes.data)
        self._add_memory(head, address, head.nbytes, frame)
        return address, head.nbytes

    def _add_rows(self, column: Column, frame: int) -> None:
        assert column.rows is not None
        if column.kind == TEXT:
            lengths, blob = _text(column.rows)
        else:
            lengths, blob = _objects.encode_rows(column.rows, self.allow_pickle)
        rows = self.rows
        if rows == 1:
            head = _ONE_ROW.pack(0, len(blob))
        else:
            offsets = np.zeros((rows + 1 + 7) & ~7, np.int64)
            np.cumsum(lengths, out=offsets[1 : rows + 1])
            head = offsets.tobytes()
        if len(blob) <= _SMALL:
            head += blob
            blob = b""
        self._add_memory(head, address_of(head), len(head), frame)
        if blob:
            self._add_memory(blob, address_of(blob), len(blob), frame)

    def _add_memory(self, memory: Any, address: int, length: int, frame: int) -> None:
        self.numbers += (address, length, frame)
        self.keepalive.append(memory)


def _text(rows: Any) -> tuple[Any, bytes]:
    """Bytes per row and the rows' UTF-8 side by side."""
    if len(rows) == 1:
        blob = rows[0].encode("utf-8", "surrogatepass")
        return (len(blob),), blob
    joined = "".join(rows)
    encoded = rows if joined.isascii() else [row.encode("utf-8", "surrogatepass") for row in rows]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return lengths, joined.encode("utf-8", "surrogatepass") if encoded is rows else b"".join(encoded)
