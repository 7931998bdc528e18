"""Columns drawn by hypothesis, each with its rows: what was put and what must come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from tensordict import NonTensorStack

from support.strategies import SOME_DTYPES, tensor_of


@dataclass
class Drawn:
    """A column in one of the forms in which a caller may have it, and its rows."""

    column: Any
    rows: list[Any]


@st.composite
def tensor_rows(draw: st.DrawFn, dtype: torch.dtype, count: int) -> list[torch.Tensor]:
    """Rows of one dtype; any one dimension, or two, or the rank may vary."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    varying = draw(st.sets(st.integers(0, 3), max_size=2)) & set(range(len(shape)))
    of_any_rank = bool(shape) and draw(st.integers(0, 9)) == 0
    seed = draw(st.integers(0, 2**16))
    rows = []
    for row in range(count):
        own = [draw(st.integers(0, 4)) if dim in varying else extent for dim, extent in enumerate(shape)]
        cut = own[: draw(st.integers(0, len(own)))] if of_any_rank else own
        rows.append(tensor_of(dtype, cut, seed + row))
    return rows


@st.composite
def tensor_columns(draw: st.DrawFn, dtype: torch.dtype, count: int) -> Drawn:
    rows = draw(tensor_rows(dtype, count))
    forms: list[Any] = [NonTensorStack(*rows)]
    if len({row.shape for row in rows}) == 1:
        stacked = torch.stack(rows)
        forms += [stacked, stacked]
        if stacked.dim() > 1:
            forms.append(stacked.transpose(0, 1).contiguous().transpose(0, 1))  # not contiguous
    if len({row.dim() for row in rows}) == 1 and rows[0].dim():
        forms += jagged_forms(rows)
    return Drawn(draw(st.sampled_from(forms)), rows)


def jagged_forms(rows: list[torch.Tensor]) -> list[torch.Tensor]:
    """The nested tensors that can hold the rows; a jagged one also with its ragged dimension further back."""
    forms = []
    for layout in (torch.jagged, torch.strided):
        try:
            forms.append(torch.nested.as_nested_tensor(rows, layout=layout))
        except (RuntimeError, NotImplementedError):
            continue
    for dim in range(1, rows[0].dim()):
        turned = [row.transpose(0, dim).contiguous() for row in rows]
        if (
            len({row.shape[1:] for row in turned}) == 1
            and rows[0].dtype.is_floating_point
            and rows[0].dtype.itemsize > 1
        ):
            forms.append(torch.nested.as_nested_tensor(turned, layout=torch.jagged).transpose(1, dim + 1))
    return forms


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=20)
    | st.complex_numbers()
    | st.sampled_from([np.float32(1), np.int64(2), np.bool_(True)])
    | st.integers(0, 3).map(lambda n: torch.arange(n))
    | st.integers(0, 3).map(lambda n: np.arange(n, dtype=np.uint8))
)
keys_of_dicts = st.text(max_size=5) | st.integers() | st.tuples(st.integers(), st.text(max_size=3)) | st.none()
objects = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys_of_dicts, inner, max_size=3)
        | st.frozensets(keys_of_dicts, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def object_columns(draw: st.DrawFn, count: int) -> Drawn:
    """Objects; among them always one that is no tensor and no str, so that the field's type is that of objects."""
    rows = draw(st.lists(objects, min_size=count, max_size=count))
    rows[draw(st.integers(0, count - 1))] = ("not", 1)
    return Drawn(NonTensorStack(*rows), rows)


@st.composite
def text_columns(draw: st.DrawFn, count: int) -> Drawn:
    rows = draw(st.lists(st.text(st.characters()), min_size=count, max_size=count))
    return Drawn(NonTensorStack(*rows), rows)


#: The types of a field, by name: a field keeps its own.
FIELDS = [*SOME_DTYPES, "objects", "text"]


def columns_of_type(kind: Any, count: int) -> st.SearchStrategy[Drawn]:
    if kind == "objects":
        return object_columns(count)
    if kind == "text":
        return text_columns(count)
    return tensor_columns(kind, count)
