"""What depends on how a queue was started: each test has one of its own."""

from __future__ import annotations

import pytest
import torch
from queue_fixtures import running_queue
from tensordict import TensorDict


def columns(rows: int, **fields) -> TensorDict:
    return TensorDict(fields or {"x": torch.arange(rows)}, batch_size=rows)


def test_global_indexes_are_reused_first_in_first_out():
    with running_queue() as tq:
        client = tq.get_client()
        assert client.get_meta(["x"], 32, "p1", mode="insert").global_indexes == list(range(32))
        assert client.get_meta(["x"], 16, "p2", mode="insert").global_indexes == list(range(32, 48))
        client.clear_partition("p1")
        assert client.get_partition_list() == ["p2"]
        p3 = client.get_meta(["x"], 64, "p3", mode="insert")
        assert p3.global_indexes == list(range(32)) + list(range(48, 80))


def test_polling_mode_returns_an_empty_batch_at_once():
    with running_queue({"controller": {"polling_mode": True}}) as tq:
        client = tq.get_client()
        client.put(columns(2), partition_id="p")
        assert client.get_meta(["x"], 4, "p", task_name="t").size == 0
        assert client.get_meta(["x"], 2, "p", task_name="t").size == 2


def test_a_row_limit_is_kept():
    with running_queue({"backend": {"SimpleStorage": {"total_storage_size": 4, "num_data_storage_units": 1}}}) as tq:
        client = tq.get_client()
        rows = client.put(columns(4), partition_id="p")
        with pytest.raises(RuntimeError, match="4"):
            client.put(columns(1), partition_id="p")
        client.put(columns(4, y=torch.zeros(4)), metadata=rows)
        client.clear_samples(rows[0])
        client.put(columns(1), partition_id="p")
