"""Messages that break the rules of the wire: a typed answer or the connection's end, nothing written, others served on.

That another user's process is turned away can't be tried here: tests run as one user, often root, and may not become another one.
"""

from __future__ import annotations

import os
import struct

import msgpack
import numpy as np
import pytest

from support import wire
from support.sidecars import expect
from support.wire import GET, HELLO, LIST, META, PING, PUT, STATS, Wire, message, put_header

PROTOCOL, VERSION, LIMIT, AUTHENTICATION = 10, 11, 12, 14

COLUMN = wire.dense("x", np.arange(4))
KEYS = ["a", "b", "c", "d"]
WHOLE = message(PUT, put_header("broken", KEYS, [COLUMN]), [COLUMN.frame], request_id=9)


def put(**wrong: object) -> bytes:
    """The good put with something wrong in its prelude."""
    return message(PUT, put_header("broken", KEYS, [COLUMN]), [COLUMN.frame], request_id=9, **wrong)


# ---- a prelude behind which nothing can be trusted: an answer where one can be sent, then the end --------------------------


@pytest.mark.parametrize(
    ("octets", "kind", "says"),
    [
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n" + b" " * 48, PROTOCOL, "TQN1", id="http"
        ),
        pytest.param(bytes(range(256)), PROTOCOL, "TQN1", id="garbage"),
        pytest.param(put(magic=0x324E5154), PROTOCOL, "TQN1", id="magic"),
        pytest.param(put(version=2), VERSION, "version 2, this side speaks 1", id="version"),
        pytest.param(put(version=0), VERSION, "version 0, this side speaks 1", id="version 0"),
        pytest.param(put(flags=4), PROTOCOL, "flags 0x4", id="flags"),
        pytest.param(put(header_bytes=2**32 - 1), LIMIT, str(64 << 20), id="a header of 4 GiB"),
        pytest.param(put(header_bytes=(64 << 20) + 1), LIMIT, str(64 << 20), id="a header over the limit"),
        pytest.param(put(frame_count=4097), LIMIT, "4096", id="too many frames"),
        pytest.param(put(frame_count=2**32 - 1), LIMIT, "4096", id="4 billion frames"),
        pytest.param(
            put(frame_lengths=[65 << 20], payload_bytes=65 << 20), LIMIT, str(64 << 20), id="over the capacity"
        ),
        pytest.param(put(frame_lengths=[2**63], payload_bytes=2**63), LIMIT, str(64 << 20), id="2^63 bytes"),
        pytest.param(put(payload_bytes=31), PROTOCOL, "don't add up", id="lengths above the sum"),
        pytest.param(put(payload_bytes=33), PROTOCOL, "don't add up", id="lengths below the sum"),
        pytest.param(
            put(frame_lengths=[2**64 - 1, 33], payload_bytes=32), LIMIT, "bytes of a frame", id="a sum that wraps"
        ),
        pytest.param(
            put(frame_count=0, frame_lengths=[], payload_bytes=32), PROTOCOL, "no frame", id="bytes in no frame"
        ),
    ],
)
def test_a_broken_prelude_gets_an_error_and_the_connection_ends(connection, unharmed, octets, kind, says):
    with unharmed():
        connection.send_bytes(octets)
        answer = connection.receive()
        assert answer.kind == kind
        assert says in answer.header["message"]
        assert connection.has_ended()


def test_a_request_id_of_zero_is_refused(connection, unharmed):
    with unharmed():
        connection.send_bytes(WHOLE[:8] + bytes(8) + WHOLE[16:])
        assert connection.receive().kind == PROTOCOL
        assert connection.has_ended()


# ---- before HELLO ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PING, PUT, GET, META, LIST, STATS, 77])
def test_a_request_before_hello_is_refused_and_the_connection_ends(address, unharmed, kind):
    with unharmed(), Wire(address, greet=False) as stranger:
        stranger.send_bytes(message(kind, put_header("broken", KEYS, [COLUMN]) if kind == PUT else {}))
        answer = stranger.receive()
        assert answer.kind == AUTHENTICATION
        assert "HELLO" in answer.header["message"]
        assert stranger.has_ended()


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"client": b"short", "pid": 1, "package": "x"},
        {"client": bytes(16), "pid": "1", "package": "x"},
        {"client": bytes(16), "pid": 1, "package": "x", "more": 1},
        {"client": bytes(16), "pid": 2**40, "package": "x"},
        {"client": bytes(16), "pid": 1, "package": "x" * 2000},
    ],
)
def test_a_broken_hello_ends_the_connection(address, unharmed, header):
    with unharmed(), Wire(address, greet=False) as stranger:
        assert stranger.call(HELLO, header).kind in (PROTOCOL, LIMIT)
        assert stranger.has_ended()


def test_a_second_hello_changes_nobody(connection, unharmed):
    with unharmed():
        connection.call(HELLO, connection.hello_header() | {"client": os.urandom(16)}).ok()
        connection.call(PING, {}).ok()


# ---- a header that breaks a rule: an error, its payload is skipped, the connection goes on ---------------------------------


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def tag_bytes(*tags: object) -> bytes:
    return b"".join(map(msgpack.packb, tags))


GOOD = put_header("broken", KEYS, [COLUMN])


@pytest.mark.parametrize(
    ("kind", "header", "error"),
    [
        pytest.param(PUT, b"", PROTOCOL, id="no header"),
        pytest.param(PUT, b"\xc1", PROTOCOL, id="a reserved code"),
        pytest.param(PUT, msgpack.packb([1, 2]), PROTOCOL, id="an array"),
        pytest.param(PUT, msgpack.packb("map"), PROTOCOL, id="a string"),
        pytest.param(PUT, msgpack.packb(GOOD)[:-3], PROTOCOL, id="a cut map"),
        pytest.param(PUT, msgpack.packb(GOOD) + b"\xc0", PROTOCOL, id="bytes behind the map"),
        pytest.param(PUT, b"\xdf\xff\xff\xff\xff", PROTOCOL, id="a map of 4 billion"),
        pytest.param(PUT, b"\x81\xa1n\xdd\xff\xff\xff\xff", PROTOCOL, id="an array of 4 billion"),
        pytest.param(PUT, b"\x82\xa1n\x01\xa1n\x01", PROTOCOL, id="a key twice"),
        pytest.param(PUT, GOOD | {"more": 1}, PROTOCOL, id="an unknown key"),
        pytest.param(PUT, msgpack.packb({1: 2}), PROTOCOL, id="a key that is a number"),
        pytest.param(PUT, {name: GOOD[name] for name in GOOD if name != "n"}, PROTOCOL, id="a missing key"),
        pytest.param(PUT, GOOD | {"n": "4"}, PROTOCOL, id="a wrong type"),
        pytest.param(PUT, GOOD | {"n": -1}, PROTOCOL, id="negative rows"),
        pytest.param(PUT, GOOD | {"n": 3}, PROTOCOL, id="fewer rows than keys"),
        pytest.param(PUT, GOOD | {"n": 2**24 + 1}, LIMIT, id="too many rows"),
        pytest.param(PUT, GOOD | {"n": 2**63}, PROTOCOL, id="2^63 rows"),
        pytest.param(PUT, GOOD | {"keys": {"n": 5, "k": b"a\0b\0c\0d"}}, PROTOCOL, id="too few keys"),
        pytest.param(PUT, GOOD | {"keys": {"n": 4, "k": b"a\0b\0c\0\xff"}}, PROTOCOL, id="a key that is no UTF-8"),
        pytest.param(PUT, GOOD | {"keys": {"n": 4, "k": b"a\0b\0c\0" + b"k" * 4097}}, LIMIT, id="a long key"),
        pytest.param(PUT, GOOD | {"partition": "p" * 1025}, LIMIT, id="a long name"),
        pytest.param(PUT, GOOD | {"partition": ""}, PROTOCOL, id="an empty name"),
        pytest.param(PUT, GOOD | {"columns": [["", 0, 4, []]]}, PROTOCOL, id="an empty field"),
        pytest.param(PUT, GOOD | {"partition": b"broken"}, PROTOCOL, id="a name that is bytes"),
        pytest.param(PUT, GOOD | {"want": "all"}, PROTOCOL, id="an unknown wish"),
        pytest.param(PUT, GOOD | {"columns": []}, PROTOCOL, id="a frame without a column"),
        pytest.param(PUT, GOOD | {"columns": [COLUMN.descriptor] * 2}, PROTOCOL, id="a column twice"),
        pytest.param(PUT, GOOD | {"columns": [["x" * 1025, 0, 4, []]]}, LIMIT, id="a long field"),
        pytest.param(PUT, GOOD | {"columns": [["x", 0, 4]]}, PROTOCOL, id="a short descriptor"),
        pytest.param(PUT, GOOD | {"columns": [["x", 5, 4, []]]}, PROTOCOL, id="an unknown kind"),
        pytest.param(PUT, GOOD | {"columns": [["x", 0, 99, []]]}, PROTOCOL, id="an unknown dtype"),
        pytest.param(PUT, GOOD | {"columns": [["x", 0, -1, []]]}, PROTOCOL, id="dense without dtype"),
        pytest.param(PUT, GOOD | {"columns": [["x", 3, 4, []]]}, PROTOCOL, id="text with dtype"),
        pytest.param(PUT, GOOD | {"columns": [["x", 0, 4, [-1]]]}, PROTOCOL, id="a dense ragged dimension"),
        pytest.param(PUT, GOOD | {"columns": [["x", 1, 4, [2]]]}, PROTOCOL, id="jagged without one"),
        pytest.param(PUT, GOOD | {"columns": [["x", 0, 4, [-2]]]}, PROTOCOL, id="a negative dimension"),
        pytest.param(PUT, GOOD | {"columns": [["x", 0, 4, [1] * 17]]}, LIMIT, id="too many dimensions"),
        pytest.param(PUT, GOOD | {"columns": [["x", 0, 4, [2**62, 2**62]]]}, PROTOCOL, id="a row of 2^127 bytes"),
        pytest.param(PUT, GOOD | {"columns": [["x", 0, 4, [2]]]}, PROTOCOL, id="a frame too short"),
        pytest.param(PUT, GOOD | {"columns": [["x", 0, 0, []]]}, PROTOCOL, id="a frame too long"),
        pytest.param(PUT, GOOD | {"columns": [["x", 1, 4, [-1]]]}, PROTOCOL, id="no room for offsets"),
        pytest.param(PUT, GOOD | {"tags": b""}, PROTOCOL, id="tags for no row"),
        pytest.param(PUT, GOOD | {"tags": tag_bytes({}, {}, {})}, PROTOCOL, id="too few tags"),
        pytest.param(PUT, GOOD | {"tags": tag_bytes({}, {}, {}, {}, {})}, PROTOCOL, id="too many tags"),
        pytest.param(PUT, GOOD | {"tags": tag_bytes({}, {}, {}, [])}, PROTOCOL, id="a tag that is no map"),
        pytest.param(PUT, GOOD | {"tags": tag_bytes({}, {}, {}, {1: 2})}, PROTOCOL, id="a tag with a number for a key"),
        pytest.param(PUT, GOOD | {"tags": tag_bytes({}, {}, {}, {"a": nested(40)})}, LIMIT, id="a deep tag"),
        pytest.param(PUT, GOOD | {"tags": b"\x80\x80\x80\x81\xa1a\xc7\x00\x05"}, PROTOCOL, id="an extension in a tag"),
        pytest.param(PUT, GOOD | {"indexes": struct.pack("<4q", 0, 1, 2, 3)}, PROTOCOL, id="keys and indexes"),
        pytest.param(PUT, GOOD | {"generations": bytes(16)}, PROTOCOL, id="generations without indexes"),
        pytest.param(PUT, GOOD | {"parts": [["broken", 4]]}, PROTOCOL, id="partition and parts"),
        pytest.param(LIST, {"since": nested(40)}, LIMIT, id="a deep header"),
        pytest.param(LIST, {"since": {"p": "x"}}, PROTOCOL, id="a version that is a string"),
        pytest.param(META, {"partition": "p", "fields": ["x"], "mode": "steal"}, PROTOCOL, id="an unknown mode"),
        pytest.param(GET, {"partition": "p", "strict": False}, PROTOCOL, id="a get of nothing"),
        pytest.param(
            GET, {"parts": [["p", 2]], "indexes": bytes(8), "strict": True}, PROTOCOL, id="parts that don't add up"
        ),
        pytest.param(GET, {"parts": [["p", 1]], "indexes": bytes(7), "strict": True}, PROTOCOL, id="half an index"),
        pytest.param(GET, {"parts": [["p", 0]], "indexes": b"", "strict": True}, PROTOCOL, id="an empty run"),
        pytest.param(99, {}, VERSION, id="an unknown type"),
        pytest.param(0, {}, VERSION, id="type 0"),
        pytest.param(65535, {}, VERSION, id="type 65535"),
        pytest.param(wire.OK, {}, VERSION, id="a reply"),
        pytest.param(wire.ERROR, {}, VERSION, id="an error"),
        pytest.param(wire.AUTH, {}, PROTOCOL, id="auth on a Unix socket"),
    ],
)
def test_a_broken_header_gets_an_error_and_the_connection_goes_on(connection, unharmed, kind, header, error):
    with unharmed():
        answer = connection.call(kind, header, [COLUMN.frame] if kind == PUT else [])
        assert answer.kind == error, answer.header
        assert answer.header["message"]
        assert connection.call(PING, {}).ok().header == {}


def test_only_a_put_may_have_frames(connection, unharmed):
    with unharmed():
        assert connection.call(LIST, {}, [b"x" * 100_000]).kind == PROTOCOL
        connection.call(PING, {}).ok()


# ---- frames whose content contradicts their layout -------------------------------------------------------------------------


def offsets(*values: int) -> bytes:
    return wire.padded(struct.pack(f"<{len(values)}q", *values))


TEXT_COLUMN = ["x", wire.TEXT, -1, []]
JAGGED_COLUMN = ["x", wire.JAGGED, wire.INT64, [-1, 2]]
RAGGED_COLUMN = ["x", wire.RAGGED, wire.INT64, [-1, -1]]


def shaped(ends: tuple[int, ...], shapes: tuple[int, ...], values: int) -> bytes:
    return wire.padded(struct.pack(f"<{len(ends)}q{len(shapes)}i", *ends, *shapes)) + bytes(8 * values)


@pytest.mark.parametrize("larger", [0, 1 << 20], ids=["small", "large"])
@pytest.mark.parametrize(
    ("column", "frame", "says"),
    [
        pytest.param(TEXT_COLUMN, offsets(1, 2, 3) + b"abc", "first offset", id="the first is not 0"),
        pytest.param(TEXT_COLUMN, offsets(0, 3, 2) + b"ab", "fall", id="they fall"),
        pytest.param(TEXT_COLUMN, offsets(0, -5, 2) + b"ab", "fall", id="below 0"),
        pytest.param(TEXT_COLUMN, offsets(0, 1, 9) + b"ab", "last offset", id="the last is beyond the end"),
        pytest.param(TEXT_COLUMN, offsets(0, 1, 1) + b"ab", "last offset", id="the last is before the end"),
        pytest.param(TEXT_COLUMN, offsets(0, 1, 2**62) + b"ab", "last offset", id="the last is huge"),
        pytest.param(JAGGED_COLUMN, offsets(0, 2, 2**60 + 1) + bytes(16), "last offset", id="a product that wraps"),
        pytest.param(RAGGED_COLUMN, shaped((0, 4, 6), (2, 2, 1, 3), 6), "shape", id="a shape of other elements"),
        pytest.param(RAGGED_COLUMN, shaped((0, 4, 6), (2, 2, -7, 2), 6), "shape", id="a negative shape"),
        pytest.param(RAGGED_COLUMN, shaped((0, 4, 6), (2, 2, 65536, 65536), 6), "shape", id="a shape that wraps"),
        pytest.param(RAGGED_COLUMN, shaped((0, 4, 6), (2, 2, -1, 2), 6), "shape", id="a dimension behind the end"),
    ],
)
def test_frames_that_contradict_their_columns_write_nothing(connection, unharmed, column, frame, says, larger):
    good = wire.dense("big", np.zeros((2, max(larger, 1)), "u1"))
    header = put_header("broken", ["a", "b"], [good]) | {"columns": [good.descriptor, column]}
    with unharmed():
        answer = connection.call(PUT, header, [good.frame, frame])
        assert answer.kind == PROTOCOL
        assert says in answer.header["message"]
        connection.call(PING, {}).ok()


# ---- connections that end too early ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cut", [1, 47, 48, 55, 56, 60, len(WHOLE) - 33, len(WHOLE) - 32, len(WHOLE) - 31, len(WHOLE) - 1]
)
@pytest.mark.parametrize("shutdown", [False, True])
def test_a_message_that_is_cut_writes_nothing(address, unharmed, cut, shutdown):
    with unharmed(), Wire(address) as connection:
        connection.send_bytes(WHOLE[:cut])
        if shutdown:
            connection.socket.shutdown(1)
            assert connection.has_ended()


def test_a_put_whose_connection_dies_in_its_payload_gives_its_room_back(address, tq, unharmed):
    column = wire.dense("x", np.zeros((4, 5 << 20), "u1"))
    whole = message(PUT, put_header("broken", KEYS, [column]), [column.frame], request_id=9)
    with unharmed():
        used = tq.get_client().stats()["bytes_used"]
        dying = [Wire(address) for _ in range(3)]  # together almost the whole capacity
        for connection in dying:
            connection.send_bytes(whole[: len(whole) // 2])
        expect(lambda: tq.get_client().stats()["bytes_used"] >= used + 3 * len(column.frame))
        with Wire(address) as late:
            assert late.call(PUT, put_header("broken", KEYS, [column]), [column.frame], timeout_ms=300).kind == 8
        for connection in dying:
            connection.close()
    with Wire(address) as late:
        late.put("broken", KEYS, [column]).ok()
        late.call(wire.CLEAR_PARTITION, {"partition": "broken"}).ok()
