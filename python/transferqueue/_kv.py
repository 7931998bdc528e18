"""The key-value face: rows named by the caller, in partitions.

Every function is plain and lives at the root of the package. It attaches to the job's sidecar at its first use; without one it raises
NotRunningError, which says how to start one. The ``async_`` functions are the same as coroutines, on any event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from transferqueue import _operations, _session
from transferqueue._operations import Operation
from transferqueue.errors import InvalidArgumentError, InvalidTypeError
from transferqueue.meta import KVBatchMeta

if TYPE_CHECKING:
    from tensordict import TensorDict

    from transferqueue._tensors import Packed

Parser = Callable[[Any], Any]


def _packed_row(fields: Any, parser: Parser | None, allow_pickle: bool) -> Packed | None:
    """The columns of one row: a tensor gets a row dimension, anything else becomes one object."""
    from transferqueue import _tensors

    if fields is None:
        return None
    if not isinstance(fields, dict):
        return _packed(_checked(fields, 1, "dict or TensorDict"), 1, parser, allow_pickle)
    if parser is None:
        return _tensors.pack_row(fields, allow_pickle)
    columns = {name: _as_column(name, value) for name, value in fields.items()}
    return _packed(columns, 1, parser, allow_pickle)


def _as_column(name: str, value: Any) -> Any:
    import torch

    if not isinstance(value, torch.Tensor):
        return [value]
    if value.is_nested:
        raise InvalidArgumentError(
            f"field {name!r}: a nested tensor has many rows; Please use (async)kv_batch_put for batch operation"
        )
    return value.unsqueeze(0)


class _FieldsType(InvalidTypeError, InvalidArgumentError):
    """A wrong type of `fields`: the peer raises ValueError, others expect TypeError."""


def _checked(fields: Any, rows: int, wanted: str) -> Any:
    """Check a TensorDict of many rows."""
    from tensordict import TensorDictBase

    if not isinstance(fields, TensorDictBase):
        raise _FieldsType(f"`fields` can only be {wanted}: {type(fields).__name__} given")
    if not fields.batch_size or fields.batch_size[0] != rows:
        raise InvalidArgumentError(
            f"fields: batch size {list(fields.batch_size)} for {rows} keys; the first dimension must be the number of keys"
        )
    return fields


def _packed(columns: Any, rows: int, parser: Parser | None, allow_pickle: bool) -> Packed:
    from transferqueue import _tensors

    return _tensors.pack(_operations.parsed_fields(columns, parser), rows, allow_pickle)


def _put_operation(
    keys: list[str], partition_id: str, packed: Packed | None, tags: Sequence[Mapping[str, Any]] | None
) -> Operation[KVBatchMeta]:
    if packed is None and tags is None:
        raise InvalidArgumentError("Please provide at least one parameter of `fields` and `tag(s)`: both are None")
    return _operations.kv_put(keys, partition_id, packed, tags)


def _row_columns(fields: Any) -> Any:
    if not isinstance(fields, dict):
        return _checked(fields, 1, "dict or TensorDict")
    return {name: _as_column(name, value) for name, value in fields.items()}


def _stored_put(
    keys: list[str], partition_id: str, columns: Any, tags: Sequence[Mapping[str, Any]] | None, parser: Parser | None
) -> Operation[KVBatchMeta]:
    """A put to a user's store."""
    from transferqueue.storage.stored import KeyedRows, StoredPut

    _operations.check_name(partition_id, "partition_id")
    _operations.packed_keys(keys)
    put = StoredPut(_operations.parsed_fields(columns, parser), len(keys), KeyedRows(keys, partition_id, tags))
    return cast("Operation[KVBatchMeta]", put)


def _single_put(
    key: str, partition_id: str, fields: Any, tag: Mapping[str, Any] | None, parser: Parser | None
) -> Operation[KVBatchMeta]:
    if not isinstance(key, str):
        raise InvalidTypeError(f"key: {key!r} is a {type(key).__name__}; a key is a str")
    if fields is not None and _session.client().storage_manager is not None:
        return _stored_put([key], partition_id, _row_columns(fields), None if tag is None else [tag], parser)
    packed = _packed_row(fields, parser, _session.client().allow_pickle)
    return _put_operation([key], partition_id, packed, None if tag is None else [tag])


def _batch_put(
    keys: list[str] | str,
    partition_id: str,
    fields: Any,
    tags: Sequence[Mapping[str, Any]] | None,
    parser: Parser | None,
) -> Operation[KVBatchMeta]:
    rows = _operations.check_keys(keys, unique=True)
    packed = None
    if fields is not None:
        columns = _checked(fields, len(rows), "a TensorDict")
        if _session.client().storage_manager is not None:
            return _stored_put(rows, partition_id, columns, tags, parser)
        packed = _packed(columns, len(rows), parser, _session.client().allow_pickle)
    return _put_operation(rows, partition_id, packed, tags)


def _batch_get(
    keys: list[str] | str, partition_id: str, select_fields: list[str] | str | None, layout: str, copy: bool | None
) -> Operation[TensorDict]:
    rows = _operations.check_keys(keys, unique=False)
    names = None if select_fields is None else _operations.check_names(select_fields, "select_fields")
    allow_pickle = _session.client().allow_pickle
    return _operations.kv_get(rows, partition_id, names, layout=layout, copy=copy, allow_pickle=allow_pickle)


def _get_by_meta(
    meta: KVBatchMeta, select_fields: list[str] | str | None, layout: str, copy: bool | None
) -> Operation[TensorDict]:
    if not isinstance(meta, KVBatchMeta):
        raise InvalidTypeError(f"kv_batch_get_by_meta: meta is a {type(meta).__name__}; give a KVBatchMeta")
    if meta.partition_id is None:
        raise InvalidArgumentError("kv_batch_get_by_meta: meta.partition_id is None; it must name the partition")
    names = meta.fields if select_fields is None else _operations.check_names(select_fields, "select_fields")
    missing = [name for name in names or () if name not in (meta.fields or ())]
    if select_fields is not None and missing:
        raise InvalidArgumentError(f"select_fields {missing} not found in meta.fields {meta.fields}")
    return _batch_get(meta.keys, meta.partition_id, names, layout, copy)


def kv_put(
    key: str,
    partition_id: str,
    fields: TensorDict | dict[str, Any] | None = None,
    tag: dict[str, Any] | None = None,
    data_parser: Parser | None = None,
    *,
    timeout_s: float | None = None,
) -> KVBatchMeta:
    """Write columns and/or the tag of one row.

    Parameters
    ----------
    key : str
        The row's name in the partition; unknown ones are registered.
    partition_id : str
        The partition; made if it is not there.
    fields : dict or TensorDict, optional
        The row's values: a tensor is the row itself (no batch dimension), anything else is stored as one object. A TensorDict has
        batch size [1].
    tag : dict, optional
        Entries merged into the row's tag.
    data_parser : callable, optional
        ``dict -> dict`` of the columns, run in this process before they are copied (by a coroutine: in a thread). It keeps the names
        and the number of rows.
    timeout_s : float, optional
        Seconds to wait; default that of the client.

    Returns
    -------
    KVBatchMeta
        The key, its whole tag and the fields that the row has now, sorted.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError, SchemaMismatchError, StorageFullError
        Nothing was registered or written.
    TransferQueueError
        `data_parser` raised an exception, which is the cause. This and what it returns wrongly are RuntimeErrors too.
    """
    return _session.client()._send(_single_put(key, partition_id, fields, tag, data_parser), timeout_s)


def kv_batch_put(
    keys: list[str] | str,
    partition_id: str,
    fields: TensorDict | None = None,
    tags: list[dict[str, Any]] | None = None,
    data_parser: Parser | None = None,
    *,
    timeout_s: float | None = None,
) -> KVBatchMeta:
    """Write columns and/or tags of many rows; all of it becomes visible in one step.

    Parameters
    ----------
    keys : list of str
        The rows, B of them, each once.
    partition_id : str
        The partition; made if it is not there.
    fields : TensorDict, optional
        Columns of B rows. New fields are added to these rows, fields that are there are replaced.
    tags : list of dict, optional
        B dicts, merged into the rows' tags.
    data_parser, timeout_s
        As in `kv_put`.

    Returns
    -------
    KVBatchMeta
        The keys, their whole tags and the fields that all of the rows have now, sorted.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError, SchemaMismatchError, StorageFullError
        Nothing was registered or written.
    """
    return _session.client()._send(_batch_put(keys, partition_id, fields, tags, data_parser), timeout_s)


def kv_batch_get(
    keys: list[str] | str,
    partition_id: str,
    select_fields: list[str] | str | None = None,
    *,
    layout: str = "jagged",
    copy: bool | None = None,
    timeout_s: float | None = None,
) -> TensorDict:
    """Read columns of rows, in the order of `keys`; unknown keys are dropped.

    Parameters
    ----------
    keys : list of str
        The rows.
    partition_id : str
        The partition.
    select_fields : list of str, optional
        The fields; unknown ones are ignored. Default: the fields that all of the rows have.
    layout : {"jagged", "dense"}, default "jagged"
        What a column of rows with one shape of at least one dimension becomes.
    copy : bool, optional
        None, the default: a large tensor is a view of memory that the sidecar keeps until it is dropped, where that can be. True: every
        tensor has memory of its own. False: an error where this process would have to copy. ``docs/memory.md`` tells more.
    timeout_s : float, optional
        Seconds to wait; default that of the client.

    Raises
    ------
    InvalidArgumentError
        None of the keys, or no such partition; or a field is not ready in some row.
    """
    return _session.client()._send(_batch_get(keys, partition_id, select_fields, layout, copy), timeout_s)


def kv_batch_get_by_meta(
    meta: KVBatchMeta,
    select_fields: list[str] | str | None = None,
    *,
    layout: str = "jagged",
    copy: bool | None = None,
    timeout_s: float | None = None,
) -> TensorDict:
    """Read the rows and fields that a KVBatchMeta names, or some of its fields.

    Raises
    ------
    InvalidArgumentError
        The meta has no partition, `select_fields` names a field that it does not have, or as for `kv_batch_get`.
    """
    return _session.client()._send(_get_by_meta(meta, select_fields, layout, copy), timeout_s)


def kv_list(partition_id: str | None = None, *, timeout_s: float | None = None) -> dict[str, dict[str, Any]]:
    """Return ``{partition: {key: tag}}``, keys in the order in which they were first put; ``{}`` for an unknown partition."""
    return _session.client().kv_list(partition_id, timeout_s=timeout_s)


def kv_clear(keys: list[str] | str, partition_id: str, *, timeout_s: float | None = None) -> None:
    """Remove rows; unknown keys and partitions are ignored, readers that hold the rows' tensors keep them."""
    rows = _operations.check_keys(keys, unique=False)
    _session.client()._send(_operations.kv_clear(rows, partition_id), timeout_s)


async def async_kv_put(
    key: str,
    partition_id: str,
    fields: TensorDict | dict[str, Any] | None = None,
    tag: dict[str, Any] | None = None,
    data_parser: Parser | None = None,
    *,
    timeout_s: float | None = None,
) -> KVBatchMeta:
    """`kv_put` as a coroutine."""
    made = await _operations.make_async(lambda: _single_put(key, partition_id, fields, tag, data_parser), data_parser)
    return await _session.client()._send_async(made, timeout_s)


async def async_kv_batch_put(
    keys: list[str] | str,
    partition_id: str,
    fields: TensorDict | None = None,
    tags: list[dict[str, Any]] | None = None,
    data_parser: Parser | None = None,
    *,
    timeout_s: float | None = None,
) -> KVBatchMeta:
    """`kv_batch_put` as a coroutine."""
    made = await _operations.make_async(lambda: _batch_put(keys, partition_id, fields, tags, data_parser), data_parser)
    return await _session.client()._send_async(made, timeout_s)


async def async_kv_batch_get(
    keys: list[str] | str,
    partition_id: str,
    select_fields: list[str] | str | None = None,
    *,
    layout: str = "jagged",
    copy: bool | None = None,
    timeout_s: float | None = None,
) -> TensorDict:
    """`kv_batch_get` as a coroutine."""
    return await _session.client()._send_async(_batch_get(keys, partition_id, select_fields, layout, copy), timeout_s)


async def async_kv_batch_get_by_meta(
    meta: KVBatchMeta,
    select_fields: list[str] | str | None = None,
    *,
    layout: str = "jagged",
    copy: bool | None = None,
    timeout_s: float | None = None,
) -> TensorDict:
    """`kv_batch_get_by_meta` as a coroutine."""
    return await _session.client()._send_async(_get_by_meta(meta, select_fields, layout, copy), timeout_s)


async def async_kv_list(
    partition_id: str | None = None, *, timeout_s: float | None = None
) -> dict[str, dict[str, Any]]:
    """`kv_list` as a coroutine."""
    return await _session.client().async_kv_list(partition_id, timeout_s=timeout_s)


async def async_kv_clear(keys: list[str] | str, partition_id: str, *, timeout_s: float | None = None) -> None:
    """`kv_clear` as a coroutine."""
    rows = _operations.check_keys(keys, unique=False)
    await _session.client()._send_async(_operations.kv_clear(rows, partition_id), timeout_s)
