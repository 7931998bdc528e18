"""P14: memory of all processes per byte stored, and whether it grows with the steps of a job."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import Any

from transferqueue.bench import batches
from transferqueue.bench.own_queue import core_pid, own_queue, private_bytes, processes, shared_memory_bytes
from transferqueue.bench.series import number
from transferqueue.bench.yardsticks import column_bytes

#: Seconds that memory is given to settle: releases are batched.
SETTLE_S = 0.3


def memory(quick: bool) -> dict[str, dict[str, Any]]:
    """P14: memory of all processes per stored byte, over what it was before the first put; and its growth over 1000 steps.

    Memory is what the processes have resident for themselves, and all of the shared memory, whether anybody maps it
    or not. Shared memory that the core had taken before the first put is not subtracted: columns go into it.
    """
    data = batches.uniform(32, 9, 64) if quick else batches.uniform()
    step = batches.uniform(32, 4, 64) if quick else batches.uniform(256, 4, 1024)
    puts, steps, warm_up = (2, 20, 5) if quick else (8, 1000, 100)
    keys = batches.keys_of(len(data))
    with own_queue() as tq:
        tq.kv_list()
        before = taken()
        for number_of_put in range(puts):
            tq.kv_batch_put(keys, f"p{number_of_put}", data)
        stored = puts * column_bytes(data)
        full = taken()
        for number_of_put in range(puts):
            tq.get_client().clear_partition(f"p{number_of_put}")
        run_steps(tq, step, warm_up)
        young = taken()
        run_steps(tq, step, steps - warm_up)
        old = taken()
    figures = {
        "memory per stored byte": number((full.whole - before.private) / stored, "x"),
        "growth over 1000 steps": number((old.whole - young.whole) / 2**20, "MiB"),
        "growth over 1000 steps, shared memory": number((old.shared - young.shared) / 2**20, "MiB"),
        "shared memory per stored byte": number(full.shared / stored, "x"),
        "private memory before the first put": number(before.private / 2**20, "MiB"),
        "shared memory before the first put": number(before.shared / 2**20, "MiB"),
    }
    return {"P14": figures}


@dataclass(frozen=True)
class Taken:
    """Memory of this process and the sidecar, bytes.

    Attributes
    ----------
    private
        Resident in the processes, without shared memory.
    shared
        Shared memory.
    """

    private: int
    shared: int

    @property
    def whole(self) -> int:
        """Both."""
        return self.private + self.shared


def taken() -> Taken:
    """How much it is now."""
    gc.collect()
    time.sleep(SETTLE_S)
    return Taken(sum(private_bytes(pid) for pid in processes()), shared_memory_bytes(core_pid()))


def run_steps(tq: Any, data: Any, steps: int) -> None:
    """Put, get, clear."""
    keys = batches.keys_of(len(data))
    for _ in range(steps):
        tq.kv_batch_put(keys, "step", data)
        tq.kv_batch_get(keys, "step")
        tq.kv_clear(keys, "step")
