"""Valid messages, changed at random: the core answers or closes, has no fault, and gives everything back.

Each run of a test is the same: the seeds are fixed.
"""

from __future__ import annotations

import copy
import random
import struct
from typing import Any

import msgpack
import numpy as np
import pytest

from support import wire
from support.sidecars import expect
from support.wire import (
    CLEAR_KEYS,
    CLEAR_PARTITION,
    CLEAR_ROWS,
    CONSUMPTION_STATUS,
    GET,
    HELLO,
    LIST,
    META,
    PARTITIONS,
    PING,
    PRODUCTION_STATUS,
    PUT,
    RESET_CONSUMPTION,
    RETRIEVE_KEYS,
    RETRIEVE_META,
    SET_TAGS,
    STATS,
    Ended,
    Wire,
    keys_of,
    message,
    put_header,
)

KEYS = ["a", "b", "c", "d"]
AT_ONCE = 50

Message = tuple[int, dict[str, Any], list[bytes]]


def samples() -> list[Message]:
    """One valid message of each kind, and puts of each layout."""
    rng = np.random.default_rng(0)
    columns = [
        wire.dense("dense", rng.standard_normal((4, 3)).astype("f4")),
        wire.jagged("jagged", [np.arange(n) for n in (2, 0, 1, 3)]),
        wire.ragged("ragged", [np.zeros((1, 2)), np.zeros((2, 0)), np.zeros((3, 1)), np.zeros((1, 1))]),
        wire.text("text", ["a", "", "ü", "xyz"]),
        wire.objects("object", [b"1", b"22", b"", b"4444"]),
    ]
    frames = [column.frame for column in columns]
    indexes = struct.pack("<3q", 0, 1, 2)
    rows = {"parts": [["fuzz", 3]], "indexes": indexes}
    tags = b"".join(msgpack.packb({"n": n, "s": [1, {"x": None}]}) for n in range(4))
    fetch = {"partition": "fuzz", "fields": ["dense"], "batch_size": 2}
    return [
        (PUT, put_header("fuzz", KEYS, columns, tags=tags, want="kv"), frames),
        (PUT, {"n": 4, "partition": "fuzz", "columns": [columns[0].descriptor], "want": "meta"}, frames[:1]),
        (
            PUT,
            {
                "n": 3,
                **rows,
                "generations": bytes(12),
                "columns": [],
                "tags": tags[: len(tags) // 4 * 3],
                "want": "none",
            },
            [],
        ),
        (PUT, put_header("fuzz", KEYS[:2], [], tags=b"\x80\x80"), []),
        (GET, {"partition": "fuzz", "keys": keys_of(KEYS), "strict": False}, []),
        (GET, {"partition": "fuzz", "keys": keys_of(["c", "a"]), "fields": ["text", "jagged"], "strict": False}, []),
        (GET, {**rows, "generations": bytes(12), "fields": ["dense"], "strict": True}, []),
        (META, {**fetch, "mode": "fetch", "task": "t"}, []),
        (META, {**fetch, "mode": "insert"}, []),
        (META, {**fetch, "mode": "force_fetch"}, []),
        (RETRIEVE_META, {"partition": "fuzz", "keys": keys_of(KEYS), "create": True}, []),
        (RETRIEVE_KEYS, {"partition": "fuzz", "indexes": indexes}, []),
        (LIST, {"partition": "fuzz"}, []),
        (LIST, {"since": {"fuzz": 3}}, []),
        (CLEAR_KEYS, {"partition": "fuzz", "keys": keys_of(["a"])}, []),
        (CLEAR_ROWS, rows, []),
        (CLEAR_PARTITION, {"partition": "fuzz"}, []),
        (SET_TAGS, {**rows, "tags": b"\x80\x80\x80", "replace": True}, []),
        (PRODUCTION_STATUS, {"partition": "fuzz", "fields": ["dense", "text"]}, []),
        (CONSUMPTION_STATUS, {"partition": "fuzz", "task": "t"}, []),
        (CONSUMPTION_STATUS, {"partition": "fuzz", "task": "t", "check": True}, []),
        (RESET_CONSUMPTION, {"partition": "fuzz", "task": "t"}, []),
        (PARTITIONS, {}, []),
        (STATS, {}, []),
        (HELLO, {"client": bytes(16), "pid": 1, "package": "fuzz"}, []),
        (PING, {}, []),
    ]


SAMPLES = samples()
#: What a value is replaced by.
ODD_VALUES: list[Any] = [
    None, True, 0, 1, -1, 3, 2**31 - 1, 2**31, 2**32, 2**63, -(2**63), 0.5, float("nan"), "", "x", "fuzz", "a\0b", "ü" * 40,
    b"", b"\0", bytes(8), bytes(7), b"\xff" * 16, [], [1], [[]], [["fuzz", 1]], {}, {"n": 1}, {"n": 2, "k": b"a\0b"},
]  # fmt: skip


def changed_octets(rng: random.Random, octets: bytes) -> bytes:
    """Flip, cut, insert, repeat, or swap some bytes."""
    changed = bytearray(octets)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = rng.choice([0, 0x7F, 0x80, 0xC1, 0xDF, 0xFF, rng.randrange(256)])
        elif kind == 2:
            del changed[at : at + rng.randrange(1, 9)]
        elif kind == 3:
            changed[at:at] = rng.randbytes(rng.randrange(1, 9))
        else:
            end = rng.randrange(at, len(changed) + 1)
            changed[at:at] = changed[at : min(end, at + 64)]
    return bytes(changed)


def changed_value(rng: random.Random, value: Any) -> Any:
    """Replace, drop, repeat something somewhere in a header."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(sorted(value))
        kind = rng.randrange(6)
        if kind == 0:
            value.pop(name)
        elif kind == 1:
            value[rng.choice(["more", "n", "keys", "indexes", "parts", "fields"])] = rng.choice(ODD_VALUES)
        else:
            value[name] = changed_value(rng, value[name])
        return value
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        kind = rng.randrange(6)
        if kind == 0:
            del value[at]
        elif kind == 1:
            value.insert(at, copy.deepcopy(value[rng.randrange(len(value))]))
        else:
            value[at] = changed_value(rng, value[at])
        return value
    if isinstance(value, bytes) and rng.random() < 0.6:
        return changed_octets(rng, value)
    if isinstance(value, int) and rng.random() < 0.6:
        return value + rng.choice([-1, 1, 2, 63])
    return copy.deepcopy(rng.choice(ODD_VALUES))


def changed_frames(rng: random.Random, frames: list[bytes]) -> list[bytes]:
    """Other bytes of the same length, so that the message is judged by its content."""
    frames = list(frames)
    if frames and rng.random() < 0.5:
        at = rng.randrange(len(frames))
        octets = bytearray(frames[at])
        for _ in range(rng.randrange(1, 4)):
            where = rng.randrange(len(octets) // 8) * 8
            octets[where : where + 8] = struct.pack("<q", rng.choice([0, -1, 1, 2, 7, 2**31, 2**62, -(2**63)]))
        frames[at] = bytes(octets)
    return frames


def changed_header(rng: random.Random) -> Message:
    kind, header, frames = rng.choice(SAMPLES)
    if rng.random() < 0.05:
        kind = rng.choice([rng.randrange(30), rng.randrange(65536)])
    if rng.random() < 0.3 and frames:
        return kind, header, changed_frames(rng, frames)
    if rng.random() < 0.5:
        return kind, changed_octets(rng, msgpack.packb(header)), frames
    return kind, changed_value(rng, copy.deepcopy(header)), changed_frames(rng, frames)


def clear_all(tq, but: str) -> None:
    for name in tq.get_client().get_partition_list():
        if name != but:
            tq.get_client().clear_partition(name)


@pytest.fixture
def nothing_left(tq, neighbour):
    """In the end everything that was written can be cleared, and nothing else is there."""
    tq.get_client().clear_partition("fuzz")
    before = tq.get_client().stats()
    yield
    neighbour.expect_served_on()
    expect(lambda: tq.get_client().stats()["fetches_waiting"] == 0)
    clear_all(tq, "neighbour")
    after = tq.get_client().stats()
    counted = ("bytes_used", "rows", "rows_stored", "partitions", "leases", "faults")
    assert {name: after[name] for name in counted} == {name: before[name] for name in counted}


@pytest.mark.parametrize("seed", range(5))
def test_each_changed_header_or_frame_gets_an_answer(address, nothing_left, seed):
    rng = random.Random(seed)
    kinds: set[int] = set()
    with Wire(address) as connection:
        for _ in range(4000 // AT_ONCE):
            sent = [
                connection.send(kind, header, frames, timeout_ms=1)
                for kind, header, frames in (changed_header(rng) for _ in range(AT_ONCE))
            ]
            answers = [connection.receive() for _ in sent]
            assert sorted(answer.request_id for answer in answers) == sent
            kinds |= {answer.header["kind"] if answer.type == wire.ERROR else -1 for answer in answers}
    # It is no fuzzing that always breaks at the same place.
    assert kinds >= {-1, 1, 6, 10, 12}


def changed_message(rng: random.Random) -> bytes:
    """A message whose prelude, too, may be wrong, or that is cut."""
    kind, header, frames = rng.choice(SAMPLES)
    octets = bytearray(message(kind, header, frames, request_id=rng.randrange(1, 9), timeout_ms=1))
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(min(len(octets), 48 + 8 * len(frames)))
        octets[at] = rng.choice([0, 1, 0xFF, octets[at] ^ (1 << rng.randrange(8))])
    return bytes(octets[: rng.randrange(len(octets))] if rng.random() < 0.2 else octets)


def test_changed_preludes_are_answered_or_end_the_connection(address, nothing_left):
    rng = random.Random(17)
    for _ in range(1500):
        with Wire(address, greet=rng.random() < 0.9) as connection:
            connection.send_bytes(changed_message(rng))
            connection.socket.shutdown(1)
            assert connection.has_ended()


def test_noise_behind_good_messages_ends_the_connection(address, nothing_left):
    rng = random.Random(23)
    for _ in range(300):
        with Wire(address) as connection:
            good = message(PING, {}, request_id=5)
            try:
                connection.send_bytes(good + rng.randbytes(rng.randrange(48, 3000)))
            except Ended:
                continue
            assert connection.receive().ok().request_id == 5
            assert connection.receive().type == wire.ERROR
            assert connection.has_ended()
