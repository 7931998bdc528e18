"""Columns and their rows, and the cells that the sidecar keeps instead of values.

A cell is a small dict: the row's global index, dtype and shape of the value, and what the store noted of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Cell = dict[str, Any]


def rows_of(column: Any) -> list[Any]:
    """The rows of a column of a TensorDict."""
    import torch

    if isinstance(column, torch.Tensor):
        return list(column.detach().unbind())
    return list(column.tolist()) if hasattr(column, "tolist") else list(column)


def column_of(rows: list[Any]) -> Any:
    """A column of rows, as the sidecar would give it: scalars dense, tensors jagged, else strided nested, else a stack of objects."""
    import torch
    from tensordict import NonTensorStack

    if not rows or not all(isinstance(row, torch.Tensor) for row in rows) or len({row.dtype for row in rows}) > 1:
        return NonTensorStack(*rows)
    if all(row.dim() == 0 for row in rows):
        return torch.stack(rows)
    if len({(row.dim(), row.shape[1:]) for row in rows}) == 1:
        offsets = torch.tensor([0, *[row.shape[0] for row in rows]]).cumsum(0)
        return torch.nested.nested_tensor_from_jagged(torch.cat(rows), offsets)
    try:
        return torch.nested.as_nested_tensor(rows, layout=torch.strided)
    except RuntimeError:
        return NonTensorStack(*rows)


def dense(column: Any) -> Any:
    """A jagged column whose rows have one shape as an ordinary tensor; anything else as it is."""
    import torch

    if not isinstance(column, torch.Tensor) or not column.is_nested:
        return column
    rows = list(column.unbind())
    return torch.stack(rows) if len({row.shape for row in rows}) == 1 else column


def cells_of(column: Any, global_indexes: Sequence[int], metas: Sequence[Any]) -> list[Cell]:
    """What the sidecar keeps of a column that a store holds."""
    import torch

    from transferqueue._tensors import CODES

    cells = []
    for index, value, meta in zip(global_indexes, rows_of(column), metas, strict=True):
        tensor = isinstance(value, torch.Tensor)
        cells.append(
            {
                "row": int(index),
                "dtype": CODES[value.dtype] if tensor else None,
                "shape": list(value.shape) if tensor else None,
                "meta": meta,
            }
        )
    return cells


def schema_of(name: str, cells: Sequence[Cell]) -> list[Any]:
    """A field's entry in the packed schema of a batch: ``[name, dtype, shape, flags, sizes]``."""
    import numpy as np

    from transferqueue._tensors.dtypes import NO_TENSOR
    from transferqueue._tensors.schema import NESTED, NON_TENSOR

    dtypes = {cell["dtype"] for cell in cells}
    shapes = [cell["shape"] for cell in cells]
    if len(dtypes) != 1 or None in dtypes or len({len(shape) for shape in shapes}) != 1:
        return [name, NO_TENSOR, None, NON_TENSOR, None]
    code = dtypes.pop()
    varying = [len(set(extents)) > 1 for extents in zip(*shapes, strict=True)]
    shape = [-1 if varies else extent for varies, extent in zip(varying, shapes[0], strict=True)]
    if not any(varying):
        return [name, code, shape, 0, None]
    sizes = [row[0] for row in shapes] if varying[0] and not any(varying[1:]) else shapes
    return [name, code, shape, NESTED, np.asarray(sizes, dtype="<i4").tobytes()]
