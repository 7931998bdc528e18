"""What a put makes readable, in which order, and what is refused before anything is written."""

from __future__ import annotations

import pytest
import torch
from tensordict import NonTensorStack, TensorDict


def columns(rows: int, **fields):
    return TensorDict(fields, batch_size=rows)


def keys(rows: int) -> list[str]:
    return [f"k{i}" for i in range(rows)]


def test_a_uniform_column_comes_back_jagged_and_equal(tq, partition):
    x = torch.randn(4, 7)
    tq.kv_batch_put(keys(4), partition, columns(4, x=x))
    got = tq.kv_batch_get(keys(4), partition)
    assert got["x"].is_nested
    assert got["x"].layout == torch.jagged
    assert torch.equal(got["x"].values(), x.reshape(-1))
    assert got["x"].offsets().tolist() == [0, 7, 14, 21, 28]
    assert got.batch_size == torch.Size([4])


def test_a_scalar_column_comes_back_dense(tq, partition):
    tq.kv_batch_put(keys(3), partition, columns(3, r=torch.tensor([1.5, 2.5, 3.5])))
    assert torch.equal(tq.kv_batch_get(keys(3), partition)["r"], torch.tensor([1.5, 2.5, 3.5]))


def test_rows_come_in_the_order_of_the_keys(tq, partition):
    tq.kv_batch_put(keys(8), partition, columns(8, x=torch.arange(8), y=torch.arange(16).reshape(8, 2)))
    order = ["k5", "k0", "k7", "k3"]
    got = tq.kv_batch_get(order, partition)
    assert got["x"].tolist() == [5, 0, 7, 3]
    assert [row.tolist() for row in got["y"].unbind()] == [[10, 11], [0, 1], [14, 15], [6, 7]]


def test_one_key_may_be_a_str(tq, partition):
    tq.kv_put("a", partition, {"x": torch.tensor([1, 2, 3])})
    assert tq.kv_batch_get("a", partition, "x")["x"][0].tolist() == [1, 2, 3]


def test_repeated_keys_repeat_rows(tq, partition):
    tq.kv_batch_put(keys(2), partition, columns(2, x=torch.tensor([3, 4])))
    assert tq.kv_batch_get(["k1", "k0", "k1"], partition)["x"].tolist() == [4, 3, 4]


def test_unknown_keys_are_dropped(tq, partition):
    tq.kv_batch_put(keys(2), partition, columns(2, x=torch.tensor([3, 4])))
    assert tq.kv_batch_get(["nobody", "k1"], partition)["x"].tolist() == [4]


def test_no_known_key_at_all_is_an_error(tq, partition):
    tq.kv_batch_put(keys(1), partition, columns(1, x=torch.zeros(1)))
    with pytest.raises(ValueError, match="keys or partition were not found"):
        tq.kv_batch_get(["nobody"], partition)
    with pytest.raises(ValueError, match="keys or partition were not found"):
        tq.kv_batch_get(["k0"], partition + "-missing")


def test_without_select_fields_the_common_fields_come(tq, partition):
    tq.kv_batch_put(keys(2), partition, columns(2, x=torch.tensor([1, 2])))
    tq.kv_put("k0", partition, {"extra": torch.tensor([9])})
    assert set(tq.kv_batch_get(keys(2), partition).keys()) == {"x"}
    assert set(tq.kv_batch_get("k0", partition).keys()) == {"x", "extra"}


def test_unknown_select_fields_are_ignored(tq, partition):
    tq.kv_batch_put(keys(2), partition, columns(2, x=torch.tensor([1, 2])))
    assert set(tq.kv_batch_get(keys(2), partition, ["x", "never"]).keys()) == {"x"}


def test_only_unknown_select_fields_give_an_empty_result(tq, partition):
    tq.kv_batch_put(keys(2), partition, columns(2, x=torch.tensor([1, 2])))
    assert list(tq.kv_batch_get(keys(2), partition, ["never"]).keys()) == []


def test_a_field_missing_in_a_row_is_not_ready(tq, partition):
    tq.kv_batch_put(keys(2), partition, columns(2, x=torch.tensor([1, 2])))
    tq.kv_put("k0", partition, {"extra": torch.tensor([9])})
    with pytest.raises(ValueError, match="Some fields are not ready in all the requested keys"):
        tq.kv_batch_get(keys(2), partition, ["x", "extra"])


def test_a_key_with_a_tag_only_has_nothing_to_get(tq, partition):
    tq.kv_put("a", partition, tag={"status": "pending"})
    with pytest.raises(ValueError, match="not ready"):
        tq.kv_batch_get("a", partition)


def test_the_same_field_again_replaces_the_cells(tq, partition):
    tq.kv_batch_put(keys(3), partition, columns(3, x=torch.tensor([1, 2, 3]), y=torch.tensor([7, 8, 9])))
    tq.kv_batch_put(["k1", "k2"], partition, columns(2, x=torch.tensor([20, 30])))
    got = tq.kv_batch_get(keys(3), partition)
    assert got["x"].tolist() == [1, 20, 30]
    assert got["y"].tolist() == [7, 8, 9]


def test_a_put_returns_common_fields_sorted_and_merged_tags(tq, partition):
    tq.kv_batch_put(keys(2), partition, columns(2, x=torch.tensor([1, 2])), tags=[{"a": 1}, {"a": 2}])
    meta = tq.kv_batch_put(keys(2), partition, columns(2, b=torch.tensor([1, 2])), tags=[{"z": 0}, {"a": 5}])
    assert meta.fields == ["b", "x"]
    assert meta.tags == [{"a": 1, "z": 0}, {"a": 5}]
    assert meta.keys == keys(2)
    assert meta.partition_id == partition
    assert meta.extra_info == {}


def test_by_meta_reads_what_the_meta_names(tq, partition):
    meta = tq.kv_batch_put(keys(2), partition, columns(2, x=torch.tensor([1, 2]), y=torch.tensor([3, 4])))
    assert set(tq.kv_batch_get_by_meta(meta).keys()) == {"x", "y"}
    assert tq.kv_batch_get_by_meta(meta, "y")["y"].tolist() == [3, 4]
    with pytest.raises(ValueError, match=r"select_fields.*not found"):
        tq.kv_batch_get_by_meta(meta, ["z"])
    meta.partition_id = None
    with pytest.raises(ValueError, match="partition_id"):
        tq.kv_batch_get_by_meta(meta)


def test_rows_of_different_lengths_across_puts_come_back_jagged(tq, partition):
    tq.kv_put("a", partition, {"x": torch.tensor([1, 2, 3])})
    tq.kv_put("b", partition, {"x": torch.tensor([4])})
    tq.kv_batch_put(["c", "d"], partition, columns(2, x=torch.tensor([[5, 6], [7, 8]])))
    got = tq.kv_batch_get(["d", "a", "b", "c"], partition)["x"]
    assert got.is_nested
    assert [row.tolist() for row in got.unbind()] == [[7, 8], [1, 2, 3], [4], [5, 6]]


def test_non_tensors_come_back_equal_and_of_their_type(tq, partition):
    values = [{"a": [1, 2]}, ("t", 1), None, 3]
    tq.kv_batch_put(keys(4), partition, columns(4, obj=NonTensorStack(*values), text=NonTensorStack(*"wxyz")))
    got = tq.kv_batch_get(keys(4), partition)
    assert got.get("obj").tolist() == values
    assert [type(value) for value in got.get("obj").tolist()] == [dict, tuple, type(None), int]
    assert got.get("text").tolist() == ["w", "x", "y", "z"]


def test_returned_tensors_are_writable_and_independent(tq, partition):
    tq.kv_batch_put(keys(2), partition, columns(2, x=torch.tensor([[1, 2], [3, 4]])))
    first = tq.kv_batch_get(keys(2), partition)["x"]
    first.values().zero_()
    assert tq.kv_batch_get(keys(2), partition)["x"].values().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"keys": ["a", "b"], "fields": None, "tags": None}, ValueError),
        ({"keys": [], "tags": []}, ValueError),
        ({"keys": ["a", "a"], "tags": [{}, {}]}, ValueError),
        ({"keys": ["a", 1], "tags": [{}, {}]}, TypeError),
        ({"keys": ["a", "b"], "tags": [{}]}, ValueError),
        ({"keys": ["a", "b"], "tags": [{}, {"x": object()}]}, TypeError),
        ({"keys": ["a", "b"], "tags": [{}, {1: 2}]}, TypeError),
        ({"keys": ["a", "b"], "tags": [{}, 5]}, TypeError),
        ({"keys": ["a\0b"], "tags": [{}]}, ValueError),
        ({"keys": ["a", "b"], "fields": TensorDict({"x": torch.zeros(3)}, batch_size=3)}, ValueError),
        ({"keys": ["a", "b"], "fields": {"x": torch.zeros(2)}}, TypeError),
        ({"keys": ["a", "b"], "fields": TensorDict({"x": torch.zeros(2, 3, device="meta")}, batch_size=2)}, ValueError),
        ({"keys": ["x" * 5000], "tags": [{}]}, Exception),
    ],
)
def test_a_refused_put_registers_nothing(tq, partition, arguments, error):
    with pytest.raises(error):
        tq.kv_batch_put(partition_id=partition, **arguments)
    assert tq.kv_list(partition) == {}


def test_a_dtype_conflict_writes_nothing(tq, partition):
    tq.kv_batch_put(keys(2), partition, columns(2, x=torch.tensor([1, 2])))
    with pytest.raises(ValueError, match="x"):
        tq.kv_batch_put(
            ["k1", "new"], partition, columns(2, x=torch.tensor([1.0, 2.0]), z=torch.zeros(2)), tags=[{"t": 1}] * 2
        )
    assert tq.kv_list(partition) == {partition: {"k0": {}, "k1": {}}}
    assert set(tq.kv_batch_get(keys(2), partition).keys()) == {"x"}
    assert tq.kv_batch_get(keys(2), partition)["x"].tolist() == [1, 2]


def test_kv_put_of_a_nested_tensor_points_to_the_batch_call(tq, partition):
    nested = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged)
    with pytest.raises(ValueError, match="kv_batch_put"):
        tq.kv_put("a", partition, {"x": nested})
    with pytest.raises(ValueError, match="dict or TensorDict"):
        tq.kv_put("a", partition, [1, 2])
    assert tq.kv_list(partition) == {}


def test_zero_rows_of_a_ragged_dimension_survive(tq, partition):
    nested = torch.nested.nested_tensor([torch.zeros(0), torch.ones(3), torch.zeros(0)], layout=torch.jagged)
    tq.kv_batch_put(keys(3), partition, columns(3, x=nested))
    assert [row.tolist() for row in tq.kv_batch_get(keys(3), partition)["x"].unbind()] == [[], [1, 1, 1], []]
