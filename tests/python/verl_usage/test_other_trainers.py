"""What other frameworks do with the peer's calls."""

from __future__ import annotations

import asyncio
import functools
import pickle
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from queue_fixtures import running_queue
from tensordict import NonTensorStack, TensorDict

import transfer_queue as tq


@pytest.fixture(scope="module")
def queue():
    conf = {"controller": {"polling_mode": True}, "backend": {"SimpleStorage": {"total_storage_size": 1000}}}
    with running_queue(conf) as package:
        yield package


def test_a_data_plane_registers_fields_by_a_placeholder_and_polls_by_task(queue, partition):
    client = tq.get_client()
    fields = {"input_ids": torch.zeros(1, 1, dtype=torch.int64), "input_lengths": torch.zeros(1, dtype=torch.int64)}
    tq.kv_batch_put(keys=["placeholder"], partition_id=partition, fields=TensorDict(fields, batch_size=1))
    tq.kv_clear(keys=["placeholder"], partition_id=partition)
    ask = functools.partial(
        client.get_meta, data_fields=["input_ids", "input_lengths"], partition_id=partition, mode="fetch"
    )
    assert ask(batch_size=4, task_name="train", sampling_config={"dp_rank": 0}).size == 0
    keys = [f"u{n // 4}_g{n % 4}" for n in range(8)]
    lengths = torch.arange(1, 9)
    ids = torch.nested.as_nested_tensor([torch.arange(int(n)) for n in lengths], layout=torch.jagged)
    tq.kv_batch_put(
        keys=keys,
        partition_id=partition,
        fields=TensorDict({"input_ids": ids, "input_lengths": lengths}, batch_size=8),
        tags=[{"input_lengths": int(n)} for n in lengths],
    )
    taken = []
    for rank in (0, 1):
        meta = ask(batch_size=4, task_name="train", sampling_config={"dp_rank": rank})
        taken += client.kv_retrieve_keys(global_indexes=meta.global_indexes, partition_id=partition)
        assert [tag["input_lengths"] for tag in meta.custom_meta] == client.get_data(meta)["input_lengths"].tolist()
        assert client.check_consumption_status(task_name="train", partition_id=partition) is (rank == 1)
    assert taken == keys


def test_arrays_of_objects_are_columns(queue, partition):
    values = np.empty(2, dtype=object)
    values[:] = [{"a": 1}, "text"]
    columns = TensorDict({"o": NonTensorStack(*values), "n": torch.tensor([1, 2])}, batch_size=2)
    tq.kv_batch_put(keys=["a", "b"], partition_id=partition, fields=columns)
    assert tq.kv_batch_get(keys=["b", "a"], partition_id=partition).get("o").tolist() == ["text", {"a": 1}]


def test_a_transfer_backend_works_from_the_threads_of_an_executor(queue, partition):
    async def step(rows: list[str]) -> list[int]:
        loop = asyncio.get_running_loop()
        numbers = [int(row[:4], 16) for row in rows]
        columns = TensorDict({"n": torch.tensor(numbers), "s": NonTensorStack(*rows)}, batch_size=len(rows))
        put = functools.partial(tq.kv_batch_put, keys=rows, fields=columns, partition_id=partition)
        await loop.run_in_executor(None, put)
        get = functools.partial(tq.kv_batch_get, keys=rows, select_fields=["n", "s"], partition_id=partition)
        got = await loop.run_in_executor(None, get)
        assert set(got.keys()) == {"n", "s"}
        await loop.run_in_executor(None, functools.partial(tq.kv_clear, keys=rows, partition_id=partition))
        return got["n"].tolist() == numbers and got.get("s").tolist() == rows

    async def all_steps() -> list[bool]:
        return await asyncio.gather(*[step([uuid.uuid4().hex for _ in range(5)]) for _ in range(12)])

    assert asyncio.run(all_steps()) == [True] * 12
    assert tq.kv_list(partition)[partition] == {}


def test_handles_of_columns_are_joined_and_each_call_has_a_loop_of_its_own(queue, partition):
    client = tq.get_client()

    def run(coroutine):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, coroutine).result(60)

    one = run(client.async_put(data=TensorDict({"latents": torch.ones(4, 2, 3)}, batch_size=4), partition_id=partition))
    both = run(client.async_put(data=TensorDict({"rewards": torch.arange(4.0)}, batch_size=4), metadata=one))
    latents, rewards = (pickle.loads(pickle.dumps(both.select_fields([name]))) for name in ("latents", "rewards"))
    whole = latents.union(rewards)
    assert whole.field_names == ["latents", "rewards"]
    assert set(whole.partition_ids) == {partition}
    got = run(client.async_get_data(whole))
    assert torch.stack(list(got["latents"].unbind())).shape == (4, 2, 3)
    assert got["rewards"].tolist() == [0.0, 1.0, 2.0, 3.0]
    client.clear_partition(partition)
    assert partition not in client.get_partition_list()
