"""The rows of the old, row-oriented metadata: one object per row and one per cell."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transferqueue._enums import ExplicitEnum
from transferqueue.errors import InvalidArgumentError

__all__ = ["FieldMeta", "ProductionStatus", "SampleMeta"]


class ProductionStatus(ExplicitEnum):
    """Whether a cell is there. The values are the strings "0" and "1"; ``int(status)`` works."""

    NOT_PRODUCED = "0"
    READY_FOR_CONSUME = "1"

    @classmethod
    def of(cls, value: Any) -> ProductionStatus:
        """The status of a bool, a 0 or 1, or one of the strings."""
        return value if isinstance(value, cls) else cls(str(int(value)))


@dataclass
class FieldMeta:
    """One cell.

    Attributes
    ----------
    name
        The field.
    dtype
        Torch's dtype; None: not known, or no tensor.
    shape
        The cell's own shape; None: not known.
    production_status
        Whether the cell is there.
    """

    name: str
    dtype: Any | None
    shape: Any | None
    production_status: ProductionStatus = ProductionStatus.NOT_PRODUCED

    @property
    def is_ready(self) -> bool:
        """Whether the cell is there."""
        return self.production_status == ProductionStatus.READY_FOR_CONSUME

    def __str__(self) -> str:
        return (
            f"FieldMeta(name='{self.name}', dtype={self.dtype}, shape={self.shape}, "
            f"production_status={self.production_status})"
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FieldMeta:
        """Make one of its entries in a dict."""
        status = ProductionStatus.of(data.get("production_status", 0))
        return cls(data["name"], data.get("dtype"), data.get("shape"), status)


@dataclass
class SampleMeta:
    """One row.

    Attributes
    ----------
    partition_id, global_index
        Who it is.
    fields
        Its cells by field name.
    """

    partition_id: str
    global_index: int
    fields: dict[str, FieldMeta]
    _batch_index: int = field(default=-1, repr=False, compare=False)

    @property
    def field_names(self) -> list[str]:
        """Names of the fields, in their order."""
        return list(self.fields)

    @property
    def batch_index(self) -> int:
        """Place in the batch; -1 outside of one."""
        return self._batch_index

    @property
    def is_ready(self) -> bool:
        """Whether all cells are there."""
        return all(cell.is_ready for cell in self.fields.values())

    @property
    def production_status(self) -> dict[str, ProductionStatus]:
        """Status of each cell."""
        return {name: cell.production_status for name, cell in self.fields.items()}

    def get_field_by_name(self, name: str) -> FieldMeta | None:
        """One cell, or None."""
        return self.fields.get(name)

    def has_field(self, name: str) -> bool:
        """Whether the row has a field."""
        return name in self.fields

    def is_field_ready(self, name: str) -> bool:
        """Whether a cell is there; False for an unknown field."""
        return name in self.fields and self.fields[name].is_ready

    def add_fields(self, fields: Mapping[str, FieldMeta]) -> SampleMeta:
        """Add or replace cells, in place, and return this row."""
        self.fields.update(fields)
        return self

    def select_fields(self, field_names: Iterable[str]) -> SampleMeta:
        """The row with some of its cells; names that there are not are ignored."""
        kept = {name: self.fields[name] for name in field_names if name in self.fields}
        return SampleMeta(self.partition_id, self.global_index, copy.deepcopy(kept))

    def union(self, other: SampleMeta, validate: bool = True) -> SampleMeta:
        """Take over the other's cells, in place, and return this row.

        Raises
        ------
        InvalidArgumentError
            The rows are not the same, and ``validate``.
        """
        if validate and self.global_index != other.global_index:
            raise InvalidArgumentError(
                f"Error: Global indexes ({self.global_index} and {other.global_index}) do not match for union."
            )
        return self.add_fields(other.fields)

    def __str__(self) -> str:
        return f"SampleMeta(partition_id={self.partition_id}, global_index={self.global_index})"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SampleMeta:
        """Make one of its entries in a dict."""
        cells = {
            name: cell if isinstance(cell, FieldMeta) else FieldMeta.from_dict({"name": name, **cell})
            for name, cell in data["fields"].items()
        }
        return cls(data["partition_id"], data["global_index"], cells)
