"""Whatever is put comes back: random columns, cut into random pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.columns import round_trip, rows_of, same_bits, same_value
from transferqueue import _tensors
from transferqueue._tensors.dtypes import DTYPES

# complex32 warns at every use that it is experimental; the tests of all dtypes have it.
SOME_DTYPES = [dtype for dtype in sorted(DTYPES.values(), key=str) if dtype != torch.complex32]

bounded = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)


def tensor_of(dtype: torch.dtype, shape: list[int], seed: int) -> torch.Tensor:
    if 0 in shape:
        return torch.empty(shape, dtype=dtype)
    count = int(np.prod(shape)) * dtype.itemsize
    octets = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, count, np.uint8))
    flat = octets > 127 if dtype == torch.bool else octets.view(dtype)
    return flat.reshape(shape)


@st.composite
def batches(draw: st.DrawFn) -> list[torch.Tensor]:
    """Rows of one dtype; some dimensions, or the rank, may vary."""
    dtype = draw(st.sampled_from(SOME_DTYPES))
    rows = draw(st.integers(1, 6))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    varying = draw(st.sets(st.integers(0, 3), max_size=2)) & set(range(len(shape)))
    cut = draw(st.booleans()) and bool(shape) and draw(st.integers(0, 9)) == 0
    tensors = []
    for row in range(rows):
        own = [draw(st.integers(0, 4)) if dim in varying else extent for dim, extent in enumerate(shape)]
        tensors.append(tensor_of(dtype, own[: draw(st.integers(0, len(own)))] if cut else own, seed=row))
    return tensors


@st.composite
def ways_to_put(draw: st.DrawFn) -> tuple[Any, list[torch.Tensor]]:
    """A column in one of the forms that can hold the rows, and the rows."""
    rows = draw(batches())
    forms: list[Any] = [rows]
    if len({row.shape for row in rows}) == 1:
        forms.append(torch.stack(rows))
    if len({row.dim() for row in rows}) == 1 and rows[0].dim():
        for layout in (torch.jagged, torch.strided):
            try:
                forms.append(torch.nested.as_nested_tensor(rows, layout=layout))
            except (RuntimeError, NotImplementedError):
                continue
    return draw(st.sampled_from(forms)), rows


@bounded
@given(ways_to_put())
def test_rows_of_tensors_come_back_bit_by_bit(put: tuple[Any, list[torch.Tensor]]) -> None:
    column, rows = put
    got = rows_of(round_trip({"x": column}, len(rows)).get("x"))
    assert len(got) == len(rows)
    assert all(map(same_bits, got, rows))


@bounded
@given(ways_to_put(), st.data())
def test_any_choice_of_rows_in_any_pieces_comes_back_in_that_order(
    put: tuple[Any, list[torch.Tensor]], data: st.DataObject
) -> None:
    column, rows = put
    cuts = data.draw(st.lists(st.lists(st.integers(0, len(rows) - 1), max_size=4), min_size=1, max_size=3))
    got = rows_of(round_trip({"x": column}, len(rows), cuts).get("x"))
    chosen = [rows[row] for cut in cuts for row in cut]
    assert len(got) == len(chosen)
    assert all(map(same_bits, got, chosen))


@bounded
@given(ways_to_put())
def test_uniform_rows_come_back_dense_or_jagged_never_otherwise(put: tuple[Any, list[torch.Tensor]]) -> None:
    column, rows = put
    varying = {tuple(row.shape) for row in rows}
    got = round_trip({"x": column}, len(rows)).get("x")
    dense = round_trip({"x": column}, len(rows), layout="dense").get("x")
    if len(varying) == 1:
        assert (got.layout is torch.jagged) == (rows[0].dim() > 0)
        assert not dense.is_nested
        assert dense.shape == (len(rows), *rows[0].shape)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=20)
    | st.complex_numbers()
    | st.binary(max_size=5).map(bytearray)
    | st.sampled_from([np.float32(1), np.int64(2), np.str_("s")])
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


@bounded
@given(st.lists(values, min_size=1, max_size=5), st.data())
def test_objects_come_back_equal_and_of_the_same_types(rows: list[Any], data: st.DataObject) -> None:
    column = {"x": rows}
    packed = _tensors.pack(column, len(rows), allow_pickle=False)
    if packed.columns[0][1] < 3:
        return  # only tensors of one dtype: a tensor column
    cuts = data.draw(st.lists(st.lists(st.integers(0, len(rows) - 1), max_size=4), min_size=1, max_size=3))
    assert same_value(round_trip(column, len(rows)).get("x").tolist(), rows)
    assert same_value(round_trip(column, len(rows), cuts).get("x").tolist(), [rows[row] for cut in cuts for row in cut])


@bounded
@given(st.lists(st.text(st.characters()), min_size=1, max_size=8), st.data())
def test_text_comes_back_equal(rows: list[str], data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.lists(st.integers(0, len(rows) - 1), max_size=4), min_size=1, max_size=3))
    assert round_trip({"x": rows}, len(rows), cuts).get("x").tolist() == [rows[row] for cut in cuts for row in cut]
