"""The operations of a client whose columns lie in a user's store.

In place of each value the sidecar keeps a cell (`values`). A put goes to the store first and to the sidecar then, which makes fields,
tags and keys visible in one step; a get reads the cells, which tell whether the rows are still there, and then the store; a clear
goes to the store first, so that no index is given out anew whose values are still there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import msgpack

from transferqueue import _operations
from transferqueue._operations import MessageType, Operation
from transferqueue.errors import InvalidArgumentError
from transferqueue.meta import BatchMeta, KVBatchMeta
from transferqueue.storage.loop import StoreLoop
from transferqueue.storage.managers import CELLS, NOTICES, Notice
from transferqueue.storage.values import Cell, cells_of, dense, rows_of, schema_of

if TYPE_CHECKING:
    from tensordict import TensorDict


class Caller(Protocol):
    """What of a client is needed here."""

    allow_pickle: bool
    storage_manager: Any
    _store_loop: StoreLoop

    def _call(self, operation: Operation[Any], timeout_s: float | None) -> Any:
        """Ask the core."""

    async def _call_async(self, operation: Operation[Any], timeout_s: float | None) -> Any:
        """Ask the core."""


@dataclass(frozen=True)
class KeyedRows:
    """The rows of keys."""

    keys: list[str]
    partition_id: str
    tags: Sequence[Mapping[str, Any]] | None


@dataclass(frozen=True)
class NewRows:
    """Rows that a put makes."""

    partition_id: str


@dataclass(frozen=True)
class StoredPut:
    """A put of columns.

    Parameters
    ----------
    fields
        The columns: a TensorDict, or a dict of tensors and lists.
    rows
        How many rows they have.
    target
        Which rows these are.
    """

    fields: Any
    rows: int
    target: BatchMeta | KeyedRows | NewRows


def run(client: Caller, operation: Operation[Any] | StoredPut, timeout_s: float | None) -> Any:
    """Carry out an operation; blocks."""
    if isinstance(operation, StoredPut):
        return _put(client, operation, timeout_s)
    if operation.type == MessageType.GET:
        return _get(client, operation, timeout_s)
    if operation.type in (MessageType.META, MessageType.RETRIEVE_META):
        return _described(client, client._call(operation, timeout_s), timeout_s)
    if operation.type in (MessageType.CLEAR_KEYS, MessageType.CLEAR_ROWS, MessageType.CLEAR_PARTITION):
        _clear(client, operation, timeout_s)
    if operation.type == MessageType.PUT and msgpack.unpackb(operation.header).get("columns"):
        raise InvalidArgumentError(
            "put: these columns lie in the sidecar's memory already, but a storage backend is set; a loan needs SimpleStorage"
        )
    return client._call(operation, timeout_s)


async def run_async(client: Caller, operation: Operation[Any] | StoredPut, timeout_s: float | None) -> Any:
    """Carry out an operation in a thread; a fetch waits for its rows outside of one, or waiting fetches would keep out the puts."""
    if not isinstance(operation, StoredPut) and operation.type == MessageType.META:
        meta = await client._call_async(operation, timeout_s)
        return await asyncio.to_thread(_described, client, meta, timeout_s)
    return await asyncio.to_thread(run, client, operation, timeout_s)


# ---- put -------------------------------------------------------------------------------------------------------------


def _put(client: Caller, put: StoredPut, timeout_s: float | None) -> BatchMeta | KVBatchMeta:
    data = _as_tensordict(put.fields, put.rows)
    meta = _rows_to_write(client, put, data, timeout_s)
    try:
        notices = _told(client, data, meta)
        cells = _cells(data, meta, notices)
        operation = _core_put(client, put.target, meta, cells)
        return client._call(operation, timeout_s)  # type: ignore[no-any-return]
    except BaseException:
        if isinstance(put.target, NewRows):
            client._call(_operations.clear_rows(meta), timeout_s)  # nobody else knows of them
        raise


def _as_tensordict(fields: Any, rows: int) -> TensorDict:
    from tensordict import NonTensorStack, TensorDict, TensorDictBase
    from torch import Tensor

    if isinstance(fields, TensorDictBase):
        return fields
    columns = {
        name: column if isinstance(column, Tensor) or hasattr(column, "batch_size") else NonTensorStack(*column)
        for name, column in fields.items()
    }
    return TensorDict(columns, batch_size=[rows])


def _rows_to_write(client: Caller, put: StoredPut, data: TensorDict, timeout_s: float | None) -> BatchMeta:
    target = put.target
    if isinstance(target, BatchMeta):
        # Stale rows are refused before the store is told: their indexes may be others' by now.
        client._call(_operations.get(target, fields=[]), timeout_s)
        return target
    if isinstance(target, NewRows):
        insert = _operations.get_meta(_names(data), put.rows, target.partition_id, "insert", None, None)
        made: BatchMeta = client._call(insert, timeout_s)
        return made
    _operations.packed_tags(target.tags, len(target.keys))  # what is wrong with them is said before keys are registered
    keyed = _operations.retrieve_meta(target.keys, target.partition_id, create=True)
    found: BatchMeta = client._call(keyed, timeout_s)
    return found


def _told(client: Caller, data: TensorDict, meta: BatchMeta) -> list[Notice]:
    """Let the manager put; what it said is ready, everything if it said nothing."""
    notices: list[Notice] = []
    token = NOTICES.set(notices)
    try:
        client._store_loop.run(client.storage_manager.put_data, data, meta)
    finally:
        NOTICES.reset(token)
    return notices or [(_names(data), {})]


def _names(data: TensorDict) -> list[str]:
    return sorted(str(name) for name in data.keys())  # noqa: SIM118 - a TensorDict iterates over rows


def _cells(data: TensorDict, meta: BatchMeta, notices: Sequence[Notice]) -> dict[str, list[Cell]]:
    indexes = meta.global_indexes
    cells: dict[str, list[Cell]] = {}
    for fields, noted in notices:
        for name in fields:
            if name not in data.keys():  # noqa: SIM118 - a TensorDict iterates over rows
                raise InvalidArgumentError(
                    f"notify_data_update: field {name!r} is not among those of the put: {sorted(data.keys())}"
                )
            metas = [noted.get(index, {}).get(name) for index in indexes]
            cells[name] = cells_of(data[name], indexes, metas)
    return cells


def _core_put(
    client: Caller, target: BatchMeta | KeyedRows | NewRows, meta: BatchMeta, cells: dict[str, list[Cell]]
) -> Operation[Any]:
    from transferqueue import _tensors

    if isinstance(target, KeyedRows):
        packed = _tensors.pack(cells, len(target.keys), client.allow_pickle)
        return _operations.kv_put(target.keys, target.partition_id, packed, target.tags)
    operation = _operations.put(cells, meta, allow_pickle=client.allow_pickle)
    return replace(operation, read=lambda _: _with_cells(meta, cells))


def _with_cells(meta: BatchMeta, cells: dict[str, list[Cell]]) -> BatchMeta:
    """Add fields to a batch, in place."""
    noted = [dict(entry) for entry in meta._custom_backend_meta]
    for name, column in cells.items():
        for row, cell in enumerate(column):
            if cell["meta"] is not None:
                noted[row][name] = cell["meta"]
    meta._add_columns([schema_of(name, cells[name]) for name in sorted(cells)])
    meta._custom_backend_meta = noted
    return meta


# ---- get -------------------------------------------------------------------------------------------------------------


def _read_cells(client: Caller, operation: Operation[Any], timeout_s: float | None) -> dict[str, list[Cell]]:
    read = _operations.reader_of_columns("jagged", None, client.allow_pickle)
    fetched = client._call(replace(operation, read=read), timeout_s)
    cells = {str(name): rows_of(column) for name, column in fetched.items()}
    for name, column in cells.items():
        if not all(isinstance(cell, dict) and cell.keys() >= {"row", "dtype", "shape", "meta"} for cell in column):
            raise InvalidArgumentError(
                f"field {name!r}: some of its values lie in the sidecar, put by a client that does not use the storage backend; a client "
                "made by hand needs initialize_storage_manager"
            )
    return cells


def _view(cells: dict[str, list[Cell]], partition_ids: Sequence[str]) -> BatchMeta:
    """The rows of cells as a manager sees them."""
    indexes = [cell["row"] for cell in next(iter(cells.values()))]
    return _with_cells(BatchMeta(indexes, partition_ids), cells)


def _get(client: Caller, operation: Operation[Any], timeout_s: float | None) -> TensorDict:
    cells = _read_cells(client, operation, timeout_s)
    if not cells or not next(iter(cells.values())):
        return client._call(operation, timeout_s)  # type: ignore[no-any-return]
    rows = len(next(iter(cells.values())))
    header = msgpack.unpackb(operation.header)
    name = header.get("partition")
    partitions = [name] * rows if name is not None else [part for part, count in header["parts"] for _ in range(count)]
    token = CELLS.set(cells)
    try:
        fetched: TensorDict = client._store_loop.run(client.storage_manager.get_data, _view(cells, partitions))
    finally:
        CELLS.reset(token)
    if operation.layout == "dense":
        for field in _names(fetched):
            fetched[field] = dense(fetched[field])
    return fetched


def _described(client: Caller, meta: BatchMeta, timeout_s: float | None) -> BatchMeta:
    """A batch that is ready, with the schema of its values and what the store noted, in place of those of the cells."""
    if meta.size == 0 or not meta.field_names or not meta.is_ready:
        return meta
    cells = _read_cells(client, _operations.get(meta), timeout_s)
    return _with_cells(meta.select_fields([]), cells)


# ---- clear -----------------------------------------------------------------------------------------------------------


def _clear(client: Caller, operation: Operation[Any], timeout_s: float | None) -> None:
    """Clear, in the store, the cells of the rows that an operation will clear in the sidecar."""
    header = msgpack.unpackb(operation.header)
    if operation.type == MessageType.CLEAR_ROWS:
        wanted = _rows_by_partition(header)
    elif operation.type == MessageType.CLEAR_KEYS:
        keys = _operations.unpacked_keys(header["keys"])
        meta = client._call(_operations.retrieve_meta(keys, header["partition"], create=False), timeout_s)
        wanted = {header["partition"]: set(meta.global_indexes)}
    else:
        wanted = {header["partition"]: None}
    for partition, rows in wanted.items():
        everything: BatchMeta = client._call(_operations.all_of(partition), timeout_s)
        _clear_rows(client, partition, everything, rows, timeout_s)


def _rows_by_partition(header: dict[str, Any]) -> dict[str, Any]:
    """(index, generation) of the rows in a header, by partition; a generation of 0 is any."""
    import numpy as np

    indexes = np.frombuffer(header["indexes"], dtype="<i8").tolist()
    generations = _generations(header.get("generations"), len(indexes))
    wanted: dict[str, set[Any]] = {}
    start = 0
    for partition, count in header["parts"]:
        pairs = zip(indexes[start : start + count], generations[start : start + count], strict=True)
        wanted.setdefault(partition, set()).update(pair if pair[1] else pair[0] for pair in pairs)
        start += count
    return wanted


def _generations(packed: bytes | None, rows: int) -> list[int]:
    import numpy as np

    return np.frombuffer(packed, dtype="<u4").tolist() if packed else [0] * rows


def _clear_rows(
    client: Caller, partition: str, everything: BatchMeta, wanted: set[Any] | None, timeout_s: float | None
) -> None:
    fields = everything.field_names
    if everything.size == 0 or not fields:
        return
    indexes, status = client._call(_operations.production_status(fields, partition), timeout_s)
    if indexes is None:
        return
    ready = dict(zip(indexes.tolist(), status.tolist(), strict=True))
    generations = _generations(everything._generations_bytes, everything.size)
    groups: dict[tuple[int, ...], list[str]] = {}
    for column, field in enumerate(fields):
        rows = tuple(
            row
            for row, index in enumerate(everything.global_indexes)
            if (wanted is None or index in wanted or (index, generations[row]) in wanted)
            and ready.get(index, [0] * len(fields))[column]
        )
        if rows:
            groups.setdefault(rows, []).append(field)
    for rows, names in groups.items():
        cells = _read_cells(client, _operations.get(everything.select_samples(list(rows)), fields=names), timeout_s)
        client._store_loop.run(client.storage_manager.clear_data, _view(cells, [partition] * len(rows)))
