"""BatchMeta's packed form (docs/wire.md, section 4), written and read without the core."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import msgpack
import numpy as np

from transferqueue import _tags
from transferqueue._arguments import require_iterable, require_mapping, require_names, require_number, require_sized
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, ProtocolError

__all__ = ["dtype_of", "field_entries", "field_schema", "pack_rows", "packed_status", "packed_tags", "unpack_map"]

VERSION = 1
NESTED = 1
NON_TENSOR = 2
_NO_TENSOR = -1
#: Of one dimension of one row: a nested field's sizes travel as int32.
_LARGEST_EXTENT = 2**31 - 1


def unpack_map(packed: bytes) -> dict[str, Any]:
    """The parts of a packed batch: its columns still as bytes."""
    parts = msgpack.unpackb(packed, strict_map_key=False)
    if not isinstance(parts, dict) or parts.get("v") != VERSION:
        version = parts.get("v") if isinstance(parts, dict) else "none"
        raise ProtocolError(f"a packed BatchMeta of version {version}; this one reads version {VERSION}")
    return parts


def pack_rows(
    global_indexes: Any, partition_ids: Any, field_schema: Any, production_status: Any, custom_meta: Any
) -> dict[str, Any]:
    """The parts of a batch made by hand; every length is checked.

    Raises
    ------
    InvalidArgumentError
        A column has another length than ``global_indexes``, or a status is neither 0 nor 1.
    InvalidTypeError
        A value of a wrong type.
    """
    indexes = _integers("global_indexes", global_indexes)
    rows = len(indexes)
    runs = _partition_runs(partition_ids)
    _check_length("partition_ids", sum(count for _, count in runs), rows)
    status = np.zeros(rows, np.int8) if production_status is None else packed_status(production_status, rows)
    if custom_meta is not None:
        _check_length("custom_meta", len(require_sized("custom_meta", custom_meta)), rows)
    return {
        "v": VERSION,
        "n": rows,
        "gi": indexes.astype("<i8").tobytes(),
        "gen": None,
        "parts": runs,
        "status": status.tobytes(),
        "fields": field_entries(require_mapping("field_schema", field_schema), rows),
        "tags": packed_tags(custom_meta),
    }


def packed_status(production_status: Any, rows: int) -> np.ndarray[Any, Any]:
    """A copy of what says which rows are ready, as int8 [rows]; or InvalidArgumentError, InvalidTypeError."""
    status = _integers("production_status", production_status)
    _check_length("production_status", len(status), rows)
    if not np.isin(status, (0, 1)).all():
        raise InvalidArgumentError("production_status: a value that is neither 0 (not ready) nor 1 (ready)")
    return status.astype(np.int8)


def packed_tags(custom_meta: Sequence[Mapping[str, Any]] | None) -> bytes | None:
    """The rows' tags, or None if all are empty."""
    return _tags.encode(custom_meta) if custom_meta is not None and any(custom_meta) else None


def _integers(what: str, values: Any) -> np.ndarray[Any, Any]:
    require_iterable(what, values)
    array = np.asarray(values if hasattr(values, "__array__") else list(values))
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "biu":
        raise InvalidTypeError(f"{what}: got {array.dtype} of shape {array.shape}; give one int of 64 bits per row")
    if array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
        raise InvalidArgumentError(f"{what}: {array.max()} given; give numbers below 2**63")
    return array


def _partition_runs(partition_ids: Any) -> list[list[Any]]:
    runs = [
        [partition, sum(1 for _ in run)] for partition, run in groupby(require_iterable("partition_ids", partition_ids))
    ]
    for partition, _ in runs:
        if not isinstance(partition, str):
            raise InvalidTypeError(
                f"partition_ids: got {partition!r}, a {type(partition).__name__}; partitions are str"
            )
    return runs


def _check_length(what: str, length: int, rows: int) -> None:
    if length != rows:
        raise InvalidArgumentError(
            f"{what}: its length is {length}, but there are {rows} global_indexes; give one per row"
        )


# --- fields ---------------------------------------------------------------------------------------------------------


def field_entries(schema: Mapping[str, Mapping[str, Any]], rows: int) -> list[list[Any]]:
    """``[name, dtype, shape, flags, sizes]`` of every field, sorted by name, from Python's field_schema."""
    names = sorted(require_names("field_schema", schema))
    return [_field_entry(name, require_mapping(f"field_schema[{name!r}]", schema[name]), rows) for name in names]


def _field_entry(name: str, entry: Mapping[str, Any], rows: int) -> list[Any]:
    if entry.get("is_non_tensor"):
        return [name, _NO_TENSOR, None, NON_TENSOR, None]
    dtype = _dtype_code(entry.get("dtype"))
    if dtype == _NO_TENSOR:
        return [name, dtype, None, NON_TENSOR, None]
    shape = entry.get("shape")
    plain = None if shape is None else list(_extents(name, "shape", shape))
    shapes = entry.get("per_sample_shapes")
    if shapes is not None and len(require_sized(f"field_schema[{name!r}]['per_sample_shapes']", shapes)):
        _check_length(f"field_schema[{name!r}]['per_sample_shapes']", len(shapes), rows)
        return [name, dtype, *_nested_entry([_extents(name, "per_sample_shapes", each) for each in shapes])]
    return [name, dtype, plain, NESTED if entry.get("is_nested") else 0, None]


def _extents(name: str, what: str, shape: Any) -> tuple[int, ...]:
    """A shape, checked; -1 stands for a dimension that differs from row to row."""
    path = f"field_schema[{name!r}][{what!r}]"
    return tuple(require_number(path, extent, -1, _LARGEST_EXTENT) for extent in require_iterable(path, shape))


def _nested_entry(known: list[tuple[int, ...]]) -> tuple[list[int], int, bytes]:
    """Shape, flags and sizes of a nested field, from the shape of every row."""
    rank = max(map(len, known))
    sizes = np.full((len(known), rank), -1, "<i4")
    for row, extents in enumerate(known):
        sizes[row, : len(extents)] = extents
    ragged = (sizes != sizes[0]).any(axis=0) | (sizes < 0).any(axis=0)
    if not ragged.any() and rank:
        ragged[0] = True
    template = [-1 if varies else int(extent) for varies, extent in zip(ragged, sizes[0], strict=True)]
    return template, NESTED, (sizes[:, ragged] if ragged.sum() == 1 and (sizes >= 0).all() else sizes).tobytes()


def field_schema(entries: Sequence[Sequence[Any]], rows: int) -> dict[str, dict[str, Any]]:
    """Python's field_schema from the packed fields."""
    return {entry[0]: _schema_entry(entry, rows) for entry in entries}


def _schema_entry(entry: Sequence[Any], rows: int) -> dict[str, Any]:
    _, dtype, shape, flags, _ = entry
    nested = bool(flags & NESTED)
    known = shape is not None and dtype != _NO_TENSOR
    return {
        "dtype": dtype_of(dtype),
        "shape": (tuple(shape) or (1,)) if known and not nested else None,
        "is_nested": nested,
        "is_non_tensor": bool(flags & NON_TENSOR),
        "per_sample_shapes": _row_shapes(entry, rows) if nested else None,
    }


def _row_shapes(entry: Sequence[Any], rows: int) -> list[tuple[int, ...]] | None:
    """Shape of every row of a field; None where it is not known."""
    _, dtype, shape, _, sizes = entry
    if shape is None or dtype == _NO_TENSOR:
        return None
    if sizes is None:
        return [tuple(shape) or (1,)] * rows if -1 not in shape else None
    lengths = np.frombuffer(sizes, "<i4").reshape(rows, -1)
    if lengths.shape[1] == 1 and shape.count(-1) == 1:
        before, after = tuple(shape[: shape.index(-1)]), tuple(shape[shape.index(-1) + 1 :])
        return [(*before, length, *after) for length in lengths[:, 0].tolist()]
    return [tuple(extent for extent in row if extent >= 0) for row in lengths.tolist()]


def dtype_of(code: int | None) -> Any:
    """Torch's dtype of a number; None for what is unknown or no tensor."""
    if code is None or code == _NO_TENSOR:
        return None
    from transferqueue._tensors.dtypes import DTYPES

    return DTYPES.get(code)


def _dtype_code(dtype: Any) -> int | None:
    """The number of torch's dtype, also given by NumPy's; -1 for a type that no tensor has."""
    if dtype is None:
        return None
    if "torch" in sys.modules or isinstance(dtype, np.dtype):
        import torch

        from transferqueue._tensors.dtypes import CODES

        if isinstance(dtype, np.dtype) and dtype.kind in "biufc":
            dtype = torch.from_numpy(np.empty(0, dtype)).dtype
        if isinstance(dtype, torch.dtype):
            if dtype not in CODES:
                raise InvalidTypeError(f"field_schema: dtype {dtype} is not carried; give another")
            return CODES[dtype]
    return _NO_TENSOR
