"""Calls of the public API that ask for what can't be: a typed error with what was asked, nothing written; or what api.md says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from tensordict import NonTensorStack, TensorDict

import transferqueue
from transferqueue import BatchMeta, KVBatchMeta, errors


def columns(rows: int, **fields) -> TensorDict:
    return TensorDict(fields or {"x": torch.arange(rows)}, batch_size=rows)


def keys(rows: int) -> list[str]:
    return [f"k{row}" for row in range(rows)]


# ---- kv_* ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"key": 5, "tag": {}}, TypeError),
        ({"key": None, "tag": {}}, TypeError),
        ({"key": ["a"], "tag": {}}, TypeError),
        ({"key": "a"}, ValueError),
        ({"key": "a", "tag": [1]}, TypeError),
        ({"key": "a", "tag": {"x": {1, 2}}}, TypeError),
        ({"key": "a", "tag": {"x": torch.zeros(2)}}, TypeError),
        ({"key": "a", "tag": {"x": np.zeros(2)}}, TypeError),
        ({"key": "a", "tag": {"x": ()}, "fields": {"x": torch.zeros(2, device="meta")}}, ValueError),
        ({"key": "a\0", "tag": {}}, ValueError),
        ({"key": "\ud800", "tag": {}}, ValueError),
        ({"key": "a", "fields": "x"}, (TypeError, ValueError)),
        ({"key": "a", "fields": {}}, ValueError),
        ({"key": "a", "fields": {5: torch.zeros(1)}}, (TypeError, ValueError)),
        ({"key": "a", "fields": {"": torch.zeros(1)}}, ValueError),
        ({"key": "a", "fields": {"x" * 2000: torch.zeros(1)}}, errors.LimitExceededError),
        ({"key": "a", "fields": {"x": torch.zeros(1).to_sparse()}}, (TypeError, ValueError)),
        ({"key": "k" * 5000, "tag": {}}, errors.LimitExceededError),
        ({"key": "a", "fields": {"x": torch.zeros([1] * 17)}}, errors.LimitExceededError),
    ],
)
def test_a_single_put_of_what_can_not_be_is_refused(tq, partition, unharmed, arguments, error):
    with unharmed(), pytest.raises(error):
        tq.kv_put(partition_id=partition, **arguments)


@pytest.mark.parametrize("name", [None, 5, b"p", "", "p" * 2000, ["p"]])
def test_a_partition_that_has_no_name_is_refused_everywhere(tq, unharmed, name):
    client = tq.get_client()
    refusals = (TypeError, ValueError, errors.LimitExceededError)
    calls = [
        lambda: tq.kv_put("a", name, tag={}),
        lambda: tq.kv_batch_put(["a"], name, columns(1)),
        lambda: tq.kv_batch_get(["a"], name),
        lambda: tq.kv_clear(["a"], name),
        lambda: client.get_meta(["x"], 1, name, mode="insert"),
        lambda: client.get_meta(["x"], 1, name, mode="force_fetch"),
        lambda: client.clear_partition(name),
        lambda: client.get_production_status(["x"], name),
        lambda: client.get_consumption_status("t", name),
        lambda: client.reset_consumption(name),
        lambda: client.kv_retrieve_meta(["a"], name, create=True),
        lambda: client.kv_retrieve_keys([0], name),
    ]
    with unharmed():
        for call in calls:
            with pytest.raises(refusals):
                call()


@pytest.mark.parametrize("bad", [None, 5, b"a", {"a": 1}, [None], [b"a"], [["a"]], ["a", 5], []])
def test_keys_that_are_none_are_refused_everywhere(tq, partition, unharmed, bad):
    client = tq.get_client()
    calls = [
        lambda: tq.kv_batch_put(bad, partition, tags=[{}]),
        lambda: tq.kv_batch_get(bad, partition),
        lambda: tq.kv_clear(bad, partition),
        lambda: client.kv_retrieve_meta(bad, partition, create=True),
    ]
    with unharmed():
        for call in calls:
            with pytest.raises((TypeError, ValueError)):
                call()


@pytest.mark.parametrize("bad", [5, b"x", [5], [None], [""], {"x": 1}.keys(), "x" * 2000])
def test_fields_that_are_none_are_refused(tq, partition, bad):
    client = tq.get_client()
    tq.kv_put("a", partition, {"x": torch.zeros(2)})
    refusals = (TypeError, ValueError, errors.LimitExceededError)
    with pytest.raises(refusals):
        tq.kv_batch_get("a", partition, bad)
    with pytest.raises(refusals):
        client.get_meta(bad, 1, partition, mode="insert")
    assert list(tq.kv_list(partition)[partition]) == ["a"]
    client.clear_partition(partition)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_columns_of_another_length_are_refused(tq, partition, unharmed, rows):
    with unharmed():
        with pytest.raises(ValueError, match="2"):
            tq.kv_batch_put(keys(2), partition, columns(rows, x=torch.zeros(rows, 2)))
        meta = BatchMeta([10_000, 10_001], [partition] * 2)
        with pytest.raises(ValueError, match="2"):
            tq.get_client().put(columns(rows, x=torch.zeros(rows, 2)), metadata=meta)


def test_rows_that_never_were_are_refused(tq, partition, unharmed):
    client = tq.get_client()
    invented = BatchMeta([10_000, 10_001], [partition] * 2, {"x": {"dtype": torch.int64, "shape": (1,)}})
    with unharmed():
        with pytest.raises(KeyError):
            client.get_data(invented)
        with pytest.raises(KeyError):
            client.put(columns(2), metadata=invented)
        client.set_custom_meta(invented)  # there is no such partition: as a clear, nothing
        client.clear_samples(invented)


def test_unknown_partitions_and_fields_mean_what_the_api_says(tq, partition, unharmed):
    client = tq.get_client()
    with unharmed():
        assert tq.kv_list(partition) == {}
        assert client.get_production_status(["x"], partition) == (None, None)
        assert client.get_consumption_status("t", partition) == (None, None)
        assert client.kv_retrieve_meta(["a"], partition).size == 0
        assert client.get_meta(["x"], None, partition, mode="force_fetch").size == 0
        tq.kv_clear(["a"], partition)
        client.clear_partition(partition)
        with pytest.raises(ValueError, match="not found"):
            tq.kv_batch_get(["a"], partition)
        with pytest.raises(ValueError, match="not found"):
            tq.kv_batch_get_by_meta(KVBatchMeta(keys=["a"], tags=[{}], partition_id=partition, fields=["x"]))
        with pytest.raises(TimeoutError):
            client.get_meta(["x"], 1, partition, task_name="t", timeout_s=0.05)


def test_a_put_of_no_rows_registers_nothing(tq, partition, unharmed):
    client = tq.get_client()
    with unharmed():
        with pytest.raises(ValueError, match="empty"):
            tq.kv_batch_put([], partition, columns(0, x=torch.zeros(0, 3)))
        with pytest.raises(ValueError, match="empty"):
            client.put(columns(0, x=torch.zeros(0, 3)), metadata=BatchMeta.empty())


def test_zero_rows_of_a_meta_read_as_zero_rows(tq, partition):
    client = tq.get_client()
    made = client.put(columns(2, x=torch.zeros(2, 3)), partition_id=partition)
    none = made.select_samples([])
    assert none.size == 0
    assert client.get_data(none).batch_size == torch.Size([0])
    client.clear_samples(none)
    assert client.get_data(made)["x"].size(0) == 2
    client.clear_partition(partition)


# ---- types of a field ------------------------------------------------------------------------------------------------------

TYPES = {
    "float32": lambda n: torch.zeros(n, 2),
    "float64": lambda n: torch.zeros(n, 2, dtype=torch.float64),
    "int64": lambda n: torch.zeros(n, 2, dtype=torch.int64),
    "bool": lambda n: torch.zeros(n, 2, dtype=torch.bool),
    "bfloat16": lambda n: torch.zeros(n, 2, dtype=torch.bfloat16),
    "text": lambda n: NonTensorStack(*["t"] * n),
    "jagged float32": lambda n: torch.nested.nested_tensor([torch.zeros(i) for i in range(n)], layout=torch.jagged),
}


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(TYPES, 2)])
def test_a_field_has_one_type_in_a_partition_whatever_asks(tq, partition, first, second):
    """By key on old and new rows, by meta, as new rows: refused as a whole, other fields of the same put included."""
    client = tq.get_client()
    before = tq.kv_batch_put(keys(3), partition, columns(3, x=TYPES[first](3)))
    meta = client.kv_retrieve_meta(keys(3), partition)
    used = client.stats()["bytes_used"]
    wrong = columns(3, x=TYPES[second](3), other=torch.zeros(3))
    calls = [
        lambda: tq.kv_batch_put(keys(3), partition, wrong, tags=[{"t": 1}] * 3),
        lambda: tq.kv_batch_put(["n0", "n1", "n2"], partition, wrong, tags=[{"t": 1}] * 3),
        lambda: tq.kv_batch_put(["k0", "n1", "n2"], partition, wrong),
        lambda: client.put(wrong, metadata=meta),
        lambda: client.put(wrong, partition_id=partition),
    ]
    for call in calls:
        if first.endswith("float32") and second.endswith("float32"):
            call()
            continue
        with pytest.raises(errors.SchemaMismatchError, match="'x'"):
            call()
        assert tq.kv_list(partition) == {partition: {key: {} for key in keys(3)}}
        assert client.stats()["bytes_used"] == used
        assert list(tq.kv_batch_get_by_meta(before).keys()) == ["x"]
    client.clear_partition(partition)


def test_another_partition_or_a_cleared_field_may_have_another_type(tq, partition):
    client = tq.get_client()
    tq.kv_batch_put(keys(2), partition, columns(2, x=TYPES["int64"](2)))
    tq.kv_batch_put(keys(2), partition + "b", columns(2, x=TYPES["bool"](2)))
    tq.kv_clear(keys(2), partition)
    tq.kv_batch_put(keys(2), partition, columns(2, x=TYPES["text"](2)))
    assert tq.kv_batch_get(keys(2), partition).get("x").tolist() == ["t", "t"]
    client.clear_partition(partition)
    client.clear_partition(partition + "b")


def test_a_column_without_data_is_refused(tq, partition, unharmed):
    fields = columns(2, good=torch.zeros(2), x=torch.zeros(2, 3, device="meta"))
    with unharmed(), pytest.raises(ValueError, match="meta"):
        tq.kv_batch_put(keys(2), partition, fields)


def test_a_tensor_without_data_inside_an_object_stays_one(tq, partition):
    bare = torch.zeros(2, 3, device="meta")
    tq.kv_batch_put(keys(2), partition, columns(2, x=NonTensorStack({"inside": bare}, bare)))
    first, second = tq.kv_batch_get(keys(2), partition).get("x").tolist()
    assert first["inside"].device == second.device == bare.device
    assert second.shape == bare.shape
    tq.get_client().clear_partition(partition)


def test_a_huge_insert_is_refused_with_its_limit(tq, partition, unharmed):
    with unharmed(), pytest.raises(errors.LimitExceededError, match=str(2**24)):
        tq.get_client().get_meta(["x"], 2**30, partition, mode="insert")
    with unharmed(), pytest.raises(errors.LimitExceededError, match=str(2**22)):
        tq.get_client().get_meta(["x"], 2**23, partition, mode="insert")


def test_errors_are_those_of_the_tree(tq, partition):
    with pytest.raises(transferqueue.errors.TransferQueueError):
        tq.kv_batch_get(["a"], partition)
    with pytest.raises(transferqueue.errors.TransferQueueError):
        tq.kv_batch_put(["a", "a"], partition, tags=[{}, {}])
