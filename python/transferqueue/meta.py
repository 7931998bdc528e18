"""Batches without their bytes: `BatchMeta` (rows by global index) and `KVBatchMeta` (rows by key)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from transferqueue import _core, _extra_info, _tags
from transferqueue._arguments import require_iterable, require_mapping, require_names, require_number, require_sized
from transferqueue._core import BatchOperation
from transferqueue._kv_batch_meta import MOST_CHUNKS, KVBatchMeta
from transferqueue._meta_packing import (
    dtype_of,
    field_schema,
    pack_rows,
    packed_status,
    packed_tags,
    unpack_map,
)
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, StorageKeyNotFoundError

if TYPE_CHECKING:
    from tensordict import TensorDict
    from torch import dtype

    from transferqueue._sample_views import SampleViews

__all__ = ["BatchMeta", "KVBatchMeta", "extract_field_schema"]


class _RowError(InvalidArgumentError, IndexError):
    """A row that the batch has not; an IndexError ends an iteration."""


def _call(operation: BatchOperation, *arguments: Any) -> Any:
    """One operation in the core: packed batches in, a packed batch or a list of them out."""
    return msgpack.unpackb(_core.batch_meta(operation, msgpack.packb(arguments)))


class BatchMeta:
    """Who the B rows of a batch are, which fields they have, whether they are ready, and their tags.

    The object holds the core's packed columns; making it, pickling it and reading it start nothing, every operation is
    the core's. Lists and arrays that it gives out are its own: of them only ``custom_meta``'s dicts and
    ``production_status`` may be changed in place. Not safe to change from several threads at once.

    Parameters
    ----------
    global_indexes
        int per row: its identity. A row may appear more than once.
    partition_ids
        str per row: the partition it belongs to.
    field_schema
        Per field ``{"dtype", "shape", "is_nested", "is_non_tensor", "per_sample_shapes"}``; all but the dtype optional.
    production_status
        int8 per row: 1 where all fields of the row are there, else 0. Default: all 0.
    extra_info
        Anything that travels along; it stays in Python.
    custom_meta
        dict per row: its tag. Default: all empty.

    Raises
    ------
    InvalidArgumentError
        A length differs from that of ``global_indexes``.
    InvalidTypeError
        A value of a wrong type.
    """

    __slots__ = (
        "__weakref__",
        "_backend_meta",
        "_custom_meta_list",
        "_extra_info",
        "_global_index_list",
        "_packed_bytes",
        "_partition_id_list",
        "_parts_map",
        "_schema",
        "_status",
    )

    _packed_bytes: bytes | None
    _parts_map: dict[str, Any] | None
    _extra_info: dict[str, Any]
    _backend_meta: list[dict[str, Any]] | None

    def __init__(
        self,
        global_indexes: Iterable[int] = (),
        partition_ids: Iterable[str] = (),
        field_schema: Mapping[str, Mapping[str, Any]] | None = None,
        production_status: Any = None,
        extra_info: Mapping[str, Any] | None = None,
        custom_meta: Sequence[Mapping[str, Any]] | None = None,
        _custom_backend_meta: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        parts = pack_rows(global_indexes, partition_ids, field_schema, production_status, custom_meta)
        self._set(None, parts)
        self._extra_info = dict(require_mapping("extra_info", extra_info))
        self._custom_backend_meta = _custom_backend_meta

    @classmethod
    def _from_packed(
        cls,
        packed: bytes,
        extra_info: Mapping[str, Any] | None = None,
        backend_meta: list[dict[str, Any]] | None = None,
    ) -> BatchMeta:
        """Wrap the core's packed form."""
        made = cls.__new__(cls)
        made._set(packed, None)
        made._extra_info = dict(extra_info or {})
        made._backend_meta = backend_meta
        return made

    @classmethod
    def empty(cls, extra_info: Mapping[str, Any] | None = None) -> BatchMeta:
        """Make a batch without rows: size 0, not ready."""
        return cls(extra_info=extra_info)

    def _set(self, packed: bytes | None, parts: dict[str, Any] | None) -> None:
        self._packed_bytes = packed
        self._parts_map = parts
        self._global_index_list: list[int] | None = None
        self._partition_id_list: list[str] | None = None
        self._schema: dict[str, dict[str, Any]] | None = None
        self._status: np.ndarray[Any, Any] | None = None
        self._custom_meta_list: list[dict[str, Any]] | None = None

    # --- the packed form ---

    @property
    def _map(self) -> dict[str, Any]:
        """The packed form's parts; possibly older than the lists that were given out."""
        if self._parts_map is None:
            assert self._packed_bytes is not None
            self._parts_map = unpack_map(self._packed_bytes)
        return self._parts_map

    @property
    def _packed(self) -> bytes:
        """The packed form, with what was changed in lists that were given out."""
        parts = self._map
        changed: dict[str, Any] = {}
        if self._status is not None and (status := self._status.astype(np.int8).tobytes()) != parts["status"]:
            changed["status"] = status
        if self._custom_meta_list is not None and (tags := packed_tags(self._custom_meta_list)) != parts.get("tags"):
            changed["tags"] = tags
        if changed or self._packed_bytes is None:
            parts.update(changed)
            self._packed_bytes = msgpack.packb(parts)
        return self._packed_bytes

    @property
    def _parts(self) -> list[list[Any]]:
        """The rows' partitions, run-length encoded: ``[[partition, count], …]``."""
        return self._map["parts"]  # type: ignore[no-any-return]

    @property
    def _indexes_bytes(self) -> bytes:
        return self._map["gi"]  # type: ignore[no-any-return]

    @property
    def _generations_bytes(self) -> bytes | None:
        return self._map.get("gen")

    @property
    def _tags_bytes(self) -> bytes | None:
        """The rows' tags, packed; None if all are empty."""
        self._packed  # noqa: B018 (takes over what was changed)
        return self._map.get("tags")

    def __reduce__(self) -> Any:
        return _from_pickle, (type(self), self._packed, self._extra_info or None, self._backend_meta)

    # --- what it says ---

    @property
    def size(self) -> int:
        """Number of rows B."""
        return self._map["n"]  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self.size

    @property
    def global_indexes(self) -> list[int]:
        """Identity of each row; not to be changed."""
        if self._global_index_list is None:
            self._global_index_list = np.frombuffer(self._map["gi"], "<i8").tolist()
        return self._global_index_list

    @property
    def partition_ids(self) -> list[str]:
        """Partition of each row; not to be changed."""
        if self._partition_id_list is None:
            self._partition_id_list = [partition for partition, count in self._parts for _ in range(count)]
        return self._partition_id_list

    @property
    def field_names(self) -> list[str]:
        """Names of the fields, sorted."""
        return [entry[0] for entry in self._map["fields"]]

    @property
    def field_schema(self) -> dict[str, dict[str, Any]]:
        """Per field: dtype, shape (None if nested), is_nested, is_non_tensor, per_sample_shapes; not to be changed."""
        if self._schema is None:
            self._schema = field_schema(self._map["fields"], self.size)
        return self._schema

    @property
    def production_status(self) -> np.ndarray[Any, np.dtype[np.int8]]:
        """int8 [B]: 1 ready, 0 not. Writable."""
        if self._status is None:
            self._status = np.frombuffer(bytearray(self._map["status"]), np.int8)
        return self._status

    @production_status.setter
    def production_status(self, status: Any) -> None:
        self._status = packed_status(status, self.size)

    @property
    def is_ready(self) -> bool:
        """Whether there are rows and all are ready."""
        return self.size > 0 and bool((self.production_status == 1).all())

    @property
    def custom_meta(self) -> list[dict[str, Any]]:
        """Tag of each row; the dicts may be changed, `client.set_custom_meta` sends them."""
        if self._custom_meta_list is None:
            tags = self._map.get("tags")
            rows = self.size
            self._custom_meta_list = [{} for _ in range(rows)] if tags is None else _tags.decode(tags, rows)
        return self._custom_meta_list

    @custom_meta.setter
    def custom_meta(self, tags: Sequence[Mapping[str, Any]]) -> None:
        self._check_tag_count(tags)
        self._custom_meta_list = _tags.decode(_tags.encode(tags), self.size)

    @property
    def samples(self) -> SampleViews:
        """The rows as read-only views; for code that thinks in rows. Columns are much faster."""
        from transferqueue._sample_views import SampleViews

        return SampleViews(self)

    def get_dtypes(self, field_name: str) -> dtype | None:
        """Torch's dtype of a field; None for text and objects. KeyError for an unknown field."""
        found: dtype | None = dtype_of(self._entry(field_name)[1])
        return found

    def get_shapes(self, field_name: str) -> tuple[int, ...] | list[tuple[int, ...]] | None:
        """Shape of one row of a field, or a list with every row's if it is nested. KeyError for an unknown field."""
        self._entry(field_name)
        schema = self.field_schema[field_name]
        shapes: tuple[int, ...] | list[tuple[int, ...]] | None
        shapes = schema["per_sample_shapes"] if schema["is_nested"] else schema["shape"]
        return shapes

    def get_row_shape(self, field_name: str, row: int) -> tuple[int, ...] | None:
        """Shape of a field in one row, by its position in the batch; None if it is not known.

        Raises
        ------
        KeyError
            For an unknown field.
        IndexError
            A position outside [-B, B).
        """
        shapes = self.get_shapes(field_name)
        if not -self.size <= row < self.size:
            raise IndexError(f"row {row}: the batch has {self.size} rows")
        return shapes[row] if isinstance(shapes, list) else shapes

    def _entry(self, field_name: str) -> list[Any]:
        for entry in self._map["fields"]:
            if entry[0] == field_name:
                return entry  # type: ignore[no-any-return]
        raise StorageKeyNotFoundError(
            f"field {field_name!r}: not in this batch; it has {', '.join(self.field_names) or 'none'}"
        )

    def __repr__(self) -> str:
        partitions = list(dict.fromkeys(partition for partition, _ in self._parts))
        ready = int((self.production_status == 1).sum())
        return f"BatchMeta(size={self.size}, ready={ready}, partitions={partitions}, fields={self.field_names})"

    # --- extra_info ---

    @property
    def extra_info(self) -> dict[str, Any]:
        """What travels along; assignable."""
        return self._extra_info

    @extra_info.setter
    def extra_info(self, info: Mapping[str, Any] | None) -> None:
        self._extra_info = info if isinstance(info, dict) else dict(require_mapping("extra_info", info))

    def get_extra_info(self, key: str, default: Any = None) -> Any:
        """One entry of extra_info, or ``default``."""
        return self._extra_info.get(key, default)

    def set_extra_info(self, key: str, value: Any) -> None:
        """Set one entry of extra_info."""
        self._extra_info[key] = value

    def update_extra_info(self, info_dict: Mapping[str, Any]) -> None:
        """Set several entries of extra_info."""
        self._extra_info.update(require_mapping("extra_info", info_dict))

    def remove_extra_info(self, key: str) -> Any:
        """Remove one entry of extra_info and return it; None if it isn't there."""
        return self._extra_info.pop(key, None)

    def clear_extra_info(self) -> None:
        """Remove all entries of extra_info."""
        self._extra_info.clear()

    def has_extra_info(self, key: str) -> bool:
        """Whether extra_info has an entry."""
        return key in self._extra_info

    def get_all_extra_info(self) -> dict[str, Any]:
        """A deep copy of extra_info."""
        return copy.deepcopy(self._extra_info)

    # --- tags ---

    def get_all_custom_meta(self) -> list[dict[str, Any]]:
        """A deep copy of the rows' tags."""
        return copy.deepcopy(self.custom_meta)

    def update_custom_meta(self, custom_meta: Sequence[Mapping[str, Any]] | None) -> None:
        """Merge one dict per row into the rows' tags; None changes nothing.

        Raises
        ------
        InvalidArgumentError
            Not one dict per row.
        InvalidTypeError
            A value that a tag can't hold.
        """
        if custom_meta is None:
            return
        self._check_tag_count(custom_meta)
        plain = _tags.decode(_tags.encode(custom_meta), self.size)
        for tag, update in zip(self.custom_meta, plain, strict=True):
            tag.update(update)

    def clear_custom_meta(self) -> None:
        """Empty the rows' tags."""
        self._custom_meta_list = [{} for _ in range(self.size)]

    def _check_tag_count(self, tags: Sequence[Mapping[str, Any]]) -> None:
        if len(require_sized("custom_meta", tags)) != self.size:
            raise InvalidArgumentError(f"custom_meta: {len(tags)} dicts for {self.size} rows; give one per row")

    @property
    def _custom_backend_meta(self) -> list[dict[str, Any]]:
        """What a storage backend keeps per row: carried along, never looked into."""
        if self._backend_meta is None:
            self._backend_meta = [{} for _ in range(self.size)]
        return self._backend_meta

    @_custom_backend_meta.setter
    def _custom_backend_meta(self, entries: Sequence[Mapping[str, Any]] | None) -> None:
        if entries is not None and len(require_sized("_custom_backend_meta", entries)) != self.size:
            raise InvalidArgumentError(
                f"_custom_backend_meta: {len(entries)} dicts for {self.size} rows; give one per row"
            )
        self._backend_meta = (
            None if entries is None else [dict(require_mapping("_custom_backend_meta", entry)) for entry in entries]
        )

    # --- operations ---

    def _with(self, packed: bytes, rows: Iterable[int] | None = None) -> BatchMeta:
        """Another batch with this one's extra_info, and what the backend keeps of some of its rows (None: of all)."""
        kept = self._backend_meta
        if kept is not None:
            kept = [dict(kept[row]) for row in (range(self.size) if rows is None else rows)]
        return type(self)._from_packed(packed, self._extra_info, kept)

    def copy(self) -> BatchMeta:
        """A copy that shares nothing with this one."""
        return type(self)._from_packed(self._packed, copy.deepcopy(self._extra_info), copy.deepcopy(self._backend_meta))

    def select_samples(self, sample_indices: Iterable[int]) -> BatchMeta:
        """Some rows by position, in the order given; a row may come more than once.

        Raises
        ------
        InvalidArgumentError
            A position outside [0, B).
        """
        positions = _positions(sample_indices)
        return self._with(_call(BatchOperation.SELECT_ROWS, self._packed, positions.tobytes()), positions.tolist())

    def select_fields(self, field_names: Iterable[str]) -> BatchMeta:
        """Some fields of all rows; names that there are not are ignored.

        Of what a backend keeps per row, entries under the name of a field that was not selected are left out.
        """
        names = require_names("field_names", field_names)
        made = self._with(_call(BatchOperation.SELECT_FIELDS, self._packed, names))
        if made._backend_meta is not None:
            dropped = set(self.field_names).difference(names)
            made._backend_meta = [
                {name: value for name, value in entry.items() if name not in dropped} for entry in made._backend_meta
            ]
        return made

    def __getitem__(self, item: int | slice) -> BatchMeta:
        if isinstance(item, slice):
            return self.select_samples(range(self.size)[item])
        if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            if not -self.size <= item < self.size:
                raise _RowError(f"row {item}: the batch has {self.size} rows")
            return self.select_samples([int(item) % self.size])
        raise InvalidTypeError(
            f"a BatchMeta is indexed by int or slice, not by {type(item).__name__}; see select_samples"
        )

    def chunk(self, chunks: int) -> list[BatchMeta]:
        """Cut into ``chunks`` batches, the first ``size % chunks`` one row longer; empty ones if there are too few rows.

        Raises
        ------
        InvalidArgumentError
            ``chunks`` is less than 1.
        """
        made = []
        start = 0
        for packed in _call(BatchOperation.CHUNK, self._packed, require_number("chunk", chunks, 1, MOST_CHUNKS)):
            rows = unpack_map(packed)["n"]
            made.append(self._with(packed, range(start, start + rows)))
            start += rows
        return made

    def chunk_by_partition(self) -> list[BatchMeta]:
        """One batch per partition, in the order of first appearance."""
        rows: dict[str, list[int]] = {}
        if self._backend_meta is not None:
            for row, partition in enumerate(self.partition_ids):
                rows.setdefault(partition, []).append(row)
        made = _call(BatchOperation.CHUNK_BY_PARTITION, self._packed)
        return [self._with(packed, kept) for packed, kept in zip(made, rows.values() or [()] * len(made), strict=True)]

    @classmethod
    def concat(cls, data: Iterable[BatchMeta], validate: bool = True) -> BatchMeta:
        """The rows of several batches, one after the other; empty batches are left out.

        Parameters
        ----------
        data
            Batches in the order wanted.
        validate
            Whether all must have the same fields and dtypes. Without, only fields that all have are kept.

        Raises
        ------
        InvalidArgumentError
            Fields or dtypes differ; or extra_info has conflicting values for an entry.
        """
        batches = list(require_iterable("concat", data))
        for batch in batches:
            _check_batch("concat", batch)
        full = [batch for batch in batches if batch.size]
        info = _extra_info.merged(batch._extra_info for batch in full or batches)
        if not full:
            return cls.empty(extra_info=info)
        kept = None
        if any(batch._backend_meta is not None for batch in full):
            kept = [dict(entry) for batch in full for entry in batch._custom_backend_meta]
        packed = _call(BatchOperation.CONCAT, [batch._packed for batch in full], bool(validate))
        return cls._from_packed(packed, info, kept)

    def union(self, other: BatchMeta) -> BatchMeta:
        """The same rows with the fields of both, ready where both are; where both say something, ``other`` wins.

        Raises
        ------
        InvalidArgumentError
            The batches don't have the same rows in the same order (an empty one is left out).
        """
        _check_batch("union", other)
        if not (self.size and other.size):
            return (self if self.size else other).copy()
        packed = _call(BatchOperation.UNION, self._packed, other._packed)
        kept = None
        if self._backend_meta is not None or other._backend_meta is not None:
            pairs = zip(self._custom_backend_meta, other._custom_backend_meta, strict=True)
            kept = [{**mine, **theirs} for mine, theirs in pairs]
        return type(self)._from_packed(packed, {**self._extra_info, **other._extra_info}, kept)

    def reorder(self, indices: Iterable[int]) -> None:
        """Bring the rows in another order, in place.

        Raises
        ------
        InvalidArgumentError
            ``indices`` is no permutation of the B positions.
        """
        positions = _positions(indices)
        self._set(_call(BatchOperation.REORDER, self._packed, positions.tobytes()), None)
        if self._backend_meta is not None:
            self._backend_meta = [self._backend_meta[row] for row in positions.tolist()]

    def add_fields(self, tensor_dict: TensorDict, set_all_ready: bool = True) -> BatchMeta:
        """Add the schema of a batch's columns, in place, and return this object.

        Parameters
        ----------
        tensor_dict
            A batch of as many rows; its values are not looked at.
        set_all_ready
            Whether all rows are ready then.

        Raises
        ------
        InvalidArgumentError
            The batch has another number of rows.
        """
        if not hasattr(tensor_dict, "keys"):
            raise InvalidTypeError(f"add_fields: got a {type(tensor_dict).__name__}; give a TensorDict")
        if not len(tensor_dict.keys()):
            return self
        from transferqueue import _tensors

        return self._add_columns(_tensors.schema(tensor_dict, self.size), set_all_ready)

    def _add_columns(self, schema: list[list[Any]], set_ready: bool = True) -> BatchMeta:
        """Add packed schema entries, in place, and return this object."""
        self._set(_call(BatchOperation.ADD_FIELDS, self._packed, schema, bool(set_ready)), None)
        return self


def extract_field_schema(data: TensorDict) -> dict[str, dict[str, Any]]:
    """Return the schema of a batch's columns, by field, as `BatchMeta.field_schema` has it.

    Raises
    ------
    InvalidTypeError
        It is no TensorDict, or an entry is no column.
    InvalidArgumentError
        A column has another number of rows than the batch.
    """
    rows = data.batch_size[0] if getattr(data, "batch_size", None) else None
    if rows is None:
        raise InvalidTypeError(
            f"extract_field_schema: got a {type(data).__name__}; give a TensorDict with a batch size"
        )
    from transferqueue import _tensors

    return field_schema(_tensors.schema(data, rows), rows)


def _from_pickle(
    cls: type[BatchMeta], packed: bytes, extra_info: dict[str, Any] | None, backend_meta: list[dict[str, Any]] | None
) -> BatchMeta:
    return cls._from_packed(packed, extra_info, backend_meta)


def _positions(indices: Iterable[int]) -> np.ndarray[Any, Any]:
    require_iterable("rows", indices)
    positions = np.asarray(indices if hasattr(indices, "__array__") else list(indices))
    if positions.size == 0:
        return np.empty(0, "<i8")
    if positions.ndim != 1 or positions.dtype.kind not in "iu":
        raise InvalidTypeError(f"rows: got {positions.dtype} of shape {positions.shape}; give a list of int positions")
    return positions.astype("<i8")


def _check_batch(operation: str, batch: Any) -> None:
    if not isinstance(batch, BatchMeta):
        raise InvalidTypeError(f"{operation}: got a {type(batch).__name__}; give BatchMetas")
