"""What a call costs depends on what it asks for: not on the rows stored or on their bytes. Counted, not timed."""

from __future__ import annotations

import random
from types import ModuleType

import pytest
import torch
from tensordict import TensorDict

FIELDS = ["x", "y"]


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
