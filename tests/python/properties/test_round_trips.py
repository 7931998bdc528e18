"""Whatever is put into the real core comes back: rows bit by bit, types equal, in the order asked for."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties.columns_drawn import FIELDS, columns_of_type
from tensordict import TensorDict

from support.columns import rows_of, same_value
from support.strategies import tensor_of
from transferqueue import BatchMeta, _tensors
from transferqueue._tensors.dtypes import DTYPES

bounded = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
_numbers = itertools.count()


@pytest.fixture(params=[True, False], ids=["with shortcuts", "without shortcuts"])
def shortcuts(request):
    _tensors.use_internals(request.param)
    yield
    _tensors.use_internals(True)


def same_rows(got: Any, wanted: list[Any]) -> bool:
    rows = rows_of(got)
    return len(rows) == len(wanted) and all(map(same_value, rows, wanted))


def new_partition(tq) -> str:
    """A partition for one example; those of earlier examples are cleared."""
    for name in tq.get_client().get_partition_list():
        tq.get_client().clear_partition(name)
    return f"p{next(_numbers)}"


@bounded
@given(st.data())
def test_any_batch_comes_back_in_any_order(tq, shortcuts, data):
    rows = data.draw(st.integers(1, 6))
    kinds = data.draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4))
    drawn = {f"f{i}": data.draw(columns_of_type(kind, rows)) for i, kind in enumerate(kinds)}
    partition, keys = new_partition(tq), [f"k{row}" for row in range(rows)]
    meta = tq.kv_batch_put(keys, partition, TensorDict({name: d.column for name, d in drawn.items()}, batch_size=rows))
    assert meta.fields == sorted(drawn)
    order = data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=9))
    names = data.draw(st.lists(st.sampled_from(sorted(drawn)), min_size=1, unique=True))
    got = tq.kv_batch_get([keys[row] for row in order], partition, names)
    assert sorted(got.keys()) == sorted(names)
    assert got.batch_size == torch.Size([len(order)])
    for name in names:
        assert same_rows(got.get(name), [drawn[name].rows[row] for row in order]), name


@bounded
@given(st.data())
def test_puts_of_any_shapes_to_one_field_are_one_field(tq, shortcuts, data):
    """Several puts, of old and new keys, each with shapes and a form of its own."""
    kind = data.draw(st.sampled_from(FIELDS))
    partition = new_partition(tq)
    rows: dict[str, Any] = {}
    for _ in range(data.draw(st.integers(1, 4))):
        keys = data.draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True))
        drawn = data.draw(columns_of_type(kind, len(keys)))
        tq.kv_batch_put(keys, partition, TensorDict({"x": drawn.column}, batch_size=len(keys)))
        rows |= dict(zip(keys, drawn.rows, strict=True))
    order = data.draw(st.lists(st.sampled_from(sorted(rows)), min_size=1, max_size=10))
    assert same_rows(tq.kv_batch_get(order, partition).get("x"), [rows[key] for key in order])
    everything = tq.get_client().get_meta(["x"], None, partition, mode="force_fetch")
    keys = tq.get_client().kv_retrieve_keys(everything.global_indexes, partition)
    assert sorted(keys) == sorted(rows)
    assert same_rows(tq.get_client().get_data(everything).get("x"), [rows[key] for key in keys])


@bounded
@given(st.data())
def test_a_meta_cut_and_joined_reads_its_rows(tq, shortcuts, data):
    """Rows of two partitions, selected, chunked, reordered, joined: data follows metadata."""
    client = tq.get_client()
    kind = data.draw(st.sampled_from(FIELDS))
    first, second = new_partition(tq), f"q{next(_numbers)}"
    parts, rows = [], []
    for partition in (first, second):
        count = data.draw(st.integers(1, 5))
        drawn = data.draw(columns_of_type(kind, count))
        parts.append(client.put(TensorDict({"x": drawn.column}, batch_size=count), partition_id=partition))
        rows += drawn.rows
    meta = BatchMeta.concat(parts)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8, unique=True))
    picked = meta.select_samples(chosen)
    assert same_rows(client.get_data(picked).get("x"), [rows[row] for row in chosen])
    chunks = picked.chunk(data.draw(st.integers(1, 3)))
    came = [row for chunk in chunks if chunk.size for row in rows_of(client.get_data(chunk).get("x"))]
    assert all(map(same_value, came, [rows[row] for row in chosen]))
    order = data.draw(st.permutations(range(len(chosen))))
    picked.reorder(order)
    assert same_rows(client.get_data(picked).get("x"), [rows[chosen[at]] for at in order])


@pytest.mark.parametrize("dtype", sorted(DTYPES.values(), key=str), ids=str)
def test_every_dtype_comes_back_dense_and_jagged(tq, shortcuts, dtype):
    partition = new_partition(tq)
    scalar, dense = tensor_of(dtype, [4], 1), tensor_of(dtype, [4, 2, 3], 2)
    ragged = [tensor_of(dtype, [n, 2], n) for n in (3, 0, 1, 5)]
    fields = TensorDict({"s": scalar, "d": dense}, batch_size=4)
    tq.kv_batch_put([*"abcd"], partition, fields)
    for key, row in zip("abcd", ragged, strict=True):
        tq.kv_put(key, partition, {"j": row})
    got = tq.kv_batch_get([*"dbca"], partition)
    order = [3, 1, 2, 0]
    assert got["s"].dtype == got["d"].dtype == got["j"].dtype == dtype
    assert not got["s"].is_nested
    assert same_rows(got["s"], [scalar[row] for row in order])
    assert same_rows(got["d"], [dense[row] for row in order])
    assert same_rows(got["j"], [ragged[row] for row in order])


@bounded
@given(st.data())
def test_uniform_rows_come_back_jagged_or_dense_as_asked(tq, shortcuts, data):
    rows = data.draw(st.integers(1, 5))
    shape = data.draw(st.lists(st.integers(1, 4), max_size=3))
    column = tensor_of(torch.float32, [rows, *shape], 5)
    partition, keys = new_partition(tq), [f"k{row}" for row in range(rows)]
    tq.kv_batch_put(keys, partition, TensorDict({"x": column}, batch_size=rows))
    jagged, dense = tq.kv_batch_get(keys, partition)["x"], tq.kv_batch_get(keys, partition, layout="dense")["x"]
    assert jagged.is_nested == bool(shape)
    assert not dense.is_nested
    assert same_value(dense, column)
