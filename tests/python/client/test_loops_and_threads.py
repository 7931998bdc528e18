"""Every coroutine of the client on an event loop of its own, in threads, and every plain call inside a running loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from tensordict import TensorDict


def columns(rows: int = 2) -> TensorDict:
    return TensorDict({"x": torch.arange(rows)}, batch_size=rows)


def plan(client: Any, name: str) -> dict[str, Callable[[], tuple[Any, ...]]]:
    """By method: makes its arguments."""
    meta = client.put(columns(), partition_id=name)
    return {
        "put": lambda: (columns(), None, name),
        "get_meta": lambda: (["x"], 1, name, "insert"),
        "get_data": lambda: (meta,),
        "set_custom_meta": lambda: (meta,),
        "get_production_status": lambda: (["x"], name),
        "get_consumption_status": lambda: ("t", name),
        "check_production_status": lambda: (["x"], name),
        "check_consumption_status": lambda: ("t", name),
        "reset_consumption": lambda: (name,),
        "get_partition_list": lambda: (),
        "kv_retrieve_meta": lambda: (["a"], name, True),
        "kv_retrieve_keys": lambda: (meta.global_indexes, name),
        "kv_list": lambda: (name,),
        "stats": lambda: (),
        "clear_samples": lambda: (meta,),
        "clear_partition": lambda: (name,),
    }


def missing(client: Any, name: str) -> set[str]:
    """Methods that the plan has not."""
    names = {member.removeprefix("async_") for member in dir(client) if member.startswith("async_")}
    client.clear_partition(name)
    return {called for called in names - plan(client, name).keys() if "checkpoint" not in called}


def test_the_plan_has_every_method(tq, partition):
    assert missing(tq.get_client(), partition) == set()


@pytest.mark.parametrize("threads", [1, 4])
def test_each_coroutine_runs_on_a_new_loop_in_any_thread(tq, partition, threads):
    client = tq.get_client()

    def run_all(number: int) -> int:
        done = 0
        for method, arguments in plan(client, f"{partition}-{number}").items():
            asyncio.run(getattr(client, f"async_{method}")(*arguments()))
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        assert len(set(pool.map(run_all, range(threads)))) == 1


def test_each_plain_call_works_inside_a_running_loop(tq, partition):
    client = tq.get_client()

    async def run_all() -> list[str]:
        done = []
        for method, arguments in plan(client, partition).items():
            result = getattr(client, method)(*arguments())
            assert not inspect.isawaitable(result)
            done.append(method)
        return done

    assert len(asyncio.run(run_all())) == 16


def test_coroutines_of_one_loop_run_side_by_side(tq, partition):
    client = tq.get_client()

    async def put_and_get(number: int) -> int:
        meta = await client.async_put(columns(number + 1), partition_id=f"{partition}-{number}")
        return len(await client.async_get_data(meta))

    async def run() -> list[int]:
        return await asyncio.gather(*(put_and_get(number) for number in range(20)))

    assert asyncio.run(run()) == list(range(1, 21))
