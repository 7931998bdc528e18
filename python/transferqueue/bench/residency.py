"""P14: memory of all processes per byte stored, and whether it grows with the steps of a job."""

from __future__ import annotations

import time
from typing import Any

from transferqueue.bench import batches
from transferqueue.bench.own_queue import core_pid, own_queue, processes, proportional_bytes, shared_memory_bytes
from transferqueue.bench.series import number
from transferqueue.bench.yardsticks import column_bytes

#: Seconds that memory is given to settle: releases are batched.
SETTLE_S = 0.3


def memory(quick: bool) -> dict[str, dict[str, Any]]:
    """P14: PSS of all processes over what it was before the first put, per stored byte; and its growth over 1000 steps."""
    data = batches.uniform(32, 9, 64) if quick else batches.uniform()
    step = batches.uniform(32, 4, 64) if quick else batches.uniform(256, 4, 1024)
    puts, steps, warm_up = (2, 20, 5) if quick else (8, 1000, 100)
    keys = batches.keys_of(len(data))
    with own_queue() as tq:
        tq.kv_list()
        before, before_files = resident(), shared_memory_bytes(core_pid())
        for number_of_put in range(puts):
            tq.kv_batch_put(keys, f"p{number_of_put}", data)
        stored = puts * column_bytes(data)
        full, full_files = resident(), shared_memory_bytes(core_pid())
        for number_of_put in range(puts):
            tq.get_client().clear_partition(f"p{number_of_put}")
        run_steps(tq, step, warm_up)
        young = resident()
        run_steps(tq, step, steps - warm_up)
        old = resident()
    return {
        "P14": {
            "memory per stored byte": number((full - before) / stored, "x"),
            "growth over 1000 steps": number((old - young) / 2**20, "MiB"),
            "shared memory per stored byte": number((full_files - before_files) / stored, "x"),
            "before the first put": number(before / 2**20, "MiB"),
        }
    }


def resident() -> int:
    """Bytes of this process and the sidecar, shared pages counted once."""
    time.sleep(SETTLE_S)
    return sum(proportional_bytes(pid) for pid in processes())


def run_steps(tq: Any, data: Any, steps: int) -> None:
    """Put, get, clear."""
    keys = batches.keys_of(len(data))
    for _ in range(steps):
        tq.kv_batch_put(keys, "step", data)
        tq.kv_batch_get(keys, "step")
        tq.kv_clear(keys, "step")
