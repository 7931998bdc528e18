"""Jagged columns, as the queue carries them, and the rectangles that a model computes on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from transferqueue.demo.arithmetic import PAD

#: A nested tensor of jagged layout; the annotations of torch lack its methods.
Jagged = Any


def column_of(rows: Sequence[Sequence[int]]) -> Jagged:
    """Lists of tokens as one jagged int64 column, shape [B, T*]."""
    lengths = torch.tensor([len(row) for row in rows])
    values = torch.tensor([token for row in rows for token in row])
    return from_lengths(values, lengths)


def from_lengths(values: Tensor, lengths: Tensor) -> Jagged:
    """A jagged column of rows that lie one behind the other in `values`."""
    offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    return torch.nested.nested_tensor_from_jagged(values, offsets)


def from_mask(rectangle: Tensor, mask: Tensor) -> Jagged:
    """The jagged column of those cells of `rectangle` [B, T] that bool `mask` [B, T] marks."""
    return from_lengths(rectangle[mask], mask.sum(1))


def pad_left(column: Jagged, width: int, fill: float = PAD) -> Tensor:
    """A rectangle [B, width] with the rows at its right edge."""
    lengths = column.offsets().diff()
    return _fill(column, torch.arange(width) >= width - lengths[:, None], fill)


def pad_right(column: Jagged, width: int, fill: float = PAD) -> Tensor:
    """A rectangle [B, width] with the rows at its left edge."""
    lengths = column.offsets().diff()
    return _fill(column, torch.arange(width) < lengths[:, None], fill)


def _fill(column: Jagged, mask: Tensor, fill: float) -> Tensor:
    values = column.values()
    rectangle = torch.full(mask.shape, fill, dtype=values.dtype)
    rectangle[mask] = values
    return rectangle


def row_lists(column: Jagged) -> list[list[int]]:
    """The rows of a jagged column of tokens as lists."""
    values, offsets = column.values().tolist(), column.offsets().tolist()
    return [values[start:stop] for start, stop in pairwise(offsets)]
