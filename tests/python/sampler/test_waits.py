"""``get_meta(wait_s=…)`` where a sampler of the user's own picks: its answer is waited for, rows only as long as was said."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from queue_fixtures import running_queue

from support.asking_samplers import PATIENCE_S, configuration, expect, put
from support.own_samplers import LastRows
from transferqueue.errors import NotReadyError


@pytest.fixture(scope="module", params=[True, False], ids=["polling", "waiting"])
def queue(request: pytest.FixtureRequest) -> Any:
    with running_queue(configuration(LastRows, polling=request.param)) as tq:
        yield tq


def fetch(tq: Any, partition: str, rows: int, wait_s: float, **sampling: Any) -> list[int]:
    client = tq.get_client()
    meta = client.get_meta(
        ["x"], rows, partition, task_name="t", sampling_config=sampling or None, timeout_s=PATIENCE_S, wait_s=wait_s
    )
    return meta.global_indexes


def test_one_that_does_not_wait_for_rows_gets_those_that_there_are(queue: Any, partition: str):
    rows = put(queue, partition, 4)
    assert fetch(queue, partition, 3, 0) == rows[3:0:-1]
    assert fetch(queue, partition, 2, 0) == []
    assert fetch(queue, partition, 1, 0, returns=([], [])) == []
    assert fetch(queue, partition, 1, 0) == rows[:1]


def test_one_that_does_not_wait_for_rows_waits_for_the_answer(queue: Any, partition: str, tmp_path: Path):
    rows = put(queue, partition, 2)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(fetch, queue, partition, 1, 0, mishap="wait", folder=str(tmp_path))
        expect(lambda: (tmp_path / "offered").exists())
        second = pool.submit(fetch, queue, partition, 1, 0)
        (tmp_path / "go").touch()
        assert first.result(PATIENCE_S) == rows[1:]
        assert second.result(PATIENCE_S) == rows[:1]


def test_one_that_waits_is_woken_by_the_row_that_was_missing(queue: Any, partition: str):
    rows = put(queue, partition, 1)
    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(fetch, queue, partition, 2, PATIENCE_S)
        expect(lambda: queue.get_client().stats()["fetches_waiting"] == 1)
        rows += put(queue, partition, 1, first=1)
        assert fetched.result(PATIENCE_S) == rows[::-1]


def test_one_whose_wait_is_over_is_told_what_is_missing_and_takes_nothing(queue: Any, partition: str):
    rows = put(queue, partition, 2)
    with pytest.raises(NotReadyError, match="2 of 3 rows ready"):
        fetch(queue, partition, 3, 0.05)
    with pytest.raises(NotReadyError, match="the sampler LastRows found no batch"):
        fetch(queue, partition, 2, 0.5, returns=([], []))
    assert fetch(queue, partition, 2, 0) == rows[::-1]


def test_one_whose_wait_is_over_while_the_sampler_picks_takes_nothing(queue: Any, partition: str, tmp_path: Path):
    rows = put(queue, partition, 2)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(fetch, queue, partition, 2, 0.2, mishap="wait", folder=str(tmp_path))
        with pytest.raises(NotReadyError, match="the sampler LastRows has not answered yet"):
            late.result(PATIENCE_S)
    (tmp_path / "go").touch()
    assert fetch(queue, partition, 2, PATIENCE_S) == rows[::-1]
