"""The coroutines: a new event loop per call, many tasks on one loop, inside a running loop, many threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import torch
from tensordict import TensorDict


def one(value: int) -> TensorDict:
    return TensorDict({"x": torch.full((1, 5), value)}, batch_size=1)


def test_every_call_may_bring_its_own_event_loop(tq, partition):
    for step in range(20):
        asyncio.run(tq.async_kv_batch_put([f"k{step}"], partition, one(step), tags=[{"step": step}]))
    got = asyncio.run(tq.async_kv_batch_get([f"k{step}" for step in range(20)], partition))
    assert [row[0].item() for row in got["x"].unbind()] == list(range(20))
    assert asyncio.run(tq.async_kv_list(partition))[partition]["k7"] == {"step": 7}
    asyncio.run(tq.async_kv_clear("k7", partition))
    assert "k7" not in asyncio.run(tq.async_kv_list(partition))[partition]


def test_many_tasks_on_one_loop(tq, partition):
    async def produce(task: int) -> None:
        for step in range(10):
            await tq.async_kv_put(f"t{task}-{step}", partition, {"x": torch.tensor([task, step])}, {"status": "done"})

    async def run() -> dict:
        await asyncio.gather(*(produce(task) for task in range(32)))
        return await tq.async_kv_list(partition)

    listing = asyncio.run(run())[partition]
    assert len(listing) == 320
    assert all(tag == {"status": "done"} for tag in listing.values())
    got = tq.kv_batch_get([f"t{task}-9" for task in range(32)], partition)["x"]
    assert [row.tolist() for row in got.unbind()] == [[task, 9] for task in range(32)]


def test_plain_calls_work_inside_a_running_loop(tq, partition):
    async def run() -> list[int]:
        tq.kv_batch_put(["a"], partition, one(4))
        got = await tq.async_kv_batch_get("a", partition)
        return tq.kv_batch_get("a", partition)["x"][0].tolist() + got["x"][0].tolist()

    assert asyncio.run(run()) == [4] * 10


def test_coroutines_of_several_threads_with_loops_of_their_own(tq, partition):
    def work(thread: int) -> None:
        async def puts() -> None:
            for step in range(10):
                await tq.async_kv_put(f"{thread}-{step}", partition, tag={"n": step})

        asyncio.run(puts())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tq.kv_list(partition)[partition]) == 60


def test_a_cancelled_call_leaves_the_connection_usable(tq, partition):
    client = tq.get_client()

    async def run() -> None:
        waiting = asyncio.create_task(client.async_get_meta(["x"], 4, partition, task_name="t", timeout_s=30))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await tq.async_kv_put("a", partition, tag={"alive": True})

    asyncio.run(run())
    assert tq.kv_list(partition)[partition] == {"a": {"alive": True}}
