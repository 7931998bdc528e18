"""Random columns: tensors of every form, and values of every type that needs no pickle."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from transferqueue._tensors.dtypes import DTYPES

# complex32 warns at every use that it is experimental; the tests of all dtypes have it.
SOME_DTYPES = [dtype for dtype in sorted(DTYPES.values(), key=str) if dtype != torch.complex32]


def tensor_of(dtype: torch.dtype, shape: list[int], seed: int) -> torch.Tensor:
    if 0 in shape:
        return torch.empty(shape, dtype=dtype)
    count = int(np.prod(shape)) * dtype.itemsize
    octets = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, count, np.uint8))
    flat = octets > 127 if dtype == torch.bool else octets.view(dtype)
    return flat.reshape(shape)


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
def batches(draw: st.DrawFn, rows: int | None = None) -> list[torch.Tensor]:
    """Rows as `tensor_rows` has them, of any dtype."""
    dtype = draw(st.sampled_from(SOME_DTYPES))
    return draw(tensor_rows(dtype, draw(st.integers(1, 6)) if rows is None else rows))


def nested_forms(rows: list[torch.Tensor]) -> list[torch.Tensor]:
    """The rows as nested tensors, in each layout that can hold them."""
    if len({row.dim() for row in rows}) != 1 or not rows[0].dim():
        return []
    forms = []
    for layout in (torch.jagged, torch.strided):
        try:
            forms.append(torch.nested.as_nested_tensor(rows, layout=layout))
        except (RuntimeError, NotImplementedError):
            continue
    return forms


@st.composite
def ways_to_put(draw: st.DrawFn, count: int | None = None) -> tuple[Any, list[torch.Tensor]]:
    """A column in one of the forms that can hold the rows, and the rows."""
    rows = draw(batches(count))
    forms: list[Any] = [rows]
    if len({row.shape for row in rows}) == 1:
        forms.append(torch.stack(rows))
    return draw(st.sampled_from(forms + nested_forms(rows))), rows


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=20)
    | st.complex_numbers()
    | st.binary(max_size=5).map(bytearray)
    | st.sampled_from([np.float32(1), np.int64(2), np.bool_(True), np.str_("s")])
    | st.integers(0, 3).map(lambda n: torch.arange(n))
    | st.integers(0, 3).map(lambda n: np.arange(n, dtype=np.uint8))
)
keys = st.text(max_size=5) | st.integers() | st.tuples(st.integers(), st.text(max_size=3)) | st.none() | st.binary()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.sets(keys, max_size=3)
        | st.frozensets(keys, max_size=3)
    ),
    max_leaves=8,
)
