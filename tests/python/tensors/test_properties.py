"""Whatever is put comes back: random columns, cut into random pieces."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.columns import round_trip, rows_of, same_bits, same_value
from support.strategies import values, ways_to_put
from transferqueue import _tensors

bounded = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)


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
