"""Another sampler in a queue that is at work: one of the core's, one of the user's own, and back."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from queue_fixtures import running_queue

from support import wire
from support.asking_samplers import children, configuration, expect, fetch, put
from support.own_samplers import Counting, LastRows, Sulking, Unpicklable
from transferqueue import GRPOGroupNSampler, _session
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, TransferQueueError


@pytest.fixture(scope="module")
def own_tq() -> Any:
    with running_queue(configuration("SequentialSampler", polling=True)) as tq:
        yield tq


@pytest.fixture
def tq(own_tq: Any) -> Any:
    """A queue whose sampler is the first one."""
    own_tq.register_sampler("SequentialSampler")
    return own_tq


def test_one_of_the_cores_takes_over(tq: Any):
    rows = put(tq, "groups", 6)
    assert fetch(tq, "groups", 2) == rows[:2]
    tq.register_sampler(GRPOGroupNSampler(n_samples_per_prompt=4))
    assert fetch(tq, "groups", 4) == rows[2:]
    tq.register_sampler("GRPOGroupNSampler", {"n_samples_per_prompt": 3})
    put(tq, "groups", 2, first=6)
    assert fetch(tq, "groups", 3) == []
    assert children("sampler_host") == []


def test_one_of_the_users_own_takes_over_and_gives_back(tq: Any):
    rows = put(tq, "own", 6)
    tq.register_sampler(LastRows)
    assert fetch(tq, "own", 2) == [rows[5], rows[4]]
    assert len(children("sampler_host")) == 1
    tq.register_sampler("SequentialSampler")
    assert fetch(tq, "own", 2) == rows[:2]
    expect(lambda: children("sampler_host") == [])


def test_an_own_sampler_replaces_another_of_the_same_class(tq: Any):
    put(tq, "same", 8)
    tq.register_sampler(LastRows, {"factor": 1})
    assert len(fetch(tq, "same", 1)) == 1
    tq.register_sampler(LastRows(factor=3))
    assert len(fetch(tq, "same", 1)) == 3
    tq.register_sampler(Counting())
    assert len(fetch(tq, "same", 1)) == 1
    assert len(children("sampler_host")) == 1


def test_one_that_can_not_be_made_leaves_the_one_before(tq: Any):
    rows = put(tq, "kept", 6)
    with pytest.raises(TransferQueueError, match="the sampler host could not start: OSError: no weights here"):
        tq.register_sampler(Sulking)
    assert fetch(tq, "kept", 1) == rows[:1]
    tq.register_sampler(LastRows)
    with pytest.raises(TransferQueueError, match="no weights here"):
        tq.register_sampler(Sulking)
    assert fetch(tq, "kept", 1) == rows[-1:]


def test_what_is_no_sampler_is_refused(tq: Any):
    rows = put(tq, "refused", 2)
    with pytest.raises(InvalidTypeError, match="dict does not derive from BaseSampler"):
        tq.register_sampler(dict)
    with pytest.raises(InvalidArgumentError, match="Could not find sampler 'Nobody'"):
        tq.register_sampler("Nobody")
    with pytest.raises(InvalidTypeError):
        tq.register_sampler("GRPOGroupNSampler", {"nobody": 1})
    sampler = Unpicklable()
    with sampler.file, pytest.raises(InvalidArgumentError, match="must be picklable"):
        tq.register_sampler(sampler)
    assert fetch(tq, "refused", 1) == rows[:1]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"name": "Nobody", "arguments": {}}, "not built in"),
        ({"name": "SequentialSampler", "arguments": {"n": 1}}, "takes no argument 'n'"),
        ({"name": "GRPOGroupNSampler", "arguments": {"n_samples_per_prompt": 1 << 40}}, "32 bits"),
        ({"name": "GRPOGroupNSampler", "arguments": {"n_samples_per_prompt": 0}}, "n_samples_per_prompt"),
        ({"name": "Own", "arguments": {}, "token": b"\0" * 32}, "wrong token"),
        ({"name": "SequentialSampler"}, "arguments"),
    ],
)
def test_the_core_checks_what_a_client_sends(tq: Any, header: dict[str, Any], says: str):
    client = wire.Wire(_session.session().ready["address"])
    try:
        assert says in client.call(wire.SET_SAMPLER, header).header["message"]
    finally:
        client.close()
    rows = put(tq, f"checked {says}", 2)
    assert fetch(tq, f"checked {says}", 1) == rows[:1]


def test_another_process_may_do_it(tq: Any):
    rows = put(tq, "afar", 4)
    code = "import transferqueue as tq; tq.register_sampler('GRPOGroupNSampler', {'n_samples_per_prompt': 2})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert fetch(tq, "afar", 2) == rows[:2]
    with pytest.raises(ValueError, match="2"):
        fetch(tq, "afar", 1)
