"""P9: what a scan for ready rows costs. P13: whether a get costs more when more rows are stored, or when the job is old."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import torch
from tensordict import TensorDict

from transferqueue.bench import batches
from transferqueue.bench.control import FIELDS, scalars
from transferqueue.bench.own_queue import own_queue
from transferqueue.bench.series import Series, after_the_first, figure, number, timed
from transferqueue.bench.single_rows import microseconds

#: Rows of one put that fills a partition.
CHUNK = 1 << 16


def scan(quick: bool) -> dict[str, dict[str, Any]]:
    """P9: a fetch whose rows are the last ones of 1 M rows of 10 fields, less one whose rows are the first ones.

    All that differs is what the controller looks at. The two alternate. All rows before are consumed, so that their
    blocks are passed over; or, mixed, every other 64 rows are consumed and the rest is not ready, so that every word
    must be looked at.
    """
    rows, picked, repetitions = (4096, 16, 5) if quick else (1 << 20, 256, 60)
    with own_queue() as tq:
        client = tq.get_client()
        client.put(scalars(rows), partition_id="full", timeout_s=120)
        full = differences(client, "full", rows, picked, repetitions)
        meta = client.put(scalars(rows).exclude(FIELDS[-1]), partition_id="mixed", timeout_s=120)
        ready = [row for row in range(rows) if row // 64 % 2 == 0]
        client.put(scalars(len(ready)).select(FIELDS[-1]), metadata=meta.select_samples(ready), timeout_s=120)
        mixed = differences(client, "mixed", len(ready), picked, repetitions)
    figures = {"scan of 1 M rows": full[0], "scan of 1 M rows, mixed": mixed[0]}
    figures |= {
        "fetch of the first rows": full[1],
        "fetch of the last rows": full[2],
        "fetch of the last rows, mixed": mixed[2],
    }
    return {"P9": {name: figure(series, "us") for name, series in figures.items()}}


def differences(
    client: Any, partition: str, ready: int, picked: int, repetitions: int
) -> tuple[Series, Series, Series]:
    """What a fetch of the last ready rows takes longer than one of the first ones; and the two."""
    near: list[float] = []
    far: list[float] = []
    client.get_meta(FIELDS, ready - (repetitions + 1) * picked, partition, task_name="far", timeout_s=120)
    for _ in range(repetitions + 1):
        for samples, task in ((near, "near"), (far, "far")):
            samples += timed_quickly(partial(client.get_meta, FIELDS, picked, partition, task_name=task))
    longer = [(late - early) * 1e3 for early, late in zip(near, far, strict=True)]
    return after_the_first(longer), microseconds(after_the_first(near)), microseconds(after_the_first(far))


def growth(quick: bool) -> dict[str, dict[str, Any]]:
    """P13: gets of 256 rows and fetches of 16 out of partitions of 1 k to 1 M rows, in turn; then again after many puts and clears."""
    sizes, steps, rounds = ([1000, 4000], 5, 8) if quick else ([1000, 10_000, 100_000, 1_000_000], 1000, 150)
    with own_queue() as tq:
        fill(tq, sizes[0])
        alone = gets(tq, sizes[:1], rounds)[sizes[0]]
        for rows in sizes[1:]:
            fill(tq, rows)
        got = gets(tq, sizes, rounds)
        fetched = fetches(tq, sizes)
        age(tq, steps)
        aged = gets(tq, sizes[:1], rounds)[sizes[0]]
    figures = {"get, 1 k rows alone": figure(microseconds(alone), "us")}
    figures |= {f"get, {rows} rows": figure(microseconds(series), "us") for rows, series in got.items()}
    figures |= {f"fetch, {rows} rows": figure(microseconds(series), "us") for rows, series in fetched.items()}
    figures["get, 1 k rows after puts and clears"] = figure(microseconds(aged), "us")
    figures["growth of a get"] = number(got[sizes[-1]].median / got[sizes[0]].median, "x")
    figures["growth of a fetch"] = number(fetched[sizes[-1]].median / fetched[sizes[0]].median, "x")
    figures["growth of a get with age"] = number(aged.median / got[sizes[0]].median, "x")
    return {"P13": figures}


def rows_of(rows: int) -> TensorDict:
    """Small rows: 64 bytes and a number."""
    return TensorDict({"x": torch.zeros(rows, 16), "y": torch.zeros(rows, dtype=torch.int64)}, batch_size=rows)


def fill(tq: Any, rows: int) -> None:
    """Put so many rows into the partition that is named for their number."""
    keys = batches.keys_of(rows)
    for start in range(0, rows, CHUNK):
        part = keys[start : start + CHUNK]
        tq.kv_batch_put(part, f"p{rows}", rows_of(len(part)))


def gets(tq: Any, sizes: list[int], rounds: int) -> dict[int, Series]:
    """Times of gets of 256 random rows of each partition, one after the other so that the machine's pace is the same for all."""
    chance = random.Random(0)  # noqa: S311
    samples: dict[int, list[float]] = {rows: [] for rows in sizes}
    for _ in range(rounds):
        for rows in sizes:
            keys = [f"k{row}" for row in chance.sample(range(rows), 256)]
            samples[rows] += timed_quickly(partial(tq.kv_batch_get, keys, f"p{rows}"))
    return {rows: after_the_first(found) for rows, found in samples.items()}


def fetches(tq: Any, sizes: list[int]) -> dict[int, Series]:
    """Times of fetches of 16 rows of each partition, likewise."""
    client = tq.get_client()
    samples: dict[int, list[float]] = {rows: [] for rows in sizes}
    for _ in range(min(50, sizes[0] // 16)):
        for rows in sizes:
            samples[rows] += timed_quickly(partial(client.get_meta, ["x", "y"], 16, f"p{rows}", task_name="t"))
    return {rows: after_the_first(found) for rows, found in samples.items()}


def timed_quickly(call: Any) -> list[float]:
    """One sample."""
    return list(timed(call, 1, warm_up=0, collect=False).samples)


def age(tq: Any, steps: int) -> None:
    """Put and clear a partition again and again."""
    keys, data = batches.keys_of(256), rows_of(256)
    for _ in range(steps):
        tq.kv_batch_put(keys, "aging", data)
        tq.kv_clear(keys, "aging")
