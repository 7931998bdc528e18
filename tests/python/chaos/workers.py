"""Producers and consumers, each a process that may be killed or stopped at any moment, and what they write down."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from chaos.rows import FIELDS, KEYS, ROWS, batch_of, lengths_of, ragged_of, seeds_of, wide_of, wrong_rows, wrong_values

import transferqueue as tq
from transferqueue import errors

PARTITIONS = [f"chaos-{number}" for number in range(2)]
KEPT = 5  # batches that a consumer keeps to look at again
NOTED = 10  # operations between two lines of the record
TIMEOUT_S = 30.0


class Record:
    """Lines of JSON in a file that all workers share; a line is written by one call, so that a kill tears none."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._counts: Counter[str] = Counter()

    def count(self, what: str, number: int = 1) -> None:
        self._counts[what] += number
        if what == "operations" and self._counts[what] >= NOTED:
            self.flush()

    def flush(self) -> None:
        self.write(dict(self._counts))
        self._counts.clear()

    def write(self, line: dict[str, Any]) -> None:
        os.write(self._fd, json.dumps(line).encode() + b"\n")

    def wrong(self, what: str, rows: list[str]) -> None:
        if rows:
            self.write({"wrong": len(rows), "text": [f"{what}: {row}"[:500] for row in rows[:5]]})


def work(kind: str, number: int, folder: Path, test: int) -> None:
    """Run a worker until the file ``stop`` is in the folder or process `test` is gone; once it works, ``busy-<number>`` is there."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forked children are nobody's to wait for
    record, stop, busy = Record(folder / "record"), folder / "stop", folder / f"busy-{number}"
    step = {"producer": Producer, "consumer": Consumer}[kind](random.Random(number), record).step
    try:
        tq.init()
        record.write({f"{kind}s": 1})
        while not stop.exists() and Path(f"/proc/{test}").exists():
            _guarded(step, record)
            record.count("operations")
            busy.touch()
        record.flush()
        tq.close()
    except BaseException:
        record.write({"failures": 1, "text": [traceback.format_exc()[-2000:]]})
        raise


def _guarded(step: Callable[[], None], record: Record) -> None:
    """One operation; errors that the others' doings explain are counted."""
    try:
        step()
    except errors.StorageFullError:
        record.count("full")
    except errors.InvalidArgumentError as error:
        if "not found" not in str(error) and "not ready" not in str(error):
            raise
        record.count("absent")
        time.sleep(0.02)  # until a producer has been there


class Producer:
    """Puts, overwrites and clears stretches of rows."""

    def __init__(self, chance: random.Random, record: Record) -> None:
        self._chance, self._record = chance, record

    def step(self) -> None:
        partition, first = self._chance.choice(PARTITIONS), self._chance.randrange(ROWS)
        rows = range(first, self._chance.randint(first, ROWS - 1) + 1) if self._chance.random() < 0.7 else range(ROWS)
        keys = [KEYS[row] for row in rows]
        what = self._chance.random()
        if what < 0.06:
            tq.kv_clear(keys, partition, timeout_s=TIMEOUT_S)
            self._record.count("clears")
        elif what < 0.08:
            tq.get_client().clear_partition(partition, timeout_s=TIMEOUT_S)
            self._record.count("clears")
        elif what < 0.25:
            self._compute(partition, keys, seeds_of(rows, self._chance))
        else:
            self._put(partition, keys, seeds_of(rows, self._chance))

    def _put(self, partition: str, keys: list[str], seeds: torch.Tensor) -> None:
        if self._chance.random() < 0.3:
            asyncio.run(tq.async_kv_batch_put(keys, partition, batch_of(seeds), timeout_s=TIMEOUT_S))
        else:
            tq.kv_batch_put(keys, partition, batch_of(seeds), timeout_s=TIMEOUT_S)
        self._record.count("puts")

    def _compute(self, partition: str, keys: list[str], seeds: torch.Tensor) -> None:
        schema = {
            "seed": (torch.int64, ()),
            "wide": (torch.int64, (wide_of(seeds[:1]).shape[1],)),
            "ragged": (torch.int32, (-1,), lengths_of(seeds)),
        }
        with tq.loan(partition, keys, schema, timeout_s=TIMEOUT_S) as room:
            room["seed"].copy_(seeds)
            room["wide"].copy_(wide_of(seeds))
            room["ragged"].values().copy_(ragged_of(seeds))
        self._record.count("loans")


class Consumer:
    """Gets rows in any order, looks at them now and later, writes over some, and lets forked children look."""

    def __init__(self, chance: random.Random, record: Record) -> None:
        self._chance, self._record = chance, record
        self._clean: list[tuple[torch.Tensor, ...]] = []
        self._written: list[tuple[int, torch.Tensor]] = []

    def step(self) -> None:
        self._look_again()
        rows = self._rows()
        partition, keys = self._chance.choice(PARTITIONS), [KEYS[row] for row in rows]
        if self._chance.random() < 0.2:
            call = tq.async_kv_batch_get(keys, partition, FIELDS, layout="dense", timeout_s=TIMEOUT_S)
            got = asyncio.run(call)
        else:
            got = tq.kv_batch_get(keys, partition, FIELDS, layout="dense", timeout_s=TIMEOUT_S)
        self._record.wrong(f"get {partition} {rows}", wrong_rows(got, rows))
        self._record.count("gets")
        self._keep(got["seed"], got["wide"], got["ragged"])
        if self._clean and self._chance.random() < 0.1:
            self._fork()

    def _rows(self) -> list[int]:
        first = self._chance.randrange(ROWS)
        rows = list(range(first, self._chance.randint(first, ROWS - 1) + 1))
        what = self._chance.random()
        if what < 0.15:
            self._chance.shuffle(rows)
        elif what < 0.3:
            rows = self._chance.choices(range(ROWS), k=len(rows))
        elif what < 0.6:
            rows = list(range(ROWS))
        return rows

    def _keep(self, seeds: torch.Tensor, wide: torch.Tensor, ragged: torch.Tensor) -> None:
        what = self._chance.random()
        if what < 0.35:
            value = -self._chance.randrange(1, 1 << 40)
            wide.fill_(value)
            (ragged.values() if ragged.is_nested else ragged).fill_(-1)
            self._written.append((value, wide))
            self._record.count("overwritten")
        elif what < 0.7:
            self._clean.append((seeds.clone(), wide, ragged))
        for kept in (self._clean, self._written):
            if len(kept) > KEPT:
                kept.pop(self._chance.randrange(KEPT))

    def _look_again(self) -> None:
        if self._clean:
            self._record.wrong("kept", wrong_values(*self._chance.choice(self._clean)))
            self._record.count("looked again")
        if self._written:
            value, mine = self._chance.choice(self._written)
            if not mine.eq(value).all():
                self._record.wrong("written over", [f"value {value}, there is {mine.unique().tolist()[:4]}"])

    def _fork(self) -> None:
        """A child looks at what this process has, ten times in half a second; this process lets go of it at once."""
        watched = [(wide.numpy(), wide_of(seeds).numpy(), str(seeds.tolist())) for seeds, wide, _ in self._clean[-2:]]
        if os.fork() == 0:
            try:
                for _ in range(10):
                    for mine, right, seeds in watched:
                        if (mine != right).any():
                            self._record.wrong("in a child", [f"seeds {seeds}"])
                    time.sleep(0.05)
                self._record.write({"children": 1})
            finally:
                os._exit(0)
        del self._clean[-2:]
