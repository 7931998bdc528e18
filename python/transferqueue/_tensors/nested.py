"""Nested tensors taken apart: flat values, offsets and row shapes, as the wire lays them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from transferqueue.errors import InvalidTypeError

__all__ = ["Parts", "gather", "is_special", "parts_of", "parts_of_jagged", "parts_of_rows"]

_SAME_SIZE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.complex128}


class Parts(NamedTuple):
    """Rows side by side.

    ``values`` are contiguous. Rows of one shape: no offsets. One ragged dimension: it comes first in ``values``, and
    ``offsets`` count its slices. Several: ``values`` are flat, ``offsets`` count elements, ``shapes`` is int32
    [B, rank].
    """

    values: torch.Tensor
    shape: list[int]
    offsets: np.ndarray[Any, Any] | None = None
    shapes: np.ndarray[Any, Any] | None = None


def parts_of(name: str, tensor: torch.Tensor) -> Parts:
    """Take a nested tensor of either layout apart; without a copy where its values lie as the wire wants them."""
    if tensor.layout is torch.jagged:
        return _of_jagged(tensor)
    if tensor.layout is torch.strided:
        return _of_strided(tensor)
    raise InvalidTypeError(f"field {name!r}: no column can hold a nested tensor of layout {tensor.layout}")


def is_special(row: torch.Tensor) -> bool:
    """Whether a row is a tensor that can't lie beside others: nested, sparse, quantized or without values."""
    return row.is_nested or row.layout is not torch.strided or row.device.type == "meta"


def _of_jagged(tensor: Any) -> Parts:
    return parts_of_jagged(tensor.values().detach(), tensor.offsets(), tensor.lengths(), tensor._ragged_idx)


def parts_of_jagged(
    values: torch.Tensor, offset_tensor: torch.Tensor, lengths: torch.Tensor | None, ragged_index: int
) -> Parts:
    """Take a jagged tensor apart whose inner tensors, on the CPU and detached, are known."""
    offsets = offset_tensor.detach().cpu().numpy().astype(np.int64, copy=False)
    ragged = ragged_index - 1
    if ragged:
        values = values.movedim(ragged, 0)
    if lengths is not None:
        values, offsets = _without_holes(values, offsets[:-1], lengths.detach().cpu().numpy())
    elif (first := int(offsets[0])) or int(offsets[-1]) != values.shape[0]:
        values, offsets = values[first : int(offsets[-1])], offsets - first
    shape = list(values.shape[1:])
    shape.insert(ragged, -1)
    if values.is_neg() or values.is_conj():
        values = values.resolve_neg().resolve_conj()
    return Parts(values.contiguous(), shape, offsets)


def _without_holes(
    values: torch.Tensor, starts: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any]
) -> tuple[torch.Tensor, np.ndarray[Any, Any]]:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return gather(values, np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])), offsets


def gather(values: torch.Tensor, positions: np.ndarray[Any, Any]) -> torch.Tensor:
    """Slices of ``values`` along its first dimension; also for dtypes whose index_select torch lacks (uint16 …)."""
    same_size = _SAME_SIZE[values.element_size()]
    return values.contiguous().view(same_size).index_select(0, torch.from_numpy(positions)).view(values.dtype)


def _of_strided(tensor: torch.Tensor) -> Parts:
    if tensor.size(0) == 0:
        return Parts(tensor.new_empty((0,)), [-1], np.zeros(1, np.int64))
    sizes = tensor._nested_tensor_size()
    if not tensor.is_contiguous() or sizes.numel() == 0:
        return parts_of_rows(tensor.unbind())
    flat = tensor.values().detach()
    return _of_flat(flat, sizes.numpy()) or parts_of_rows(tensor.unbind())


def parts_of_rows(rows: Sequence[torch.Tensor]) -> Parts:
    """Lay rows of one dtype, at least one, side by side. They are copied once."""
    ranks = {row.dim() for row in rows}
    rank = max(ranks)
    if len(ranks) > 1:
        shapes = np.full((len(rows), rank), -1, np.int32)
        for place, row in enumerate(rows):
            shapes[place, : row.dim()] = row.shape
        return Parts(_flat(rows), [-1] * rank, _offsets([row.numel() for row in rows]), shapes)
    sizes = np.array([row.shape for row in rows], np.int64).reshape(len(rows), rank)
    varying = (sizes != sizes[0]).any(axis=0).nonzero()[0]
    if len(varying) == 0:
        return Parts(torch.stack(list(rows)).resolve_neg().resolve_conj(), list(rows[0].shape))
    if len(varying) == 1:
        ragged = int(varying[0])
        values = torch.cat([row.movedim(ragged, 0) for row in rows])
        shape = [*values.shape[1:]]
        shape.insert(ragged, -1)
        return Parts(values.resolve_neg().resolve_conj().contiguous(), shape, _offsets(sizes[:, ragged]))
    return _ragged(_flat(rows), sizes, varying)


def _of_flat(flat: torch.Tensor, sizes: np.ndarray[Any, Any]) -> Parts | None:
    """Rows that lie side by side already, each in C order; None where one ragged dimension is not the first."""
    varying = (sizes != sizes[0]).any(axis=0).nonzero()[0]
    if len(varying) == 0:
        return Parts(flat.reshape(sizes.shape[0], *sizes[0].tolist()), sizes[0].tolist())
    if len(varying) > 1:
        return _ragged(flat, sizes, varying)
    if varying[0] != 0:
        return None
    rest = sizes[0, 1:].tolist()
    offsets = _offsets(sizes[:, 0])
    return Parts(flat.reshape(int(offsets[-1]), *rest), [-1, *rest], offsets)


def _ragged(flat: torch.Tensor, sizes: np.ndarray[Any, Any], varying: np.ndarray[Any, Any]) -> Parts:
    shape: list[int] = sizes[0].tolist()
    for dim in varying:
        shape[dim] = -1
    return Parts(flat, shape, _offsets(sizes.prod(axis=1)), sizes.astype(np.int32))


def _flat(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([row.reshape(-1) for row in rows]).resolve_neg().resolve_conj()


def _offsets(lengths: Any) -> np.ndarray[Any, Any]:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
