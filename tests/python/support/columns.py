"""A server that only moves bytes: what was packed comes back as a reply; and comparison of what was put with what came."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase

from transferqueue import _tensors
from transferqueue._tensors.dtypes import DTYPES

DENSE, JAGGED, RAGGED, TEXT, OBJECT = range(5)


class BytesFrame:
    """Received memory: 64-byte aligned, as the core's, behind a ctypes array."""

    def __init__(self, octets: bytes) -> None:
        room = (ctypes.c_char * (len(octets) + 64))()
        start = -ctypes.addressof(room) % 64
        self._memory = (ctypes.c_char * len(octets)).from_buffer(room, start)
        self._memory[:] = octets

    def buffer(self) -> Any:
        return self._memory


def frames_of(packed: _tensors.Packed) -> list[bytes]:
    """The bytes of each frame, its segments side by side."""
    frames = [b""] * len(packed.columns)
    for address, length, frame in packed.segments:
        frames[frame] += ctypes.string_at(address, length)
    return frames


def reply_of(
    packed: _tensors.Packed, rows: int, cuts: list[list[int]] | None = None
) -> tuple[list[Any], list[BytesFrame]]:
    """The columns and frames of a reply.

    Each list of row numbers in ``cuts`` becomes one piece of every column; without, all rows are one piece.
    """
    columns, frames = [], []
    for (name, kind, dtype, shape), octets in zip(packed.columns, frames_of(packed), strict=True):
        if cuts is None:
            pieces = [([kind, rows, shape, len(octets)], octets)]
        else:
            pieces = [piece_of(kind, dtype, shape, octets, rows, cut) for cut in cuts]
        columns.append([name, dtype, [entry for entry, _ in pieces]])
        joined = b""
        for _, piece in pieces:
            joined += bytes(-len(joined) % 64) + piece
        frames.append(BytesFrame(joined))
    return columns, frames


def piece_of(
    kind: int, dtype: int, shape: list[int], octets: bytes, rows: int, cut: list[int]
) -> tuple[list[Any], bytes]:
    """Some rows of a frame as a piece: what a gather in the core makes."""
    item = DTYPES[dtype].itemsize if kind <= RAGGED else 1
    if kind == DENSE:
        size = math.prod(shape) * item
        body = b"".join(octets[row * size : (row + 1) * size] for row in cut)
        return [kind, len(cut), shape, len(body)], body
    unit = item * (math.prod(extent for extent in shape if extent >= 0) if kind == JAGGED else 1)
    offsets = np.frombuffer(octets, np.int64, rows + 1)
    shapes = np.frombuffer(octets, np.int32, rows * len(shape) if kind == RAGGED else 0, (rows + 1) * 8)
    start = -(-((rows + 1) * 8 + shapes.nbytes) // 64) * 64
    parts = [octets[start + offsets[row] * unit : start + offsets[row + 1] * unit] for row in cut]
    lengths = [offsets[row + 1] - offsets[row] for row in cut]
    head = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64).tobytes()
    if kind == RAGGED:
        head += shapes.reshape(rows, len(shape))[cut].tobytes()
    body = head + bytes(-len(head) % 64) + b"".join(parts)
    return [kind, len(cut), shape, len(body)], body


def round_trip(fields: Any, rows: int, cuts: list[list[int]] | None = None, **options: Any) -> TensorDictBase:
    """Pack a batch, and unpack what a server would answer with."""
    columns, frames = reply_of(_tensors.pack(fields, rows), rows, cuts)
    came = rows if cuts is None else sum(map(len, cuts))
    return _tensors.unpack(columns, frames, came, **options)


def rows_of(column: Any) -> list[Any]:
    """The rows of any column, put or got."""
    if isinstance(column, torch.Tensor):
        return list(column.unbind())
    return column.tolist()


def same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two tensors have the same dtype, shape and bytes."""
    return left.dtype == right.dtype and left.shape == right.shape and bits(left) == bits(right)


def bits(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b""


def same_value(left: Any, right: Any) -> bool:
    """Whether two values are equal, of the same types all the way down; floats and tensors by their bits."""
    if type(left) is not type(right):
        return False
    if isinstance(left, torch.Tensor):
        return same_bits(left, right)
    if isinstance(left, np.ndarray):
        if left.dtype != right.dtype or left.shape != right.shape:
            return False
        if left.dtype.kind == "O":
            return all(map(same_value, left.ravel().tolist(), right.ravel().tolist()))
        return left.tobytes() == right.tobytes()
    if isinstance(left, np.generic):
        return left.dtype == right.dtype and left.tobytes() == right.tobytes()
    if isinstance(left, float):
        return np.float64(left).tobytes() == np.float64(right).tobytes()
    if isinstance(left, complex):
        return same_value(left.real, right.real) and same_value(left.imag, right.imag)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same_value, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same_value(left[key], right[key]) for key in left)
    return bool(left == right)
