"""Samplers of the user's own that end, crash and hang: real processes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from queue_fixtures import running_queue

from support.asking_samplers import PATIENCE_S, children, configuration, expect, fetch, put
from support.own_samplers import LastRows
from transferqueue import _session
from transferqueue.errors import SamplerError

TIMEOUT_S = 1.0


@pytest.fixture(scope="module")
def queue() -> Iterator[Any]:
    """A queue whose sampler may take a second."""
    with running_queue(configuration(LastRows, timeout_s=TIMEOUT_S)) as tq:
        yield tq


@pytest.mark.parametrize(
    ("mishap", "says"),
    [
        ("end", "its process ended while it picked rows"),
        ("crash", "Segmentation fault"),
        ("loop", "in loop"),
        ("hang", f"no answer for {TIMEOUT_S:g} s"),
    ],
)
def test_its_end_hurts_nobody_else(queue: Any, partition: str, mishap: str, says: str):
    rows = put(queue, partition, 2)
    core = _session.session().ready["core_pid"]
    (before,) = children("sampler_host")
    with ThreadPoolExecutor(1) as pool:
        hurt = pool.submit(fetch, queue, partition, 2, mishap=mishap)
        others = 0
        while not hurt.done() or others < 3:
            put(queue, f"{partition}-other", 1, first=others)
            assert len(queue.kv_batch_get([f"k{others}"], f"{partition}-other")["x"]) == 1
            others += 1
        with pytest.raises(SamplerError, match="it starts again") as caught:
            hurt.result(PATIENCE_S)
    assert says in str(caught.value)
    assert "own_samplers.py" in str(caught.value) or mishap == "end"
    assert fetch(queue, partition, 2) == rows[::-1]
    (after,) = children("sampler_host")
    assert after.pid != before.pid
    assert psutil.pid_exists(core)


def test_one_that_was_killed_while_idle_is_started_again(queue: Any, partition: str):
    put(queue, partition, 2)
    (before,) = children("sampler_host")
    before.kill()
    # A fetch that came before the core noticed would be told of it.
    expect(lambda: children("sampler_host") not in ([], [before]))
    assert len(fetch(queue, partition, 2)) == 2
    (after,) = children("sampler_host")
    assert after.pid != before.pid


def test_one_that_is_stopped_is_answered_for_by_the_core(queue: Any, partition: str):
    put(queue, partition, 2)
    assert len(fetch(queue, partition, 2)) == 2  # it is there and has been asked
    put(queue, partition, 2, first=2)
    (stopped,) = children("sampler_host")
    stopped.suspend()
    try:
        with pytest.raises(SamplerError, match="its process did not end"):
            fetch(queue, partition, 2)
    finally:
        stopped.resume()
    assert len(fetch(queue, partition, 2)) == 2
