"""LegacyBatchMeta: the row-oriented face over BatchMeta."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest
import torch
from tensordict import NonTensorStack, TensorDict

from transferqueue.legacy import FieldMeta, LegacyBatchMeta, ProductionStatus, SampleMeta
from transferqueue.meta import BatchMeta

READY, NOT = ProductionStatus.READY_FOR_CONSUME, ProductionStatus.NOT_PRODUCED


def sample(index: int, partition: str = "p", status: ProductionStatus = READY, **shapes: tuple[int, ...]) -> SampleMeta:
    shapes = shapes or {"x": (2,)}
    cells = {name: FieldMeta(name, torch.float32, shape, status) for name, shape in shapes.items()}
    return SampleMeta(partition, index, cells)


def make(*indexes: int, **options: Any) -> LegacyBatchMeta:
    return LegacyBatchMeta([sample(index, **options) for index in indexes])


def rows(meta: LegacyBatchMeta) -> list[SampleMeta]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return meta.samples


def test_rows_go_in_and_come_out_equal() -> None:
    put = [sample(4, x=(2,), y=(3, 1)), sample(9, "q", x=(5,), y=(3, 1))]
    meta = LegacyBatchMeta(samples=put, extra_info={"k": 1})
    assert rows(meta) == put
    assert [row.batch_index for row in rows(meta)] == [0, 1]
    assert (meta.size, len(meta)) == (2, 2)
    assert meta.global_indexes == [4, 9]
    assert meta.partition_ids == ["p", "q"]
    assert meta.field_names == ["x", "y"]
    assert meta.is_ready
    assert meta.extra_info == {"k": 1}


def test_the_columns_of_rows_say_the_same() -> None:
    meta = LegacyBatchMeta([sample(4, x=(2,)), sample(9, x=(5,), status=NOT)], custom_meta={9: {"t": 1}, 5: {"t": 2}})
    columnar = meta.columnar
    assert isinstance(columnar, BatchMeta)
    assert columnar.global_indexes == [4, 9]
    assert columnar.get_shapes("x") == [(2,), (5,)]
    assert columnar.production_status.tolist() == [1, 0]
    assert columnar.custom_meta == [{}, {"t": 1}]
    assert meta.custom_meta == {4: {}, 9: {"t": 1}}


def test_a_columnar_batch_can_be_read_row_by_row() -> None:
    schema = {"x": {"dtype": torch.int64, "is_nested": True, "per_sample_shapes": [(2,), (3,)]}}
    columnar = BatchMeta([1, 2], ["a", "b"], schema, [1, 0], {"k": 1})
    meta = LegacyBatchMeta(columnar)
    first, second = rows(meta)
    assert (first.global_index, first.partition_id) == (1, "a")
    assert (first.fields["x"].dtype, first.fields["x"].shape) == (torch.int64, (2,))
    assert (first.is_ready, second.is_ready) == (True, False)
    assert first.fields["x"].production_status is READY
    assert second.get_field_by_name("x").production_status is NOT
    assert meta.extra_info is columnar.extra_info
    assert meta.columnar is columnar


def test_reading_the_rows_warns_once_per_call_site_with_the_replacement() -> None:
    meta = make(1, 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            assert len(meta.samples) == 2
        assert len(meta.samples) == 2
    assert len(caught) == 2
    assert {warning.category for warning in caught} == {DeprecationWarning}
    assert {warning.filename for warning in caught} == {__file__}
    assert "m.columnar.global_indexes" in str(caught[0].message)


def test_a_change_of_a_row_reaches_the_columns() -> None:
    meta = make(1, 2)
    meta.set_extra_info("k", 1)
    for row in rows(meta):
        row.add_fields({"y": FieldMeta("y", torch.int8, (1,), READY)})
    assert meta.columnar.field_names == ["x", "y"]
    assert meta.columnar.get_dtypes("y") == torch.int8
    assert meta.extra_info == {"k": 1}


def test_an_empty_batch_is_ready_as_it_was() -> None:
    for meta in (LegacyBatchMeta(), LegacyBatchMeta(samples=[], extra_info={}), LegacyBatchMeta.empty()):
        assert (meta.size, meta.is_ready, meta.field_names) == (0, True, [])
        assert rows(meta) == []


def test_what_it_was_made_of_can_change_without_it() -> None:
    put, info = [sample(1)], {"l": [1]}
    meta = LegacyBatchMeta(put, info)
    put[0].fields.clear()
    info["l"].append(2)
    assert meta.field_names == ["x"]
    assert meta.extra_info == {"l": [1]}


def test_rows_with_other_fields_are_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"same field_names"):
        LegacyBatchMeta([sample(1, x=(1,)), sample(2, y=(1,))])


def test_extra_info_has_its_methods() -> None:
    meta = make(1)
    meta.set_extra_info("a", [1])
    meta.update_extra_info({"b": 2})
    assert (meta.get_extra_info("a"), meta.get_extra_info("z", 0), meta.has_extra_info("b")) == ([1], 0, True)
    meta.get_all_extra_info()["a"].append(2)
    assert meta.extra_info == {"a": [1], "b": 2}
    assert meta.remove_extra_info("b") == 2
    meta.clear_extra_info()
    assert meta.extra_info == {}
    meta.extra_info = {"c": 1}
    assert meta.columnar.extra_info == {"c": 1}


def test_tags_are_replaced_as_they_were() -> None:
    meta = make(1, 2)
    meta.update_custom_meta([{"a": 1}, {}])
    meta.update_custom_meta([{"b": 2}, {"c": 3}])
    meta.update_custom_meta(None)
    assert meta.get_all_custom_meta() == [{"b": 2}, {"c": 3}]
    with pytest.raises(ValueError, match=r"custom_meta list 1 must match the batch size: 2"):
        meta.update_custom_meta([{}])
    meta.clear_custom_meta()
    assert meta.get_all_custom_meta() == [{}, {}]


def test_it_can_be_made_of_dicts_copied_and_pickled() -> None:
    data = {
        "samples": [
            {
                "partition_id": "p",
                "global_index": 1,
                "fields": {"x": {"dtype": torch.float32, "shape": (2,), "production_status": 1}},
            }
        ],
        "extra_info": {"k": 1},
        "custom_meta": {1: {"t": 1}},
    }
    meta = LegacyBatchMeta.from_dict(data)
    expected = LegacyBatchMeta([sample(1)], {"k": 1}, {1: {"t": 1}})
    assert meta == expected
    assert copy.deepcopy(meta) == expected
    assert pickle.loads(pickle.dumps(meta)) == expected
    assert LegacyBatchMeta.from_samples(sample(1), {"k": 1}) != expected


def test_it_prints_its_rows() -> None:
    assert str(make(3)) == (
        "BatchMeta(size=1, field_names=['x'], is_ready=True, "
        "samples=[SampleMeta(partition_id=p, global_index=3)], extra_info={})"
    )


# --- operations ---


def test_rows_are_selected_by_position() -> None:
    meta = make(5, 6, 7)
    assert meta.select_samples([2, 0, 2]).global_indexes == [7, 5, 7]
    assert [row.global_index for row in rows(meta.select_samples([2, 0]))] == [7, 5]
    for wrong in ([3], [-1]):
        with pytest.raises(ValueError, match=r"Sample indices must be in range \[0, 3\)"):
            meta.select_samples(wrong)


def test_one_row_is_indexed_also_from_the_end() -> None:
    meta = make(5, 6, 7)
    assert meta[-1].global_indexes == [7]
    with pytest.raises(TypeError, match=r"is not supported now"):
        meta[0:2]
    with pytest.raises(IndexError):
        meta[3]


def test_fields_are_selected_and_unknown_ones_ignored() -> None:
    meta = make(5, x=(1,), y=(2,))
    assert meta.select_fields(["y", "z"]).field_names == ["y"]
    assert rows(meta.select_fields([]))[0].fields == {}
    assert meta.field_names == ["x", "y"]


def test_chunks_are_as_even_as_can_be() -> None:
    assert [chunk.global_indexes for chunk in make(1, 2, 3, 4, 5).chunk(3)] == [[1, 2], [3, 4], [5]]
    assert [rows(chunk)[0].global_index for chunk in make(1, 2).chunk(2)] == [1, 2]
    mixed = LegacyBatchMeta([sample(1, "a"), sample(2, "b"), sample(3, "a")])
    assert [chunk.global_indexes for chunk in mixed.chunk_by_partition()] == [[1, 3], [2]]


def test_reorder_is_in_place() -> None:
    meta = make(1, 2, 3)
    meta.reorder([2, 0, 1])
    assert meta.global_indexes == [3, 1, 2]
    assert [(row.global_index, row.batch_index) for row in rows(meta)] == [(3, 0), (1, 1), (2, 2)]
    with pytest.raises(ValueError, match=r"\d"):
        meta.reorder([0, 0, 1])


def test_add_fields_adds_cells_in_place() -> None:
    meta = make(1, 2)
    batch = TensorDict({"y": torch.zeros(2, 3, dtype=torch.int8)}, [2])
    assert meta.add_fields(batch, set_all_ready=False) is meta
    cell = rows(meta)[1].fields["y"]
    assert (cell.dtype, cell.shape, cell.production_status) == (torch.int8, (3,), NOT)
    assert not meta.is_ready
    with pytest.raises(ValueError, match=r"add_fields length mismatch: samples=2"):
        meta.add_fields(TensorDict({"z": torch.zeros(3)}, [3]))


def test_concat_joins_rows_and_extra_info_as_it_did() -> None:
    first, second = make(1, 2), make(3)
    first.extra_info = {"t": torch.ones(2), "s": torch.tensor(1), "l": [1], "n": NonTensorStack("a", "b"), "v": 1}
    second.extra_info = {"t": torch.zeros(1), "s": torch.tensor(2), "l": [2], "v": 2}
    joined = LegacyBatchMeta.concat([first, LegacyBatchMeta(), second])
    assert joined.global_indexes == [1, 2, 3]
    assert [row.global_index for row in rows(joined)] == [1, 2, 3]
    assert joined.extra_info["t"].tolist() == [1, 1, 0]
    assert joined.extra_info["s"].tolist() == [1, 2]
    assert (joined.extra_info["l"], joined.extra_info["v"]) == ([1, 2], 2)
    assert LegacyBatchMeta.concat([]).size == 0
    with pytest.raises(ValueError, match=r"Field names do not match for concatenation"):
        LegacyBatchMeta.concat([make(1), make(2, y=(1,))])


def test_union_matches_rows_by_index() -> None:
    mine, theirs = make(1, 2, x=(1,)), make(2, 1, x=(7,), y=(2,))
    theirs.set_extra_info("k", 1)
    union = mine.union(theirs)
    assert union.global_indexes == [1, 2]
    assert union.field_names == ["x", "y"]
    assert [row.fields["x"].shape for row in rows(union)] == [(7,), (7,)]
    assert union.columnar.get_shapes("x") == (7,)
    assert union.extra_info == {"k": 1}
    assert mine.field_names == ["x"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (make(1), r"Batch sizes"),
        (make(1, 3), r"Global indexes"),
        (LegacyBatchMeta([sample(1, "q"), sample(2)]), r"Partition IDs"),
    ],
)
def test_union_of_other_rows_is_a_value_error(other: LegacyBatchMeta, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(1, 2).union(other)
