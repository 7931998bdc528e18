"""Samplers of the user's own, each in a queue of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from queue_fixtures import running_queue

from support import wire
from support.asking_samplers import PATIENCE_S, children, configuration, expect, fetch, put
from support.own_samplers import Counting, LastRows, Longest, OwnRankAware, Sulking, Unpicklable
from transferqueue import _session
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, TransferQueueError
from transferqueue.options import Options


def test_constructor_arguments_reach_it():
    with running_queue(configuration(LastRows, factor=2)) as tq:
        put(tq, "p", 6)
        assert len(fetch(tq, "p", 2)) == 4


def test_an_instance_keeps_its_state_until_the_partition_is_cleared():
    with running_queue(configuration(Counting())) as tq:
        first = put(tq, "p", 4)
        assert fetch(tq, "p", 1) == first[:1]
        assert fetch(tq, "p", 1) == [first[1]] * 2
        assert fetch(tq, "p", 1) == [first[2]] * 3
        tq.get_client().clear_partition("p")
        again = put(tq, "p", 2)
        assert fetch(tq, "p", 1) == again[:1]


def test_it_sees_tags():
    with running_queue(configuration("support.own_samplers:Longest")) as tq:
        rows = put(tq, "p", 4, [{"length": 3}, {"length": 9}, {}, {"length": 5}])
        assert fetch(tq, "p", 2) == [rows[1], rows[3]]
        assert fetch(tq, "p", 2) == [rows[0], rows[2]]


def test_a_fixed_batch_is_given_though_too_few_rows_are_ready():
    with running_queue(configuration(OwnRankAware(), polling=True)) as tq:
        rows = put(tq, "p", 3)
        told = {"dp_rank": 0, "batch_index": 0, "task_name": "train", "partition_id": "p"}
        assert fetch(tq, "p", 2, **told) == rows[:2]
        assert fetch(tq, "p", 2, **told) == rows[:2]
        assert fetch(tq, "p", 2, **(told | {"dp_rank": 1})) == []
        assert fetch(tq, "nowhere", 2, **told) == []


def test_it_ends_with_the_sidecar():
    with running_queue(configuration(LastRows)) as tq:
        put(tq, "p", 1)
        (host,) = children("sampler_host")
        before = host.cpu_times().user
        with ThreadPoolExecutor(1) as pool:
            stuck = pool.submit(fetch, tq, "p", 1, mishap="loop")
            expect(lambda: host.cpu_times().user > before + 0.2)
            tq.close()
            assert isinstance(stuck.exception(PATIENCE_S), TransferQueueError)
    assert not host.is_running() or host.status() == psutil.STATUS_ZOMBIE


def test_the_cores_samplers_need_no_process():
    with running_queue({"controller": {"sampler": "GRPOGroupNSampler"}}):
        assert children("sampler_host") == []


def test_a_queue_with_a_sampler_of_its_own_takes_no_turns():
    with running_queue():
        session = _session.session()
        token = bytes.fromhex((Path(session.ready["address"].removeprefix("unix://")).parent / "token").read_text())
        stranger = wire.Wire(session.ready["address"])
        assert stranger.call(wire.SAMPLER_TURN, {"token": token, "number": 0}).kind == 1
        stranger.close()


def test_one_that_can_not_be_made_is_reported_by_init():
    says = "the sampler host could not start: OSError: no weights here"
    with pytest.raises(TransferQueueError, match=says), running_queue(configuration(Sulking)):
        pass


def test_one_that_can_not_be_pickled_is_reported_by_init():
    sampler = Unpicklable()
    says = "Unpicklable runs in a process of its own and must be picklable"
    with sampler.file, pytest.raises(InvalidArgumentError, match=says), running_queue(configuration(sampler)):
        pass


@pytest.mark.parametrize(
    ("conf", "error", "says"),
    [
        ({"controller": {"sampler": dict}}, InvalidTypeError, "dict does not derive from BaseSampler"),
        ({"controller": {"sampler": "os:path"}}, InvalidTypeError, "does not derive from BaseSampler"),
        ({"controller": {"sampler": "no.such:Thing"}}, InvalidArgumentError, "Could not find sampler 'no.such:Thing'"),
        (
            {"controller": {"sampler": Longest}, "transferqueue": {"allow_pickle": False}},
            InvalidArgumentError,
            "allow_pickle is false",
        ),
        ({"transferqueue": {"sampler_timeout_s": 0}}, InvalidArgumentError, "sampler_timeout_s: 0"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_starts(conf: dict[str, Any], error: type[Exception], says: str):
    with pytest.raises(error, match=says):
        Options.read(conf, {})
