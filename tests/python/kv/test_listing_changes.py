"""A client's second listing asks for the changes alone, and gives what a first one would."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.wire import LIST, Wire
from transferqueue import _listings, _session
from transferqueue._core import Connection
from transferqueue.client import TransferQueueClient

KEYS = [*"abcdefgh"]
_numbers = itertools.count()


@contextlib.contextmanager
def another_client() -> Iterator[TransferQueueClient]:
    connection = Connection.open(_session.session().address, None, 10.0, False)
    with connection:
        yield TransferQueueClient(connection)


@pytest.fixture
def other(tq) -> Iterator[TransferQueueClient]:
    with another_client() as client:
        yield client


@pytest.fixture
def replies(tq, monkeypatch) -> list[dict[str, Any]]:
    """Headers of the replies to LIST of this process's client."""
    seen: list[dict[str, Any]] = []
    read = _listings.Listings._read

    def spied(self, partition_id, known, reply):
        seen.append(msgpack.unpackb(reply.header))
        return read(self, partition_id, known, reply)

    monkeypatch.setattr(_listings.Listings, "_read", spied)
    return seen


def test_the_reply_grows_with_the_changes_and_not_with_the_keys(tq, partition):
    keys = [f"key-{row}" for row in range(5000)]
    tq.kv_batch_put(keys, partition, tags=[{"n": row} for row in range(5000)])
    with Wire(_session.session().address) as connection:
        [[name, version, packed, _, removed]] = (
            connection.call(LIST, {"partition": partition}).ok().header["partitions"]
        )
        assert (name, packed["n"], removed) == (partition, 5000, None)
        tq.kv_put("key-7", partition, tag={"n": -7})
        tq.kv_clear(["key-8", "key-9"], partition)
        tq.kv_put("new", partition, tag={})
        reply = connection.call(LIST, {"partition": partition, "since": {partition: version}}).ok()
        [[_, later, changed, tags, removed]] = reply.header["partitions"]
        assert later > version
        assert changed == {"n": 2, "k": b"key-7\0new"}
        assert tags == msgpack.packb({"n": -7}) + msgpack.packb({})
        assert sorted(removed["k"].split(b"\0")) == [b"key-8", b"key-9"]
        assert len(msgpack.packb(reply.header)) < 200
        for unknown in (0, version - (1 << 20), later + 1, -(2**63), 2**63 - 1):
            answer = connection.call(LIST, {"partition": partition, "since": {partition: unknown}}).ok()
            [[_, _, packed, _, removed]] = answer.header["partitions"]
            assert (packed["n"], removed) == (4999, None)


def test_a_second_listing_carries_only_what_others_changed(tq, partition, other, replies):
    tq.kv_batch_put(KEYS, partition, tags=[{"n": 1}] * len(KEYS))
    first = tq.kv_list(partition)
    assert tq.kv_list(partition) == first
    other.kv_list()
    tq.kv_clear("b", partition)
    with Wire(_session.session().address) as connection:
        connection.put(partition, ["h", "z"], [], tags=msgpack.packb({"n": 2}) + msgpack.packb({"s": "x"})).ok()
    last = tq.kv_list(partition)
    assert last == other.kv_list(partition)
    assert list(last[partition].items()) == [*((key, {"n": 1}) for key in "acdefg"), ("h", {"n": 2}), ("z", {"s": "x"})]
    mine = [reply["partitions"][0] for reply in replies if len(reply["partitions"]) == 1][:3]
    assert [(packed["n"], removed and removed["n"]) for _, _, packed, _, removed in mine] == [(8, None), (0, 0), (2, 1)]


@pytest.mark.parametrize(
    "tag", [{"n": 1, "s": "x", "b": b"y"}, {"l": [1, [2]], "d": {"x": {}}, "t": (1, [2], {"u": 3})}]
)
def test_a_listing_is_the_callers_own(tq, partition, tag):
    def spoil(value: Any) -> None:
        if isinstance(value, dict):
            for inner in [*value.values()]:
                spoil(inner)
            value["spoilt"] = True
        elif isinstance(value, list | tuple):
            for inner in value:
                spoil(inner)
            if isinstance(value, list):
                value.append("spoilt")

    tq.kv_batch_put(["a", "b"], partition, tags=[tag, {}])
    for _ in range(4):
        listing = tq.kv_list(partition)
        assert listing == {partition: {"a": tag, "b": {}}}
        spoil(listing)
    tq.kv_put("b", partition, tag={"later": [2**80, None, 0.5, "\ud800"]})
    for _ in range(2):
        listing = tq.kv_list(partition)
        assert listing == {partition: {"a": tag, "b": {"later": [2**80, None, 0.5, "\ud800"]}}}
        spoil(listing)


def test_a_partition_that_went_and_came_again_is_listed_as_it_is(tq, partition):
    tq.kv_batch_put(["a", "b"], partition, tags=[{"n": 1}] * 2)
    tq.kv_list(partition)
    tq.get_client().clear_partition(partition)
    assert tq.kv_list(partition) == {}
    tq.kv_put("c", partition, tag={})
    tq.kv_list(partition)
    tq.get_client().clear_partition(partition)
    tq.kv_put("d", partition, tag={})
    assert tq.kv_list(partition) == {partition: {"d": {}}}
    assert tq.kv_list()[partition] == {"d": {}}


def test_only_the_partitions_that_were_listed_last_are_kept(tq, partition, other):
    names = [f"{partition}-{i}" for i in range(_listings.MOST_PARTITIONS + 3)]
    for name in names:
        tq.kv_put("a", name, tag={"in": name})
        assert other.kv_list(name) == {name: {"a": {"in": name}}}
    assert list(other._listings._kept) == names[3:]
    assert other.kv_list(names[0]) == {names[0]: {"a": {"in": names[0]}}}
    assert list(other._listings._kept) == [*names[4:], names[0]]
    assert {name: other.kv_list()[name] for name in names} == {name: {"a": {"in": name}} for name in names}
    assert len(other._listings._kept) == _listings.MOST_PARTITIONS
    for name in names:
        tq.get_client().clear_partition(name)
    other.kv_list()
    assert not set(other._listings._kept) & set(names)


some_keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True)
some_tags = st.dictionaries(
    st.sampled_from("uvw"), st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2), max_size=2
)
actions = st.one_of(
    st.tuples(st.just("put"), some_keys, some_tags),
    st.tuples(st.just("clear"), some_keys),
    st.tuples(st.just("clear all")),
    st.tuples(st.just("list"), st.integers(0, 2), st.booleans()),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(steps=st.lists(actions, min_size=5, max_size=40))
def test_clients_that_list_now_and_then_see_what_a_new_one_sees(tq, steps):
    names = [f"changes-{next(_numbers)}", f"changes-{next(_numbers)}"]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(another_client()) for _ in range(3)]
        for at, (action, *arguments) in enumerate([*steps, *[("list", client, False) for client in range(3)]]):
            name = names[at % 2]
            if action == "put":
                tq.kv_batch_put(arguments[0], name, tags=[arguments[1]] * len(arguments[0]))
            elif action == "clear":
                tq.kv_clear(arguments[0], name)
            elif action == "clear all":
                tq.get_client().clear_partition(name)
            else:
                client, one = clients[arguments[0]], name if arguments[1] else None
                seen = client.kv_list(one)
                fresh = TransferQueueClient(client._connection).kv_list(one)
                assert seen == fresh
                assert [*map(list, seen.values())] == [*map(list, fresh.values())]
        for name in names:
            tq.get_client().clear_partition(name)
