"""P7: listing many rows with their tags, and tagging them."""

from __future__ import annotations

from functools import partial
from typing import Any

from transferqueue.bench import batches
from transferqueue.bench.own_queue import own_queue
from transferqueue.bench.series import after_the_first, figure, timed


def tags(quick: bool) -> dict[str, dict[str, Any]]:
    """P7: tag put of 20 k keys, the first listing of them, a further one when nothing has changed."""
    rows, warm_up, rounds = (200, 1, 2) if quick else (20_000, 15, 15)
    keys = batches.keys_of(rows, "sample-")
    entries = [{"status": "done", "step": 3, "length": row, "score": row / 7} for row in range(rows)]
    puts: list[float] = []
    firsts: list[float] = []
    agains: list[float] = []
    with own_queue() as tq:
        for number in range(warm_up + rounds):
            partition = f"p{number}"
            puts += samples_of_one(partial(tq.kv_batch_put, keys, partition, tags=entries))
            firsts += samples_of_one(partial(tq.kv_list, partition))
            agains += timed(partial(tq.kv_list, partition), 3, warm_up=1).samples
            tq.kv_clear(keys, partition)
    return {
        "P7": {
            "list, first": figure(after_the_first(firsts, warm_up)),
            "list, unchanged": figure(after_the_first(agains, 3 * warm_up)),
            "tag put": figure(after_the_first(puts, warm_up)),
        }
    }


def samples_of_one(call: Any) -> list[float]:
    """One timed call, in milliseconds."""
    return [float(timed(call, 1, warm_up=0).samples[0])]
