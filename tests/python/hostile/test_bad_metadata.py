"""Metadata made or used with what can't be: a typed error that names it, and the object stays as it was."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from transferqueue import BatchMeta, KVBatchMeta, errors

NAN = float("nan")
VALUE, TYPE = errors.InvalidArgumentError, errors.InvalidTypeError


def field(**entry) -> dict:
    return {"field_schema": {"x": {"dtype": torch.float32, **entry}}}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"global_indexes": None}, TYPE),
        ({"global_indexes": 5}, TYPE),
        ({"global_indexes": "12"}, TYPE),
        ({"global_indexes": ["1", "2"]}, TYPE),
        ({"global_indexes": [1, NAN]}, TYPE),
        ({"global_indexes": [1, 2**70]}, TYPE),
        ({"global_indexes": np.array([1, 2**63], np.uint64)}, VALUE),
        ({"global_indexes": [[1, 2], [3, 4]]}, TYPE),
        ({"partition_ids": None}, TYPE),
        ({"partition_ids": 5}, TYPE),
        ({"partition_ids": ["p", None]}, TYPE),
        ({"field_schema": 5}, TYPE),
        ({"field_schema": {"x": 5}}, TYPE),
        ({"field_schema": {5: {}}}, TYPE),
        ({"field_schema": {"x": {}, 5: {}}}, TYPE),
        (field(shape=(NAN,)), TYPE),
        (field(shape=(1.5,)), TYPE),
        (field(shape="12"), TYPE),
        (field(shape=7), TYPE),
        (field(shape=(-3,)), VALUE),
        (field(shape=(2**70,)), VALUE),
        (field(is_nested=True, per_sample_shapes=5), TYPE),
        (field(is_nested=True, per_sample_shapes=[5, 6]), TYPE),
        (field(is_nested=True, per_sample_shapes=[(NAN,), (1,)]), TYPE),
        (field(is_nested=True, per_sample_shapes=[(1,)]), VALUE),
        ({"field_schema": {"x": {"dtype": torch.qint8, "shape": (1,)}}}, TYPE),
        ({"production_status": 5}, TYPE),
        ({"production_status": [NAN, 1]}, TYPE),
        ({"production_status": ["1", "0"]}, TYPE),
        ({"production_status": [1, 300]}, VALUE),
        ({"extra_info": 5}, TYPE),
        ({"extra_info": [1]}, TYPE),
        ({"custom_meta": 5}, TYPE),
        pytest.param({"custom_meta": ({} for _ in range(2))}, TYPE, id="a generator"),
        ({"custom_meta": {1: {}, 2: {}}}, TYPE),
        ({"_custom_backend_meta": 5}, TYPE),
        ({"_custom_backend_meta": [5, 6]}, TYPE),
    ],
    ids=repr,
)
def test_a_batch_of_what_can_not_be_is_refused(arguments, error):
    with pytest.raises(error):
        BatchMeta(**{"global_indexes": [1, 2], "partition_ids": ["p", "p"], **arguments})


def state_of(meta: BatchMeta) -> tuple:
    return meta._packed, dict(meta.extra_info), list(meta._custom_backend_meta)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda m: m.chunk(None), TYPE),
        (lambda m: m.chunk(2.0), TYPE),
        (lambda m: m.chunk(True), TYPE),
        (lambda m: m.chunk("2"), TYPE),
        (lambda m: m.chunk(-1), VALUE),
        (lambda m: m.chunk(10**9), VALUE),
        (lambda m: m.chunk(2**70), VALUE),
        (lambda m: m[2], VALUE),
        (lambda m: m[-3], VALUE),
        (lambda m: m[2], IndexError),
        (lambda m: m["a"], TYPE),
        (lambda m: m[None], TYPE),
        (lambda m: m[True], TYPE),
        (lambda m: m.get_dtypes("y"), errors.StorageKeyNotFoundError),
        (lambda m: m.get_shapes("y"), KeyError),
        (lambda m: m.get_shapes(None), KeyError),
        (lambda m: m.select_samples(None), TYPE),
        (lambda m: m.select_samples(0), TYPE),
        (lambda m: m.select_samples([0.0]), TYPE),
        (lambda m: m.select_samples([True, False]), TYPE),
        (lambda m: m.select_samples([2**70]), TYPE),
        (lambda m: m.select_samples([2**62]), VALUE),
        (lambda m: m.select_samples(torch.tensor(1)), TYPE),
        (lambda m: m.select_fields(None), TYPE),
        (lambda m: m.select_fields([5]), TYPE),
        (lambda m: m.reorder(None), TYPE),
        (lambda m: m.reorder([1.0, 0.0]), TYPE),
        (lambda m: m.reorder([0, 2**62]), VALUE),
        (lambda m: BatchMeta.concat(None), TYPE),
        (lambda m: BatchMeta.concat(5), TYPE),
        (lambda m: BatchMeta.concat([m, None]), TYPE),
        (lambda m: m.union(None), TYPE),
        (lambda m: m.add_fields(None), TYPE),
        (lambda m: m.add_fields([torch.ones(2)]), TYPE),
        (lambda m: m.add_fields({"x": torch.ones(3)}), VALUE),
        (lambda m: m.update_custom_meta(5), TYPE),
        (lambda m: m.update_custom_meta({0: {}}), VALUE),
        (lambda m: m.update_custom_meta([{"n": 1}, {"s": {1}}]), TYPE),
        (lambda m: m.update_extra_info(5), TYPE),
        (lambda m: setattr(m, "extra_info", 5), TYPE),
        (lambda m: setattr(m, "custom_meta", None), TYPE),
        (lambda m: setattr(m, "custom_meta", [{}]), VALUE),
        (lambda m: setattr(m, "production_status", [1]), VALUE),
        (lambda m: setattr(m, "production_status", [1, 7]), VALUE),
        (lambda m: setattr(m, "production_status", None), TYPE),
        (lambda m: setattr(m, "_custom_backend_meta", [{}]), VALUE),
    ],
)
def test_a_call_that_can_not_be_changes_nothing(call, error):
    meta = BatchMeta([1, 2], ["p", "q"], field(shape=(3,))["field_schema"], [1, 0], {"k": 1}, [{"n": 0}, {}], [{}, {}])
    before = state_of(meta)
    with pytest.raises(error):
        call(meta)
    assert state_of(meta) == before


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda m: KVBatchMeta(None, None), TYPE),
        (lambda m: KVBatchMeta(5, [{}]), TYPE),
        (lambda m: KVBatchMeta("a", [{}]), TYPE),
        (lambda m: KVBatchMeta([5], [{}]), TYPE),
        (lambda m: KVBatchMeta([["a"]], [{}]), TYPE),
        (lambda m: KVBatchMeta(["a"], [5]), TYPE),
        (lambda m: KVBatchMeta(["a"], [None]), TYPE),
        (lambda m: KVBatchMeta(["a"], {"a": {}}), TYPE),
        (lambda m: KVBatchMeta(fields=5), TYPE),
        (lambda m: KVBatchMeta(fields="x"), TYPE),
        (lambda m: KVBatchMeta(fields=[5]), TYPE),
        (lambda m: KVBatchMeta(extra_info=5), TYPE),
        (lambda m: KVBatchMeta(partition_id=5), TYPE),
        (lambda m: m.chunk(None), TYPE),
        (lambda m: m.chunk(1.5), TYPE),
        (lambda m: m.chunk(10**9), VALUE),
        (lambda m: m.select_keys(None), TYPE),
        (lambda m: m.select_keys(["c"]), errors.StorageKeyNotFoundError),
        (lambda m: m.select_keys(["c"]), RuntimeError),
        (lambda m: m.select_keys(["a", "a"]), VALUE),
        (lambda m: m.select_keys([5]), TYPE),
        (lambda m: m.reorder(None), TYPE),
        (lambda m: m.reorder(["a", "b"]), TYPE),
        (lambda m: m.reorder([0.0, 1.0]), TYPE),
        (lambda m: m.reorder([0, -1]), VALUE),
        (lambda m: KVBatchMeta.concat(5), TYPE),
        (lambda m: KVBatchMeta.concat([5]), TYPE),
    ],
)
def test_a_batch_of_keys_that_can_not_be_is_refused(call, error):
    meta = KVBatchMeta(["a", "b"], [{"n": 1}, {}], "p", ["x"])
    with pytest.raises(error):
        call(meta)
    assert meta == KVBatchMeta(["a", "b"], [{"n": 1}, {}], "p", ["x"])


@pytest.mark.parametrize("number", [np.int64(2), np.uint8(2), torch.tensor(2)])
def test_numbers_of_numpy_and_torch_are_taken(number):
    assert len(BatchMeta([1, 2], ["p", "p"]).chunk(number)) == 2
    assert len(KVBatchMeta(["a"], [{}]).chunk(number)) == 2


@pytest.mark.parametrize("wrong", [None, 5, "x", {}, [1], KVBatchMeta(), SimpleNamespace(size=0)])
def test_what_is_no_batch_is_refused_by_the_client(tq, partition, unharmed, wrong):
    client = tq.get_client()
    with unharmed():
        for name in ("get_data", "set_custom_meta", "clear_samples"):
            with pytest.raises(TYPE, match=f"{name}: metadata"):
                getattr(client, name)(wrong)
        with pytest.raises(TYPE, match="KVBatchMeta"):
            tq.kv_batch_get_by_meta({} if isinstance(wrong, KVBatchMeta) else wrong)


@pytest.mark.parametrize(
    ("size", "error"),
    [
        (None, VALUE),
        (0, VALUE),
        (-1, VALUE),
        (2**70, VALUE),
        (2**40, errors.LimitExceededError),
        (2.0, TYPE),
        (NAN, TYPE),
        (True, TYPE),
        ("2", TYPE),
        (torch.tensor([1, 2]), TYPE),
    ],
)
def test_a_batch_size_that_can_not_be_is_refused(tq, partition, unharmed, size, error):
    client = tq.get_client()
    with unharmed():
        for mode in ("insert", "fetch"):
            with pytest.raises(error):
                client.get_meta(["x"], size, partition, mode=mode, task_name="t", timeout_s=0.1)
        assert client.get_meta(["x"], size, partition, mode="force_fetch").size == 0


@pytest.mark.parametrize("seconds", ["1", [1], float("nan"), -1, -0.001, True])
def test_a_timeout_that_can_not_be_is_refused_by_every_call(tq, partition, unharmed, seconds):
    client = tq.get_client()
    calls = [
        lambda: tq.kv_put("a", partition, tag={}, timeout_s=seconds),
        lambda: tq.kv_list(timeout_s=seconds),
        lambda: tq.kv_clear("a", partition, timeout_s=seconds),
        lambda: client.get_meta(["x"], 1, partition, mode="insert", timeout_s=seconds),
        lambda: client.get_partition_list(timeout_s=seconds),
    ]
    with unharmed():
        for call in calls:
            with pytest.raises((VALUE, TYPE), match="timeout_s"):
                call()


@pytest.mark.parametrize("config", [5, "dp_rank", [1], {1: 0}, {"a": {1}}, {"a": np.zeros(2)}])
def test_a_sampling_config_that_can_not_be_is_named(tq, partition, unharmed, config):
    with unharmed(), pytest.raises(TYPE, match="sampling_config"):
        tq.get_client().get_meta(["x"], 1, partition, task_name="t", sampling_config=config, timeout_s=0.1)


@pytest.mark.parametrize("mode", [None, 5, ["fetch"], {}, "FETCH", b"fetch", ""])
def test_a_mode_that_there_is_not_is_named_with_those_that_there_are(tq, partition, unharmed, mode):
    with unharmed(), pytest.raises(VALUE, match="fetch, insert, force_fetch"):
        tq.get_client().get_meta(["x"], 1, partition, mode=mode, task_name="t", timeout_s=0.1)


@pytest.mark.parametrize("indexes", [None, 1.5, "01", [None], [2**70], [1.0], True, {}])
def test_indexes_that_are_none_are_refused(tq, partition, unharmed, indexes):
    with unharmed(), pytest.raises((VALUE, TYPE)):
        tq.get_client().kv_retrieve_keys(indexes, partition)
