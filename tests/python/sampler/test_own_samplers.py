"""Samplers of the user's own: what they get and give, in one queue."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from queue_fixtures import running_queue
from tensordict import TensorDict

from support import wire
from support.asking_samplers import PATIENCE_S, children, configuration, expect, fetch, put
from support.own_samplers import LastRows
from transferqueue import _session
from transferqueue.errors import NotReadyError, SamplerError


@pytest.fixture(scope="module")
def queue() -> Iterator[Any]:
    with running_queue(configuration(LastRows)) as tq:
        yield tq


def test_a_class_of_the_users_own_picks(queue: Any, partition: str):
    rows = put(queue, partition, 6)
    assert fetch(queue, partition, 2) == [rows[5], rows[4]]
    assert fetch(queue, partition, 2) == [rows[3], rows[2]]
    status = queue.get_client().get_consumption_status("train", partition)[1].tolist()
    assert sum(status) == 4


def test_it_sees_statuses(queue: Any, partition: str):
    rows = put(queue, partition, 2)
    queue.kv_batch_put(["k1"], partition, TensorDict({"y": torch.zeros(1)}, batch_size=1))
    fetch(queue, partition, 1)
    with pytest.raises(SamplerError) as caught:
        fetch(queue, partition, 1, mishap="statuses")
    assert f"{rows} [0, 1] [[1, 0], [1, 1]]" in str(caught.value)


def test_its_process_loads_neither_torch_nor_net(queue: Any, partition: str):
    put(queue, partition, 1)
    with pytest.raises(SamplerError) as caught:
        fetch(queue, partition, 1, mishap="modules")
    loaded = str(caught.value).split()
    assert "transferqueue" in loaded
    assert {"torch", "tensordict", "clr_loader", "pythonnet", "ray"}.isdisjoint(loaded)


def test_a_fetch_waits_for_rows_and_says_what_is_missing(queue: Any, partition: str):
    with pytest.raises(NotReadyError, match="0 of 2 rows ready; there is no such partition yet"):
        fetch(queue, partition, 2, timeout_s=0.2)
    put(queue, partition, 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fetch, queue, partition, 2)
        expect(lambda: queue.get_client().get_consumption_status("train", partition)[0] is not None)
        put(queue, partition, 1, first=1)
        assert len(waiting.result(PATIENCE_S)) == 2
    with pytest.raises(NotReadyError, match="the sampler LastRows found no batch"):
        fetch(queue, partition, 1, timeout_s=0.2)


def test_many_consumers_get_every_row_once(queue: Any, partition: str):
    rows = put(queue, partition, 60)
    with ThreadPoolExecutor(6) as pool:
        batches = list(pool.map(lambda _: fetch(queue, partition, 5), range(12)))
    assert sorted(row for batch in batches for row in batch) == sorted(rows)


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (([10**6], []), "which is not in partition"),
        (([], []), None),
        ([[1, 2, 3]], "must return"),
        (None, "must return"),
        ((["a"], []), "interpreted as an integer"),
    ],
)
def test_a_wrong_answer_is_its_callers_error(queue: Any, partition: str, returned: Any, says: str | None):
    rows = put(queue, partition, 2)
    if says is None:
        with pytest.raises(NotReadyError, match="found no batch"):
            fetch(queue, partition, 1, timeout_s=0.3, returns=returned)
    else:
        with pytest.raises(SamplerError, match=says):
            fetch(queue, partition, 1, returns=returned)
    assert fetch(queue, partition, 2) == rows[::-1]


def test_it_is_asked_again_when_a_row_was_cleared_while_it_worked(queue: Any, partition: str, tmp_path: Path):
    rows = put(queue, partition, 3)
    with ThreadPoolExecutor(1) as pool:
        picked = pool.submit(fetch, queue, partition, 2, mishap="wait", folder=str(tmp_path))
        expect((tmp_path / "offered").exists)
        queue.kv_clear("k2", partition)
        (tmp_path / "go").touch()
        assert picked.result(PATIENCE_S) == [rows[1], rows[0]]
    assert (tmp_path / "offered").read_text() == f"{rows}\n{rows[:2]}\n"


def test_a_consumer_that_gives_up_takes_nothing_along(queue: Any, partition: str, tmp_path: Path):
    rows = put(queue, partition, 2)
    with pytest.raises(NotReadyError, match="the sampler LastRows has not answered yet"):
        fetch(queue, partition, 2, timeout_s=0.3, mishap="wait", folder=str(tmp_path))
    (tmp_path / "go").touch()
    assert fetch(queue, partition, 2) == rows[::-1]


@pytest.mark.parametrize(("mishap", "says"), [("raise", "KeyError: 'no such key'"), ("exit", "SystemExit: enough")])
def test_what_it_raises_reaches_the_caller_with_its_traceback(queue: Any, partition: str, mishap: str, says: str):
    rows = put(queue, partition, 2)
    (before,) = children("sampler_host")
    with pytest.raises(SamplerError) as caught:
        fetch(queue, partition, 2, mishap=mishap)
    text = str(caught.value)
    assert text.startswith("sampler LastRows: Traceback")
    assert text.endswith(says)
    assert "own_samplers.py" in text
    assert "sampler_host.py" not in text
    assert fetch(queue, partition, 2) == rows[::-1]
    assert children("sampler_host") == [before]


def test_a_stranger_can_not_take_its_place(queue: Any, partition: str):
    rows = put(queue, partition, 1)
    stranger = wire.Wire(_session.session().ready["address"])
    for token in (b"", b"x" * 32):
        assert stranger.call(wire.SAMPLER_TURN, {"token": token, "number": 0}).kind == 14
    stranger.close()
    assert fetch(queue, partition, 1) == rows
