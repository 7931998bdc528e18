"""What a client does when the core misbehaves, is slow, or goes away."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time

import msgpack
import pytest
from runtime.stub_core import GET, HELLO, OK, PING, PRELUDE, PUT, Reply, Request, StubCore, error

from transferqueue import _core, errors

EMPTY = msgpack.packb({})


def first_then(first: Reply | bytes | None, then: Reply):
    """A handler whose first answer differs from all later ones."""
    count = itertools.count()
    return lambda request: first if next(count) == 0 else then


def test_nobody_at_the_address_is_told_at_once(tmp_path) -> None:
    with pytest.raises(errors.ConnectionLostError, match="nobody answers"):
        _core.Connection.open(f"unix://{tmp_path}/none", timeout_s=30)


@pytest.mark.parametrize(
    "address", ["", "/tmp/socket", "http://localhost:1", "unix://relative", "tcp://host", "tcp://h:0"]
)
def test_wrong_address_says_what_one_looks_like(address: str) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=r"unix:///path|tcp://host:port"):
        _core.Connection.open(address)


def test_path_too_long_for_a_socket_is_told_with_both_lengths() -> None:
    with pytest.raises(errors.InvalidArgumentError, match="200 bytes, a Unix socket takes 107"):
        _core.Connection.open("unix:///" + "x" * 199)


def test_core_that_does_not_answer_hello_ends_the_open_at_its_deadline(core: StubCore) -> None:
    core.on(HELLO, lambda request: None)
    begin = time.monotonic()
    with pytest.raises(errors.DeadlineExceededError, match=r"HELLO within 0\.4 s"):
        _core.Connection.open(core.address, timeout_s=0.4)
    assert time.monotonic() - begin >= 0.4


def test_core_that_refuses_hello_is_quoted(core: StubCore) -> None:
    core.on(HELLO, lambda request: error(14, "your uid is not mine"))
    with pytest.raises(errors.AuthenticationError, match="your uid is not mine"):
        _core.Connection.open(core.address)


def test_silent_core_ends_in_an_error_that_names_type_and_seconds(core: StubCore) -> None:
    core.on(GET, lambda request: None)
    with _core.Connection.open(core.address) as connection:
        with pytest.raises(errors.DeadlineExceededError, match=r"Get: no answer within 0\.2 s") as caught:
            connection.call(GET, EMPTY, timeout_s=0.2)
        assert caught.value.details == {"type": "Get", "timeout_ms": 200}
        connection.call(PING, EMPTY)


def test_answer_of_the_core_at_the_deadline_wins_over_the_clients_own(core: StubCore) -> None:
    def late(request: Request) -> Reply:
        answer = error(3, "12 of 64 ready")
        answer.after_s = 1.2  # as late as on a machine where everybody waits for a processor
        return answer

    core.on(GET, late)
    with _core.Connection.open(core.address) as connection, pytest.raises(errors.NotReadyError, match="12 of 64"):
        connection.call(GET, EMPTY, timeout_s=0.2)


def test_slow_reply_is_waited_for_over_many_slices(core: StubCore) -> None:
    core.on(GET, lambda request: Reply({"late": True}, [b"x" * 5000], after_s=0.45))
    with _core.Connection.open(core.address) as connection:
        reply = connection.call(GET, EMPTY, timeout_s=20)
    assert msgpack.unpackb(reply.header) == {"late": True}
    assert bytes(reply.frames[0].buffer()) == b"x" * 5000


def test_request_is_repeated_with_its_id_when_the_connection_ends(core: StubCore) -> None:
    core.on(PUT, first_then(b"", Reply({"done": True})))
    with _core.Connection.open(core.address) as connection:
        reply = connection.call(PUT, EMPTY)
    assert msgpack.unpackb(reply.header) == {"done": True}
    first, second = core.of_type(PUT)
    assert first.id == second.id
    assert first.connection != second.connection


@pytest.mark.parametrize("cut_at", [1, 47, 48, 55, 60, 1000, 70_000])
def test_reply_that_was_cut_anywhere_is_asked_for_again(core: StubCore, cut_at: int) -> None:
    whole = Reply({"a": 1}, [b"y" * 80_000])
    core.on(GET, first_then(Reply(whole.header, whole.frames, cut_at=cut_at), whole))
    with _core.Connection.open(core.address) as connection:
        reply = connection.call(GET, EMPTY)
    assert bytes(reply.frames[0].buffer()) == b"y" * 80_000
    assert len({request.id for request in core.of_type(GET)}) == 1


def test_core_that_ends_every_connection_is_given_up(core: StubCore) -> None:
    core.on(PUT, lambda request: b"")
    with (
        _core.Connection.open(core.address) as connection,
        pytest.raises(errors.ConnectionLostError, match="ended 5 times while Put"),
    ):
        connection.call(PUT, EMPTY)
    assert len(core.of_type(PUT)) == 5
    assert len({request.id for request in core.of_type(PUT)}) == 1


def test_dead_core_is_told_at_once_and_not_at_the_deadline(core: StubCore) -> None:
    connection = _core.Connection.open(core.address)
    connection.call(PING, EMPTY)
    core.stop()
    with pytest.raises(errors.ConnectionLostError, match="nobody answers"):
        connection.call(PING, EMPTY, timeout_s=60)


def test_core_that_dies_during_a_call_ends_it(core: StubCore) -> None:
    def die(request: Request) -> None:
        core.stop()

    core.on(GET, die)
    with _core.Connection.open(core.address) as connection, pytest.raises(errors.ConnectionLostError):
        connection.call(GET, EMPTY, timeout_s=60)


def test_idle_connections_that_the_core_dropped_cost_no_error(core: StubCore) -> None:
    with _core.Connection.open(core.address) as connection:
        for _ in range(3):
            core.drop_connections()
            connection.call(PING, EMPTY)
    assert core.connections == 4


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n" + b" " * 64, errors.ProtocolError),
        (PRELUDE.pack(0x314E5154, 2, OK, 1, 0, 0, 0, 0, 0, 0), errors.ProtocolVersionError),
        (PRELUDE.pack(0x314E5154, 1, OK, 1, 0, 0, 2**32 - 1, 0, 0, 0), errors.LimitExceededError),
        (PRELUDE.pack(0x314E5154, 1, OK, 1, 0, 0, 0, 2**32 - 1, 0, 0), errors.LimitExceededError),
        (PRELUDE.pack(0x314E5154, 1, OK, 1, 0, 0, 0, 1, 0, 2**60), errors.LimitExceededError),
        (
            PRELUDE.pack(0x314E5154, 1, OK, 1, 0, 0, 1, 1, 0, 7) + (8).to_bytes(8, "little") + EMPTY,
            errors.ProtocolError,
        ),
        (PRELUDE.pack(0x314E5154, 1, OK, 999_999, 0, 0, 1, 0, 0, 0) + EMPTY, errors.ProtocolError),
    ],
    ids=["no prelude", "other version", "huge header", "many frames", "huge payload", "lengths", "other id"],
)
def test_reply_that_breaks_the_wire_is_named_and_the_next_call_works(
    core: StubCore, answer: bytes, expected: type
) -> None:
    core.on(GET, lambda request: answer)
    with _core.Connection.open(core.address) as connection:
        with pytest.raises(expected) as caught:
            connection.call(GET, EMPTY, timeout_s=20)
        assert type(caught.value) is expected
        connection.call(PING, EMPTY)
    assert len(core.of_type(GET)) == 1


def test_stopped_core_does_not_hold_a_large_put_beyond_its_deadline(core: StubCore) -> None:
    release = threading.Event()
    core.on(PUT, lambda request: Reply() if release.wait(30) else None)
    payload = bytes(8 << 20)
    with _core.Connection.open(core.address) as connection, contextlib.ExitStack() as stack:
        stack.callback(release.set)
        # The first keeps the stub's only reader of this connection busy; nobody reads what follows on the pipe.
        address = _core.address_of(payload)
        with pytest.raises(errors.DeadlineExceededError):
            connection.call(PUT, EMPTY, [(address, len(payload), 0)], timeout_s=0.3)
