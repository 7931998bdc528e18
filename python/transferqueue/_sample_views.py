"""Rows of a BatchMeta as objects: read-only views, by item and by attribute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload

from transferqueue._legacy_samples import ProductionStatus

if TYPE_CHECKING:
    from transferqueue.meta import BatchMeta

__all__ = ["SampleView", "SampleViews", "View"]


class View(Mapping[str, Any]):
    """Named values that are read by item (``view["dtype"]``) or by attribute (``view.dtype``)."""

    __slots__ = ("_entries",)

    def __init__(self, entries: dict[str, Any]) -> None:
        object.__setattr__(self, "_entries", entries)

    def __getitem__(self, name: str) -> Any:
        return self._entries[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._entries[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__}: no {name!r}; it has {', '.join(self._entries)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__}.{name}: a view is read-only")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._entries.items())})"


class SampleView(View):
    """One row: global_index, partition_id, production_status, is_ready, batch_index, custom_meta, fields.

    What code for the old rows (`SampleMeta`) asks of one, it answers too.
    """

    __slots__ = ()

    @property
    def field_names(self) -> list[str]:
        """Names of the fields, sorted."""
        return list(self.fields)

    def get_field_by_name(self, name: str) -> View | None:
        """One cell, or None."""
        found: View | None = self.fields.get(name)
        return found

    def has_field(self, name: str) -> bool:
        """Whether the row has a field."""
        return name in self.fields

    def is_field_ready(self, name: str) -> bool:
        """Whether a cell is there; False for an unknown field."""
        return name in self.fields and bool(self.is_ready)


class SampleViews(Sequence[SampleView]):
    """The rows of a batch; made when they are read."""

    __slots__ = ("_meta",)

    def __init__(self, meta: BatchMeta) -> None:
        self._meta = meta

    def __len__(self) -> int:
        return len(self._meta)

    @overload
    def __getitem__(self, index: int) -> SampleView: ...

    @overload
    def __getitem__(self, index: slice) -> list[SampleView]: ...

    def __getitem__(self, index: int | slice) -> SampleView | list[SampleView]:
        if isinstance(index, slice):
            return [self._view(row) for row in range(len(self))[index]]
        return self._view(range(len(self))[index])

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SampleViews({list(self)!r})"

    def _view(self, row: int) -> SampleView:
        meta = self._meta
        status = int(meta.production_status[row])
        return SampleView(
            {
                "global_index": meta.global_indexes[row],
                "partition_id": meta.partition_ids[row],
                "batch_index": row,
                "production_status": status,
                "is_ready": status == 1,
                "custom_meta": MappingProxyType(meta.custom_meta[row]),
                "fields": MappingProxyType(
                    {name: _field_view(name, entry, row, status) for name, entry in meta.field_schema.items()}
                ),
            }
        )


def _field_view(name: str, entry: dict[str, Any], row: int, status: int) -> View:
    shapes = entry["per_sample_shapes"]
    own = {key: value for key, value in entry.items() if key != "per_sample_shapes"}
    shape = entry["shape"] if shapes is None else shapes[row]
    ready = ProductionStatus.of(status)
    return View({**own, "name": name, "shape": shape, "production_status": ready, "is_ready": status == 1})
