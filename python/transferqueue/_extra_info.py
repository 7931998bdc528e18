"""The extra_info of batches: a dict that travels along in Python only."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from transferqueue.errors import InvalidArgumentError

__all__ = ["merged", "same"]


def merged(infos: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All entries of several batches' extra_info.

    Raises
    ------
    InvalidArgumentError
        Two of them have an entry of the same name whose values differ; tensors and arrays are compared by content.
    """
    result: dict[str, Any] = {}
    for info in infos:
        for key, value in info.items():
            if key in result and not same(result[key], value):
                raise InvalidArgumentError(
                    f"concat: extra_info has conflicting values for {key!r}: {result[key]!r:.100} and {value!r:.100}; "
                    "make them equal, or remove the entry with remove_extra_info"
                )
            result[key] = value
    return result


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal; tensors and arrays by type, shape and content, NaN equal to NaN."""
    if left is right:
        return True
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return _same_arrays(left, right)
    torch = sys.modules.get("torch")
    if torch is not None and (isinstance(left, torch.Tensor) or isinstance(right, torch.Tensor)):
        return _same_tensors(left, right)
    try:
        return bool(left == right) or bool(left != left and right != right)
    except Exception:  # a type whose comparison gives no truth value
        return False


def _same_arrays(left: Any, right: Any) -> bool:
    if not (isinstance(left, np.ndarray) and isinstance(right, np.ndarray) and left.dtype == right.dtype):
        return False
    return np.array_equal(left, right, equal_nan=left.dtype.kind in "fc")


def _same_tensors(left: Any, right: Any) -> bool:
    import torch

    if not (isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor) and left.dtype == right.dtype):
        return False
    if left.is_nested or right.is_nested:
        if not (left.is_nested and right.is_nested and left.size(0) == right.size(0)):
            return False
        return all(map(_same_tensors, left.unbind(), right.unbind()))
    if left.shape != right.shape:
        return False
    here, there = left.detach().cpu(), right.detach().cpu()
    if here.is_floating_point():
        here, there = here.to(torch.float64), there.to(torch.float64)
    return bool(torch.all((here == there) | ((here != here) & (there != there))))
