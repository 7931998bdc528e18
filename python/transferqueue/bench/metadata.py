"""RFC: what columnar metadata saves against row-oriented metadata, over the rows B and the fields F of a batch."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDict

from transferqueue import BatchMeta, _operations
from transferqueue.bench.row_model import RowBatch
from transferqueue.bench.series import figure, number, timed

UNITS = 4
#: Cells up to which the row-oriented model is sane to make: 2 s and 0.3 GB.
MOST_CELLS = 1 << 20
FULL = ([64, 1024, 16_384, 131_072, 1 << 20], [1, 8, 64])
QUICK = ([64, 256], [1, 8])


def rfc(quick: bool) -> dict[str, dict[str, Any]]:
    """RFC: objects, header bytes and frames of a put; times of the operations on its metadata, columnar and row-oriented."""
    batches_of, fields_of = QUICK if quick else FULL
    figures: dict[str, Any] = {}
    for fields in fields_of:
        for rows in batches_of:
            case = f"B={rows} F={fields}"
            for name, entry in columnar(rows, fields, quick).items():
                figures[f"{name}, columns, {case}"] = entry
            if rows * fields <= MOST_CELLS:
                for name, entry in row_oriented(rows, fields, quick).items():
                    figures[f"{name}, rows, {case}"] = entry
    return {"RFC": figures}


def names_of(fields: int, prefix: str = "f") -> list[str]:
    """Names of fields."""
    return [f"{prefix}{i:02}" for i in range(fields)]


def batch_of(rows: int, fields: int, prefix: str = "f") -> TensorDict:
    """Columns of one byte per row."""
    columns = {name: torch.zeros(rows, dtype=torch.uint8) for name in names_of(fields, prefix)}
    return TensorDict(columns, batch_size=rows)


def make(rows: int, fields: int) -> BatchMeta:
    """Metadata as a put hands it out: packed, with every field ready."""
    empty = BatchMeta(range(rows), ["p"] * rows)
    return empty.add_fields(batch_of(rows, fields))


def put_costs(rows: int, fields: int) -> tuple[int, int]:
    """Header bytes and frames of a put of B rows into rows that there are, which is the larger kind."""
    operation = _operations.put(batch_of(rows, fields), BatchMeta(range(rows), ["p"] * rows))
    frames = set(operation.frames[2::3])
    return len(operation.header), 1 + len(frames)


def objects_of_put(rows: int, fields: int) -> int:
    """Blocks of memory that a put of B rows has while it is on its way."""
    batch, meta = batch_of(rows, fields), BatchMeta(range(rows), ["p"] * rows)
    return objects_of(lambda: _operations.put(batch, meta))


def objects_of(call: Callable[[], Any]) -> int:
    """Blocks of memory that Python has given out for what `call` returns, for as long as that lives."""
    gc.collect()
    call()  # what is made once is not counted
    before = sys.getallocatedblocks()
    kept = call()
    after = sys.getallocatedblocks()
    del kept
    return after - before


def columnar(rows: int, fields: int, quick: bool) -> dict[str, Any]:
    """Figures of `BatchMeta`."""
    packed = make(rows, fields)._packed
    header, frames = put_costs(rows, fields)
    more = batch_of(rows, fields, "g")

    def fresh() -> BatchMeta:
        return BatchMeta._from_packed(packed)

    parts = fresh().chunk(UNITS)
    units = [range(unit, rows, UNITS) for unit in range(UNITS)]
    repetitions = repetitions_of(rows, quick)
    return counts(objects_of(lambda: BatchMeta._from_packed(bytes(bytearray(packed)))), header, frames) | {
        "objects of a put": number(objects_of_put(rows, fields), "objects"),
        "is_ready": figure(timed(lambda: fresh().is_ready, repetitions)),
        "add_fields": figure(timed(lambda: fresh().add_fields(more), repetitions)),
        "chunk": figure(timed(lambda: fresh().chunk(UNITS), repetitions)),
        "concat": figure(timed(lambda: BatchMeta.concat(parts), repetitions)),
        "split over units": figure(timed(lambda: [fresh().select_samples(unit) for unit in units], repetitions)),
    }


def row_oriented(rows: int, fields: int, quick: bool) -> dict[str, Any]:
    """Figures of `RowBatch`."""

    def fresh() -> RowBatch:
        return RowBatch.make(rows, names_of(fields), torch.uint8, torch.Size([]))

    batch, more = fresh(), {name: (torch.uint8, torch.Size([])) for name in names_of(fields, "g")}
    parts = batch.chunk(UNITS)
    repetitions = repetitions_of(rows * fields, quick)
    made = counts(objects_of(fresh), len(batch.encode()), 1 + rows * fields) | {
        "is_ready": figure(timed(lambda: batch.is_ready, repetitions)),
        "chunk": figure(timed(lambda: batch.chunk(UNITS), repetitions)),
        "concat": figure(timed(lambda: RowBatch.concat(parts), repetitions)),
        "split over units": figure(timed(lambda: batch.split(UNITS), repetitions)),
    }
    return made | {"add_fields": figure(timed(lambda: batch.add_fields(more), repetitions))}


def counts(objects: int, header: int, frames: int) -> dict[str, Any]:
    """Figures that no machine changes."""
    return {
        "objects": number(objects, "objects"),
        "header": number(header, "bytes"),
        "frames": number(frames, "frames"),
    }


def repetitions_of(cells: int, quick: bool) -> int:
    """Fewer for large batches."""
    return 2 if quick else max(2, min(15, (1 << 18) // max(cells, 1)))
