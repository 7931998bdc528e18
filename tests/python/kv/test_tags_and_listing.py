"""Tags merge, listings keep their order, clears are forgiving."""

from __future__ import annotations

import threading

import pytest
import torch
from tensordict import TensorDict


def test_tags_merge_entry_by_entry(tq, partition):
    tq.kv_put("a", partition, tag={"is_prompt": True, "status": "pending", "step": 3})
    meta = tq.kv_put("a", partition, tag={"status": "running"})
    assert meta.tags == [{"is_prompt": True, "status": "running", "step": 3}]
    assert tq.kv_list(partition) == {partition: {"a": {"is_prompt": True, "status": "running", "step": 3}}}


def test_tag_values_keep_their_types(tq, partition):
    tag = {
        "s": "ü",
        "i": -5,
        "big": 2**80,
        "f": 1.0,
        "t": True,
        "n": None,
        "b": b"\x00\xff",
        "l": [1, [2]],
        "u": (1, (2,), [3]),
        "d": {"x": {1: 2}},
    }
    tq.kv_put("a", partition, tag=tag)
    got = tq.kv_list(partition)[partition]["a"]
    assert got == tag
    assert {name: type(value) for name, value in got.items()} == {name: type(value) for name, value in tag.items()}
    assert type(got["u"][1]) is tuple


def test_numpy_and_tensor_scalars_become_python_scalars(tq, partition):
    import numpy as np

    tq.kv_put("a", partition, tag={"n": np.int64(3), "f": np.float32(0.5), "t": torch.tensor(7), "b": np.bool_(True)})
    got = tq.kv_list(partition)[partition]["a"]
    assert got == {"n": 3, "f": 0.5, "t": 7, "b": True}
    assert [type(value) for value in got.values()] == [int, float, int, bool]


def test_a_tag_only_put_registers_unknown_keys_and_leaves_columns(tq, partition):
    tq.kv_batch_put(["a"], partition, TensorDict({"x": torch.tensor([1])}, batch_size=1))
    tq.kv_batch_put(["a", "b"], partition, tags=[{}] * 2)
    assert tq.kv_list(partition) == {partition: {"a": {}, "b": {}}}
    assert tq.kv_batch_get("a", partition)["x"].tolist() == [1]


def test_concurrent_writers_of_different_entries_both_survive(tq, partition):
    tq.kv_put("a", partition, tag={"start": 0})

    def write(name: str) -> None:
        for step in range(40):
            tq.kv_put("a", partition, tag={name: step})

    writers = [threading.Thread(target=write, args=(f"w{i}",)) for i in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert tq.kv_list(partition)[partition]["a"] == {"start": 0, "w0": 39, "w1": 39, "w2": 39, "w3": 39}


def test_a_listing_keeps_the_order_of_the_first_puts(tq, partition):
    for key in ["z", "m", "a"]:
        tq.kv_put(key, partition, tag={})
    tq.kv_put("m", partition, tag={"later": 1})
    tq.kv_clear("z", partition)
    tq.kv_put("z", partition, tag={})
    tq.kv_put("b", partition, tag={})
    assert list(tq.kv_list(partition)[partition]) == ["m", "a", "z", "b"]


def test_an_unknown_partition_lists_nothing(tq, partition):
    assert tq.kv_list(partition) == {}


def test_an_emptied_partition_stays_listed(tq, partition):
    tq.kv_put("a", partition, tag={})
    tq.kv_clear("a", partition)
    assert tq.kv_list(partition) == {partition: {}}
    assert tq.kv_list()[partition] == {}


def test_the_same_key_lives_in_several_partitions(tq, partition):
    tq.kv_put("a", partition, tag={"p": 1})
    tq.kv_put("a", partition + "x", tag={"p": 2})
    listing = tq.kv_list()
    assert listing[partition] == {"a": {"p": 1}}
    assert listing[partition + "x"] == {"a": {"p": 2}}


def test_clearing_ignores_what_is_not_there(tq, partition):
    tq.kv_clear(["never"], partition)
    tq.kv_put("a", partition, tag={})
    tq.kv_clear(["never", "a"], partition)
    tq.kv_clear(["a"], partition)
    assert tq.kv_list(partition) == {partition: {}}
    with pytest.raises(ValueError, match="empty list"):
        tq.kv_clear([], partition)


def test_a_cleared_key_is_dropped_by_a_get_and_may_come_back(tq, partition):
    tq.kv_batch_put(["a", "b"], partition, TensorDict({"x": torch.tensor([1, 2])}, batch_size=2))
    tq.kv_clear("a", partition)
    assert tq.kv_batch_get(["a", "b"], partition)["x"].tolist() == [2]
    tq.kv_put("a", partition, {"y": torch.tensor([5])})
    with pytest.raises(ValueError, match="not ready"):
        tq.kv_batch_get("a", partition, "x")


def test_tensors_read_before_a_clear_keep_their_bytes(tq, partition):
    tq.kv_batch_put(["a"], partition, TensorDict({"x": torch.arange(50_000).reshape(1, -1)}, batch_size=1))
    held = tq.kv_batch_get("a", partition)["x"]
    tq.kv_clear("a", partition)
    for step in range(20):
        tq.kv_put(f"b{step}", partition, {"x": torch.full((50_000,), -1)})
    assert torch.equal(held.values(), torch.arange(50_000))
