"""Whatever is put into a real queue comes back: random batches, by one put or several, any choice of rows."""

from __future__ import annotations

import uuid
from types import ModuleType
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from queue_fixtures import tq  # noqa: F401
from tensordict import NonTensorData, NonTensorStack, TensorDict

from support.columns import rows_of, same_bits, same_value
from support.strategies import batches, values, ways_to_put

bounded = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)


def stack(rows: list[Any]) -> NonTensorStack:
    return NonTensorStack(*[NonTensorData(data=row) for row in rows])


def same_row(left: Any, right: Any) -> bool:
    return same_bits(left, right) if isinstance(left, torch.Tensor) else same_value(left, right)


@bounded
@given(st.data())
def test_a_batch_of_random_columns_comes_back_row_by_row(tq: ModuleType, data: st.DataObject) -> None:  # noqa: F811
    rows = data.draw(st.integers(1, 6))
    put = {f"tensor {n}": data.draw(ways_to_put(rows)) for n in range(data.draw(st.integers(1, 4)))}
    objects = data.draw(st.lists(values, min_size=rows, max_size=rows))
    text = data.draw(st.lists(st.text(st.characters()), min_size=rows, max_size=rows))
    put |= {"object": ([("row", value) for value in objects],) * 2, "text": (text, text)}
    keys = [f"key {row}" for row in range(rows)]
    partition = uuid.uuid4().hex
    columns = {name: stack(column) if isinstance(column, list) else column for name, (column, _) in put.items()}
    tq.kv_batch_put(keys, partition, TensorDict(columns, [rows]))
    chosen = data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=8))
    got = tq.kv_batch_get([keys[row] for row in chosen], partition)
    assert set(got.keys()) == set(put)
    for name, (_, expected) in put.items():
        came = rows_of(got.get(name))
        assert len(came) == len(chosen)
        assert all(map(same_row, came, [expected[row] for row in chosen]))


@bounded
@given(st.data())
def test_rows_put_one_by_one_in_different_shapes_come_back_together(
    tq: ModuleType,  # noqa: F811
    data: st.DataObject,
) -> None:
    rows = data.draw(batches())
    partition = uuid.uuid4().hex
    for number, row in enumerate(rows):
        tq.kv_put(f"key {number}", partition, {"x": row})
    order = data.draw(st.permutations(range(len(rows))))
    came = rows_of(tq.kv_batch_get([f"key {number}" for number in order], partition).get("x"))
    assert len(came) == len(rows)
    assert all(map(same_bits, came, [rows[number] for number in order]))
