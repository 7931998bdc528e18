"""Row-oriented metadata as the row-oriented design had it: one object per row and one per cell."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transferqueue._legacy_samples import FieldMeta, ProductionStatus, SampleMeta

READY = ProductionStatus.READY_FOR_CONSUME


@dataclass
class RowBatch:
    """A batch as a list of rows, each with a dict of cells: B x F small objects.

    Attributes
    ----------
    samples
        The rows.
    """

    samples: list[SampleMeta]

    @classmethod
    def make(cls, rows: int, names: list[str], dtype: Any, shape: Any) -> RowBatch:
        """A batch of rows with the same fields, all there."""
        return cls(
            [
                SampleMeta("p", row, {name: FieldMeta(name, dtype, shape, READY) for name in names})
                for row in range(rows)
            ]
        )

    @property
    def is_ready(self) -> bool:
        """Whether all cells of all rows are there."""
        return all(sample.is_ready for sample in self.samples)

    def add_fields(self, fields: Mapping[str, tuple[Any, Any]]) -> None:
        """Add a cell per field (dtype, shape) to each row."""
        for sample in self.samples:
            sample.add_fields({name: FieldMeta(name, dtype, shape, READY) for name, (dtype, shape) in fields.items()})

    def chunk(self, chunks: int) -> list[RowBatch]:
        """Consecutive parts."""
        size = -(-len(self.samples) // chunks)
        return [RowBatch(self.samples[start : start + size]) for start in range(0, len(self.samples), size)]

    @classmethod
    def concat(cls, parts: list[RowBatch]) -> RowBatch:
        """One batch of all rows; the fields of each row are compared, since each row has its own."""
        samples = [sample for part in parts for sample in part.samples]
        names = samples[0].fields.keys()
        if any(sample.fields.keys() != names for sample in samples):
            raise ValueError("rows with different fields")
        return cls(samples)

    def split(self, units: int) -> list[RowBatch]:
        """The rows of each storage unit: row i is in unit i mod `units`."""
        parts: list[list[SampleMeta]] = [[] for _ in range(units)]
        for row, sample in enumerate(self.samples):
            parts[row % units].append(sample)
        return [RowBatch(part) for part in parts]

    def encode(self) -> bytes:
        """The bytes in which the rows travel."""
        return pickle.dumps(self, protocol=pickle.HIGHEST_PROTOCOL)
