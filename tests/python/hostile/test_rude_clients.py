"""Clients that are slow, silent, many or greedy: none of them keeps another one waiting, none leaves anything behind."""

from __future__ import annotations

import contextlib
import time

import numpy as np
import pytest

from support import wire
from support.sidecars import expect
from support.wire import CLEAR_PARTITION, GET, META, PING, PUT, Wire, keys_of, message, put_header

LIMIT = 12


@pytest.fixture(scope="module", autouse=True)
def silent_since_the_beginning(address):
    """A connection that never says a word; it is looked at in the end, when its time is over."""
    with Wire(address, greet=False) as connection:
        connection.since = time.monotonic()
        yield connection


def connections(tq) -> int:
    return tq.get_client().stats()["connections"]


def test_five_hundred_clients_that_say_nothing_stop_nobody(tq, address, unharmed):
    before = connections(tq)
    with unharmed(), contextlib.ExitStack() as stack:
        silent = [stack.enter_context(Wire(address, greet=False)) for _ in range(250)]
        for connection in silent[::2]:
            connection.send_bytes(message(PING, {})[:20])
        for _ in range(250):
            stack.enter_context(Wire(address))
        expect(lambda: connections(tq) >= before + 500)
    expect(lambda: connections(tq) <= before)


def test_a_message_may_come_byte_by_byte(connection, partition):
    column = wire.dense("x", np.arange(3))
    octets = message(PUT, put_header(partition, ["a", "b", "c"], [column]), [column.frame], request_id=2)
    octets += message(GET, {"partition": partition, "keys": keys_of(["b"]), "strict": False}, request_id=3)
    for octet in octets:
        connection.send_bytes(bytes([octet]))
    assert connection.receive().ok().request_id == 2
    assert connection.receive().ok().frames == [np.int64(1).tobytes()]
    connection.call(CLEAR_PARTITION, {"partition": partition}).ok()


def test_many_messages_may_come_at_once(connection):
    octets = b"".join(message(PING, {}, request_id=number) for number in range(10, 2010))
    connection.send_bytes(octets)
    assert [connection.receive().ok().request_id for _ in range(2000)] == list(range(10, 2010))


def test_a_client_that_does_not_read_keeps_its_replies_not_others(tq, address, partition, unharmed):
    with Wire(address) as producer:
        column = wire.dense("x", np.zeros((1, 2 << 20), "u1"))
        producer.put(partition, ["a"], [column]).ok()
        with unharmed():
            slow = Wire(address)
            header = {"partition": partition, "keys": keys_of(["a"]), "strict": False}
            for _ in range(100):
                slow.send(GET, header)
            expect(lambda: tq.get_client().stats()["leases"] >= 90)
            assert slow.receive().ok().frames == [column.frame]
            slow.close()
            expect(lambda: tq.get_client().stats()["leases"] == 0)
        producer.call(CLEAR_PARTITION, {"partition": partition}).ok()


def test_rows_that_are_cleared_while_a_slow_client_gets_them_still_arrive(tq, address, partition):
    column = wire.dense("x", np.random.default_rng(1).integers(0, 256, (4, 2 << 20), np.uint8))
    used = tq.get_client().stats()["bytes_used"]
    with Wire(address) as producer, Wire(address) as slow:
        producer.put(partition, ["a", "b", "c", "d"], [column]).ok()
        slow.send(GET, {"partition": partition, "keys": keys_of(["a", "b", "c", "d"]), "strict": False})
        expect(lambda: producer.stats()["leases"] == 1)
        producer.call(CLEAR_PARTITION, {"partition": partition}).ok()
        for number in range(4):
            other = wire.dense("x", np.full((1, 2 << 20), number, "u1"))
            producer.put(partition, [f"new{number}"], [other]).ok()
        assert slow.receive().ok().frames == [column.frame]
        producer.call(CLEAR_PARTITION, {"partition": partition}).ok()
        expect(lambda: producer.stats()["bytes_used"] == used)


def test_a_thousand_fetches_that_wait_stop_nobody(tq, address, partition, unharmed):
    wanted = {"partition": partition, "fields": ["x"], "batch_size": 4, "mode": "fetch", "task": "t"}
    with unharmed():
        with Wire(address) as waiting:
            for number in range(1000):
                waiting.send(META, wanted, request_id=10 + number, timeout_ms=600_000)
            expect(lambda: tq.get_client().stats()["fetches_waiting"] == 1000)
            waiting.call(PING, {}).ok()
        expect(lambda: tq.get_client().stats()["fetches_waiting"] == 0)


@pytest.mark.parametrize("rows", [2**24 + 1, 2**31 - 1, 2**40])
def test_an_insert_of_more_rows_than_a_message_may_have_is_refused(connection, partition, unharmed, rows):
    with unharmed():
        wanted = {"partition": partition, "fields": ["x"], "batch_size": rows, "mode": "insert"}
        answer = connection.call(META, wanted)
        assert answer.kind == LIMIT
        assert str(2**24) in answer.header["message"]


@pytest.mark.parametrize("batch_size", [-1, -(2**40), None])
def test_an_insert_without_a_number_of_rows_is_refused(connection, partition, unharmed, batch_size):
    with unharmed():
        wanted = {"partition": partition, "fields": ["x"], "batch_size": batch_size, "mode": "insert"}
        assert connection.call(META, wanted).type == wire.ERROR


@pytest.mark.parametrize("layout", ["dense", "jagged", "text"])
@pytest.mark.parametrize("row_bytes", [8000, 4 << 20])
def test_a_reply_that_repeats_rows_beyond_all_bounds_is_refused(connection, partition, unharmed, layout, row_bytes):
    """A small request must not make the core gather, or a client receive, a hundred times what is stored."""
    if layout == "text":
        column = wire.text("x", ["y" * row_bytes, ""])
    elif layout == "jagged":
        column = wire.jagged("x", [np.zeros(row_bytes // 8, "i8"), np.zeros(0, "i8")])
    else:
        column = wire.dense("x", np.zeros((2, row_bytes), "u1"))
    connection.put(partition, ["a", "b"], [column]).ok()
    with unharmed():
        many = (2 << 30) // row_bytes
        header = {"partition": partition, "keys": keys_of(["a"] * many), "strict": False}
        answer = connection.call(GET, header)
        assert answer.kind == LIMIT
        assert "1073741824" in answer.header["message"]
        assert connection.get(partition, ["a", "b", "a"]).ok().header["n"] == 3
    connection.call(CLEAR_PARTITION, {"partition": partition}).ok()


def test_a_connection_that_says_nothing_is_closed_in_the_end(silent_since_the_beginning):
    """Ten seconds after it was made; most of them have gone by in the tests above."""
    assert silent_since_the_beginning.has_ended()
