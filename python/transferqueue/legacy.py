"""The row-oriented metadata of TransferQueue before 0.1.6, over the columnar `BatchMeta`.

For code that was written for it, until ``transferqueue migrate`` has been run over it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from transferqueue._deprecation import deprecate
from transferqueue._legacy_samples import FieldMeta, ProductionStatus, SampleMeta
from transferqueue._row_reads import instead_of
from transferqueue._sample_views import SampleView
from transferqueue.errors import InvalidArgumentError, InvalidTypeError
from transferqueue.meta import BatchMeta

if TYPE_CHECKING:
    from tensordict import TensorDict

__all__ = ["FieldMeta", "LegacyBatchMeta", "ProductionStatus", "SampleMeta"]

_SAMPLES = deprecate(
    "LegacyBatchMeta.samples",
    since="0.2.0",
    removed_in="1.0.0",
    use=(
        "the columns of `.columnar`: `[s.global_index for s in m.samples]` is `m.columnar.global_indexes`, "
        "`[s.partition_id for s in m.samples]` is `m.columnar.partition_ids`, "
        "`m.samples[i].fields[name].dtype` is `m.columnar.get_dtypes(name)`, "
        "`m.samples[i].fields[name].shape` is `m.columnar.get_row_shape(name, i)`, "
        "`m.samples[i].is_ready` is `bool(m.columnar.production_status[i])`"
    ),
)
_MADE_OF_ROWS = deprecate(
    "LegacyBatchMeta(samples=[...])",
    since="0.2.0",
    removed_in="1.0.0",
    use=(
        "`BatchMeta(global_indexes=[...], partition_ids=[...], field_schema={name: {'dtype': ..., 'shape': ...}}, "
        "production_status=[...])`, one int, str and 0 or 1 per row; without rows `BatchMeta(extra_info=...)`"
    ),
)


class LegacyBatchMeta:
    """A batch as a list of rows, over a `BatchMeta`.

    Parameters
    ----------
    samples
        A BatchMeta to wrap, or a list of SampleMeta with the same fields; a list is copied deeply.
    extra_info
        Anything that travels along; of a wrapped BatchMeta by default its own. Copied deeply.
    custom_meta
        Tags by global index; default those of the BatchMeta, or empty.

    Raises
    ------
    InvalidArgumentError
        The samples' fields differ.
    """

    __slots__ = ("_columnar", "_samples", "_seen")

    _columnar: BatchMeta
    _samples: list[SampleMeta] | None
    _seen: tuple[Any, Any]

    def __init__(
        self,
        samples: BatchMeta | Sequence[SampleMeta] = (),
        extra_info: Mapping[str, Any] | None = None,
        custom_meta: Mapping[int, Mapping[str, Any]] | None = None,
        _custom_backend_meta: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        self._samples = None
        if isinstance(samples, BatchMeta):
            self._columnar = samples
        else:
            _MADE_OF_ROWS.warn()
            self._take_rows(copy.deepcopy([_row_of(sample) for sample in samples]))
        if extra_info is not None:
            self._columnar.extra_info = copy.deepcopy(dict(extra_info))
        indexes = self._columnar.global_indexes
        if custom_meta:
            self._columnar.custom_meta = [dict(custom_meta.get(index, {})) for index in indexes]
        if _custom_backend_meta:
            self._columnar._custom_backend_meta = [dict(_custom_backend_meta.get(index, {})) for index in indexes]

    def _take_rows(self, samples: list[SampleMeta]) -> None:
        self._columnar = _columnar_of(samples)
        self._keep_rows(samples)

    def _keep_rows(self, samples: list[SampleMeta]) -> None:
        """Have rows that say what the columns say now."""
        self._samples = _numbered(samples)
        self._seen = _content(self._columnar), _content(_columnar_of(samples))

    @property
    def columnar(self) -> BatchMeta:
        """The BatchMeta beneath; with the changes that were made to rows of ``samples``.

        It is the same object until a row is changed. What is changed in it, is changed in the rows.
        """
        self._agree()
        return self._columnar

    def _agree(self) -> None:
        """Take over what was changed since last time, in the columns or else in the rows."""
        if self._samples is None:
            return
        columns, rows = self._seen
        if _content(self._columnar) != columns:
            self._samples[:] = _samples_of(self._columnar)  # in place: the caller has this list
            self._keep_rows(self._samples)
            return
        changed = _columnar_of(self._samples)
        if _content(changed) != rows:
            _carry_over(self._columnar, changed)
            self._columnar = changed
            self._keep_rows(self._samples)

    @property
    def samples(self) -> list[SampleMeta]:
        """The rows as objects. Deprecated: O(rows x fields); read the columns of ``columnar``."""
        _SAMPLES.warn(instead_of=instead_of)
        return self._rows()

    def _rows(self) -> list[SampleMeta]:
        if self._samples is None:
            self._keep_rows(_samples_of(self._columnar))
        else:
            self._agree()
        assert self._samples is not None
        return self._samples

    # --- what it says ---

    @property
    def size(self) -> int:
        """Number of rows."""
        return self._columnar.size if self._samples is None else len(self._samples)

    def __len__(self) -> int:
        return self.size

    @property
    def global_indexes(self) -> list[int]:
        """Identity of each row."""
        return self.columnar.global_indexes

    @property
    def partition_ids(self) -> list[str]:
        """Partition of each row."""
        return self.columnar.partition_ids

    @property
    def field_names(self) -> list[str]:
        """Names of the fields, sorted."""
        return self.columnar.field_names

    @property
    def is_ready(self) -> bool:
        """Whether all cells of all rows are there; True for an empty batch, as it was."""
        if self._samples is not None:
            return all(sample.is_ready for sample in self._rows())
        return self._columnar.size == 0 or self._columnar.is_ready

    @property
    def custom_meta(self) -> dict[int, dict[str, Any]]:
        """Tags by global index."""
        return dict(zip(self.global_indexes, self.columnar.custom_meta, strict=True))

    @property
    def extra_info(self) -> dict[str, Any]:
        """What travels along; assignable."""
        return self._columnar.extra_info

    @extra_info.setter
    def extra_info(self, info: Mapping[str, Any] | None) -> None:
        self._columnar.extra_info = dict(info or {})

    def get_extra_info(self, key: str, default: Any = None) -> Any:
        """One entry of extra_info, or ``default``."""
        return self.extra_info.get(key, default)

    def set_extra_info(self, key: str, value: Any) -> None:
        """Set one entry of extra_info."""
        self.extra_info[key] = value

    def update_extra_info(self, info_dict: Mapping[str, Any]) -> None:
        """Set several entries of extra_info."""
        self.extra_info.update(info_dict)

    def remove_extra_info(self, key: str) -> Any:
        """Remove one entry of extra_info and return it; None if it isn't there."""
        return self.extra_info.pop(key, None)

    def clear_extra_info(self) -> None:
        """Remove all entries of extra_info."""
        self.extra_info.clear()

    def has_extra_info(self, key: str) -> bool:
        """Whether extra_info has an entry."""
        return key in self.extra_info

    def get_all_extra_info(self) -> dict[str, Any]:
        """A deep copy of extra_info."""
        return copy.deepcopy(self.extra_info)

    def get_all_custom_meta(self) -> list[dict[str, Any]]:
        """A deep copy of the rows' tags."""
        return self.columnar.get_all_custom_meta()

    def update_custom_meta(self, custom_meta: Sequence[Mapping[str, Any]] | None) -> None:
        """Replace every row's tag; None changes nothing.

        Raises
        ------
        InvalidArgumentError
            Not one dict per row.
        """
        if custom_meta is None:
            return
        if len(custom_meta) != self.size:
            raise InvalidArgumentError(
                f"The length of custom_meta list {len(custom_meta)} must match the batch size: {self.size}"
            )
        self.columnar.custom_meta = custom_meta

    def clear_custom_meta(self) -> None:
        """Empty the rows' tags."""
        self.columnar.clear_custom_meta()

    # --- operations ---

    def _wrap(self, columnar: BatchMeta, rows: Iterable[int] | None = None) -> LegacyBatchMeta:
        """Another batch; with copies of some rows' objects where there are any."""
        made = LegacyBatchMeta(columnar)
        if self._samples is not None and rows is not None:
            made._keep_rows([copy.deepcopy(self._samples[row]) for row in rows])
        return made

    def add_fields(self, tensor_dict: TensorDict, set_all_ready: bool = True) -> LegacyBatchMeta:
        """Add the fields of a batch of as many rows, in place, and return this object."""
        status = ProductionStatus.of(set_all_ready)
        try:
            self._columnar = self.columnar.add_fields(tensor_dict, set_all_ready)
        except InvalidArgumentError as cause:
            raise InvalidArgumentError(f"add_fields length mismatch: samples={self.size}: {cause}") from cause
        if (had := self._samples) is not None:
            names = [str(name) for name in tensor_dict.keys()]  # noqa: SIM118 (a TensorDict iterates over its rows)
            for sample, fresh in zip(had, _samples_of(self._columnar), strict=True):
                added = {name: fresh.fields[name] for name in names}
                for cell in added.values():
                    cell.production_status = status
                sample.add_fields(added)
            self._keep_rows(had)
        return self

    def select_fields(self, field_names: Iterable[str]) -> LegacyBatchMeta:
        """Some fields of all rows; names that there are not are ignored."""
        names = list(field_names)
        made = self._wrap(self.columnar.select_fields(names))
        if self._samples is not None:
            made._keep_rows([sample.select_fields(names) for sample in self._samples])
        return made

    def select_samples(self, sample_indices: Iterable[int]) -> LegacyBatchMeta:
        """Some rows by position, in the order given; a row may come more than once.

        Raises
        ------
        InvalidArgumentError
            A position outside [0, B).
        """
        rows = list(sample_indices)
        if any(not 0 <= row < self.size for row in rows):
            raise InvalidArgumentError(f"Sample indices must be in range [0, {self.size}): got {rows}")
        return self._wrap(self.columnar.select_samples(rows), rows)

    def __getitem__(self, item: int) -> LegacyBatchMeta:
        if isinstance(item, (bool, slice)) or not hasattr(item, "__index__"):
            raise InvalidTypeError(
                f"Indexing with {type(item)} is not supported now!: give an int, or use select_samples"
            )
        row = range(self.size)[item]
        return self.select_samples([row])

    def chunk(self, chunks: int) -> list[LegacyBatchMeta]:
        """Cut into ``chunks`` batches, the first ``size % chunks`` one row longer; empty ones if there are too few rows."""
        made, start = [], 0
        for columnar in self.columnar.chunk(chunks):
            made.append(self._wrap(columnar, range(start, start + columnar.size)))
            start += columnar.size
        return made

    def chunk_by_partition(self) -> list[LegacyBatchMeta]:
        """One batch per partition, in the order of first appearance."""
        rows: dict[str, list[int]] = {}
        for row, partition in enumerate(self.partition_ids):
            rows.setdefault(partition, []).append(row)
        parts = self.columnar.chunk_by_partition()
        return [self._wrap(part, kept) for part, kept in zip(parts, rows.values(), strict=True)]

    def reorder(self, indices: Iterable[int]) -> None:
        """Bring the rows in another order, in place."""
        order = list(indices)
        self.columnar.reorder(order)
        if self._samples is not None:
            self._samples[:] = [self._samples[row] for row in order]
            self._keep_rows(self._samples)

    def union(self, other: LegacyBatchMeta | BatchMeta, validate: bool = True) -> LegacyBatchMeta:
        """The same rows, in this one's order, with the fields of both; the other, also a BatchMeta, wins.

        Raises
        ------
        InvalidArgumentError
            The batches don't have the same rows, and ``validate``.
        """
        other = _legacy(other)
        if validate:
            self._check_same_rows(other)
        places = {index: row for row, index in enumerate(other.global_indexes)}
        matched = other.columnar.select_samples([places[index] for index in self.global_indexes])
        made = LegacyBatchMeta(self.columnar.union(matched))
        if self._samples is not None or other._samples is not None:
            theirs = other._rows()
            made._keep_rows(
                [
                    copy.deepcopy(sample).union(copy.deepcopy(theirs[places[sample.global_index]]))
                    for sample in self._rows()
                ]
            )
        return made

    def _check_same_rows(self, other: LegacyBatchMeta) -> None:
        if self.size != other.size:
            raise InvalidArgumentError("Error: Batch sizes do not match for union.")
        if sorted(self.global_indexes) != sorted(other.global_indexes):
            raise InvalidArgumentError("Error: Global indexes do not match for union.")
        if self.partition_ids != other.partition_ids:
            raise InvalidArgumentError("Error: Partition IDs do not match for union.")

    @classmethod
    def concat(cls, data: Iterable[LegacyBatchMeta | BatchMeta], validate: bool = True) -> LegacyBatchMeta:
        """The rows of several batches, also BatchMetas; empty ones are left out, of extra_info tensors and lists joined.

        Raises
        ------
        InvalidArgumentError
            Fields differ, and ``validate``.
        """
        full = [_legacy(batch) for batch in data if batch.size]
        if not full:
            return cls.empty()
        if validate and any(batch.field_names != full[0].field_names for batch in full):
            raise InvalidArgumentError("Error: Field names do not match for concatenation.")
        bare = [_without_extra_info(batch.columnar) for batch in full]
        made = cls(BatchMeta.concat(bare, validate), extra_info=_joined_info([batch.extra_info for batch in full]))
        if any(batch._samples is not None for batch in full):
            made._keep_rows([copy.deepcopy(sample) for batch in full for sample in batch._rows()])
        return made

    @classmethod
    def from_samples(
        cls, samples: SampleMeta | Sequence[SampleMeta], extra_info: Mapping[str, Any] | None = None
    ) -> LegacyBatchMeta:
        """Make a batch of one row or of several."""
        return cls([samples] if isinstance(samples, SampleMeta) else samples, extra_info=extra_info or {})

    @classmethod
    def empty(cls, extra_info: Mapping[str, Any] | None = None) -> LegacyBatchMeta:
        """Make a batch without rows."""
        return cls(BatchMeta(), extra_info=extra_info)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LegacyBatchMeta:
        """Make a batch of the entries samples, extra_info, custom_meta and _custom_backend_meta of a dict."""
        samples = [row if isinstance(row, SampleMeta) else SampleMeta.from_dict(row) for row in data["samples"]]
        return cls(samples, data.get("extra_info", {}), data.get("custom_meta"), data.get("_custom_backend_meta"))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LegacyBatchMeta):
            return NotImplemented
        mine = (self._rows(), self.get_all_custom_meta(), self.extra_info)
        return mine == (other._rows(), other.get_all_custom_meta(), other.extra_info)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        rows = ", ".join(map(str, self._rows()))
        return (
            f"BatchMeta(size={self.size}, field_names={self.field_names}, is_ready={self.is_ready}, "
            f"samples=[{rows}], extra_info={self.extra_info})"
        )


def _legacy(batch: LegacyBatchMeta | BatchMeta) -> LegacyBatchMeta:
    return LegacyBatchMeta(batch) if isinstance(batch, BatchMeta) else batch


def _row_of(sample: Any) -> SampleMeta:
    """A row to keep: of a view of a BatchMeta's row its values."""
    if isinstance(sample, SampleMeta):
        return sample
    if not isinstance(sample, SampleView):
        raise InvalidTypeError(f"LegacyBatchMeta: samples has a {type(sample).__name__}; give SampleMeta")
    cells = {
        name: FieldMeta(name, cell.dtype, cell.shape, ProductionStatus.of(cell.production_status))
        for name, cell in sample.fields.items()
    }
    return SampleMeta(sample.partition_id, sample.global_index, cells)


def _content(meta: BatchMeta) -> tuple[Any, ...]:
    """What rows say of a batch, to compare."""
    meta._packed  # noqa: B018 (takes over what was changed in its arrays)
    parts = meta._map
    return parts["gi"], parts["parts"], parts["status"], parts["fields"]


def _carry_over(old: BatchMeta, new: BatchMeta) -> None:
    """Give rows that are in both what rows as objects don't have: generations, tags, what the backend keeps."""
    places = {index: row for row, index in enumerate(old.global_indexes)}
    rows = [places.get(index) for index in new.global_indexes]
    new.extra_info = old.extra_info
    new.custom_meta = [{} if row is None else old.custom_meta[row] for row in rows]
    if old._backend_meta is not None:
        new._custom_backend_meta = [{} if row is None else old._custom_backend_meta[row] for row in rows]
    kept = old._generations_bytes
    if kept is not None and None not in rows:
        new._map["gen"] = np.frombuffer(kept, "<u4")[np.array(rows, np.intp)].tobytes()


def _numbered(samples: list[SampleMeta]) -> list[SampleMeta]:
    for row, sample in enumerate(samples):
        sample._batch_index = row
    return samples


def _samples_of(meta: BatchMeta) -> list[SampleMeta]:
    schema = meta.field_schema
    statuses = [ProductionStatus.of(status) for status in meta.production_status.tolist()]
    samples = []
    for row, (index, partition, status) in enumerate(
        zip(meta.global_indexes, meta.partition_ids, statuses, strict=True)
    ):
        cells = {}
        for name, entry in schema.items():
            shapes = entry["per_sample_shapes"]
            shape = entry["shape"] if shapes is None else shapes[row]
            cells[name] = FieldMeta(name, entry["dtype"], shape, status)
        samples.append(SampleMeta(partition, index, cells))
    return _numbered(samples)


def _columnar_of(samples: list[SampleMeta]) -> BatchMeta:
    if any(sample.fields.keys() != samples[0].fields.keys() for sample in samples):
        raise InvalidArgumentError("All samples in BatchMeta must have the same field_names.")
    return BatchMeta(
        [sample.global_index for sample in samples],
        [sample.partition_id for sample in samples],
        {name: _schema_of(samples, name) for name in samples[0].fields} if samples else {},
        [int(sample.is_ready) for sample in samples],
    )


def _schema_of(samples: list[SampleMeta], name: str) -> dict[str, Any]:
    cells = [sample.fields[name] for sample in samples]
    shapes = [None if cell.shape is None else tuple(cell.shape) for cell in cells]
    nested = len(set(shapes)) > 1 and None not in shapes
    return {
        "dtype": cells[0].dtype,
        "shape": None if nested else shapes[0],
        "is_nested": nested,
        "per_sample_shapes": shapes if nested else None,
    }


def _without_extra_info(meta: BatchMeta) -> BatchMeta:
    bare = meta.copy()
    bare.extra_info = {}
    return bare


def _joined_info(infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Extra_info as the old concat joined it: tensors and lists one after the other, of other values the last."""
    joined: dict[str, Any] = {}
    for key in dict.fromkeys(key for info in infos for key in info):
        values = [info[key] for info in infos if key in info]
        joined[key] = _joined_values(values)
    return joined


def _joined_values(values: list[Any]) -> Any:
    if all(isinstance(value, list) for value in values):
        return [element for value in values for element in value]
    if all(hasattr(value, "__torch_function__") or getattr(value, "_is_non_tensor", False) for value in values):
        return _joined_tensors(values)
    return values[-1]


def _joined_tensors(values: list[Any]) -> Any:
    import torch

    try:
        if any(not isinstance(value, torch.Tensor) or value.dim() == 0 for value in values):
            return torch.stack(values)
        return torch.cat(values)
    except RuntimeError:  # shapes that don't fit
        return values
