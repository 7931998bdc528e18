"""Shared memory changes where bytes lie and nothing else: drawn batches, with and without it on either side."""

from __future__ import annotations

import itertools
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensordict import NonTensorStack, TensorDict

from support.columns import rows_of, same_value
from support.shared_memory import is_view
from transferqueue import _core
from transferqueue.client import TransferQueueClient

#: Values of a column, around the 64 KiB from which on it is placed.
ELEMENTS = st.sampled_from([3, 1000, 16 << 10, 17 << 10, 40_000])
DTYPES = st.sampled_from([torch.float32, torch.int64, torch.bfloat16, torch.uint8, torch.bool])
_numbers = itertools.count()


@pytest.fixture(scope="module")
def clients(tq: ModuleType):
    """By whether they share memory."""
    address = tq.get_client()._connection.address
    both = {
        shares: TransferQueueClient(_core.Connection.open(address, shared_memory=shares)) for shares in (True, False)
    }
    assert [client._connection.shares_memory for client in both.values()] == [True, False]
    yield both
    for client in both.values():
        client.close()


@st.composite
def columns(draw: st.DrawFn, rows: int) -> tuple[Any, list[Any]]:
    """A column of one batch, and its rows."""
    kind, seed = draw(st.sampled_from(["dense", "jagged", "ragged", "text", "objects"])), draw(st.integers(0, 1000))
    length = max(1, draw(ELEMENTS) // rows)
    dtype = draw(DTYPES)

    def values(*shape: int, first: int = 0) -> torch.Tensor:
        count = int(torch.tensor(shape).prod())
        return ((torch.arange(count) * 7 + seed + first) % 251).to(dtype).view(shape)

    if kind == "dense":
        whole = values(rows, length)
        return whole, list(whole)
    lengths = [draw(st.integers(0, 2 * length)) for _ in range(rows)]
    if kind == "jagged":
        cells = [values(extent, 2, first=row) for row, extent in enumerate(lengths)]
        return torch.nested.as_nested_tensor(cells, layout=torch.jagged), cells
    if kind == "ragged":
        cells = [values(extent, 1 + row % 3, first=row) for row, extent in enumerate(lengths)]
        return NonTensorStack(*cells), cells
    if kind == "text":
        texts = ["ü" * extent for extent in lengths]
        return NonTensorStack(*texts), texts
    objects = [{"octets": bytes([row % 256]) * extent} for row, extent in enumerate(lengths)]
    return NonTensorStack(*objects), objects


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_any_batch_has_the_same_values_with_and_without_shared_memory(clients, data):
    partition = f"same-{next(_numbers)}"
    rows = data.draw(st.integers(2, 12))
    drawn = [data.draw(columns(rows)) for _ in range(data.draw(st.integers(1, 3)))]
    cut = data.draw(st.integers(1, rows))
    meta = None
    for begin, end in ((0, cut), (cut, rows)) if data.draw(st.booleans()) else ((0, rows),):
        if begin == end:
            continue
        part = {f"f{i}": _part(column, cells, begin, end) for i, (column, cells) in enumerate(drawn)}
        writer = clients[data.draw(st.booleans())]
        mine = writer.put(TensorDict(part, batch_size=end - begin), partition_id=partition)
        meta = mine if meta is None else type(meta).concat([meta, mine])
    order = data.draw(
        st.one_of(st.just(list(range(rows))), st.lists(st.integers(0, rows - 1), min_size=1, max_size=12))
    )
    try:
        for client in (clients[True], clients[False], clients[True]):
            got = client.get_data(meta.select_samples(order))
            for i, (_, cells) in enumerate(drawn):
                mine = rows_of(got[f"f{i}"])
                assert len(mine) == len(order)
                assert all(same_value(one, cells[row]) for one, row in zip(mine, order, strict=True))
                _scribble(got[f"f{i}"])
    finally:
        clients[True].clear_partition(partition)


def _part(column: Any, cells: list[Any], begin: int, end: int) -> Any:
    if isinstance(column, torch.Tensor) and not column.is_nested:
        return column[begin:end]
    if isinstance(column, torch.Tensor):
        return torch.nested.as_nested_tensor(cells[begin:end], layout=torch.jagged)
    return NonTensorStack(*cells[begin:end])


def _scribble(column: Any) -> None:
    """Write over what was fetched: nobody else may see it."""
    if isinstance(column, torch.Tensor):
        (column.values() if column.is_nested else column).zero_()


def test_a_process_without_shared_memory_maps_none_of_it(tq, attach, partition):
    keys = ["a", "b"]
    tq.kv_batch_put(keys, partition, TensorDict({"x": torch.ones(2, 1 << 16)}, batch_size=2))
    assert is_view(tq.kv_batch_get(keys, partition, layout="dense")["x"])
    program = attach(TRANSFERQUEUE_SHARED_MEMORY="0")
    assert program.ask(f"tq.kv_batch_get({keys!r}, {partition!r}, layout='dense')['x'].sum().item()") == 1 << 17
    assert program.ask("'transferqueue-arena' in open('/proc/self/maps').read()") is False
    assert program.ask("len(tq.kv_batch_put(['c'], 'q', TensorDict({'x': torch.ones(1, 1 << 16)}, 1)).keys)") == 1
    assert tq.kv_batch_get(["c"], "q", layout="dense")["x"].eq(1).all()
