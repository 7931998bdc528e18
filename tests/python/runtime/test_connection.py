"""Blocking calls against a core in plain Python."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from array import array

import msgpack
import numpy as np
import pytest
from runtime.stub_core import GET, HELLO, OK, PING, PUT, Reply, Request, StubCore, error

from transferqueue import _core, errors

EMPTY = msgpack.packb({})


def echo(request: Request) -> Reply:
    return Reply({"header": request.header, "lengths": [len(f) for f in request.frames]}, request.frames)


def test_hello_tells_who_is_who(core: StubCore) -> None:
    with _core.Connection.open(core.address) as connection:
        [hello] = core.of_type(HELLO)
        assert len(hello.header["client"]) == 16
        assert hello.header["pid"] > 0
        assert connection.hello["server"] == "stub"
        assert connection.hello["limits"]["frames"] == 64


def test_header_and_frames_arrive_and_come_back_bit_by_bit(core: StubCore) -> None:
    core.on(PUT, echo)
    generator = np.random.default_rng(7)
    columns = [generator.integers(0, 256, count, dtype=np.uint8) for count in (1, 100, 16_385, 3_000_001, 0)]
    with _core.Connection.open(core.address) as connection:
        header = {"partition": "train", "n": 3}
        segments = [(column.ctypes.data, column.nbytes, frame) for frame, column in enumerate(columns)]
        reply = connection.call(PUT, msgpack.packb(header), segments)
    assert reply.type == OK
    assert msgpack.unpackb(reply.header) == {"header": header, "lengths": [column.nbytes for column in columns]}
    for frame, column in zip(reply.frames, columns, strict=True):
        assert len(frame) == column.nbytes
        assert frame.address % 64 == 0
        assert np.array_equal(np.frombuffer(frame.buffer(), dtype=np.uint8), column)


def test_frame_may_lie_in_several_segments(core: StubCore) -> None:
    core.on(PUT, echo)
    parts = [np.full(count, value, dtype=np.uint8) for value, count in ((1, 5), (2, 70_000), (3, 9))]
    segments = [(part.ctypes.data, part.nbytes, frame) for part, frame in zip(parts, (0, 0, 1), strict=True)]
    numbers = array("q", [number for segment in segments for number in segment])
    with _core.Connection.open(core.address) as connection:
        replies = [connection.call(PUT, EMPTY, payload) for payload in (segments, numbers)]
    for reply in replies:
        assert [bytes(frame.buffer()) for frame in reply.frames] == [
            parts[0].tobytes() + parts[1].tobytes(),
            parts[2].tobytes(),
        ]


@pytest.mark.parametrize(
    "segments", [[(4096, -1, 0)], [(0, 5, 0)], [(4096, 1, 1)], [(4096, 1, -1)], [(4096, 1, 0), (4096, 1, 2)]]
)
def test_impossible_segments_are_refused_and_nothing_is_sent(
    core: StubCore, segments: list[tuple[int, int, int]]
) -> None:
    with _core.Connection.open(core.address) as connection, pytest.raises(errors.InvalidArgumentError):
        connection.call(PUT, EMPTY, segments)
    assert core.of_type(PUT) == []


def test_error_reply_is_raised_as_its_class_with_details(core: StubCore) -> None:
    kinds = {
        1: errors.InvalidArgumentError,
        3: errors.NotReadyError,
        7: errors.StaleBatchError,
        8: errors.StorageFullError,
    }
    with _core.Connection.open(core.address) as connection:
        for kind, expected in kinds.items():
            core.on(GET, lambda request, kind=kind: error(kind, "12 of 64 ready", ready=12))
            with pytest.raises(expected, match="12 of 64 ready") as caught:
                connection.call(GET, EMPTY)
            assert type(caught.value) is expected
            assert caught.value.details == {"ready": 12}


def test_request_ids_grow_and_acknowledged_is_the_smallest_outstanding_one(core: StubCore) -> None:
    release = threading.Event()
    arrived = threading.Event()

    def hold(request: Request) -> Reply:
        arrived.set()
        assert release.wait(20)
        return Reply()

    core.on(GET, hold)
    with _core.Connection.open(core.address) as connection:
        connection.call(PING, EMPTY)
        waiting = threading.Thread(target=connection.call, args=(GET, EMPTY))
        waiting.start()
        assert arrived.wait(20)
        for _ in range(100):
            connection.call(PING, EMPTY)
        [held] = core.of_type(GET)
        assert {ping.acknowledged for ping in core.of_type(PING)[1:]} == {held.id}
        release.set()
        waiting.join()
        connection.call(PING, EMPTY)
        last = core.of_type(PING)[-1]
    assert last.acknowledged == last.id
    ids = [request.id for request in core.requests]
    assert len(set(ids)) == len(ids)
    assert min(ids) == 1


def test_timeout_travels_and_zero_means_the_servers_default(core: StubCore) -> None:
    with _core.Connection.open(core.address) as connection:
        connection.call(PING, EMPTY)
        connection.call(PING, EMPTY, timeout_s=2.5)
        default, asked = core.of_type(PING)
    assert default.timeout_ms == 0
    assert 2000 < asked.timeout_ms <= 2500


@pytest.mark.parametrize("timeout_s", [-1, float("nan")])
def test_impossible_timeout_is_refused(core: StubCore, timeout_s: float) -> None:
    with (
        _core.Connection.open(core.address) as connection,
        pytest.raises(errors.InvalidArgumentError, match="timeout_s"),
    ):
        connection.call(PING, EMPTY, timeout_s=timeout_s)


def test_limits_of_the_core_are_checked_before_anything_is_sent(core: StubCore) -> None:
    byte = np.zeros(1, dtype=np.uint8)
    with _core.Connection.open(core.address) as connection:
        with pytest.raises(errors.LimitExceededError, match=r"65.*64"):
            connection.call(PUT, EMPTY, [(byte.ctypes.data, 1, frame) for frame in range(65)])
        with pytest.raises(errors.LimitExceededError, match="1048576"):
            connection.call(PUT, msgpack.packb({"k": bytes(1 << 20)}))
    assert core.of_type(PUT) == []


def test_eight_threads_call_at_the_same_time(core: StubCore) -> None:
    core.on(PUT, echo)
    wrong: list[object] = []
    with _core.Connection.open(core.address) as connection:

        def work(number: int) -> None:
            for turn in range(50):
                data = np.full(10_000 * number + turn, number, dtype=np.uint8)
                reply = connection.call(PUT, msgpack.packb({"n": number}), [(data.ctypes.data, data.nbytes, 0)])
                if (
                    bytes(reply.frames[0].buffer()) != data.tobytes()
                    or msgpack.unpackb(reply.header)["header"]["n"] != number
                ):
                    wrong.append((number, turn))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(core.of_type(PUT)) == 400
    assert core.connections <= 9


def test_one_connection_serves_calls_that_follow_each_other(core: StubCore) -> None:
    with _core.Connection.open(core.address) as connection:
        for _ in range(20):
            connection.call(PING, EMPTY)
    assert core.connections == 1


def test_frames_live_as_long_as_their_last_view(core: StubCore) -> None:
    core.on(GET, lambda request: Reply({}, [bytes([number]) * 100_000 for number in range(3)]))
    with _core.Connection.open(core.address) as connection:
        before = _core.diagnose()["handles"]
        reply = connection.call(GET, EMPTY)
        view = reply.frames[1].buffer()
        del reply
        gc.collect()
        assert _core.diagnose()["handles"] == before + 1
        for _ in range(10):
            connection.call(GET, EMPTY)
        assert bytes(view) == b"\x01" * 100_000
        del view
        gc.collect()
        assert _core.diagnose()["handles"] == before


def test_memory_of_frames_is_used_again(core: StubCore) -> None:
    core.on(GET, lambda request: Reply({}, [bytes(2_000_000)]))
    with _core.Connection.open(core.address) as connection:
        addresses = {connection.call(GET, EMPTY).frames[0].address for _ in range(10)}
    assert len(addresses) <= 2


def test_frame_memory_is_never_pickled_or_copied(core: StubCore) -> None:
    core.on(GET, lambda request: Reply({}, [b"x" * 100]))
    with _core.Connection.open(core.address) as connection:
        owner = connection.call(GET, EMPTY).frames[0].owner
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="can't be pickled or copied"):
            attempt(owner)


def test_torch_tensor_over_a_frame_has_its_own_size_only(core: StubCore) -> None:
    torch = pytest.importorskip("torch")
    values = np.arange(1000, dtype=np.float32)
    core.on(GET, lambda request: Reply({}, [values.tobytes()]))
    with _core.Connection.open(core.address) as connection:
        frame = connection.call(GET, EMPTY).frames[0]
        tensor = torch.frombuffer(frame.owner, dtype=torch.float32, count=1000)
        assert tensor.data_ptr() == frame.address
        del frame
        gc.collect()
    assert tensor.untyped_storage().nbytes() == 4000
    assert tensor.tolist() == values.tolist()


def test_closed_connection_says_so(core: StubCore) -> None:
    connection = _core.Connection.open(core.address)
    connection.close()
    connection.close()
    assert not connection.is_open
    with pytest.raises(errors.ConnectionLostError, match="closed here"):
        connection.call(PING, EMPTY)


def test_close_ends_a_call_that_waits(core: StubCore) -> None:
    core.on(GET, lambda request: None)
    connection = _core.Connection.open(core.address)
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            connection.call(GET, EMPTY)
        except errors.ConnectionLostError as lost:
            caught.append(lost)

    thread = threading.Thread(target=wait)
    thread.start()
    while not core.of_type(GET):
        pass
    connection.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(caught) == 1
