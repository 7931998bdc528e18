"""The RFC's claims, counted: metadata of B rows and F fields is a few objects, a schema once, and F + 1 frames."""

from __future__ import annotations

import pytest
import torch

from transferqueue.bench import metadata
from transferqueue.bench.row_model import RowBatch
from transferqueue.meta import BatchMeta

ROWS = (64, 1024, 65_536)


@pytest.mark.parametrize("fields", [1, 8, 64])
def test_a_put_is_a_header_and_a_frame_per_field_whatever_its_rows(fields):
    assert {metadata.put_costs(rows, fields)[1] for rows in ROWS} == {fields + 1}


@pytest.mark.parametrize("fields", [1, 8, 64])
def test_objects_of_a_batch_depend_neither_on_its_rows_nor_on_its_fields(fields):
    packed = [metadata.make(rows, fields)._packed for rows in ROWS]
    made = [metadata.objects_of(lambda one=one: BatchMeta._from_packed(bytes(bytearray(one)))) for one in packed]
    assert max(made) < 16


@pytest.mark.parametrize("fields", [1, 8, 64])
def test_objects_of_a_put_depend_on_its_fields_not_on_its_rows(fields):
    counts = {metadata.objects_of_put(rows, fields) for rows in ROWS}
    assert max(counts) - min(counts) <= 2  # the interpreter keeps an object more or less
    assert max(counts) < 16 + 4 * fields


def test_row_oriented_metadata_is_an_object_per_cell_and_more():
    def make(rows: int, fields: int) -> RowBatch:
        return RowBatch.make(rows, metadata.names_of(fields), torch.uint8, torch.Size([]))

    assert metadata.objects_of(lambda: make(512, 8)) >= 512 * 8


def test_the_schema_is_in_the_header_once():
    """What a further row adds does not depend on the number of fields."""

    def added(fields: int) -> int:
        few, many = (metadata.put_costs(rows, fields)[0] for rows in (2000, 4000))
        return many - few

    assert added(1) == added(64)
    # An identity, at most, and its generation: 12 bytes.
    assert added(1) <= 2000 * 12 + 8


def test_a_further_field_adds_the_same_bytes_for_any_number_of_rows():
    costs = {metadata.put_costs(rows, 64)[0] - metadata.put_costs(rows, 32)[0] for rows in (1000, 60_000)}
    assert len(costs) == 1


def test_both_models_have_the_same_rows_after_chunk_split_and_concat():
    meta = metadata.make(100, 3)
    rows = RowBatch.make(100, metadata.names_of(3), torch.uint8, torch.Size([]))
    assert [len(part.samples) for part in rows.chunk(4)] == [part.size for part in meta.chunk(4)]
    joined = RowBatch.concat(rows.chunk(4))
    assert [sample.global_index for sample in joined.samples] == BatchMeta.concat(meta.chunk(4)).global_indexes
    split = [[sample.global_index for sample in part.samples] for part in rows.split(4)]
    assert split == [meta.select_samples(range(unit, 100, 4)).global_indexes for unit in range(4)]
    assert rows.is_ready
    assert meta.is_ready
