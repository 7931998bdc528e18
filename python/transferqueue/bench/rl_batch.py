"""P3: a batch of trajectories. P3s: the same rows put one by one, then fetched together."""

from __future__ import annotations

import random
from typing import Any

from transferqueue.bench import batches
from transferqueue.bench.own_queue import own_queue
from transferqueue.bench.series import PHASE_S, figure, timed
from transferqueue.bench.yardsticks import Copying, column_bytes

OBJECT_COLUMNS = ("uid", "raw_prompt", "extra_info")


def together(quick: bool) -> dict[str, dict[str, Any]]:
    """P3: put and get of 512 trajectories; and a get whose texts and objects are read."""
    data = batches.trajectories(16, 30, 60) if quick else batches.trajectories()
    repetitions, phase_s = (3, 0.0) if quick else (41, PHASE_S)
    keys, copying = batches.keys_of(len(data)), Copying(column_bytes(data))

    def get_all() -> Any:
        got = tq.kv_batch_get(keys, "p")
        return got, [got.get(name).tolist() for name in OBJECT_COLUMNS]

    with own_queue() as tq:
        copying.measure(repetitions)
        put = timed(
            lambda: tq.kv_batch_put(keys, "p", data),
            repetitions,
            phase_s=phase_s,
            after=lambda: tq.kv_clear(keys, "p"),
        )
        tq.kv_batch_put(keys, "p", data)
        got = timed(lambda: tq.kv_batch_get(keys, "p"), repetitions, phase_s=phase_s)
        eager = timed(get_all, repetitions, phase_s=phase_s)
        copying.measure(repetitions)
    return {
        "P3": {
            "put": figure(put, yardstick=copying.yardstick()),
            "get": figure(got, yardstick=copying.yardstick()),
            "get, texts and objects read": figure(eager, yardstick=copying.yardstick()),
        }
    }


def one_by_one(quick: bool) -> dict[str, dict[str, Any]]:
    """P3s: rows put as an agent loop does it, in the order in which they happen to end; then one get of all."""
    data = batches.trajectories(16, 30, 60) if quick else batches.trajectories()
    repetitions, phase_s = (3, 0.0) if quick else (21, PHASE_S)
    keys, copying = batches.keys_of(len(data)), Copying(column_bytes(data))
    rows = list(zip(keys, batches.rows_of(data), strict=True))
    random.Random(0).shuffle(rows)  # noqa: S311

    def put_rows() -> None:
        for key, row in rows:
            tq.kv_put(key, "p", row)

    with own_queue() as tq:
        copying.measure(repetitions)
        puts = timed(put_rows, 1 if quick else 3, warm_up=1, after=lambda: tq.kv_clear(keys, "p"))
        put_rows()
        got = timed(lambda: tq.kv_batch_get(keys, "p"), repetitions, phase_s=phase_s)
        copying.measure(repetitions)
    return {
        "P3s": {
            "get": figure(got, yardstick=copying.yardstick()),
            "all puts": figure(puts, yardstick=copying.yardstick()),
        }
    }
