"""Columns to what a request takes: descriptors, and the memory segments of each frame."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
from tensordict import TensorDictBase

from transferqueue import _objects
from transferqueue._tensors.columns import DENSE, JAGGED, RAGGED, TEXT, Column, columns_of

__all__ = ["Packed", "Segment", "pack", "pack_columns"]

_ONE_ROW = struct.Struct("<qq48x")


#: Address, length in bytes, frame.
Segment = tuple[int, int, int]


class Packed(NamedTuple):
    """A batch, ready to be sent.

    ``columns`` are descriptors ``[name, kind, dtype, shape]``. ``segments`` are (address, length, frame), as
    docs/wire.md, section 5 has them; frame i is column i. The memory lives as long as ``keepalive``.
    """

    columns: list[list[Any]]
    segments: list[Segment]
    keepalive: list[Any]


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


def pack_columns(columns: list[Column], rows: int, allow_pickle: bool = True) -> Packed:
    """As `pack`, of columns that are known already."""
    segments: list[Segment] = []
    keepalive: list[Any] = []
    for frame, column in enumerate(columns):
        if column.kind == DENSE:
            _add_values(column, frame, segments, keepalive)
        elif column.kind <= RAGGED:
            _add_head(column, frame, rows, segments, keepalive)
            _add_values(column, frame, segments, keepalive)
        else:
            _add_rows(column, frame, rows, segments, keepalive, allow_pickle)
    return Packed([[c.name, c.kind, c.dtype, c.shape] for c in columns], segments, keepalive)


def _add_values(column: Column, frame: int, segments: list[Segment], keepalive: list[Any]) -> None:
    values = column.values
    assert values is not None
    segments.append((values.data_ptr(), values.nbytes, frame))
    keepalive.append(values)


def _add_head(column: Column, frame: int, rows: int, segments: list[Segment], keepalive: list[Any]) -> None:
    """The offsets, then the shapes of a ragged column, padded to where the values begin."""
    assert column.offsets is not None
    shapes = column.shapes.reshape(-1) if column.kind != JAGGED and column.shapes is not None else None
    counted = rows + 1 + (0 if shapes is None else (shapes.nbytes + 7) // 8)
    head = np.zeros((counted + 7) & ~7, np.int64)
    head[: rows + 1] = column.offsets
    if shapes is not None:
        head.view(np.int32)[2 * (rows + 1) : 2 * (rows + 1) + len(shapes)] = shapes
    _add_memory(head, frame, segments, keepalive)


def _add_rows(
    column: Column, frame: int, rows: int, segments: list[Segment], keepalive: list[Any], allow_pickle: bool
) -> None:
    assert column.rows is not None
    if column.kind == TEXT:
        lengths, blob = _text(column.rows)
    else:
        lengths, blob = _objects.encode_rows(column.rows, allow_pickle)
    if rows == 1:
        _add_memory(np.frombuffer(_ONE_ROW.pack(0, len(blob)) + blob, np.uint8), frame, segments, keepalive)
        return
    head = np.zeros((rows + 1 + 7) & ~7, np.int64)
    np.cumsum(lengths, out=head[1 : rows + 1])
    _add_memory(head, frame, segments, keepalive)
    if blob:
        _add_memory(np.frombuffer(blob, np.uint8), frame, segments, keepalive)


def _text(rows: Any) -> tuple[np.ndarray[Any, Any], bytes]:
    """Bytes per row and the rows' UTF-8 side by side."""
    joined = "".join(rows)
    encoded = rows if joined.isascii() else [row.encode("utf-8", "surrogatepass") for row in rows]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return lengths, joined.encode("utf-8", "surrogatepass") if encoded is rows else b"".join(encoded)


def _add_memory(memory: np.ndarray[Any, Any], frame: int, segments: list[Segment], keepalive: list[Any]) -> None:
    segments.append((memory.ctypes.data, memory.nbytes, frame))
    keepalive.append(memory)
