"""A column as the wire wants it: one value of a batch, brought to one of the five layouts of docs/wire.md, section 2.

Nothing here copies the values of a tensor that already lies as the wire wants it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tensordict import NonTensorData, NonTensorStack, TensorDictBase, is_tensor_collection

from transferqueue._tensors import construct, nested
from transferqueue._tensors.dtypes import CODES, NO_TENSOR
from transferqueue.errors import InvalidArgumentError, InvalidTypeError

__all__ = ["DENSE", "JAGGED", "OBJECT", "RAGGED", "TEXT", "Column", "code_of_plain", "column_of_value", "columns_of"]

DENSE, JAGGED, RAGGED, TEXT, OBJECT = range(5)

_STR = {str}
_TENSOR = {torch.Tensor}
_Tensor = torch.Tensor
_strided = torch.strided

#: Offsets of jagged tensors that were seen in this batch, by the identity of the tensor they came from.
_KnownOffsets = dict[int, np.ndarray[Any, Any]]


@dataclass(slots=True)
class Column:
    """One field of B rows, in one of the wire's layouts.

    Attributes
    ----------
    name
        The field.
    kind, dtype, shape
        The column descriptor's; -1 in the shape marks a ragged dimension.
    values
        The elements, contiguous, on the CPU: row after row; of a jagged column with the ragged dimension first. None
        for text and object.
    offsets
        int64 [B + 1], where the rows begin in ``values``: in slices (jagged) or elements (ragged). Else None.
    shapes
        int32 [B, len(shape)], ragged columns only: every row's shape, filled up with -1.
    rows
        The rows of a text or object column, as Python objects.
    """

    name: str
    kind: int
    dtype: int
    shape: list[int]
    values: torch.Tensor | None = None
    offsets: np.ndarray[Any, Any] | None = None
    shapes: np.ndarray[Any, Any] | None = None
    rows: Sequence[Any] | None = None


def columns_of(fields: TensorDictBase | dict[str, Any], rows: int) -> list[Column]:
    """Bring every field of a batch to a column.

    Parameters
    ----------
    fields
        The batch: a TensorDict, or a dict of columns. Tensors have the rows as their first dimension.
    rows
        Rows of the batch, B; every field must have as many.

    Raises
    ------
    InvalidArgumentError
        A field has another number of rows, or lies on the meta device.
    InvalidTypeError
        A field's name is no str, or its value is of a kind that has no column (a nested TensorDict, a sparse tensor).
    """
    known: _KnownOffsets = {}
    return [_column(name, value, rows, known) for name, value in _items(fields)]


def column_of_value(name: str, value: Any) -> Column:
    """Bring a value of one row to a column: a tensor is the row itself, anything else is one object.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        As `columns_of`; or a nested tensor, which has many rows.
    """
    if not isinstance(value, torch.Tensor):
        return _column(name, [value], 1, {})
    if value.is_nested:
        raise InvalidArgumentError(
            f"field {name!r}: a nested tensor has many rows; Please use (async)kv_batch_put for batch operation"
        )
    return _column(name, value.unsqueeze(0), 1, {})


def code_of_plain(name: str, value: Any) -> int | None:
    """The dtype's number of a tensor whose memory can be sent as it is; None if there is anything to look at."""
    if (
        type(value) is _Tensor
        and value.layout is _strided
        and value.is_cpu
        and not value.is_nested
        and not value.requires_grad
        and value.is_contiguous()
        and not value.is_neg()
        and name
        and type(name) is str
    ):
        dtype = value.dtype
        if not (dtype.is_complex and value.is_conj()):
            return CODES.get(dtype)
    return None


def _items(fields: TensorDictBase | dict[str, Any]) -> Iterable[tuple[str, Any]]:
    if hasattr(fields, "tensordicts"):  # rows stacked lazily; their shapes may differ
        return [(name, _stacked(fields, name)) for name in fields.keys()]  # noqa: SIM118 (iterating would give rows)
    return fields.items()


def _stacked(stack: Any, name: str) -> Any:
    try:
        return stack.get(name)
    except RuntimeError:
        return [row.get(name) for row in stack.tensordicts]


def _column(name: str, value: Any, rows: int, known: _KnownOffsets) -> Column:
    if type(name) is not str:
        raise InvalidTypeError(f"a field's name: got {name!r}, a {type(name).__name__}; names are str")
    if not name:
        raise InvalidArgumentError("a field's name: '' names nothing; give a str of at least one character")
    if isinstance(value, torch.Tensor):
        inner = construct.inner_tensors(value)
        return _tensor_column(name, value, rows) if inner is None else _jagged_column(name, inner, rows, known)
    elements = _elements(name, value, rows)
    if isinstance(elements, torch.Tensor):
        return _tensor_column(name, elements, rows)
    if len(elements) != rows:
        raise _row_mismatch(name, len(elements), rows)
    return _rows_column(name, elements)


def _tensor_column(name: str, tensor: torch.Tensor, rows: int) -> Column:
    code = code_of_plain(name, tensor)
    if code is not None:
        shape = [*tensor.shape]
        if shape and shape[0] == rows:
            return Column(name, DENSE, code, shape[1:], tensor)
    code = CODES.get(tensor.dtype)
    if code is None:
        raise _no_dtype(name, tensor.dtype)
    if tensor.device.type != "cpu" or tensor.requires_grad:
        tensor = _on_cpu(name, tensor)
    if tensor.is_nested:
        count = tensor.size(0)
        if count != rows:
            raise _row_mismatch(name, count, rows)
        return _ragged_column(name, code, nested.parts_of(name, tensor))
    if tensor.layout is not torch.strided:
        raise InvalidTypeError(
            f"field {name!r}: no column can hold a tensor of layout {tensor.layout}; call to_dense()"
        )
    shape = [*tensor.shape]
    if not shape or shape[0] != rows:
        raise _row_mismatch(name, shape[0] if shape else None, rows)
    if tensor.is_neg() or tensor.is_conj():
        tensor = tensor.resolve_neg().resolve_conj()
    return Column(name, DENSE, code, shape[1:], tensor.contiguous())


def _jagged_column(name: str, inner: tuple[Any, ...], rows: int, known: _KnownOffsets) -> Column:
    values, offsets, lengths, ragged_index = inner
    bounds = known.get(id(offsets))
    if bounds is not None and ragged_index == 1 and lengths is None and len(bounds) == rows + 1:
        code = code_of_plain(name, values)
        if code is not None and values.shape[0] == bounds[-1]:
            return Column(name, JAGGED, code, [-1, *values.shape[1:]], values, bounds)
    code = CODES.get(values.dtype)
    if code is None:
        raise _no_dtype(name, values.dtype)
    if values.device.type != "cpu" or values.requires_grad:
        values = _on_cpu(name, values)
    if offsets.shape[0] != rows + 1:
        raise _row_mismatch(name, offsets.shape[0] - 1, rows)
    column = _ragged_column(name, code, nested.parts_of_jagged(values, offsets, lengths, ragged_index))
    if column.offsets is not None and lengths is None and column.offsets[-1] == offsets[-1]:
        known[id(offsets)] = column.offsets
    return column


def _on_cpu(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.device.type == "meta":
        raise InvalidArgumentError(f"field {name!r}: a tensor on the meta device has no values to put")
    return tensor.detach().cpu()


def _ragged_column(name: str, code: int, parts: nested.Parts) -> Column:
    kind = DENSE if parts.offsets is None else JAGGED if parts.shapes is None else RAGGED
    return Column(name, kind, code, parts.shape, parts.values, parts.offsets, parts.shapes)


def _elements(name: str, value: Any, rows: int) -> Any:
    """What stands in the rows of something that is not a tensor: a sequence, or a tensor after all."""
    if isinstance(value, NonTensorStack):
        return construct.stacked_values(value)
    if isinstance(value, np.ndarray):
        return _of_array(value)
    if is_tensor_collection(value):
        return _of_collection(name, value, rows)
    if isinstance(value, (list, tuple)):
        return value
    raise InvalidTypeError(
        f"field {name!r}: a {type(value).__name__} is no column of {rows} rows; "
        "give a tensor, an array, a list with one value per row, NonTensorStack or NonTensorData"
    )


def _of_collection(name: str, value: Any, rows: int) -> Any:
    if not getattr(value, "_is_non_tensor", False) and not isinstance(value, NonTensorData):
        raise InvalidTypeError(
            f"field {name!r}: a nested {type(value).__name__} is no column; flatten it first: td.flatten_keys('.')"
        )
    one = value.data
    # TensorDict itself wraps an array of strings or objects whole, although it has one element per row.
    if isinstance(one, np.ndarray) and one.dtype.kind not in "biufc" and one.shape[:1] == (rows,):
        return _of_array(one)
    return [one] * rows


def _of_array(array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.kind in "biufc":
        try:
            return torch.as_tensor(array if array.flags.writeable else array.copy())
        except (TypeError, ValueError):  # foreign byte order, negative strides, float128
            return torch.as_tensor(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
    return array.tolist() if array.ndim == 1 and array.dtype.kind in "USO" else list(array)


def _rows_column(name: str, rows: Sequence[Any]) -> Column:
    types = set(map(type, rows))
    if types == _STR:
        return Column(name, TEXT, NO_TENSOR, [], rows=rows)
    if types == _TENSOR:
        column = _column_of_tensors(name, rows)
        if column is not None:
            return column
    return Column(name, OBJECT, NO_TENSOR, [], rows=rows)


def _column_of_tensors(name: str, rows: Sequence[torch.Tensor]) -> Column | None:
    """A tensor column of rows that are tensors; None if their dtypes differ or torch can't lay them side by side."""
    code = CODES.get(rows[0].dtype)
    if code is None or len({row.dtype for row in rows}) > 1 or any(map(nested.is_special, rows)):
        return None
    return _ragged_column(name, code, nested.parts_of_rows([_on_cpu(name, row) for row in rows]))


def _no_dtype(name: str, dtype: torch.dtype) -> InvalidTypeError:
    return InvalidTypeError(f"field {name!r}: no column can hold {dtype}; convert it, for example to torch.uint8")


def _row_mismatch(name: str, count: int | None, rows: int) -> InvalidArgumentError:
    there = "a scalar" if count is None else f"{count} rows"
    return InvalidArgumentError(
        f"Inconsistent batch dimension for field {name!r}: it has {there}, the batch {rows}; "
        "every field needs one value per row"
    )
