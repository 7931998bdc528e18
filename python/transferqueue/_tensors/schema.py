"""The schema of a batch, as BatchMeta keeps it: one entry per field (docs/wire.md, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from tensordict import TensorDictBase

from transferqueue._tensors.columns import JAGGED, RAGGED, Column, columns_of

__all__ = ["NESTED", "NON_TENSOR", "schema", "schema_of_columns"]

NESTED = 1
NON_TENSOR = 2


def schema(fields: TensorDictBase | dict[str, Any], rows: int) -> list[list[Any]]:
    """``[name, dtype, shape, flags, sizes]`` of every field, sorted by name.

    Parameters
    ----------
    fields
        The batch, as for `pack`.
    rows
        Rows of the batch, B.
    """
    return schema_of_columns(columns_of(fields, rows))


def schema_of_columns(columns: list[Column]) -> list[list[Any]]:
    """As `schema`, of columns that are known already."""
    return sorted(map(_entry, columns), key=lambda entry: entry[0])


def _entry(column: Column) -> list[Any]:
    if column.kind == JAGGED:
        assert column.offsets is not None
        return [column.name, column.dtype, column.shape, NESTED, np.diff(column.offsets).astype("<i4").tobytes()]
    if column.kind == RAGGED:
        assert column.shapes is not None
        return [column.name, column.dtype, column.shape, NESTED, column.shapes.astype("<i4").tobytes()]
    if column.kind > RAGGED:
        return [column.name, column.dtype, None, NON_TENSOR, None]
    return [column.name, column.dtype, column.shape, 0, None]
