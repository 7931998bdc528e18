"""A job keeps no more after a thousand steps than after a hundred. Counted, not timed; on a sidecar where nothing else has been."""

from __future__ import annotations

from types import ModuleType

import torch
from tensordict import NonTensorStack, TensorDict

from support.sidecars import expect
from transferqueue import _core

#: Of the core's counters, those that may not grow.
KEPT = ("bytes_used", "bytes_committed", "leases", "client_leases", "loans", "rows", "clients", "connections")
#: What a garbage collector keeps for itself wavers; a request remembered would be 5,400 times more than nothing.
WAVERING_BYTES = 2 << 20


def step(tq: ModuleType, partition: str, data: TensorDict) -> None:
    client, keys = tq.get_client(), [f"k{row}" for row in range(len(data))]
    tq.kv_batch_put(keys, partition, data, tags=[{"n": 1}] * len(keys))
    client.get_data(client.get_meta(["text", "x"], len(keys), partition, task_name="t"))
    tq.kv_batch_get(keys, partition)
    tq.kv_list(partition)
    tq.kv_clear(keys, partition)


def test_after_a_thousand_steps_as_much_is_kept_as_after_the_first_hundred(tq: ModuleType, partition: str):
    rows = 32
    # One column is large enough to be placed in shared memory, one is not.
    fields = {
        "x": torch.zeros(rows, 1024),
        "y": torch.arange(rows),
        "text": NonTensorStack(*[f"row {row}" for row in range(rows)]),
    }
    data = TensorDict(fields, batch_size=rows)

    def smallest_heap() -> int:
        """The core's managed heap after a collection with little alive: what a collection finds depends on when it comes."""
        sizes = []
        for _ in range(8):
            for _ in range(10):
                step(tq, partition, data)
            sizes.append(tq.get_client().stats()["managed_bytes_kept"])
        return min(sizes)

    def kept() -> tuple[dict[str, int], int]:
        heap = smallest_heap()
        # Leases are given back in the background.
        expect(lambda: tq.get_client().stats()["bytes_used"] == 0)
        stats, mine = tq.get_client().stats(), _core.diagnose()
        counted = {name: stats[name] for name in KEPT}
        counted |= {name: mine[name] for name in ("handles", "leases_out")}
        # A buffer may be in use or kept for the next one who needs it.
        counted["pool_bytes"] = mine["pool_out_bytes"] + mine["pool_kept_bytes"]
        return counted, heap

    for _ in range(20):
        step(tq, partition, data)
    young, young_heap = kept()
    for _ in range(820):
        step(tq, partition, data)
    old, old_heap = kept()
    # How many buffers are there once depends on how calls and releases meet; one more of the smallest per step would be 230 KB.
    assert old.pop("pool_bytes") - young.pop("pool_bytes") < 64 << 10
    assert old == young
    assert old_heap - young_heap < WAVERING_BYTES
