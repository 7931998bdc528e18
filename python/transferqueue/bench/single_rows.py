"""P5: latencies of calls about one row. P6: many asyncio producers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from transferqueue.bench import batches
from transferqueue.bench.own_queue import own_queue
from transferqueue.bench.series import Series, figure, timed

PRODUCERS = 32


def latencies(quick: bool) -> dict[str, dict[str, Any]]:
    """P5: a tag, fifteen fields into a new row, one field out; microseconds."""
    repetitions, warm_up = (20, 5) if quick else (1500, 300)
    row = batches.fifteen_fields()
    names = iter(f"k{number}" for number in range(10**9))
    stored = batches.keys_of(repetitions)
    tagged, fetched = (iter(stored * 3) for _ in range(2))
    tag = {"status": "running", "step": 3}
    with own_queue() as tq:
        put = timed(lambda: tq.kv_put(next(names), "p", row), repetitions, warm_up=warm_up)
        got = timed(lambda: tq.kv_batch_get(next(fetched), "p", "f00"), repetitions, warm_up=warm_up)
        tags = timed(lambda: tq.kv_put(next(tagged), "p", tag=tag), repetitions, warm_up=warm_up)
    return {
        "P5": {
            "tag put": figure(microseconds(tags), "us"),
            "15-field put": figure(microseconds(put), "us"),
            "1-field get": figure(microseconds(got), "us"),
        }
    }


def microseconds(series: Series) -> Series:
    """A series of milliseconds in microseconds."""
    first = None if series.first is None else series.first * 1e3
    return Series(first=first, samples=[sample * 1e3 for sample in series.samples])


def producers(quick: bool) -> dict[str, dict[str, Any]]:
    """P6: 32 tasks of one event loop put rows of fifteen fields; puts per second."""
    each, rounds = (4, 2) if quick else (100, 5)
    row = batches.fifteen_fields()

    async def produce(round_number: int, producer: int) -> None:
        for number in range(each):
            await tq.async_kv_put(f"k{round_number}-{producer}-{number}", "p", row)

    async def produce_all(round_number: int) -> float:
        begin = time.perf_counter()
        await asyncio.gather(*(produce(round_number, producer) for producer in range(PRODUCERS)))
        return PRODUCERS * each / (time.perf_counter() - begin)

    with own_queue() as tq:
        rates = [asyncio.run(produce_all(number)) for number in range(rounds + 1)]
    return {"P6": {"puts": figure(Series(first=rates[0], samples=rates[1:]), "1/s")}}
