"""Puts that find no room wait for it; whoever holds it is named; nothing else waits with them."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest
import torch
from shared_memory.conftest import CAPACITY_BYTES

from support.shared_memory import batch, counted, is_view
from support.sidecars import expect
from transferqueue import errors

ROWS = 16
MIB = 1 << 20
KEYS = [f"k{row}" for row in range(ROWS)]
PIECE = 8 * MIB


def piece(value: int, length: int = PIECE) -> torch.Tensor:
    return torch.full((ROWS, length // ROWS), value, dtype=torch.uint8)


def fill(tq, partition: str) -> list[str]:
    """Fill the storage with columns of 8 MiB; their partitions."""
    names = [f"{partition}-{number}" for number in range(CAPACITY_BYTES // PIECE)]
    for number, name in enumerate(names):
        tq.kv_batch_put(KEYS, name, batch(ROWS, x=piece(number)))
    return names


def waiting(tq) -> int:
    return counted(tq)["room_waiting"]


def put_in_a_thread(tq, partition: str, data, **options) -> tuple[threading.Thread, list]:
    done: list = []

    def put() -> None:
        try:
            done.append(tq.kv_batch_put(KEYS, partition, data, **options))
        except errors.TransferQueueError as error:
            done.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    return thread, done


def test_a_put_without_room_waits_until_something_is_cleared(tq, partition):
    names = fill(tq, partition)
    thread, done = put_in_a_thread(tq, partition, batch(ROWS, x=piece(99)))
    expect(lambda: waiting(tq) == 1)
    assert done == []
    assert partition not in tq.get_client().get_partition_list()
    tq.get_client().clear_partition(names[3])
    thread.join(60)
    assert done[0].keys == KEYS
    assert torch.equal(tq.kv_batch_get(KEYS, partition, layout="dense")["x"], piece(99))


def test_a_put_waits_for_the_last_view_of_what_was_cleared(tq, partition):
    names = fill(tq, partition)
    views = [tq.kv_batch_get(KEYS, name, layout="dense")["x"] for name in names]
    row = views[2][5]
    for name in names:
        tq.get_client().clear_partition(name)
    thread, done = put_in_a_thread(tq, partition, batch(ROWS, x=piece(99)))
    expect(lambda: waiting(tq) == 1)
    views[2] = row
    for number, view in enumerate(views):
        assert view.eq(number).all(), "cleared, and somebody has it"
    assert waiting(tq) == 1
    del row, view
    views[2] = None
    thread.join(60)
    assert done[0].keys == KEYS


def test_two_columns_wait_for_room_for_both(tq, partition):
    names = fill(tq, partition)
    thread, done = put_in_a_thread(tq, partition, batch(ROWS, x=piece(1), y=piece(2)))
    expect(lambda: waiting(tq) == 1)
    tq.get_client().clear_partition(names[0])
    tq.get_client().stats()
    assert (done, counted(tq)["loans"]) == ([], 0), "half of the room was given"
    tq.get_client().clear_partition(names[1])
    thread.join(60)
    assert done[0].fields == ["x", "y"]


def test_at_its_deadline_a_put_that_waited_says_how_much_it_asked_and_who_has_the_rest(tq, partition, attach):
    names = fill(tq, partition)
    reader, writer = attach(), attach()
    reader.ask(f"globals().update(view=tq.kv_batch_get({KEYS!r}, {names[0]!r}, layout='dense')['x'])")
    tq.get_client().clear_partition(names[0])
    tq.get_client().clear_partition(names[1])
    writer.ask(f"globals().update(room=tq.loan('never', {KEYS!r}, {{'x': (torch.uint8, ({PIECE // ROWS},))}}))")
    with pytest.raises(errors.StorageFullError) as caught:
        tq.kv_batch_put(KEYS, partition, batch(ROWS, x=piece(99)), timeout_s=0.3)
    text = str(caught.value)
    assert isinstance(caught.value, MemoryError)
    assert f"{PIECE} bytes asked" in text
    assert f"{CAPACITY_BYTES} of {CAPACITY_BYTES} bytes" in text
    assert re.search(rf"stored {CAPACITY_BYTES - 2 * PIECE}\b", text), text
    assert f"on loan to puts {PIECE} (process {writer.pid}: {PIECE})" in text
    assert f"still read {PIECE} (process {reader.pid}: {PIECE})" in text
    assert (waiting(tq), partition in tq.get_client().get_partition_list()) == (0, False)
    for program in (reader, writer):
        program.ask("[globals().pop(name, None) for name in ('view', 'room')] and None")


def test_room_enough_but_in_pieces_is_told_by_its_longest_stretch(tq, partition):
    names = fill(tq, partition)
    for name in names[::2]:
        tq.get_client().clear_partition(name)
    with pytest.raises(errors.StorageFullError) as caught:
        tq.kv_batch_put(KEYS, partition, batch(ROWS, x=piece(99, 2 * PIECE)), timeout_s=0.3)
    assert f"{CAPACITY_BYTES // 2} of {CAPACITY_BYTES} bytes are in use" in str(caught.value)
    assert f"the longest free stretch has {PIECE}, 0 are not taken from the system yet" in str(caught.value)


@pytest.mark.parametrize("shares", [True, False], ids=["shared", "through the socket"])
def test_a_batch_beyond_the_capacity_is_refused_without_waiting(tq, partition, shares, attach):
    program = attach(TRANSFERQUEUE_SHARED_MEMORY="1" if shares else "0")
    program.say(
        f"data = TensorDict({{'x': torch.zeros({ROWS}, {CAPACITY_BYTES // ROWS + 4096}, dtype=torch.uint8)}}, {ROWS})"
    )
    program.hear()
    answer = program.ask(f"tq.kv_batch_put({KEYS!r}, {partition!r}, data, timeout_s=3600)")
    assert re.match("(StorageFull|LimitExceeded)Error", answer), answer


def test_a_put_through_the_socket_waits_for_room_as_well(tq, partition, attach):
    names = fill(tq, partition)
    program = attach(TRANSFERQUEUE_SHARED_MEMORY="0")
    program.say(f"data = TensorDict({{'x': torch.full(({ROWS}, {PIECE // ROWS}), 7, dtype=torch.uint8)}}, {ROWS})")
    program.hear()
    program.say(f"tq.kv_batch_put({KEYS!r}, {partition!r}, data).fields")
    expect(lambda: waiting(tq) == 1)
    tq.get_client().clear_partition(names[0])
    assert eval(program.hear()) == ["x"]
    assert tq.kv_batch_get(KEYS, partition, layout="dense")["x"].eq(7).all()


def test_a_coroutine_that_waits_for_room_holds_up_no_other(tq, partition):
    names = fill(tq, partition)

    async def run() -> None:
        put = asyncio.create_task(tq.async_kv_batch_put(KEYS, partition, batch(ROWS, x=piece(99))))
        while waiting(tq) == 0:
            await asyncio.sleep(0.01)
        for step in range(20):
            await tq.async_kv_put("k0", names[1], tag={"step": step})
            got = await tq.async_kv_batch_get(KEYS, names[1], layout="dense")
            assert got["x"].eq(1).all()
        assert not put.done()
        del got
        await tq.async_kv_clear(KEYS, names[0])
        assert (await put).keys == KEYS

    asyncio.run(run())


def test_many_producers_share_room_for_one(tq, partition):
    """Each put waits for another one's rows to be consumed; all of them come through, none is torn."""
    producers, steps = 4, 12
    tq.kv_batch_put(["fill"], partition, batch(1, x=torch.zeros(1, CAPACITY_BYTES - 2 * PIECE, dtype=torch.uint8)))
    failures: list[BaseException] = []

    def produce(number: int) -> None:
        try:
            for step in range(steps):
                tq.kv_batch_put(KEYS, f"{partition}-{number}-{step}", batch(ROWS, x=piece(number * steps + step)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(producers)]
    for thread in threads:
        thread.start()
    left = {
        f"{partition}-{number}-{step}": number * steps + step for number in range(producers) for step in range(steps)
    }
    while left and not failures:
        ready = [name for name in tq.get_client().get_partition_list() if name in left]
        for name in ready:
            listed = tq.kv_list(name)[name]
            if len(listed) < ROWS:
                continue
            got = tq.kv_batch_get(KEYS, name, ["x"], layout="dense")["x"]
            tq.get_client().clear_partition(name)
            assert got.eq(left.pop(name)).all()
    for thread in threads:
        thread.join(60)
    assert (failures, left) == ([], {})


def test_a_get_that_finds_no_room_to_gather_comes_through_the_socket(tq, partition):
    names = fill(tq, partition)
    got = tq.kv_batch_get(KEYS[::-1], names[2], layout="dense")["x"]
    assert not is_view(got)
    assert got.eq(2).all()


def test_a_caller_that_gives_up_waiting_leaves_nothing_behind(tq, partition):
    fill(tq, partition)

    async def run() -> None:
        put = asyncio.create_task(tq.async_kv_batch_put(KEYS, partition, batch(ROWS, x=piece(99)), timeout_s=3600))
        while waiting(tq) == 0:
            await asyncio.sleep(0.01)
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put

    asyncio.run(run())
    expect(lambda: waiting(tq) == 0)
    assert counted(tq)["loans"] == 0
