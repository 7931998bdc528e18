"""The call patterns of training frameworks, each as it is made there, through the alias and one queue that polls."""

from __future__ import annotations

import asyncio
import importlib.resources
import pickle
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from queue_fixtures import running_queue
from tensordict import NonTensorData, NonTensorStack, TensorDict
from tensordict.utils import LinkedList


@pytest.fixture(scope="module")
def tq():
    """The alias, started the way NeMo-RL does it: the package's file with an overlay."""
    import transfer_queue

    file = OmegaConf.load(str(importlib.resources.files("transfer_queue") / "config.yaml"))
    overlay = {
        "controller": {"polling_mode": True},
        "backend": {
            "storage_backend": "SimpleStorage",
            "SimpleStorage": {"total_storage_size": 1_000_000, "num_data_storage_units": 2},
        },
    }
    with running_queue(OmegaConf.merge(file, overlay)):
        assert transfer_queue.init(conf=file) is file, "every worker may call it again"
        yield transfer_queue


def ragged(*lengths: int) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.arange(n) for n in lengths], layout=torch.jagged)


def test_a_task_polls_until_there_are_rows_and_drops_what_it_has_done(tq, partition):
    client = tq.get_client()

    def fetch(task: str):
        return client.get_meta(
            data_fields=["input_ids"],
            batch_size=2,
            partition_id=partition,
            task_name=task,
            mode="fetch",
            sampling_config={"dp_rank": 0},
        )

    assert fetch("logprobs").size == 0
    keys = [f"{uuid.uuid4().hex}_g{i}" for i in range(2)]
    tq.kv_batch_put(
        keys=keys,
        partition_id=partition,
        fields=TensorDict({"input_ids": ragged(3, 5), "mask": torch.ones(2)}, batch_size=[2]),
        tags=[{"input_lengths": 3}, {"input_lengths": 5}],
    )
    meta = fetch("logprobs")
    assert client.kv_retrieve_keys(global_indexes=meta.global_indexes, partition_id=partition) == keys
    assert [tag["input_lengths"] for tag in meta.custom_meta] == [3, 5]
    assert client.check_consumption_status(task_name="logprobs", partition_id=partition)
    data = tq.kv_batch_get(keys=keys, partition_id=partition, select_fields=["input_ids", "mask"])
    assert data["input_ids"].offsets().diff().tolist() == [3, 5]
    assert data["mask"].tolist() == [1, 1]
    assert list(tq.kv_list(partition_id=partition)[partition]) == keys
    tq.kv_clear(keys=keys, partition_id=partition)
    tq.kv_clear(keys=keys, partition_id=partition)
    assert tq.kv_list(partition_id=partition)[partition] == {}


def test_rows_with_random_names_go_through_a_pool_of_threads(tq, partition):
    rows = [str(uuid.uuid4()) for _ in range(16)]

    def put_and_get(start: int) -> dict[str, int]:
        part = rows[start : start + 4]
        texts = np.array([{"n": i} for i in range(start, start + 4)], dtype=object)
        fields = TensorDict({"x": torch.full((4, 3), start), "extra": NonTensorStack(*texts)}, batch_size=[4])
        tq.kv_batch_put(keys=part, fields=fields, partition_id=partition)
        data = tq.kv_batch_get(keys=part, select_fields=["x", "extra"], partition_id=partition)
        assert set(data.keys()) == {"x", "extra"}
        assert all(isinstance(data[name], torch.Tensor | LinkedList) for name in data.keys())  # noqa: SIM118
        return {row: int(x[0]) + 0 * extra["n"] for row, x, extra in zip(part, data["x"], data["extra"], strict=True)}

    async def all_parts() -> list[dict[str, int]]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(4) as pool:
            return await asyncio.gather(*(loop.run_in_executor(pool, put_and_get, start) for start in range(0, 16, 4)))

    read = {row: value for part in asyncio.run(all_parts()) for row, value in part.items()}
    assert read == {row: i // 4 * 4 for i, row in enumerate(rows)}


def test_handles_carry_metadata_of_columns_that_are_joined_later(tq, partition):
    from transfer_queue import AsyncTransferQueueClient, TransferQueueController, process_zmq_server_info

    client = AsyncTransferQueueClient("rank0", process_zmq_server_info(TransferQueueController.remote()))
    client.initialize_storage_manager(manager_type="AsyncSimpleStorageManager", config={"zmq_info": {}})
    latents = asyncio.run(
        client.async_put(data=TensorDict({"latents": torch.zeros(3, 2, 2)}, batch_size=3).cpu(), partition_id=partition)
    )
    more = asyncio.run(
        client.async_put(data=TensorDict({"reward": torch.arange(3.0)}, batch_size=3), metadata=latents.copy())
    )
    one = pickle.loads(pickle.dumps(latents.select_fields(["latents"])))
    both = one.union(pickle.loads(pickle.dumps(more.select_fields(["reward"]))))
    assert both.partition_ids == [partition] * 3
    data = asyncio.run(client.async_get_data(both))
    assert data["reward"].tolist() == [0, 1, 2]
    assert torch.stack(list(data["latents"])).shape == (3, 2, 2)
    shared = TensorDict({"config": NonTensorData({"steps": 11}, batch_size=[1])}, batch_size=[1])
    meta = asyncio.run(client.async_put(data=shared, partition_id=partition))
    assert asyncio.run(client.async_get_data(meta))["config"][0] == {"steps": 11}
    asyncio.run(client.async_clear_partition(partition))
    client.close()


def test_a_stream_of_samples_is_tagged_fetched_and_measured(tq, partition):
    client = tq.get_client()
    strided = torch.nested.nested_tensor([torch.arange(2), torch.arange(4)])
    data = TensorDict(
        {"tokens": strided, "total_lengths": torch.tensor([2, 4]), "reward": torch.tensor([0.5, 1.0])}, batch_size=2
    )
    data["multimodal_train_inputs"] = NonTensorStack(None, {"pixel_values": torch.ones(1, 3)})
    meta = asyncio.run(client.async_put(data=data, partition_id=partition))
    meta.update_custom_meta([{"total_lengths": 2}, {"total_lengths": 4}])
    asyncio.run(client.async_set_custom_meta(meta))
    assert partition in asyncio.run(client.async_get_partition_list())
    fetched = asyncio.run(
        client.async_get_meta(
            data_fields=["tokens", "total_lengths", "reward", "multimodal_train_inputs"],
            batch_size=2,
            partition_id=partition,
            task_name="train",
            sampling_config={"dp_rank": 0, "task_name": "train", "batch_index": 0, "partition_id": partition},
        )
    )
    assert len(fetched.samples) == fetched.size == 2
    assert [part.size for part in fetched.chunk(2)] == [1, 1]
    got = client.get_data(fetched)
    assert got["tokens"]._values.tolist() == [0, 1, 0, 1, 2, 3]
    assert got["tokens"]._offsets.tolist() == [0, 2, 6]
    assert {name: column.tolist() for name, column in got.items() if "lengths" in name or name == "reward"} == {
        "total_lengths": [2, 4],
        "reward": [0.5, 1.0],
    }
    images = got["multimodal_train_inputs"]
    assert images[0] is None
    assert torch.equal(images[1]["pixel_values"], torch.ones(1, 3))
    del got["tokens"]
    assert "tokens" not in got
    assert asyncio.run(client.async_check_consumption_status("train", partition))
    assert asyncio.run(client.async_check_production_status(["tokens"], partition))
    assert client.reset_consumption(partition, "train")
    assert not asyncio.run(client.async_check_consumption_status("train", partition))


def test_columns_made_by_many_ranks_are_put_and_read_by_the_meta_of_the_driver(tq, partition):
    keys = [f"u{i}_0_0" for i in range(5)]
    batch = tq.kv_batch_put(
        keys=keys,
        partition_id=partition,
        fields=TensorDict({"prompts": ragged(1, 2, 3, 4, 5)}, batch_size=5),
        tags=[{"seq_len": n, "status": "finished"} for n in range(1, 6)],
    )
    client = tq.get_client()
    meta = client.kv_retrieve_meta(keys=batch.keys, partition_id=batch.partition_id, create=False)
    meta.extra_info = {"temperature": 0.7}
    outputs = []
    for rank, chunk in enumerate(pickle.loads(pickle.dumps(meta)).chunk(chunks=2)):
        rows = asyncio.run(client.async_get_data(chunk.select_fields(["prompts"])))
        done = TensorDict({"log_probs": rows["prompts"] * 0.5, "entropy": rows["prompts"] * 1.0}, batch_size=len(rows))
        output = asyncio.run(client.async_put(data=done, metadata=chunk))
        output.extra_info = {"metrics": {"rank": rank}}
        outputs.append(pickle.loads(pickle.dumps(output)))
    outputs.append(tq.BatchMeta())
    for output in outputs:
        output.extra_info = {}
    joined = tq.BatchMeta.concat(outputs)
    assert (
        asyncio.run(
            client.async_kv_retrieve_keys(global_indexes=joined.global_indexes, partition_id=joined.partition_ids[0])
        )
        == keys
    )
    updated = tq.KVBatchMeta(keys=keys, tags=[{}] * joined.size, partition_id=partition, fields=joined.field_names)
    updated.tags = batch.tags
    read = tq.kv_batch_get_by_meta(updated, select_fields=["log_probs", "entropy"])
    assert read["log_probs"][4].tolist() == [0, 0.5, 1, 1.5, 2]
    assert read["entropy"].to_padded_tensor(padding=-1.0).shape == (5, 5)
    listed = tq.kv_list()
    assert listed[partition]["u3_0_0"] == {"seq_len": 4, "status": "finished"}
