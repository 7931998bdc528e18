"""Rows that a partition reserves: they count where a consumer asks whether it is done, and are used first."""

from __future__ import annotations

import pytest
import torch
from queue_fixtures import running_queue
from tensordict import TensorDict


@pytest.fixture(scope="module")
def tq():
    with running_queue({"transferqueue": {"pre_allocated_rows": 4}}) as package:
        yield package


@pytest.fixture
def client(tq):
    return tq.get_client()


def columns(rows: int) -> TensorDict:
    return TensorDict({"x": torch.arange(rows)}, batch_size=rows)


def test_reserved_rows_count_in_both_statuses_until_they_are_put(client, partition):
    first = client.put(columns(3), partition_id=partition)
    indexes, produced = client.get_production_status(["x"], partition)
    assert produced[:, 0].tolist() == [1, 1, 1, 0]
    assert indexes.tolist()[:3] == first.global_indexes
    assert client.check_production_status(["x"], partition) is False
    assert client.get_meta(["x"], 3, partition, task_name="t").size == 3
    assert client.get_consumption_status("t", partition)[1].tolist() == [1, 1, 1, 0]
    assert client.check_consumption_status("t", partition) is False, "a row is still to come"
    last = client.put(columns(1), partition_id=partition)
    assert last.global_indexes == indexes.tolist()[3:]
    assert client.check_production_status(["x"], partition) is True
    assert client.get_meta(["x"], 1, partition, task_name="t").global_indexes == last.global_indexes
    assert client.check_consumption_status("t", partition) is True


def test_force_fetch_sees_reserved_rows_and_listings_do_not(tq, client, partition):
    tq.kv_put("a", partition, {"x": torch.tensor(1)})
    seen = client.get_meta(["x"], None, partition, mode="force_fetch")
    assert seen.production_status.tolist() == [1, 0, 0, 0]
    assert list(tq.kv_list(partition)[partition]) == ["a"]
    assert client.kv_retrieve_keys(seen.global_indexes, partition) == ["a", None, None, None]
    made = client.kv_retrieve_meta(["b", "c"], partition, create=True)
    assert made.global_indexes == seen.global_indexes[1:3]


def test_what_is_inserted_beyond_the_reserve_gets_new_rows(client, partition):
    meta = client.get_meta(["x"], 6, partition, mode="insert")
    assert meta.size == len(set(meta.global_indexes)) == 6
    assert meta.global_indexes == sorted(meta.global_indexes)
    assert client.get_meta(["x"], None, partition, mode="force_fetch").size == 6
    client.clear_partition(partition)
    assert client.get_consumption_status("t", partition) == (None, None)


def test_a_cleared_reserve_is_not_handed_out(client, partition):
    client.put(columns(1), partition_id=partition)
    everything = client.get_meta(["x"], None, partition, mode="force_fetch")
    client.clear_samples(everything)
    assert client.get_meta(["x"], None, partition, mode="force_fetch").size == 0
    assert client.put(columns(2), partition_id=partition).size == 2
    assert client.check_production_status(["x"], partition) is True
