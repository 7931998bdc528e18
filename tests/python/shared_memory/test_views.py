"""A get of what lies side by side is a view; whose pages it has, and that what is written to it stays there."""

from __future__ import annotations

import gc
import io
import pickle
import threading

import pytest
import torch
from tensordict import TensorDict

from support.shared_memory import batch, client_counts, counted, is_view, lies_in
from support.sidecars import expect

ROWS = 32
WIDE = 4096  # float32: 16 KiB in a row, 512 KiB in the column
NARROW = 640  # float32: 2.5 KiB in a row, 80 KiB in the column; rows share pages
KEYS = [f"k{row}" for row in range(ROWS)]


def column(seed: int, width: int = WIDE) -> torch.Tensor:
    return torch.arange(ROWS * width, dtype=torch.float32).view(ROWS, width) + seed


def get(tq, partition: str, name: str = "x", keys: list[str] = KEYS) -> torch.Tensor:
    return tq.kv_batch_get(keys, partition, [name], layout="dense")[name]


def jagged(seed: int) -> torch.Tensor:
    rows = [torch.arange(1000 + 10 * row, dtype=torch.int64) + seed for row in range(ROWS)]
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def test_a_put_is_one_copy_and_a_get_is_none(tq, partition):
    tq.kv_batch_put(KEYS, "warm", batch(ROWS, x=column(1)))  # the first one asks for the memory's file
    with client_counts() as put:
        tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1), small=torch.arange(ROWS)))
    assert (put["bytes_copied"], put["frames_placed"], put["client_requests"]) == (ROWS * WIDE * 4, 1, 2)
    inline = tq.get_client().stats()["bytes_inline"]
    with client_counts() as fetched:
        got = get(tq, partition)
    assert (fetched["frames_viewed"], fetched["bytes_viewed"], fetched["bytes_copied"]) == (1, ROWS * WIDE * 4, 0)
    assert tq.get_client().stats()["bytes_inline"] == inline
    assert is_view(got)
    assert torch.equal(got, column(1))


@pytest.mark.parametrize("first", [0, 5])
def test_a_stretch_of_rows_is_a_view_that_begins_at_its_first_row(tq, partition, first):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1), j=jagged(2)))
    keys = KEYS[first : first + 20]
    got = tq.kv_batch_get(keys, partition, ["x", "j"], layout="dense")
    assert (is_view(got["x"]), is_view(got["j"])) == (True, True)
    assert torch.equal(got["x"], column(1)[first : first + 20])
    for mine, stored in zip(got["j"].unbind(), jagged(2).unbind()[first:], strict=False):
        assert torch.equal(mine, stored)


def test_rows_of_several_puts_are_gathered_by_the_sidecar_into_a_view(tq, partition):
    tq.kv_batch_put(KEYS[:16], partition, batch(16, x=column(1)[:16]))
    tq.kv_batch_put(KEYS[16:], partition, batch(16, x=column(1)[16:]))
    before = tq.get_client().stats()
    got = get(tq, partition, keys=KEYS[::-1])
    after = tq.get_client().stats()
    assert after["bytes_gathered"] - before["bytes_gathered"] == ROWS * WIDE * 4
    assert is_view(got)
    assert torch.equal(got, column(1).flip(0))
    assert after["bytes_used"] == 2 * before["bytes_used"]
    del got
    expect(lambda: counted(tq)["bytes_used"] == before["bytes_used"], lambda: str(counted(tq)))


def test_small_columns_come_in_the_message(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1), small=column(2, 256)))
    small = tq.kv_batch_get(KEYS, partition, ["small"], layout="dense")["small"]
    few = get(tq, partition, keys=KEYS[:2])
    assert (lies_in(small), lies_in(few)) == ("", "")
    assert torch.equal(small, column(2, 256))
    assert torch.equal(few, column(1)[:2])
    assert counted(tq)["client_leases"] == 0


def test_a_views_storage_and_what_is_saved_of_it_have_its_own_bytes(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    got = get(tq, partition)
    assert is_view(got)
    assert got.untyped_storage().nbytes() == got.nbytes
    file = io.BytesIO()
    torch.save(got, file)
    assert file.tell() < got.nbytes + 4096
    assert len(pickle.dumps(got)) < got.nbytes + 4096


@pytest.mark.parametrize("width", [NARROW, WIDE], ids=["all pages dropped", "written pages dropped"])
def test_what_was_written_to_a_view_is_gone_with_it(tq, partition, width):
    """The map keeps a page that was written; not dropped, it would be what the next reader of these rows sees."""
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1, width)))
    mine = get(tq, partition)
    mine.fill_(-1)
    address = mine.data_ptr()
    del mine
    again = get(tq, partition)
    assert again.data_ptr() == address
    assert torch.equal(again, column(1, width))


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_room_that_is_used_again_shows_its_new_bytes_where_an_old_view_was_written(tq, partition, width):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1, width)))
    mine = get(tq, partition)
    address = mine.data_ptr()
    mine[::3] = -1
    tq.kv_clear(KEYS, partition)
    del mine
    expect(lambda: counted(tq)["bytes_used"] == 0, lambda: str(counted(tq)))
    kept = []
    for step in range(200):
        partition_of_step = f"{partition}-{step}"
        tq.kv_batch_put(KEYS, partition_of_step, batch(ROWS, x=column(step, width)))
        kept.append(get(tq, partition_of_step))
        if kept[-1].data_ptr() == address:
            break
    assert kept[-1].data_ptr() == address, "the room was not used again"
    assert torch.equal(kept[-1], column(step, width))


def test_two_views_of_the_same_rows_do_not_see_each_others_writes(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    first = get(tq, partition)
    first[0].fill_(-1)
    with client_counts() as fetched:
        second = get(tq, partition)
    assert (fetched["frames_viewed"], fetched["frames_aliased"]) == (0, 1)
    assert torch.equal(second, column(1)), "read through the map to which the first view's holder has written"
    second.fill_(-2)
    assert torch.equal(first[1:], column(1)[1:])
    del first
    third = get(tq, partition)
    assert is_view(third)
    assert torch.equal(third, column(1))
    assert second.eq(-2).all()


def test_two_views_that_share_one_page_do_not_see_each_others_writes(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1, 4096 + 100)))
    first, second = get(tq, partition, keys=KEYS[:16]), get(tq, partition, keys=KEYS[16:])
    assert (is_view(first), is_view(second)) == (True, False)
    first.fill_(-1)
    second.fill_(-2)
    assert (first.eq(-1).all(), second.eq(-2).all()) == (True, True)
    del first
    assert second.eq(-2).all()
    assert torch.equal(get(tq, partition, keys=KEYS[:16]), column(1, 4196)[:16])


def test_writes_to_a_view_do_not_reach_its_neighbours_in_memory(tq, partition):
    """Columns of a batch lie one behind the other; none shares a page, not even one whose bytes end within it."""
    stored = {f"f{i}": column(i, NARROW + i) for i in range(8)}
    tq.kv_batch_put(KEYS, partition, batch(ROWS, **stored))
    got = tq.kv_batch_get(KEYS, partition, layout="dense")
    assert all(is_view(got[name]) for name in stored)
    for name in list(stored)[::2]:
        got[name].fill_(-1)
    for name in list(stored)[1::2]:
        assert torch.equal(got[name], stored[name])
    del got
    gc.collect()
    for name, values in stored.items():
        assert torch.equal(get(tq, partition, name), values), name


def test_dropping_a_view_leaves_its_neighbours_writes(tq, partition):
    stored = {f"f{i}": column(i, NARROW + i) for i in range(8)}
    tq.kv_batch_put(KEYS, partition, batch(ROWS, **stored))
    views = [get(tq, partition, name) for name in stored]
    for view in views:
        view.fill_(-1)
    del views[::2]
    assert all(view.eq(-1).all() for view in views)


def test_rows_that_are_overwritten_or_cleared_stay_as_they_were_for_who_has_them(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1), j=jagged(1)))
    old = tq.kv_batch_get(KEYS, partition, ["x", "j"], layout="dense")
    assert is_view(old["x"])
    for seed in range(2, 30):
        tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(seed), j=jagged(seed)))
    assert torch.equal(get(tq, partition), column(29))
    tq.kv_clear(KEYS, partition)
    for seed in range(30):
        tq.kv_batch_put([f"{seed}-{key}" for key in KEYS], partition, batch(ROWS, x=column(-seed)))
    assert torch.equal(old["x"], column(1))
    assert torch.equal(old["j"].values(), jagged(1).values())


def test_a_row_of_a_view_keeps_the_memory(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    row = get(tq, partition)[7]
    tq.kv_clear(KEYS, partition)
    for seed in range(20):
        tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(-seed)))
    assert torch.equal(row, column(1)[7])
    assert counted(tq)["client_leases"] == 1
    del row
    expect(lambda: counted(tq)["client_leases"] == 0)


def test_writes_to_a_view_never_reach_the_store_nor_another_process(tq, partition, attach):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    other = attach()
    other.say(f"view = tq.kv_batch_get({KEYS!r}, {partition!r}, ['x'], layout='dense')['x']")
    other.hear()
    mine = get(tq, partition)
    mine.fill_(-1)
    total = "view.double().sum().item()"
    assert other.ask(total) == column(1).double().sum().item()
    other.say("view = view.mul_(2)")
    other.hear()
    assert mine.eq(-1).all()
    del mine
    assert torch.equal(get(tq, partition), column(1))
    other.say(f"view = None; view = tq.kv_batch_get({KEYS!r}, {partition!r}, ['x'], layout='dense')['x']")
    other.hear()
    assert other.ask(total) == column(1).double().sum().item()


def test_what_was_written_to_a_view_is_what_a_put_of_it_stores(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    mine = get(tq, partition)
    mine.mul_(3)
    tq.kv_batch_put(KEYS, partition, batch(ROWS, y=mine))
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=mine))
    del mine
    assert torch.equal(get(tq, partition, "y"), column(1) * 3)
    assert torch.equal(get(tq, partition, "x"), column(1) * 3)


def test_threads_that_write_into_the_same_rows_at_a_time_each_have_their_own(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1, NARROW)))
    wrong: list[str] = []

    def use(number: int) -> None:
        for step in range(60):
            mine = get(tq, partition)
            if not torch.equal(mine, column(1, NARROW)):
                wrong.append(f"thread {number}, step {step}: somebody else's writes")
            mine.fill_(-number)
            if not mine.eq(-number).all():
                wrong.append(f"thread {number}, step {step}: overwritten")

    threads = [threading.Thread(target=use, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_copy_leaves_nothing_leased(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    own = tq.kv_batch_get(KEYS, partition, ["x"], layout="dense", copy=True)["x"]
    expect(lambda: counted(tq)["client_leases"] == 0)
    assert lies_in(own) == ""
    assert torch.equal(own, column(1))


def test_many_columns_are_one_lease_that_ends_with_the_last_of_them(tq, partition):
    stored = {f"f{i}": column(i) for i in range(6)}
    tq.kv_batch_put(KEYS, partition, TensorDict(stored, batch_size=ROWS))
    got = dict(tq.kv_batch_get(KEYS, partition, layout="dense").items())
    tq.kv_clear(KEYS, partition)
    while got:
        counts = counted(tq)
        assert (counts["client_leases"], counts["bytes_used"]) == (1, 6 * ROWS * WIDE * 4)
        got.popitem()
    expect(lambda: counted(tq)["bytes_used"] == 0, lambda: str(counted(tq)))
