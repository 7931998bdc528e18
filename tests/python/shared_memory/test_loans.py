"""Columns computed where they will be stored: room first, then values, then a put that copies nothing large."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from support.shared_memory import lies_in
from support.sidecars import expect
from transferqueue import _core, errors

ROWS = 32
WIDE = 4096  # float32 in a row: 512 KiB in a column
KEYS = [f"k{row}" for row in range(ROWS)]
LENGTHS = [row * 300 for row in range(ROWS)]
SCHEMA: dict[str, Any] = {
    "x": (torch.float32, (WIDE,)),
    "small": (torch.int64, ()),
    "tokens": (torch.int64, (-1,), LENGTHS),
    "hidden": (torch.bfloat16, (-1, 8), torch.tensor(LENGTHS)),
}


def used(tq) -> tuple[int, int]:
    stats = tq.get_client().stats()
    return stats["bytes_used"], stats.get("loans", 0)


def fill(room: Any) -> dict[str, Any]:
    """Compute into all of a room's tensors; what must come back."""
    torch.arange(ROWS * WIDE, out=room["x"].view(-1))
    room["small"].copy_(torch.arange(ROWS))
    room["tokens"].values().copy_(torch.arange(sum(LENGTHS)))
    room["hidden"].values().copy_(torch.arange(sum(LENGTHS) * 8).view(-1, 8) % 100)
    return {
        "x": torch.arange(ROWS * WIDE, dtype=torch.float32).view(ROWS, WIDE),
        "small": torch.arange(ROWS),
        "tokens": torch.arange(sum(LENGTHS)),
        "hidden": (torch.arange(sum(LENGTHS) * 8).view(-1, 8) % 100).bfloat16(),
    }


def expect_stored(tq, partition: str, wanted: dict[str, Any]) -> None:
    got = tq.kv_batch_get(KEYS, partition, layout="dense")
    assert sorted(got.keys()) == sorted(wanted)
    for name, values in wanted.items():
        column = got[name]
        assert torch.equal(column.values() if column.is_nested else column, values), name
        if column.is_nested:
            assert column.offsets().diff().tolist() == LENGTHS


def test_what_is_computed_into_a_loan_is_stored_by_its_commit(tq, partition):
    room = tq.loan(partition, KEYS, SCHEMA)
    assert (room.keys(), len(room)) == (list(SCHEMA), ROWS)
    wanted = fill(room)
    meta = room.commit(tags=[{"row": row} for row in range(ROWS)])
    assert (meta.keys, meta.fields, meta.tags[3]) == (KEYS, sorted(SCHEMA), {"row": 3})
    expect_stored(tq, partition, wanted)


def test_large_columns_lie_in_shared_memory_and_are_not_copied(tq, partition):
    with tq.loan(partition, KEYS, SCHEMA) as room:
        assert [lies_in(room[name]) for name in SCHEMA] == ["rw-s", "", "rw-s", "rw-s"]
        wanted = fill(room)
        copied = _core.diagnose()
    after = _core.diagnose()
    assert after["client_requests"] - copied["client_requests"] == 1
    assert after["frames_moved"] - copied["frames_moved"] == 3
    assert after["bytes_copied"] == copied["bytes_copied"]
    expect_stored(tq, partition, wanted)


def test_a_loan_that_is_dropped_gives_its_room_back(tq, partition):
    before = used(tq)
    room = tq.loan(partition, KEYS, SCHEMA)
    tensor = room["x"]
    del room
    gc.collect()
    assert used(tq)[1] == before[1] + 1, "a tensor of it lives"
    tensor.fill_(1)
    del tensor
    expect(lambda: used(tq) == before, lambda: f"{used(tq)}, before {before}")


def test_what_is_computed_is_seen_by_nobody_before_the_commit(tq, partition, attach):
    tq.kv_batch_put(KEYS, partition, TensorDict({"x": torch.zeros(ROWS, WIDE)}, batch_size=ROWS))
    reader = attach()
    total = f"tq.kv_batch_get({KEYS!r}, {partition!r}, layout='dense')['x'].sum().item()"
    with tq.loan(partition, KEYS, {"x": (torch.float32, (WIDE,))}) as room:
        room["x"].fill_(1)
        assert reader.ask(total) == 0
    assert reader.ask(total) == ROWS * WIDE


def test_a_loan_waits_for_room_until_its_deadline(tq, partition):
    column = TensorDict({"x": torch.zeros(ROWS, WIDE)}, batch_size=ROWS)
    with contextlib.suppress(errors.StorageFullError):
        for number in itertools.count():
            tq.kv_batch_put(KEYS, f"{partition}-{number}", column, timeout_s=0.2)
    before = used(tq)
    with pytest.raises(errors.StorageFullError, match=f"{ROWS * WIDE * 4} bytes asked.*stored {before[0]}"):
        tq.loan(partition, KEYS, {"x": (torch.float32, (WIDE,))}, timeout_s=0.2)
    assert used(tq) == before


def test_the_end_of_a_block_commits_and_an_exception_in_it_gives_back(tq, partition):
    before = used(tq)
    with contextlib.suppress(ZeroDivisionError), tq.loan(partition, KEYS, SCHEMA) as room:
        fill(room)
        raise ZeroDivisionError
    expect(lambda: used(tq) == before, lambda: f"{used(tq)}, before {before}")
    assert tq.kv_list(partition) == {}
    with tq.loan(partition, KEYS, SCHEMA) as room:
        wanted = fill(room)
    expect_stored(tq, partition, wanted)


def test_a_block_that_has_committed_or_given_back_itself_does_nothing_at_its_end(tq, partition):
    with tq.loan(partition, KEYS, SCHEMA) as room:
        fill(room)
        room.commit(tags=[{"own": True}] * ROWS)
    assert tq.kv_list(partition)[partition]["k1"] == {"own": True}
    with tq.loan(partition, ["other"], {"x": (torch.float32, (WIDE * ROWS,))}) as room:
        room.give_back()
    assert "other" not in tq.kv_list(partition)[partition]


def test_after_the_commit_the_tensors_are_empty(tq, partition):
    room = tq.loan(partition, KEYS, SCHEMA)
    wanted = fill(room)
    kept = {name: room[name] for name in ("x", "small")}
    room.commit()
    assert [tensor.numel() for tensor in kept.values()] == [0, 0]
    kept["x"].resize_(4).fill_(-1)
    expect_stored(tq, partition, wanted)


@pytest.mark.parametrize("keep", [lambda t: t[3], lambda t: t.view(-1), lambda t: t.numpy(), lambda t: t.detach()])
def test_a_view_that_outlives_the_commit_cannot_reach_what_is_stored(tq, partition, keep):
    before_loan = used(tq)[1]
    room = tq.loan(partition, KEYS, SCHEMA)
    wanted = fill(room)
    view = keep(room["x"])
    before = view.tolist()
    room.commit()
    assert view.tolist() == before
    view[...] = -1
    expect_stored(tq, partition, wanted)
    del view
    expect(lambda: used(tq)[1] == before_loan, lambda: f"{used(tq)}")


@pytest.mark.parametrize("end", ["commit", "give_back"])
def test_a_loan_that_has_ended_can_neither_be_committed_nor_read(tq, partition, end):
    room = tq.loan(partition, KEYS, SCHEMA)
    getattr(room, end)()
    for use in (room.commit, lambda: room["x"]):
        with pytest.raises(errors.InvalidArgumentError, match=rf"{partition}.*(committed|given back).*new loan"):
            use()
    room.give_back()


def test_a_put_that_is_refused_ends_the_loan_and_writes_nothing(tq, partition):
    tq.kv_batch_put(KEYS, partition, TensorDict({"x": torch.zeros(ROWS, dtype=torch.int64)}, batch_size=ROWS))
    before = used(tq)
    room = tq.loan(partition, KEYS, SCHEMA)
    with pytest.raises(errors.SchemaMismatchError, match="x"):
        room.commit()
    expect(lambda: used(tq) == before, lambda: f"{used(tq)}, before {before}")
    assert tq.kv_batch_get(KEYS, partition)["x"].tolist() == [0] * ROWS
    with pytest.raises(errors.InvalidArgumentError, match="new loan"):
        room.commit()


def test_wrong_tags_leave_the_loan_open(tq, partition):
    room = tq.loan(partition, KEYS, SCHEMA)
    wanted = fill(room)
    with pytest.raises(errors.InvalidArgumentError, match="1 tags given for 32 keys"):
        room.commit(tags=[{}])
    room.commit()
    expect_stored(tq, partition, wanted)


def test_a_loan_is_committed_in_a_coroutine(tq, partition):
    async def compute() -> tuple[dict[str, Any], Any]:
        room = tq.loan(partition, KEYS, SCHEMA)
        wanted = fill(room)
        meta = await room.async_commit(tags=[{"a": 1}] * ROWS)
        async with tq.loan(partition, ["one"], {"x": (torch.float32, (WIDE,))}) as single:
            single["x"].zero_()
        return wanted, meta

    wanted, meta = asyncio.run(compute())
    assert meta.tags == [{"a": 1}] * ROWS
    expect_stored(tq, partition, wanted)
    assert tq.kv_batch_get(["one"], partition, layout="dense")["x"].eq(0).all()


def test_columns_of_a_loan_whose_rows_have_the_same_lengths_work_together(tq, partition):
    room = tq.loan(partition, KEYS, {"a": (torch.float32, (-1,), LENGTHS), "b": (torch.float32, (-1,), LENGTHS)})
    room["a"].values().fill_(1)
    room["b"].values().fill_(2)
    assert (room["a"] + room["b"]).values().eq(3).all()


def test_gradients_leave_no_trace_in_a_loan(tq, partition):
    weight = torch.ones(WIDE, requires_grad=True)
    with tq.loan(partition, KEYS, {"x": (torch.float32, (WIDE,))}) as room:
        room["x"].fill_(2)
        room["x"].mul_(weight)
    assert tq.kv_batch_get(KEYS, partition, layout="dense")["x"].eq(2).all()


def test_rows_and_columns_without_elements_can_be_loaned(tq, partition):
    with tq.loan(partition, ["a", "b"], {"none": (torch.float32, (0,)), "empty": (torch.int64, (-1,), [0, 0])}) as room:
        assert room["none"].shape == (2, 0)
        assert room["empty"][0].shape == (0,)
    assert tq.kv_batch_get(["a", "b"], partition)["empty"].offsets().tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("schema", "error", "message"),
    [
        ({}, errors.InvalidArgumentError, "no field"),
        ([("x", 1)], errors.InvalidTypeError, "schema: list"),
        ({"x": torch.float32}, errors.InvalidTypeError, "field 'x'"),
        ({"x": ("float32", (4,))}, errors.InvalidTypeError, "field 'x': 'float32'"),
        ({"x": (torch.float32, "ab")}, errors.InvalidTypeError, "field 'x': shape 'ab'"),
        ({"x": (torch.float32, (1.5,))}, errors.InvalidTypeError, "field 'x': shape"),
        ({"x": (torch.float32, (-1,))}, errors.InvalidArgumentError, "no lengths"),
        ({"x": (torch.float32, (4,), LENGTHS)}, errors.InvalidArgumentError, "with lengths"),
        ({"x": (torch.float32, (4, -1), LENGTHS)}, errors.InvalidArgumentError, "first extent"),
        ({"x": (torch.float32, (-1, -1), LENGTHS)}, errors.InvalidArgumentError, "first extent"),
        ({"x": (torch.float32, (-2,))}, errors.InvalidArgumentError, "field 'x'"),
        ({"x": (torch.float32, (-1,), [1, 2])}, errors.InvalidArgumentError, "give 32 whole numbers"),
        ({"x": (torch.float32, (-1,), [-1] * ROWS)}, errors.InvalidArgumentError, "give 32 whole numbers"),
        ({"x": (torch.float32, (-1,), [0.5] * ROWS)}, errors.InvalidArgumentError, "give 32 whole numbers"),
        ({"": (torch.float32, (1,))}, errors.InvalidTypeError, "name"),
    ],
)
def test_a_schema_that_cannot_be_is_refused_by_its_field(tq, partition, schema, error, message):
    with pytest.raises(error, match=message):
        tq.loan(partition, KEYS, schema)


def test_keys_and_partition_of_a_loan_are_checked_before_anything_is_computed(tq, partition):
    with pytest.raises(errors.InvalidArgumentError, match=r"duplicated keys.*'a'"):
        tq.loan(partition, ["a", "a"], SCHEMA)
    with pytest.raises(errors.InvalidTypeError, match="partition_id"):
        tq.loan(3, KEYS, SCHEMA)
    with pytest.raises(errors.InvalidArgumentError, match="NUL"):
        tq.loan(partition, "a\0b", {"x": (torch.float32, (1,))})
