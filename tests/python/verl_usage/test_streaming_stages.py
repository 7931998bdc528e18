"""Stages that stream a step's rows by task, each rank with its share."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor

import torch
from queue_fixtures import running_queue
from tensordict import NonTensorStack, TensorDict

from transfer_queue.dataloader.streaming_dataloader import StreamingDataLoader
from transfer_queue.dataloader.streaming_dataset import StreamingDataset, default_fetch_batch_fn
from transfer_queue.sampler import SeqlenBalancedSampler


def test_stages_stream_balanced_batches_of_a_step_and_hold_back_while_partitions_are_many():
    sampler = SeqlenBalancedSampler(n_samples_per_prompt=2, dp_size=2)
    with running_queue({"controller": {"sampler": sampler, "polling_mode": True}}) as package:
        client = package.get_client()

        async def produce(step: int) -> None:
            while len(await client.async_get_partition_list()) >= 2:  # back-pressure
                await asyncio.sleep(0.01)
            lengths = [3, 4, 10, 11, 5, 6, 7, 8]
            tokens = torch.nested.as_nested_tensor([torch.arange(n) for n in lengths], layout=torch.strided)
            columns = {
                "tokens": tokens,
                "total_lengths": torch.tensor(lengths),
                "info": NonTensorStack(*[{"n": n} for n in lengths]),
            }
            meta = await client.async_put(data=TensorDict(columns, batch_size=8), partition_id=f"train_{step}")
            meta.update_custom_meta([{"total_lengths": n} for n in lengths])
            await client.async_set_custom_meta(meta)

        def make(rank: int, partition: str) -> StreamingDataLoader:
            fetch = functools.partial(default_fetch_batch_fn)
            dataset = StreamingDataset(
                config=None,
                batch_size=4,
                micro_batch_size=2,
                data_fields=["tokens", "total_lengths", "info"],
                partition_id=partition,
                task_name="train",
                dp_rank=rank,
                should_check_consumption_status=True,
                fetch_batch_fn=fetch,
            )
            return StreamingDataLoader(dataset)

        def consume(loader: StreamingDataLoader) -> list[int]:
            seen = []
            for data, meta in loader:
                assert len(meta.samples) == meta.size == data.batch_size[0]
                assert data["tokens"]._offsets.diff().tolist() == data["total_lengths"].tolist()
                assert [value.numel() for value in data["tokens"]] == [info["n"] for info in data["info"]]
                seen += data["total_lengths"].tolist()
                del data["info"]
                assert sorted(data.keys()) == ["tokens", "total_lengths"]
            return seen

        loaders = [make(rank, "train_0") for rank in (0, 0, 1)]  # rank 0 has a sibling
        for step in range(3):
            asyncio.run(produce(step))
            for loader in loaders:
                loader.step(f"train_{step}")
            with ThreadPoolExecutor(3) as threads:
                first, sibling, other = threads.map(consume, loaders)
            assert first == sibling
            assert sorted(first + other) == [3, 4, 5, 6, 7, 8, 10, 11]
            assert abs(sum(first) - sum(other)) <= 8
            assert asyncio.run(client.async_check_consumption_status("train", f"train_{step}"))
            asyncio.run(client.async_clear_partition(f"train_{step}"))
            client.reset_consumption(f"train_{step}", "train")
