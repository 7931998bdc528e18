"""One function per operation: it makes the request and knows how to read the reply.

An `Operation` is a message that has not been sent yet. The blocking and the ``async_`` face send the same object, so that neither
has logic of its own. ``docs/wire.md`` section 3 has the messages.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgpack

from transferqueue import _tags
from transferqueue._arguments import LARGEST, require_iterable, require_mapping, require_number, require_sized
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, TransferQueueError
from transferqueue.meta import BatchMeta, KVBatchMeta

if TYPE_CHECKING:
    from tensordict import TensorDict
    from torch import Tensor

    from transferqueue import _tensors
    from transferqueue._core import ReplyMessage, Segments

T = TypeVar("T")

_STR = {str}
#: Safe in any thread: it runs no Python code, so no other thread comes in between.
_packer = msgpack.Packer()
FETCH_MODES = ("fetch", "insert", "force_fetch")


class MessageType(enum.IntEnum):
    """The request types of the wire."""

    PING = 2
    PUT = 10
    GET = 11
    META = 12
    RETRIEVE_META = 13
    RETRIEVE_KEYS = 14
    LIST = 15
    CLEAR_KEYS = 16
    CLEAR_ROWS = 17
    CLEAR_PARTITION = 18
    SET_TAGS = 19
    PRODUCTION_STATUS = 20
    CONSUMPTION_STATUS = 21
    RESET_CONSUMPTION = 22
    PARTITIONS = 23
    STATS = 24
    METRICS = 26
    SET_SAMPLER = 41
    CHECKPOINT = 50
    CHECKPOINT_PROGRESS = 51


@dataclass(slots=True)
class Operation(Generic[T]):
    """A request with the reader of its reply.

    Attributes
    ----------
    type : MessageType
        What is asked for.
    header : bytes
        The packed MessagePack map.
    read : callable
        Turns the reply into the result; runs in the caller's thread.
    frames : sequence of (address, length, column), or these numbers as an array of int64
        The payload: each stretch of memory.
    keep : object
        Owner of the payload's memory; must live until the reply has come.
    layout : str
        Of a GET: what its columns become.
    """

    type: MessageType
    header: bytes
    read: Callable[[ReplyMessage], T]
    frames: Segments = ()
    keep: object = field(default=None, repr=False)
    layout: str = "jagged"


def _ignore(_: ReplyMessage) -> None:
    return None


def unpacked_header(reply: ReplyMessage) -> dict[str, Any]:
    """A reply's header."""
    header: dict[str, Any] = msgpack.unpackb(reply.header, strict_map_key=False)
    return header


def pack_header(**header: object) -> bytes:
    """A request's header without the entries that are None."""
    if None in header.values():
        header = {name: value for name, value in header.items() if value is not None}
    packed: bytes = _packer.pack(header)
    return packed


# ---- arguments -------------------------------------------------------------------------------------------------------


def check_name(value: object, what: str) -> str:
    """Return a partition's, task's or field's name, or raise InvalidTypeError / InvalidArgumentError."""
    if not isinstance(value, str):
        raise InvalidTypeError(f"{what}: {value!r} is a {type(value).__name__}; give a str")
    if not value:
        raise InvalidArgumentError(f"{what}: '' names nothing; give a str of at least one character")
    return value


def check_names(values: object, what: str) -> list[str]:
    """Return a list of names; one str stands for a list of itself."""
    names = [values] if isinstance(values, str) else values
    if not isinstance(names, Sequence) or isinstance(names, bytes):
        raise InvalidTypeError(f"{what}: {values!r} is a {type(values).__name__}; give a str or a list of str")
    return [check_name(name, what) for name in names]


def check_keys(keys: object, *, unique: bool) -> list[str]:
    """Return the keys as a list; one str stands for a list of itself."""
    if isinstance(keys, str):
        return [keys]
    if not isinstance(keys, Sequence) or isinstance(keys, bytes):
        raise InvalidTypeError(f"keys: {type(keys).__name__} given; give a str or a list of str")
    if len(keys) == 0:
        raise InvalidArgumentError("Received an empty list as keys: 0 keys given; give at least one")
    rows = list(keys)
    if set(map(type, rows)) != _STR:
        for key in rows:
            if not isinstance(key, str):
                raise InvalidTypeError(f"keys: {key!r} is a {type(key).__name__}; keys are str")
    if unique and len(set(rows)) != len(rows):
        seen: set[str] = set()
        twice = next(key for key in rows if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidArgumentError(f"Got duplicated keys.: {twice!r} stands twice among {len(rows)} keys")
    return rows


def packed_keys(keys: Sequence[str]) -> dict[str, object]:
    """Return keys as the wire has them, or raise InvalidArgumentError."""
    joined = "\0".join(keys)
    if joined.count("\0") != len(keys) - 1:
        raise InvalidArgumentError("keys: a key contains the character NUL; keys may hold any other")
    try:
        return {"n": len(keys), "k": joined.encode()}
    except UnicodeEncodeError as error:
        raise InvalidArgumentError("keys: a key holds half a surrogate pair; a key must be valid Unicode") from error


def unpacked_keys(packed: Mapping[str, Any]) -> list[str]:
    """Keys as they travel, as a list."""
    if packed["n"] == 0:
        return []
    text: str = packed["k"].decode()
    return text.split("\0")


def packed_tags(tags: Sequence[Mapping[str, Any]] | None, rows: int) -> bytes | None:
    """Return the tags of the rows that as many keys name, as the wire has them, or raise what is wrong with them."""
    if tags is None:
        return None
    if len(require_sized("tags", tags)) != rows:
        raise InvalidArgumentError(f"tags: {len(tags)} tags given for {rows} keys; give one per row")
    return _tags.encode(tags)


def columnar(meta: Any) -> Any:
    """The BatchMeta beneath a LegacyBatchMeta; anything else as it is."""
    return getattr(meta, "columnar", meta)


def check_meta(meta: object, what: str) -> BatchMeta:
    """Return a BatchMeta, or that beneath a LegacyBatchMeta; or raise InvalidTypeError."""
    batch = columnar(meta)
    if not isinstance(batch, BatchMeta):
        raise InvalidTypeError(f"{what}: metadata is a {type(meta).__name__}; give a BatchMeta")
    return batch


def _rows_of(meta: BatchMeta) -> dict[str, object]:
    """The header entries that name a meta's rows."""
    return {"parts": meta._parts, "indexes": meta._indexes_bytes, "generations": meta._generations_bytes}


def _int64_tensor(data: bytes) -> Tensor:
    import torch

    return torch.frombuffer(bytearray(data), dtype=torch.int64) if data else torch.empty(0, dtype=torch.int64)


def _int8_tensor(data: bytes) -> Tensor:
    import torch

    return torch.frombuffer(bytearray(data), dtype=torch.int8) if data else torch.empty(0, dtype=torch.int8)


async def make_async(make: Callable[[], Operation[T]], data_parser: Callable[[Any], Any] | None) -> Operation[T]:
    """Make an operation; in a thread if a user's parser runs for it, so that the event loop goes on meanwhile."""
    return make() if data_parser is None else await asyncio.to_thread(make)


def parsed_fields(fields: Any, data_parser: Callable[[Any], Any] | None) -> Any:
    """Run the user's parser over a dict of columns, and check what it gave back.

    Raises
    ------
    InvalidTypeError
        The parser can't be called, or returned no dict.
    InvalidArgumentError
        It changed the keys, or the number of rows of a column.
    TransferQueueError
        It raised an exception, which is the cause of this one. All of these are RuntimeErrors, as the peer's.
    """
    if data_parser is None:
        return fields
    if not callable(data_parser):
        raise _ParserTypeError(f"data_parser must be callable: {type(data_parser).__name__} given")
    before = {name: fields[name] for name in fields.keys()}  # noqa: SIM118 - a TensorDict iterates over rows
    lengths = {name: len(column) for name, column in before.items()}
    try:
        after = data_parser(dict(before))
    except Exception as error:
        raise _ParserFailedError(f"data_parser raised {type(error).__name__}: {error}") from error
    if not isinstance(after, dict):
        raise _ParserTypeError(f"data_parser must return a dict: it returned a {type(after).__name__}")
    if after.keys() != before.keys():
        raise _ParserResultError(
            f"data_parser must not change dict keys: had {sorted(before)}, returned {sorted(map(str, after))}"
        )
    for name, column in after.items():
        if (rows := _length_of(column)) != lengths[name]:
            raise _ParserResultError(
                f"data_parser changed the number of elements for key {name!r}: had {lengths[name]}, returned {rows}"
            )
    return after


def _length_of(column: Any) -> int | str:
    try:
        return len(column)
    except TypeError:
        return f"a {type(column).__name__} without a length"


class _ParserTypeError(InvalidTypeError, RuntimeError):
    """What the parser is, or returned, has a wrong type; the peer raises RuntimeError."""


class _ParserResultError(InvalidArgumentError, RuntimeError):
    """The parser returned other names or rows."""


class _ParserFailedError(TransferQueueError, RuntimeError):
    """The parser raised an exception."""


# ---- keys ------------------------------------------------------------------------------------------------------------


def kv_put(
    keys: list[str],
    partition_id: str,
    packed: _tensors.Packed | None,
    tags: Sequence[Mapping[str, Any]] | None,
) -> Operation[KVBatchMeta]:
    """Write columns and/or tags of rows named by keys."""
    check_name(partition_id, "partition_id")
    named = packed_keys(keys)
    tag_bytes = packed_tags(tags, len(keys))
    columns, frames, keep = packed or ([], (), None)
    header = pack_header(n=len(keys), partition=partition_id, keys=named, tags=tag_bytes, columns=columns, want="kv")

    def read(reply: ReplyMessage) -> KVBatchMeta:
        answer = unpacked_header(reply)
        return KVBatchMeta._of(keys, answer["tags"], partition_id, answer["fields"])

    return Operation(MessageType.PUT, header, read, frames, keep)


def kv_get(
    keys: list[str],
    partition_id: str,
    select_fields: list[str] | None,
    *,
    layout: str = "jagged",
    copy: bool | None = None,
    allow_pickle: bool = True,
) -> Operation[TensorDict]:
    """Read columns of rows named by keys, in the order of the keys; unknown keys are dropped."""
    check_name(partition_id, "partition_id")
    header = pack_header(partition=partition_id, keys=packed_keys(keys), fields=select_fields, strict=False)
    return Operation(MessageType.GET, header, reader_of_columns(layout, copy, allow_pickle), layout=layout)


def reader_of_columns(layout: str, copy: bool | None, allow_pickle: bool) -> Callable[[ReplyMessage], TensorDict]:
    """What makes a TensorDict of the reply to a GET."""
    if layout not in ("jagged", "dense"):
        raise InvalidArgumentError(f"layout: {layout!r} is neither 'jagged' nor 'dense'")

    def read(reply: ReplyMessage) -> TensorDict:
        from transferqueue import _tensors

        answer = unpacked_header(reply)
        return _tensors.unpack(
            answer["columns"], reply.frames, answer["n"], layout=layout, copy=copy, allow_pickle=allow_pickle
        )

    return read


def kv_clear(keys: list[str], partition_id: str) -> Operation[None]:
    """Remove rows by key; unknown ones are ignored."""
    check_name(partition_id, "partition_id")
    return Operation(MessageType.CLEAR_KEYS, pack_header(partition=partition_id, keys=packed_keys(keys)), _ignore)


def retrieve_meta(keys: list[str], partition_id: str, *, create: bool) -> Operation[BatchMeta]:
    """The BatchMeta of rows named by keys."""
    check_name(partition_id, "partition_id")
    header = pack_header(partition=partition_id, keys=packed_keys(keys), create=bool(create))
    return Operation(MessageType.RETRIEVE_META, header, _read_meta)


def retrieve_keys(global_indexes: int | Sequence[int], partition_id: str) -> Operation[list[str | None]]:
    """The keys of rows named by global index; None for a row without a key."""
    import numpy as np

    check_name(partition_id, "partition_id")
    given = [global_indexes] if isinstance(global_indexes, int | np.integer) else global_indexes
    indexes = [require_number("global_indexes", index, -LARGEST) for index in require_iterable("global_indexes", given)]
    if not indexes:
        raise InvalidArgumentError("global_indexes: 0 given; give at least one")

    def read(reply: ReplyMessage) -> list[str | None]:
        answer = unpacked_header(reply)
        if not answer["found"]:
            raise _PartitionMissing(f"partition {partition_id!r}: not found; {len(indexes)} keys were asked for")
        keys: list[str | None] = answer["keys"]
        return keys

    header = pack_header(partition=partition_id, indexes=np.asarray(indexes, dtype="<i8").tobytes())
    return Operation(MessageType.RETRIEVE_KEYS, header, read)


class _PartitionMissing(InvalidArgumentError, RuntimeError):
    """The peer raises RuntimeError here."""


# ---- rows ------------------------------------------------------------------------------------------------------------


def _read_meta(reply: ReplyMessage) -> BatchMeta:
    return BatchMeta._from_packed(unpacked_header(reply)["meta"])


def insert(fields: Any, partition_id: str, rows: int, *, allow_pickle: bool = True) -> Operation[BatchMeta]:
    """Put columns into new rows of a partition."""
    check_name(partition_id, "partition_id")
    from transferqueue import _tensors

    columns, frames, keep = _tensors.pack(fields, rows, allow_pickle)
    header = pack_header(n=rows, partition=partition_id, columns=columns, want="meta")
    return Operation(MessageType.PUT, header, _read_meta, frames, keep)


def put(fields: Any, meta: BatchMeta, *, allow_pickle: bool = True) -> Operation[BatchMeta]:
    """Put columns into the rows of `meta`, which is updated and returned."""
    from transferqueue import _tensors

    described = _tensors.columns_of(fields, meta.size)
    columns, frames, keep = _tensors.pack_columns(described, meta.size, allow_pickle)
    tags = meta._tags_bytes
    header = pack_header(n=meta.size, **_rows_of(meta), tags=tags, columns=columns, want="none")

    def read(_: ReplyMessage) -> BatchMeta:
        return meta._add_columns(_tensors.schema_of_columns(described))

    return Operation(MessageType.PUT, header, read, frames, keep)


def get(
    meta: BatchMeta,
    *,
    fields: list[str] | None = None,
    layout: str = "jagged",
    copy: bool | None = None,
    allow_pickle: bool = True,
) -> Operation[TensorDict]:
    """Read columns of the rows of `meta`, in its order; default the fields that it names."""
    meta = columnar(meta)
    header = pack_header(**_rows_of(meta), fields=meta.field_names if fields is None else fields, strict=True)
    return Operation(MessageType.GET, header, reader_of_columns(layout, copy, allow_pickle), layout=layout)


def get_meta(
    data_fields: Sequence[str],
    batch_size: int | None,
    partition_id: str,
    mode: str,
    task_name: str | None,
    sampling_config: Mapping[str, Any] | None,
    wait_s: float | None = None,
) -> Operation[BatchMeta]:
    """Allocate rows (insert), take ready ones (fetch), or see all of a partition (force_fetch)."""
    if not isinstance(mode, str) or mode not in FETCH_MODES:
        raise InvalidArgumentError(f"mode: {mode!r} is none of {', '.join(FETCH_MODES)}")
    check_name(partition_id, "partition_id")
    names = check_names(data_fields, "data_fields")
    if batch_size is None and mode != "force_fetch":
        raise InvalidArgumentError(f"batch_size: None given; the mode {mode!r} needs the number of rows")
    rows = None if mode == "force_fetch" else require_number("batch_size", batch_size, 1)
    if mode == "fetch":
        check_name(task_name, "task_name")
    sampling = None if sampling_config is None else _packed_sampling(sampling_config)
    header = pack_header(
        partition=partition_id,
        fields=names,
        batch_size=rows,
        mode=mode,
        task=task_name,
        sampling=sampling,
        wait_ms=_wait_ms(wait_s),
    )
    return Operation(MessageType.META, header, _read_meta)


def all_of(partition_id: str) -> Operation[BatchMeta]:
    """All rows of a partition, with all fields that it has."""
    return Operation(MessageType.META, pack_header(partition=partition_id, mode="force_fetch"), _read_meta)


def _packed_sampling(sampling_config: Mapping[str, Any]) -> bytes:
    try:
        return _tags.encode([require_mapping("sampling_config", sampling_config)])
    except InvalidTypeError as error:
        raise InvalidTypeError(str(error).replace("the tag of row 0", "sampling_config")) from None


def _wait_ms(wait_s: float | None) -> int | None:
    if wait_s is None:
        return None
    if not isinstance(wait_s, int | float) or not 0 <= wait_s < 2_000_000:
        raise InvalidArgumentError(f"wait_s: {wait_s!r} given; give seconds from 0 to 2,000,000")
    return round(wait_s * 1000)


def set_tags(meta: BatchMeta) -> Operation[None]:
    """Replace the tags of the rows by those that `meta` carries."""
    meta = columnar(meta)
    header = pack_header(**_rows_of(meta), tags=meta._tags_bytes or _tags.encode([{}] * meta.size), replace=True)
    return Operation(MessageType.SET_TAGS, header, _ignore)


def clear_rows(meta: BatchMeta) -> Operation[None]:
    """Remove the rows of `meta`; those that are gone already are ignored."""
    return Operation(MessageType.CLEAR_ROWS, pack_header(**_rows_of(columnar(meta))), _ignore)


def clear_partition(partition_id: str) -> Operation[bool]:
    """Remove a partition with all its rows; False where it was not there."""
    check_name(partition_id, "partition_id")
    return Operation(
        MessageType.CLEAR_PARTITION,
        pack_header(partition=partition_id),
        lambda reply: bool(unpacked_header(reply)["found"]),
    )


def partitions() -> Operation[list[str]]:
    """Names of the partitions, in the order in which they were made."""
    return Operation(MessageType.PARTITIONS, pack_header(), lambda reply: list(unpacked_header(reply)["partitions"]))


def production_status(data_fields: Sequence[str], partition_id: str) -> Operation[tuple[Tensor | None, Tensor | None]]:
    """Which (row, field) is ready: global indexes int64 [N], status int8 [N, F]."""
    check_name(partition_id, "partition_id")
    names = check_names(data_fields, "data_fields")

    def read(reply: ReplyMessage) -> tuple[Tensor | None, Tensor | None]:
        answer = unpacked_header(reply)
        if not answer["found"]:
            return None, None
        return _int64_tensor(answer["indexes"]), _int8_tensor(answer["status"]).reshape(-1, len(names))

    return Operation(MessageType.PRODUCTION_STATUS, pack_header(partition=partition_id, fields=names), read)


def is_produced(data_fields: Sequence[str], partition_id: str) -> Operation[bool]:
    """Whether there are rows and all of them are ready in all fields; the reply has one bit."""
    check_name(partition_id, "partition_id")
    header = pack_header(partition=partition_id, fields=check_names(data_fields, "data_fields"), check=True)
    return Operation(MessageType.PRODUCTION_STATUS, header, _read_all)


def _read_all(reply: ReplyMessage) -> bool:
    return bool(unpacked_header(reply)["all"])


def consumption_status(task_name: str, partition_id: str) -> Operation[tuple[Tensor | None, Tensor | None]]:
    """Which rows a task has consumed: global indexes int64 [N], status int8 [N]."""
    check_name(partition_id, "partition_id")
    check_name(task_name, "task_name")

    def read(reply: ReplyMessage) -> tuple[Tensor | None, Tensor | None]:
        answer = unpacked_header(reply)
        return (_int64_tensor(answer["indexes"]), _int8_tensor(answer["status"])) if answer["found"] else (None, None)

    return Operation(MessageType.CONSUMPTION_STATUS, pack_header(partition=partition_id, task=task_name), read)


def is_consumed(task_name: str, partition_id: str) -> Operation[bool]:
    """Whether there are rows and the task has consumed all of them; the reply has one bit."""
    check_name(partition_id, "partition_id")
    header = pack_header(partition=partition_id, task=check_name(task_name, "task_name"), check=True)
    return Operation(MessageType.CONSUMPTION_STATUS, header, _read_all)


def reset_consumption(partition_id: str, task_name: str | None) -> Operation[bool]:
    """Forget what a task (None: every task) has consumed; True, also where the partition is not there."""
    check_name(partition_id, "partition_id")
    header = pack_header(partition=partition_id, task=None if task_name is None else check_name(task_name, "task_name"))
    return Operation(MessageType.RESET_CONSUMPTION, header, lambda _: True)


def set_sampler(name: str, arguments: Mapping[str, int]) -> Operation[None]:
    """Let one of the core's samplers pick from now on."""
    return Operation(MessageType.SET_SAMPLER, pack_header(name=name, arguments=dict(arguments)), lambda _: None)


def metrics() -> Operation[dict[str, Any]]:
    """What monitoring shows of the core; docs/wire.md tells the entries."""
    return Operation(MessageType.METRICS, pack_header(), unpacked_header)


def stats() -> Operation[dict[str, Any]]:
    """Counters of the core."""
    return Operation(MessageType.STATS, pack_header(), unpacked_header)
