"""A request that comes again gets its first answer and has one effect, on whatever connection it comes."""

from __future__ import annotations

import numpy as np
import pytest

from support import wire
from support.sidecars import expect
from support.wire import CLEAR_KEYS, CLEAR_PARTITION, LIST, META, PUT, Ended, Wire
from transferqueue import _session


@pytest.fixture
def address(tq):
    return _session.session().address


@pytest.fixture
def connection(address):
    with Wire(address) as connection:
        yield connection


def insert(partition: str, rows: int) -> dict:
    return {"partition": partition, "fields": ["x"], "batch_size": rows, "mode": "insert"}


def fetch(partition: str, rows: int) -> dict:
    return {"partition": partition, "fields": ["x"], "batch_size": rows, "mode": "fetch", "task": "t"}


def rows_of(connection: Wire, partition: str) -> int:
    listed = connection.call(LIST, {"partition": partition}).ok().header["partitions"]
    return listed[0][2]["n"] if listed else 0


def put_rows(connection: Wire, partition: str, rows: int) -> None:
    connection.put(partition, [f"k{row}" for row in range(rows)], [wire.dense("x", np.arange(rows))]).ok()


def test_an_insert_that_comes_again_makes_no_further_rows(connection, partition):
    first = connection.call(META, insert(partition, 5)).ok()
    before = connection.stats()
    again = connection.call(META, insert(partition, 5), request_id=first.request_id).ok()
    after = connection.stats()
    assert again.header == first.header
    assert after["rows"] == before["rows"]
    assert after["repeated"] - before["repeated"] == 1


def test_a_fetch_that_comes_again_gets_the_same_rows_on_another_connection(connection, address, partition):
    put_rows(connection, partition, 6)
    first = connection.call(META, fetch(partition, 4)).ok()
    with Wire(address, client=connection.client) as other:
        assert other.call(META, fetch(partition, 4), request_id=first.request_id).ok().header == first.header
        assert other.call(META, fetch(partition, 2), request_id=100).ok().header != first.header


def test_the_same_id_of_another_client_is_another_request(connection, address, partition):
    put_rows(connection, partition, 4)
    first = connection.call(META, fetch(partition, 2), request_id=50).ok()
    with Wire(address) as other:
        assert other.call(META, fetch(partition, 2), request_id=50).ok().header != first.header


def test_a_put_that_comes_again_with_its_columns_changes_nothing(connection, partition):
    made = [wire.dense("x", np.arange(3))]
    header = wire.put_header(partition, ["a", "b", "c"], made, want="meta")
    first = connection.call(PUT, header, [made[0].frame]).ok()
    connection.put(partition, ["b"], [wire.dense("x", np.array([70]))]).ok()
    before = connection.stats()
    again = connection.call(PUT, header, [made[0].frame], request_id=first.request_id).ok()
    assert again.header == first.header
    assert connection.stats()["bytes_used"] == before["bytes_used"]
    got = connection.get(partition, ["a", "b", "c"]).ok()
    assert [np.frombuffer(row, "<i8")[0] for row in wire.values_of(got.header["columns"][0], got.frames[0])] == [
        0,
        70,
        2,
    ]


def test_a_clear_that_comes_again_spares_what_was_put_since(connection, partition):
    put_rows(connection, partition, 2)
    clear = {"partition": partition, "keys": wire.keys_of(["k0"])}
    first = connection.call(CLEAR_KEYS, clear).ok()
    assert first.header == {"rows": 1}
    put_rows(connection, partition, 2)
    assert connection.call(CLEAR_KEYS, clear, request_id=first.request_id).ok().header == {"rows": 1}
    assert rows_of(connection, partition) == 2


def test_a_waiting_fetch_that_comes_again_elsewhere_is_answered_there_once(connection, address, partition):
    request = connection.send(META, fetch(partition, 2))
    with Wire(address, client=connection.client) as other:
        other.send(META, fetch(partition, 2), request_id=request)
        with Wire(address) as producer:
            expect(lambda: producer.stats()["fetches_waiting"] == 1)
            put_rows(producer, partition, 3)
        answer = other.receive().ok()
        assert answer.request_id == request
        # The first connection has no answer to come: the next one that it sees is its next request's.
        assert connection.call(META, fetch(partition, 1), request_id=request + 1).ok().header != answer.header
        assert other.stats()["fetches_waiting"] == 0


def test_a_waiting_fetch_goes_on_elsewhere_when_its_connection_ends(connection, address, partition):
    first = Wire(address, client=connection.client)
    request = first.send(META, fetch(partition, 2), request_id=900)
    expect(lambda: connection.stats()["fetches_waiting"] == 1)
    connection.send(META, fetch(partition, 2), request_id=request)
    first.close()
    with Wire(address) as producer:
        assert producer.stats()["fetches_waiting"] == 1
        put_rows(producer, partition, 2)
    assert connection.receive().ok().request_id == request


def test_a_waiting_fetch_whose_only_connection_ends_consumes_nothing(connection, address, partition):
    lost = Wire(address)
    lost.send(META, fetch(partition, 2))
    expect(lambda: connection.stats()["fetches_waiting"] == 1)
    lost.close()
    expect(lambda: connection.stats()["fetches_waiting"] == 0)
    put_rows(connection, partition, 2)
    assert connection.call(META, fetch(partition, 2)).type == wire.OK


def test_a_put_that_comes_again_while_its_columns_are_still_coming_has_one_effect(connection, address, partition):
    """The second one, whole, comes on another connection: it is answered there, with the first one's answer."""
    made = [wire.dense("x", np.arange(400_000).reshape(2, -1))]
    whole = wire.message(PUT, wire.put_header(partition, ["a", "b"], made), [made[0].frame], request_id=77)
    connection.send_bytes(whole[:-5])
    with Wire(address, client=connection.client) as other:
        expect(lambda: other.stats()["bytes_used"] >= len(made[0].frame))
        other.send_bytes(whole)
        before = other_stats(address)
        connection.send_bytes(whole[-5:])
        answer = other.receive().ok()
        assert answer.request_id == 77
        assert other_stats(address)["bytes_used"] == before["bytes_used"]
        assert rows_of(other, partition) == 2
        got = other.get(partition, ["a", "b"]).ok()
        assert got.frames == [made[0].frame]


def other_stats(address: str) -> dict[str, int]:
    with Wire(address) as connection:
        return connection.stats()


def test_a_put_whose_first_connection_dies_tells_the_second_to_send_it_again(connection, address, partition):
    made = [wire.dense("x", np.arange(400_000).reshape(2, -1))]
    whole = wire.message(PUT, wire.put_header(partition, ["a", "b"], made), [made[0].frame], request_id=78)
    used = connection.stats()["bytes_used"]
    first = Wire(address, client=connection.client)
    first.send_bytes(whole[:-5])
    expect(lambda: connection.stats()["bytes_used"] != used)
    connection.send_bytes(whole)
    first.close()
    answer = connection.receive()
    assert answer.request_id == 78
    if answer.type != wire.OK:
        assert "again" in answer.header["message"]
        assert connection.call(PUT, wire.put_header(partition, ["a", "b"], made), [made[0].frame], request_id=78).ok()
    assert connection.get(partition, ["a", "b"]).ok().frames == [made[0].frame]


def test_what_the_client_acknowledged_is_refused_not_repeated(connection, partition):
    first = connection.call(META, insert(partition, 2)).ok()
    connection.call(CLEAR_PARTITION, {"partition": partition}, acknowledged=first.request_id + 1).ok()
    late = connection.call(META, insert(partition, 2), request_id=first.request_id)
    assert late.type == wire.ERROR
    assert rows_of(connection, partition) == 0


def test_a_refused_request_may_come_again_as_new(connection, partition):
    made = [wire.dense("x", np.arange(2))]
    request = connection.send(PUT, wire.put_header(partition, ["a", "a"], made), [made[0].frame])
    assert connection.receive().type == wire.ERROR
    assert connection.call(PUT, wire.put_header(partition, ["a", "b"], made), [made[0].frame], request_id=request).ok()
    assert rows_of(connection, partition) == 2


def test_a_connection_that_ended_leaves_its_client_able_to_repeat(address, partition):
    with Wire(address) as first:
        answer = first.call(META, insert(partition, 3)).ok()
        client = first.client
    with Wire(address, client=client) as again:
        assert again.call(META, insert(partition, 3), request_id=answer.request_id).ok().header == answer.header


def test_an_ended_connection_says_so(address):
    with Wire(address, greet=False) as connection:
        connection.send_bytes(b"x" * 48)
        connection.receive()
        with pytest.raises(Ended):
            connection.receive()
