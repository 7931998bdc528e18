"""Calls on event loops."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

import msgpack
import numpy as np
import pytest
from runtime.stub_core import GET, PING, PUT, Reply, Request, StubCore, error
from runtime.test_connection import echo
from runtime.test_faults import first_then

from transferqueue import _core, errors

EMPTY = msgpack.packb({})
LARGE = 3 << 20


def count_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_small_and_large_requests_come_back_bit_by_bit(core: StubCore) -> None:
    core.on(PUT, echo)

    async def send(connection: _core.Connection, count: int) -> bool:
        data = np.arange(count, dtype=np.uint8)
        reply = await connection.acall(PUT, EMPTY, [(data.ctypes.data, data.nbytes, 0)], keep=data)
        return bytes(reply.frames[0].buffer()) == data.tobytes()

    async def main() -> list[bool]:
        with _core.Connection.open(core.address) as connection:
            return await asyncio.gather(*[send(connection, count) for count in (1, 1000, 1 << 20, LARGE, 5, LARGE)])

    assert asyncio.run(main()) == [True] * 6


def test_32_tasks_wait_side_by_side_on_one_connection(core: StubCore) -> None:
    core.on(GET, lambda request: Reply({"n": request.header["n"]}, after_s=0.3))

    async def main() -> tuple[list[int], float]:
        with _core.Connection.open(core.address) as connection:
            begin = time.monotonic()
            replies = await asyncio.gather(
                *[connection.acall(GET, msgpack.packb({"n": number})) for number in range(32)]
            )
            return [msgpack.unpackb(reply.header)["n"] for reply in replies], time.monotonic() - begin

    numbers, seconds = asyncio.run(main())
    assert numbers == list(range(32))
    assert seconds < 32 * 0.3
    assert core.connections == 2


def test_answers_may_come_in_another_order(core: StubCore) -> None:
    core.on(GET, lambda request: Reply({"n": request.header["n"]}, after_s=(5 - request.header["n"]) * 0.05))
    order: list[int] = []

    async def ask(connection: _core.Connection, number: int) -> None:
        reply = await connection.acall(GET, msgpack.packb({"n": number}))
        order.append(msgpack.unpackb(reply.header)["n"])

    async def main() -> None:
        with _core.Connection.open(core.address) as connection:
            await asyncio.gather(*[ask(connection, number) for number in range(5)])

    asyncio.run(main())
    assert order == [4, 3, 2, 1, 0]


def test_loop_is_free_while_a_call_waits(core: StubCore) -> None:
    core.on(GET, lambda request: Reply(after_s=0.4))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def main() -> None:
        with _core.Connection.open(core.address) as connection:
            ticker = asyncio.create_task(tick())
            await connection.acall(GET, EMPTY)
            ticker.cancel()

    asyncio.run(main())
    assert ticks >= 5


def test_errors_are_raised_where_the_call_is_awaited(core: StubCore) -> None:
    core.on(GET, lambda request: error(5, "float32 is not int64", field="x"))

    async def main() -> None:
        with _core.Connection.open(core.address) as connection:
            with pytest.raises(errors.SchemaMismatchError, match="float32") as caught:
                await connection.acall(GET, EMPTY)
            assert caught.value.details == {"field": "x"}

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, LARGE])
def test_silence_ends_at_the_deadline(core: StubCore, size: int) -> None:
    core.on(PUT, lambda request: None)
    payload = bytes(size)

    async def main() -> None:
        with _core.Connection.open(core.address) as connection:
            with pytest.raises(errors.DeadlineExceededError, match=r"Put: no answer within 0\.2 s"):
                await connection.acall(PUT, EMPTY, [(_core.address_of(payload), size, 0)], timeout_s=0.2)
            await connection.acall(PING, EMPTY)

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, LARGE])
def test_cancelled_task_ends_at_once_and_the_connection_goes_on(core: StubCore, size: int) -> None:
    core.on(PUT, lambda request: Reply(after_s=0.5))
    payload = bytes(size)

    async def main() -> None:
        with _core.Connection.open(core.address) as connection:
            handles = _core.diagnose()["handles"]
            task = asyncio.create_task(
                connection.acall(PUT, EMPTY, [(_core.address_of(payload), size, 0)], keep=payload)
            )
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await connection.acall(PING, EMPTY)
            for _ in range(100):
                if _core.diagnose()["handles"] <= handles + 1:  # one more: the loop's queue
                    break
                await asyncio.sleep(0.02)
            assert _core.diagnose()["handles"] <= handles + 1

    asyncio.run(main())


def test_requests_are_repeated_with_their_ids_when_the_connection_ends(core: StubCore) -> None:
    core.on(PUT, first_then(b"", Reply({"done": True})))
    core.on(GET, lambda request: Reply(after_s=0.2))

    async def main() -> list[_core.ReplyMessage]:
        with _core.Connection.open(core.address) as connection:
            others = [asyncio.create_task(connection.acall(GET, EMPTY)) for _ in range(5)]
            await asyncio.sleep(0.05)
            return [await connection.acall(PUT, EMPTY), *await asyncio.gather(*others)]

    replies = asyncio.run(main())
    assert msgpack.unpackb(replies[0].header) == {"done": True}
    assert len({request.id for request in core.of_type(PUT)}) == 1
    assert len({request.id for request in core.of_type(GET)}) == 5


def test_core_that_ends_every_connection_is_given_up(core: StubCore) -> None:
    core.on(PUT, lambda request: b"")

    async def main() -> None:
        with (
            _core.Connection.open(core.address) as connection,
            pytest.raises(errors.ConnectionLostError, match="ended 5 times"),
        ):
            await connection.acall(PUT, EMPTY)

    asyncio.run(main())
    assert len({request.id for request in core.of_type(PUT)}) == 1


def test_dead_core_ends_all_calls(core: StubCore) -> None:
    core.on(GET, lambda request: None)

    async def main() -> list[object]:
        with _core.Connection.open(core.address) as connection:
            tasks = [asyncio.create_task(connection.acall(GET, EMPTY, timeout_s=60)) for _ in range(10)]
            await asyncio.sleep(0.2)
            core.stop()
            return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = asyncio.run(main())
    assert [type(outcome) for outcome in outcomes] == [errors.ConnectionLostError] * 10


def test_new_loop_for_each_call_leaves_nothing_behind(core: StubCore) -> None:
    with _core.Connection.open(core.address) as connection:

        async def ping() -> None:
            await connection.acall(PING, EMPTY)

        for _ in range(5):
            asyncio.run(ping())
        gc.collect()
        descriptors, handles = count_descriptors(), _core.diagnose()["handles"]
        for _ in range(200):
            asyncio.run(ping())
        gc.collect()
        assert count_descriptors() <= descriptors
        assert _core.diagnose()["handles"] <= handles


def test_loops_that_end_with_calls_under_way_leave_nothing_behind(core: StubCore) -> None:
    core.on(GET, lambda request: None)
    with _core.Connection.open(core.address) as connection:

        async def leave() -> None:
            task = asyncio.create_task(connection.acall(GET, EMPTY))
            await asyncio.sleep(0.01)
            assert not task.done()

        asyncio.run(leave())
        gc.collect()
        descriptors = count_descriptors()
        for _ in range(20):
            asyncio.run(leave())
        gc.collect()
        # The connection that tells the core what nobody waits for opens in the background, perhaps only now; both its ends are here.
        assert count_descriptors() <= descriptors + 2


def test_closing_the_connection_ends_calls_that_wait(core: StubCore) -> None:
    core.on(GET, lambda request: None)

    async def main() -> None:
        connection = _core.Connection.open(core.address)
        task = asyncio.create_task(connection.acall(GET, EMPTY))
        await asyncio.sleep(0.1)
        connection.close()
        with pytest.raises(errors.ConnectionLostError, match="closed here"):
            await task

    asyncio.run(main())


def test_slow_reader_on_the_other_side_does_not_block_the_loop(core: StubCore) -> None:
    def stall(request: Request) -> Reply:
        time.sleep(0.5)
        return Reply()

    core.on(PUT, stall)
    payload = bytes(900_000)  # small enough to share the connection, more than a socket's buffer takes

    async def main() -> float:
        with _core.Connection.open(core.address) as connection:
            begin = time.monotonic()
            tasks = [
                asyncio.create_task(connection.acall(PUT, EMPTY, [(_core.address_of(payload), len(payload), 0)]))
                for _ in range(4)
            ]
            await asyncio.sleep(0)
            submitted = time.monotonic() - begin
            await asyncio.gather(*tasks)
            return submitted

    submitted = asyncio.run(main())
    assert submitted < 2.0  # the answers take four times half a second, one after the other
    assert len(core.of_type(PUT)) == 4
