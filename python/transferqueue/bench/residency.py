"""P14: memory of all processes per byte stored, and whether it grows with the steps of a job."""

from __future__ import annotations

import gc
import time
from typing import Any

from transferqueue.bench import batches
from transferqueue.bench.own_queue import core_pid, own_queue, processes, proportional_bytes, shared_memory_bytes
from transferqueue.bench.series import number
from transferqueue.bench.yardsticks import column_bytes

#: Seconds that memory is given to settle: releases are batched.
SETTLE_S = 0.3


def memory(quick: bool) -> dict[str, dict[str, Any]]:
    """P14: PSS of all processes per stored byte, over what it was before the first put; and its growth over 1000 steps.

    Shared memory that the core had taken before the first put is not subtracted: columns go into it.
    """
    data = batches.uniform(32, 9, 64) if quick else batches.uniform()
    step = batches.uniform(32, 4, 64) if quick else batches.uniform(256, 4, 1024)
    puts, steps, warm_up = (2, 20, 5) if quick else (8, 1000, 100)
    keys = batches.keys_of(len(data))
    with own_queue() as tq:
        tq.kv_list()
        (before, before_shared), before_files = resident(), shared_memory_bytes(core_pid())
        for number_of_put in range(puts):
            tq.kv_batch_put(keys, f"p{number_of_put}", data)
        stored = puts * column_bytes(data)
        (full, _), full_files = resident(), shared_memory_bytes(core_pid())
        for number_of_put in range(puts):
            tq.get_client().clear_partition(f"p{number_of_put}")
        run_steps(tq, step, warm_up)
        young, _ = resident()
        run_steps(tq, step, steps - warm_up)
        old, _ = resident()
    return {
        "P14": {
            "memory per stored byte": number((full - before + before_shared) / stored, "x"),
            "growth over 1000 steps": number((old - young) / 2**20, "MiB"),
            "shared memory per stored byte": number(full_files / stored, "x"),
            "shared memory before the first put": number(before_files / 2**20, "MiB"),
            "before the first put": number(before / 2**20, "MiB"),
        }
    }


def resident() -> tuple[int, int]:
    """Bytes of this process and the sidecar, shared pages counted once; and of it those of shared memory."""
    gc.collect()
    time.sleep(SETTLE_S)
    found = [proportional_bytes(pid) for pid in processes()]
    return sum(whole for whole, _ in found), sum(shared for _, shared in found)


def run_steps(tq: Any, data: Any, steps: int) -> None:
    """Put, get, clear."""
    keys = batches.keys_of(len(data))
    for _ in range(steps):
        tq.kv_batch_put(keys, "step", data)
        tq.kv_batch_get(keys, "step")
        tq.kv_clear(keys, "step")
