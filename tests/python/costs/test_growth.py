"""What a call costs depends on what it asks for: not on the rows stored, on their bytes, or on the age of the job. Counted, not timed."""

from __future__ import annotations

import random
from types import ModuleType

import pytest
import torch
from tensordict import NonTensorStack, TensorDict

from support.sidecars import expect
from transferqueue import _core

FIELDS = ["x", "y"]
#: Of the core's counters, those that may not grow.
KEPT = ("bytes_used", "bytes_committed", "leases", "client_leases", "loans", "rows", "clients", "connections")
#: What a garbage collector keeps for itself wavers; a request remembered would be 5,400 times more than nothing.
WAVERING_BYTES = 2 << 20


def scalars(rows: int) -> TensorDict:
    return TensorDict({name: torch.zeros(rows, dtype=torch.uint8) for name in FIELDS}, batch_size=rows)


def added(before: dict[str, int], after: dict[str, int], *names: str) -> dict[str, int]:
    return {name: after[name] - before[name] for name in names}


def test_slots_and_segments_looked_at_are_the_same_for_a_thousand_rows_and_a_million(tq: ModuleType, partition: str):
    client = tq.get_client()
    looked = []
    for rows in (1_000, 30_000, 1_000_000):
        metadata = client.put(scalars(rows), partition_id=f"{partition}-{rows}")
        chosen = metadata.select_samples(random.Random(0).sample(range(rows), 256))
        before = client.stats()
        client.get_data(chosen)
        client.get_meta(FIELDS, 16, f"{partition}-{rows}", task_name="t")
        after = client.stats()
        assert added(before, after, "requests")["requests"] == 3
        looked.append(added(before, after, "segments_visited", "words_visited"))
        tq.get_client().clear_partition(f"{partition}-{rows}")
    # A smaller partition has fewer words than a block of a scan.
    assert looked[0]["words_visited"] <= looked[1]["words_visited"] == looked[2]["words_visited"] <= 64
    assert len({each["segments_visited"] for each in looked}) == 1
    assert looked[0]["segments_visited"] <= 256 * len(FIELDS)


@pytest.mark.parametrize("rows", [1024, 4096])
def test_the_core_makes_no_more_objects_for_larger_rows(tq: ModuleType, partition: str, rows: int):
    """Bytes of columns are never in managed memory."""

    def cost(width: int) -> int:
        keys = [f"k{row}" for row in range(rows)]
        data = TensorDict({"x": torch.zeros(rows, width, dtype=torch.uint8)}, batch_size=rows)
        spent = []
        for _ in range(5):
            before = tq.get_client().stats()
            tq.kv_batch_put(keys, partition, data)
            tq.kv_batch_get(keys, partition)
            after = tq.get_client().stats()
            spent.append(added(before, after, "managed_bytes_allocated")["managed_bytes_allocated"])
            tq.kv_clear(keys, partition)
        return min(spent)

    # 64 KiB and more of columns: below it a put is checked once, not twice.
    small, large = cost(64), cost(4096)
    assert large - small < 16 << 10, (small, large)


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
