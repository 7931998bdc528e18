"""Large columns in files of a folder, by shared memory and by socket."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from offload.disks import KEYS, MIB, ROWS, THRESHOLD, batch, conf, offloaded, random
from queue_fixtures import running_queue
from tensordict import NonTensorStack

from support.sidecars import expect


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder of a file system on a disk: what pytest offers may lie in memory, which would do as well but is no disk."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="module", params=[True, False], ids=["shared", "inline"])
def tq(request: pytest.FixtureRequest, folder: Path) -> Iterator[ModuleType]:
    with running_queue(conf(folder, shared=request.param)) as package:
        yield package
        assert package.get_client().stats()["faults"] == 0


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "tq" not in request.fixturenames:
        return
    package = request.getfixturevalue("tq")
    gc.collect()
    for name in package.get_client().get_partition_list():
        package.get_client().clear_partition(name)
    expect(
        lambda: offloaded(package) == 0 and package.get_client().stats()["bytes_used"] == 0, lambda: "bytes are left"
    )


def get(tq: ModuleType, partition: str, field: str = "x") -> torch.Tensor:
    return tq.kv_batch_get(KEYS, partition, [field], layout="dense")[field]


@pytest.mark.parametrize(
    ("row_bytes", "is_in_file"), [(THRESHOLD // ROWS - 1, False), (THRESHOLD // ROWS, True), (5 * MIB // ROWS, True)]
)
def test_columns_of_the_threshold_or_more_lie_in_files_and_come_back_bit_equal(tq, partition, row_bytes, is_in_file):
    x = random(row_bytes)
    tq.kv_batch_put(KEYS, partition, batch(x=x))
    stats = tq.get_client().stats()
    assert (stats["bytes_offloaded"] > 0, stats["bytes_used"] == 0) == (is_in_file, is_in_file)
    assert torch.equal(get(tq, partition), x)


def test_small_and_large_text_and_ragged_columns_in_one_put(tq, partition):
    ragged = [torch.arange(40_000 * (row + 1)) for row in range(ROWS)]
    texts = ["text " * (10_000 * (row + 1)) for row in range(ROWS)]
    x, y = random(MIB // ROWS), torch.rand(ROWS)
    data = batch(x=x, y=y, ragged=torch.nested.as_nested_tensor(ragged, layout=torch.jagged))
    data["texts"] = NonTensorStack(*texts)
    tq.kv_batch_put(KEYS, partition, data)
    got = tq.kv_batch_get(KEYS, partition)
    assert torch.equal(got["x"].values().reshape(ROWS, -1), x)
    assert torch.equal(got["y"], y)
    assert all(torch.equal(row, given) for row, given in zip(got["ragged"].unbind(), ragged, strict=True))
    assert list(got["texts"]) == texts
    assert offloaded(tq) >= MIB + 8 * 36 * 40_000


@pytest.mark.parametrize("order", [[3], [6, 1], [7, 6, 5, 4, 3, 2, 1, 0]], ids=["one", "two", "all"])
def test_rows_of_a_file_in_any_order(tq, partition, order):
    x = random(4 * MIB // ROWS)
    tq.kv_batch_put(KEYS, partition, batch(x=x))
    got = tq.kv_batch_get([KEYS[row] for row in order], partition, layout="dense")["x"]
    assert torch.equal(got, x[order])


def test_files_hold_more_than_the_capacity_of_memory(tq, partition):
    given = [random(6 * MIB // ROWS, seed) for seed in range(5)]
    for number, x in enumerate(given):
        tq.kv_batch_put(KEYS, partition, batch(**{f"x{number}": x}))
    assert offloaded(tq) == 30 * MIB > tq.get_client().stats()["bytes_capacity"]
    assert all(torch.equal(get(tq, partition, f"x{number}"), x) for number, x in enumerate(given))
    tq.kv_batch_put(KEYS, partition, batch(small=random(1000)))


def test_cleared_room_is_used_again(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(x=random(4 * MIB // ROWS)))
    committed = tq.get_client().stats()["bytes_offload_committed"]
    for seed in range(12):
        tq.kv_clear(KEYS, partition)
        expect(lambda: offloaded(tq) == 0)
        x = random(4 * MIB // ROWS, seed)
        tq.kv_batch_put(KEYS, partition, batch(x=x))
        assert torch.equal(get(tq, partition), x)
    assert tq.get_client().stats()["bytes_offload_committed"] == committed


def test_what_a_reader_writes_stays_its_own_and_what_it_holds_stays_as_it_was(tq, partition):
    x = random(2 * MIB // ROWS)
    tq.kv_batch_put(KEYS, partition, batch(x=x))
    mine = get(tq, partition)
    mine[:, ::2] = 0
    assert torch.equal(get(tq, partition), x)
    kept = mine.clone()
    tq.kv_clear(KEYS, partition)
    tq.kv_batch_put(KEYS, partition, batch(x=random(2 * MIB // ROWS, 1)))
    assert torch.equal(mine, kept)
    del mine
    gc.collect()
    assert torch.equal(get(tq, partition), random(2 * MIB // ROWS, 1))


def test_a_loan_of_a_large_column_is_computed_in_the_file(tq, partition):
    x = random(MIB // ROWS)
    with tq.loan(partition, KEYS, {"x": (torch.uint8, (MIB // ROWS,))}) as room:
        room["x"].copy_(x)
    assert offloaded(tq) == MIB
    assert torch.equal(get(tq, partition), x)
