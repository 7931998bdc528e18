"""The rows of the old metadata, by themselves."""

from __future__ import annotations

import pytest
import torch

from transferqueue.legacy import FieldMeta, ProductionStatus, SampleMeta

READY, NOT = ProductionStatus.READY_FOR_CONSUME, ProductionStatus.NOT_PRODUCED


def make() -> SampleMeta:
    cells = {"b": FieldMeta("b", torch.int64, (4,), READY), "a": FieldMeta("a", None, None)}
    return SampleMeta(partition_id="p", global_index=3, fields=cells)


def test_a_status_is_its_string() -> None:
    assert (ProductionStatus("1"), ProductionStatus("0")) == (READY, NOT)
    assert (int(READY), READY == "1") == (1, True)
    with pytest.raises(ValueError, match=r"'2'.*'0', '1'"):
        ProductionStatus("2")


def test_a_cell_is_ready_when_its_status_says_so() -> None:
    cell = FieldMeta(name="x", dtype=torch.int64, shape=torch.Size([4]))
    assert not cell.is_ready
    cell.production_status = READY
    assert cell.is_ready
    assert cell == FieldMeta("x", torch.int64, (4,), READY)
    assert str(cell).startswith("FieldMeta(name='x', dtype=torch.int64, shape=torch.Size([4]), production_status=")


@pytest.mark.parametrize("status", [1, "1", READY, True])
def test_a_cell_can_be_made_of_a_dict(status: object) -> None:
    data = {"name": "x", "dtype": None, "shape": (1,), "production_status": status}
    assert FieldMeta.from_dict(data) == FieldMeta("x", None, (1,), READY)


def test_a_row_says_what_it_has() -> None:
    row = make()
    assert row.field_names == ["b", "a"]
    assert (row.batch_index, row.is_ready) == (-1, False)
    assert row.production_status == {"b": READY, "a": NOT}
    assert (row.has_field("b"), row.has_field("z")) == (True, False)
    assert (row.is_field_ready("b"), row.is_field_ready("a"), row.is_field_ready("z")) == (True, False, False)
    assert row.get_field_by_name("z") is None
    assert str(row) == "SampleMeta(partition_id=p, global_index=3)"
    assert SampleMeta("p", 1, {}).is_ready


def test_fields_are_added_and_selected() -> None:
    row = make()
    assert row.add_fields({"a": FieldMeta("a", None, None, READY)}) is row
    assert row.is_ready
    picked = row.select_fields(["a", "z"])
    assert picked.field_names == ["a"]
    picked.fields["a"].production_status = NOT
    assert row.is_ready


def test_union_takes_over_the_others_cells_of_the_same_row() -> None:
    row = make()
    assert row.union(SampleMeta("p", 3, {"c": FieldMeta("c", None, None)})) is row
    assert row.field_names == ["b", "a", "c"]
    with pytest.raises(ValueError, match=r"Global indexes \(3 and 4\) do not match"):
        row.union(SampleMeta("p", 4, {}))
    assert row.union(SampleMeta("p", 4, {}), validate=False) is row
