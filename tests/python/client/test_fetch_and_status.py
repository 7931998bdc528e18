"""Insert, fetch, force_fetch; what is consumed, what is ready, which index comes next."""

from __future__ import annotations

import pickle
import threading
import time

import pytest
import torch
from tensordict import TensorDict

import transferqueue
from transferqueue import BatchMeta


@pytest.fixture
def client(tq):
    return tq.get_client()


def columns(rows: int, **fields) -> TensorDict:
    return TensorDict(fields or {"x": torch.arange(rows)}, batch_size=rows)


def test_a_put_makes_rows_that_a_task_fetches_once(client, partition):
    made = client.put(columns(8), partition_id=partition)
    assert made.size == 8
    assert made.is_ready
    assert made.field_names == ["x"]
    first = client.get_meta(["x"], 5, partition, task_name="t")
    second = client.get_meta(["x"], 3, partition, task_name="t")
    assert first.global_indexes + second.global_indexes == made.global_indexes
    assert client.get_data(first)["x"].tolist() == [0, 1, 2, 3, 4]
    assert client.get_data(second)["x"].tolist() == [5, 6, 7]
    assert client.check_consumption_status("t", partition)
    assert not client.check_consumption_status("other", partition)
    assert client.get_meta(["x"], 8, partition, task_name="other").size == 8


def test_inserted_rows_become_ready_field_by_field(client, partition):
    rows = client.get_meta(["x", "y"], 4, partition, mode="insert")
    assert rows.size == 4
    assert not rows.is_ready
    assert not client.check_production_status(["x"], partition)
    same = client.put(columns(4), metadata=rows)
    assert same is rows
    assert rows.is_ready
    assert client.check_production_status(["x"], partition)
    assert not client.check_production_status(["x", "y"], partition)
    client.put(columns(4, y=torch.ones(4, 2)), metadata=rows)
    assert rows.field_names == ["x", "y"]
    indexes, status = client.get_production_status(["y", "x"], partition)
    assert indexes.tolist() == rows.global_indexes
    assert status.tolist() == [[1, 1]] * 4
    assert status.dtype == torch.int8


def test_a_fetch_waits_for_the_rows_that_are_missing(client, partition):
    client.put(columns(2), partition_id=partition)
    got: list[BatchMeta] = []
    waiter = threading.Thread(
        target=lambda: got.append(client.get_meta(["x"], 4, partition, task_name="t", timeout_s=30))
    )
    waiter.start()
    time.sleep(0.2)
    assert not got
    client.put(columns(2), partition_id=partition)
    waiter.join(20)
    assert got[0].size == 4


def test_a_fetch_that_finds_too_little_says_what_is_missing(client, partition):
    rows = client.put(columns(3), partition_id=partition)
    client.put(columns(1, y=torch.zeros(1)), metadata=rows[0])
    with pytest.raises(TimeoutError, match="1 of 3") as caught:
        client.get_meta(["x", "y"], 3, partition, task_name="t", timeout_s=0.2)
    assert isinstance(caught.value, transferqueue.errors.NotReadyError)
    assert "y" in str(caught.value)
    assert client.get_meta(["x", "y"], 1, partition, task_name="t", timeout_s=0.2).size == 1


def test_others_are_served_while_one_waits(client, partition):
    refusals: list[TimeoutError] = []

    def wait_in_vain() -> None:
        try:
            client.get_meta(["x"], 4, partition, task_name="t", timeout_s=1.5)
        except TimeoutError as error:
            refusals.append(error)

    waiter = threading.Thread(target=wait_in_vain)
    waiter.start()
    answers = 0
    while waiter.is_alive():
        client.get_partition_list()
        answers += 1
    assert answers > 20
    assert len(refusals) == 1


def test_force_fetch_sees_everything_and_consumes_nothing(client, partition):
    made = client.put(columns(3), partition_id=partition)
    client.get_meta(["x"], 2, partition, task_name="t")
    client.get_meta(["x"], 2, partition, mode="insert")
    seen = client.get_meta(["x"], None, partition, mode="force_fetch")
    assert seen.size == 5
    assert seen.production_status.tolist() == [1, 1, 1, 0, 0]
    assert seen.global_indexes[:3] == made.global_indexes
    assert client.get_meta(["x"], 1, partition, task_name="t").global_indexes == made.global_indexes[2:]


def test_a_check_says_whether_all_rows_are_consumed(client, partition):
    client.put(columns(3), partition_id=partition)
    client.get_meta(["x"], 2, partition, task_name="t")
    assert client.check_consumption_status("t", partition) is False
    client.get_meta(["x"], 1, partition, task_name="t")
    assert client.check_consumption_status("t", partition) is True
    client.put(columns(1), partition_id=partition)
    assert client.check_consumption_status("t", partition) is False


def test_reset_consumption_lets_a_task_fetch_again(client, partition):
    client.put(columns(3), partition_id=partition)
    first = client.get_meta(["x"], 3, partition, task_name="t")
    assert client.reset_consumption(partition, "t")
    assert client.get_meta(["x"], 3, partition, task_name="t").global_indexes == first.global_indexes
    assert client.reset_consumption(partition + "-missing") is True


def test_statuses_of_what_is_not_there_are_none(client, partition):
    assert client.get_production_status(["x"], partition) == (None, None)
    assert client.get_consumption_status("t", partition) == (None, None)
    assert client.check_production_status(["x"], partition) is False
    assert client.check_production_status([], partition) is False
    assert client.check_consumption_status("t", partition) is False
    client.put(columns(2), partition_id=partition)
    assert client.get_production_status(["never"], partition) == (None, None)
    assert client.get_production_status([], partition) == (None, None)
    indexes, status = client.get_consumption_status("t", partition)
    assert (len(indexes), status.tolist()) == (2, [0, 0])


def test_a_meta_that_outlived_a_clear_is_stale(client, partition):
    made = client.put(columns(2), partition_id=partition)
    client.clear_samples(made)
    client.put(columns(2, x=torch.tensor([77, 88])), partition_id=partition)
    with pytest.raises(transferqueue.errors.StaleBatchError):
        client.get_data(made)
    with pytest.raises(KeyError):
        client.get_data(pickle.loads(pickle.dumps(made)))
    with pytest.raises(transferqueue.errors.StaleBatchError):
        client.put(columns(2, y=torch.zeros(2)), metadata=made)
    client.clear_samples(made)
    assert client.get_meta(["x"], None, partition, mode="force_fetch").size == 2


def test_custom_meta_travels_and_replaces(client, partition):
    made = client.put(columns(2), partition_id=partition)
    made.update_custom_meta([{"len": 3}, {"len": 5, "a": 1}])
    client.set_custom_meta(made)
    fetched = client.get_meta(["x"], 2, partition, task_name="t")
    assert fetched.custom_meta == [{"len": 3}, {"len": 5, "a": 1}]
    fetched.clear_custom_meta()
    client.set_custom_meta(fetched)
    assert client.get_meta(["x"], 2, partition, task_name="u").custom_meta == [{}, {}]


def test_a_pickled_meta_reads_the_same_rows_elsewhere(client, partition):
    made = client.put(columns(6), partition_id=partition)
    part = pickle.loads(pickle.dumps(made)).chunk(chunks=2)[1]
    assert client.get_data(part)["x"].tolist() == [3, 4, 5]


def test_a_batch_of_several_partitions_reads_and_clears(client, partition):
    one = client.put(columns(2), partition_id=partition)
    two = client.put(columns(2, x=torch.tensor([10, 11])), partition_id=partition + "b")
    both = BatchMeta.concat([two, one])
    assert client.get_data(both)["x"].tolist() == [10, 11, 0, 1]
    client.clear_samples(both)
    assert client.get_meta(["x"], None, partition + "b", mode="force_fetch").size == 0


def test_keys_and_rows_name_each_other(tq, client, partition):
    tq.kv_batch_put(["a", "b"], partition, columns(2), tags=[{"n": 1}, {}])
    meta = client.kv_retrieve_meta(["b", "zz", "a"], partition)
    assert client.kv_retrieve_keys(meta.global_indexes, partition) == ["b", "a"]
    assert meta.custom_meta == [{}, {"n": 1}]
    assert client.get_data(meta)["x"].tolist() == [1, 0]
    assert client.kv_retrieve_keys([999_999], partition) == [None]
    made = client.kv_retrieve_meta(["new"], partition, create=True)
    assert made.size == 1
    assert tq.kv_list(partition)[partition]["new"] == {}
    assert client.kv_retrieve_meta(["a"], partition + "-missing").size == 0
    with pytest.raises(RuntimeError):
        client.kv_retrieve_keys([1], partition + "-missing")
    with pytest.raises(ValueError, match="at least one"):
        client.kv_retrieve_keys([], partition)
    with pytest.raises(TypeError):
        client.kv_retrieve_keys(["a"], partition)


def test_an_empty_meta_reads_nothing(client):
    assert client.get_data(BatchMeta.empty()).batch_size == torch.Size([0])
    with pytest.raises(ValueError, match="empty"):
        client.put(columns(0), metadata=BatchMeta.empty())
    client.clear_samples(BatchMeta.empty())


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": None, "mode": "insert"},
        {"batch_size": 0, "task_name": "t"},
        {"batch_size": 2, "mode": "sideways"},
        {"batch_size": 2, "task_name": None},
        {"batch_size": 2, "task_name": "t", "data_fields": 5},
    ],
)
def test_arguments_that_make_no_sense_are_refused(client, partition, arguments):
    with pytest.raises((ValueError, TypeError)):
        client.get_meta(**{"data_fields": ["x"], "partition_id": partition, **arguments})
    assert partition not in client.get_partition_list()


def test_shapes_promote_to_nested_and_back(client, partition):
    even = client.put(columns(2, x=torch.zeros(2, 3)), partition_id=partition)
    odd = client.put(columns(1, x=torch.zeros(1, 5)), partition_id=partition)
    schema = client.get_meta(["x"], None, partition, mode="force_fetch").field_schema["x"]
    assert schema["is_nested"]
    assert [tuple(shape) for shape in schema["per_sample_shapes"]] == [(3,), (3,), (5,)]
    client.clear_samples(odd)
    schema = client.get_meta(["x"], None, partition, mode="force_fetch").field_schema["x"]
    assert not schema["is_nested"]
    assert tuple(schema["shape"]) == (3,)
    assert even.size == 2


def test_custom_meta_of_a_partition_that_is_gone_is_ignored(client, partition):
    made = client.put(columns(2), partition_id=partition)
    gone = client.put(columns(1), partition_id=partition + "-gone")
    client.clear_partition(partition + "-gone")
    both = BatchMeta.concat([gone, made])
    both.update_custom_meta([{"n": 0}, {"n": 1}, {"n": 2}])
    client.set_custom_meta(both)
    assert client.get_meta(["x"], None, partition, mode="force_fetch").custom_meta == [{"n": 1}, {"n": 2}]
    assert partition + "-gone" not in client.get_partition_list()


def test_custom_meta_of_a_cleared_row_is_refused_and_goes_with_the_row(client, partition):
    made = client.put(columns(3), partition_id=partition)
    made.update_custom_meta([{"n": 0}, {"n": 1}, {"n": 2}])
    client.set_custom_meta(made)
    client.clear_samples(made[0])
    made.update_custom_meta([{"late": True}] * 3)
    with pytest.raises(transferqueue.errors.StaleBatchError):
        client.set_custom_meta(made)
    seen = client.get_meta(["x"], None, partition, mode="force_fetch")
    assert seen.custom_meta == [{"n": 1}, {"n": 2}]
    new = client.put(columns(1), partition_id=partition)
    assert client.get_meta(["x"], None, partition, mode="force_fetch").custom_meta.count({}) == 1
    assert new.custom_meta == [{}]


def test_a_put_sends_the_custom_meta_of_its_rows(client, partition):
    made = client.put(columns(2), partition_id=partition)
    made.update_custom_meta([{"n": 1}, {}])
    client.put(columns(2, y=torch.zeros(2)), metadata=made)
    assert client.get_meta(["x"], None, partition, mode="force_fetch").custom_meta == [{"n": 1}, {}]


def test_a_dtype_that_contradicts_the_field_changes_nothing(client, partition):
    made = client.put(columns(2), partition_id=partition)
    rows = client.get_meta(["x"], 1, partition, mode="insert")
    with pytest.raises(ValueError, match=r"holds int64, the put brings float32"):
        client.put(columns(1, x=torch.zeros(1), y=torch.ones(1)), metadata=rows)
    assert not rows.is_ready
    assert client.get_production_status(["y"], partition) == (None, None)
    assert client.get_production_status(["x"], partition)[1].tolist() == [[1], [1], [0]]
    assert client.get_data(made)["x"].tolist() == [0, 1]


def test_overwriting_the_odd_row_makes_a_field_dense_again_too(client, partition):
    client.put(columns(2, x=torch.zeros(2, 3)), partition_id=partition)
    odd = client.put(columns(1, x=torch.zeros(1, 3, 2)), partition_id=partition)
    seen = client.get_meta(["x"], None, partition, mode="force_fetch")
    assert seen.get_shapes("x") == [(3,), (3,), (3, 2)]
    assert [tuple(row.shape) for row in client.get_data(seen)["x"]] == [(3,), (3,), (3, 2)]
    client.put(columns(1, x=torch.ones(1, 3)), metadata=odd)
    seen = client.get_meta(["x"], None, partition, mode="force_fetch")
    assert seen.field_schema["x"]["is_nested"] is False
    assert seen.get_shapes("x") == (3,)
    assert client.get_data(seen)["x"].to_padded_tensor(0).sum() == 3
