"""Columns drawn by hypothesis, each with its rows: what was put and what must come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from tensordict import NonTensorStack

from support.strategies import SOME_DTYPES, nested_forms, tensor_rows, values


@dataclass
class Drawn:
    """A column in one of the forms in which a caller may have it, and its rows."""

    column: Any
    rows: list[Any]


@st.composite
def tensor_columns(draw: st.DrawFn, dtype: torch.dtype, count: int) -> Drawn:
    rows = draw(tensor_rows(dtype, count))
    forms: list[Any] = [NonTensorStack(*rows)]
    if len({row.shape for row in rows}) == 1:
        stacked = torch.stack(rows)
        forms += [stacked, stacked]
        if stacked.dim() > 1:
            forms.append(stacked.transpose(0, 1).contiguous().transpose(0, 1))  # not contiguous
    if len({row.dim() for row in rows}) == 1:
        forms += nested_forms(rows) + turned_forms(rows)
    return Drawn(draw(st.sampled_from(forms)), rows)


def turned_forms(rows: list[torch.Tensor]) -> list[torch.Tensor]:
    """The jagged tensors that can hold the rows, of one rank, with the ragged dimension further back."""
    forms = []
    for dim in range(1, rows[0].dim()):
        turned = [row.transpose(0, dim).contiguous() for row in rows]
        if (
            len({row.shape[1:] for row in turned}) == 1
            and rows[0].dtype.is_floating_point
            and rows[0].dtype.itemsize > 1
        ):
            forms.append(torch.nested.as_nested_tensor(turned, layout=torch.jagged).transpose(1, dim + 1))
    return forms


@st.composite
def object_columns(draw: st.DrawFn, count: int) -> Drawn:
    """Objects; among them always one that is no tensor and no str, so that the field's type is that of objects."""
    rows = draw(st.lists(values, min_size=count, max_size=count))
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
