"""Producers, consumers, forked children, one killed and one stopped every second: no row is ever wrong, no byte is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from chaos.rows import FIELDS, KEYS, ROWS, wrong_rows
from chaos.workers import PARTITIONS, work
from queue_fixtures import running_queue

from support.shared_memory import counted
from support.sidecars import expect
from transferqueue import _session, errors

#: Operations to make, over as much time as they take; unset: as many as come in 25 seconds.
OPERATIONS = int(os.environ.get("TRANSFERQUEUE_CHAOS_OPERATIONS", "0"))
SECONDS = 25.0
CAPACITY_BYTES = 64 << 20
KINDS_OF_EVENTS = ("puts", "loans", "clears", "gets", "looked again", "overwritten", "children")
KINDS = ["producer", "producer", "consumer", "consumer"]


class Crowd:
    """Workers that are replaced when they are killed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._record = folder, folder / "record"
        self._started = 0
        # Workers come from a process that has imported all they need, but has no .NET: forking it costs little.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["chaos.workers", "torch.nested._internal.nested_tensor"])
        self.workers: list[Any] = [self._start(kind) for kind in KINDS]
        self.disturbed = 0

    def _start(self, kind: str) -> Any:
        self._started += 1
        process = self._context.Process(
            target=work, args=(kind, self._started, self._folder, os.getpid()), name=kind, daemon=True
        )
        process.busy = self._folder / f"busy-{self._started}"
        process.start()
        return process

    def disturb(self, chance: random.Random) -> None:
        """Stop one for a while, kill another one and start it anew."""
        busy = [number for number, worker in enumerate(self.workers) if worker.busy.exists()]
        if len(busy) < 2:  # on a slow machine nobody would ever get to work
            time.sleep(0.1)
            return
        victim, stopped = chance.sample(busy, 2)
        os.kill(self.workers[stopped].pid, signal.SIGSTOP)
        time.sleep(0.5)
        worker = self.workers[victim]
        worker.kill()
        worker.join()
        self.workers[victim] = self._start(worker.name)
        time.sleep(0.2)
        os.kill(self.workers[stopped].pid, signal.SIGCONT)
        time.sleep(0.3)
        self.disturbed += 1

    def checked(self) -> Counter[str]:
        """What all of them, living or not, have counted; nothing may have been wrong."""
        counts: Counter[str] = Counter()
        texts: list[str] = []
        for line in self._record.read_text().splitlines() if self._record.exists() else []:
            entry = json.loads(line)
            texts += entry.pop("text", [])
            counts.update(entry)
        assert (counts["wrong"], counts["failures"]) == (0, 0), texts
        return counts

    def end(self) -> None:
        (self._folder / "stop").touch()
        for worker in self.workers:
            worker.join(60)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.join()


@pytest.mark.slow
def test_no_row_is_ever_wrong_whoever_is_killed_stopped_or_writes_to_what_it_got(
    tmp_path, monkeypatch, record_testsuite_property
):
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(sys.path)
    )  # a forkserver of 3.11 imports what it preloads from there
    chance = random.Random(5)
    with running_queue({"transferqueue": {"capacity_bytes": CAPACITY_BYTES}}) as tq:
        crowd = Crowd(tmp_path)
        try:
            expect(lambda: crowd.checked()["operations"] > 0)
            until = time.monotonic() + SECONDS
            while not _is_enough(crowd, until):
                crowd.disturb(chance)
            crowd.end()
        finally:
            crowd.close()
        counts = crowd.checked()
        record_testsuite_property("chaos", f"{dict(counts)}, killed {crowd.disturbed}, stopped {crowd.disturbed}")
        for name in PARTITIONS:
            _check(tq, name)
        _expect_all_is_free(tq)


def _is_enough(crowd: Crowd, until: float) -> bool:
    """All kinds of things have happened, and as much as was wanted."""
    counts = crowd.checked()
    if OPERATIONS:
        return counts["operations"] >= OPERATIONS
    return time.monotonic() >= until and crowd.disturbed > 2 and all(counts[what] > 0 for what in KINDS_OF_EVENTS)


def _check(tq, partition: str) -> None:
    """What is stored in the end is right, too."""
    try:
        got = tq.kv_batch_get(KEYS, partition, FIELDS, layout="dense")
    except errors.InvalidArgumentError:
        return  # it was cleared last
    assert wrong_rows(got, range(ROWS)) == []


def _expect_all_is_free(tq) -> None:
    for name in tq.get_client().get_partition_list():
        tq.get_client().clear_partition(name)
    expect(lambda: not any(counted(tq).values()), lambda: str(counted(tq)))
    assert tq.get_client().stats()["faults"] == 0
    assert "a fault" not in _session.session().log_path.read_text()
