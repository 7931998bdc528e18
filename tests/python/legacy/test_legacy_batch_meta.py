"""LegacyBatchMeta: the row-oriented face over BatchMeta."""

from __future__ import annotations

import copy
import pickle
import re
import warnings
from typing import Any

import pytest
import torch
from tensordict import NonTensorStack, TensorDict

from transferqueue.legacy import FieldMeta, LegacyBatchMeta, ProductionStatus, SampleMeta
from transferqueue.meta import BatchMeta

# What these are made of is itself deprecated; the tests of the warnings record them.
pytestmark = pytest.mark.filterwarnings(r"ignore:LegacyBatchMeta\(samples=:DeprecationWarning")

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
        kept = meta.samples
    assert len(kept) == len(caught) == 2
    assert {warning.category for warning in caught} == {DeprecationWarning}
    assert {warning.filename for warning in caught} == {__file__}
    assert "use `meta.columnar.size` instead of `len(meta.samples)`" in str(caught[0].message)
    assert "m.columnar.global_indexes" in str(caught[1].message)


def test_making_a_batch_of_rows_warns_at_the_place_that_does_it() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            made = LegacyBatchMeta(samples=[sample(1)])
        made.select_samples([0]).chunk(2)
        LegacyBatchMeta.concat([made, made.union(made)])
    assert [warning.filename for warning in caught] == [__file__]
    assert "BatchMeta(global_indexes=" in str(caught[0].message)


def test_the_warning_names_the_expression_that_replaces_the_one_at_its_place() -> None:
    meta = LegacyBatchMeta([sample(4, x=(2,)), sample(9, "q", x=(5,), status=NOT)])
    place = 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read = [
            [s.global_index for s in meta.samples],
            {s.partition_id for s in meta.samples},
            sorted(s.global_index for s in meta.samples),
            all(s.is_ready for s in meta.samples),
            meta.samples[place].global_index,
            meta.samples[-1].is_ready,
            meta.samples[0].fields["x"].shape[0],
            meta.samples[place].fields["x"].dtype,
            meta.samples == [],
            not meta.samples,
        ]
    said = [re.search(r"use `(.*)` instead of `(.*)`$", str(warning.message)) for warning in caught]
    assert [match[2] for match in said if match][4] == "meta.samples[place].global_index"
    assert [match[1] for match in said if match] == [
        "list(meta.columnar.global_indexes)",
        "set(meta.columnar.partition_ids)",
        "meta.columnar.global_indexes",
        "bool(meta.columnar.production_status.all())",
        "meta.columnar.global_indexes[place]",
        "bool(meta.columnar.production_status[-1])",
        'meta.columnar.get_row_shape("x", 0)',
        'meta.columnar.get_dtypes("x")',
        "meta.columnar.size == 0",
        "not meta.columnar.size",
    ]
    names = {"meta": meta, "place": place}
    now = [eval(match[1], names) for match in said if match]
    now[2], now[6] = sorted(now[2]), now[6][0]
    assert read == now


def test_without_a_source_the_warning_names_the_columns() -> None:
    names = {"meta": make(1)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec("len(meta.samples)", names)
    assert "m.columnar.partition_ids" in str(caught[0].message)


def test_a_change_of_a_row_reaches_the_columns() -> None:
    meta = make(1, 2)
    meta.set_extra_info("k", 1)
    for row in rows(meta):
        row.add_fields({"y": FieldMeta("y", torch.int8, (1,), READY)})
    assert meta.columnar.field_names == ["x", "y"]
    assert meta.columnar.get_dtypes("y") == torch.int8
    assert meta.extra_info == {"k": 1}


def test_a_shape_is_read_by_field_and_row() -> None:
    nested = {"dtype": torch.int8, "is_nested": True, "per_sample_shapes": [(2,), (3,)]}
    columnar = BatchMeta([1, 2], ["p"] * 2, {"x": nested, "y": {}})
    assert [columnar.get_row_shape("x", row) for row in (0, 1, -1)] == [(2,), (3,), (3,)]
    assert columnar.get_row_shape("y", 0) is None
    for row in (2, -3):
        with pytest.raises(IndexError, match=r"the batch has 2 rows"):
            columnar.get_row_shape("x", row)
    with pytest.raises(KeyError, match=r"field 'z'"):
        columnar.get_row_shape("z", 0)


def test_rows_can_be_appended_removed_and_exchanged() -> None:
    meta = LegacyBatchMeta([sample(1), sample(2)], custom_meta={1: {"a": 1}, 2: {"b": 2}})
    kept = rows(meta)
    kept.append(sample(3))
    assert (meta.size, len(meta), meta.global_indexes) == (3, 3, [1, 2, 3])
    del kept[0]
    kept.reverse()
    assert meta.columnar.global_indexes == [3, 2]
    assert meta.custom_meta == {3: {}, 2: {"b": 2}}
    assert [row.batch_index for row in kept] == [0, 1]
    kept[0].fields["x"].production_status = NOT
    assert meta.columnar.production_status.tolist() == [0, 1]
    kept[1] = sample(7, "q")
    assert meta.partition_ids == ["p", "q"]


def test_a_change_of_the_columns_reaches_rows_that_were_read() -> None:
    meta = make(1, 2)
    kept = rows(meta)
    meta.columnar.add_fields(TensorDict({"y": torch.zeros(2, 3)}, [2]))
    meta.columnar.production_status[1] = 0
    assert rows(meta) is kept
    assert [row.field_names for row in kept] == [["x", "y"]] * 2
    assert [row.is_ready for row in kept] == [True, False]
    meta.columnar.reorder([1, 0])
    assert [row.global_index for row in rows(meta)] == [2, 1]


def test_reading_rows_leaves_the_columns_the_same_object() -> None:
    columnar = BatchMeta([1, 2], ["p"] * 2, {"x": {"is_nested": True, "per_sample_shapes": [(2,), (2,)]}}, [1, 1])
    meta = LegacyBatchMeta(columnar)
    assert len(rows(meta)) == 2
    meta.update_custom_meta([{"a": 1}, {}])
    assert meta.columnar is columnar
    rows(meta)[0].fields["x"].shape = (9,)
    assert meta.columnar is not columnar
    assert meta.columnar.get_row_shape("x", 0) == (9,)


def test_cells_that_are_not_there_stay_so_when_tags_change() -> None:
    meta = make(1, x=(1,), y=(2,))
    rows(meta)[0].fields["y"].production_status = NOT
    meta.update_custom_meta([{"a": 1}])
    assert rows(meta)[0].production_status == {"x": READY, "y": NOT}
    assert meta.columnar.production_status.tolist() == [0]


def test_until_somebody_reads_rows_none_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[SampleMeta] = []
    monkeypatch.setattr("transferqueue.legacy.SampleMeta", lambda *args: made.append(SampleMeta(*args)) or made[-1])
    meta = LegacyBatchMeta(BatchMeta(range(8), ["p"] * 8, {"x": {"dtype": torch.int8, "shape": (2,)}}, [1] * 8))
    meta.reorder(range(7, -1, -1))
    meta.add_fields(TensorDict({"y": torch.zeros(8, 3)}, [8]))
    parts = meta.union(meta.select_fields(["x"])).chunk(2)
    again = LegacyBatchMeta.concat([*parts[1:], *parts[:1], *meta.chunk_by_partition()]).select_samples([3, 1])[0]
    assert (again.size, again.field_names, again.is_ready, again.custom_meta) == (1, ["x", "y"], True, {0: {}})
    pickle.loads(pickle.dumps(again)).set_extra_info("k", 1)
    assert not made
    assert len(rows(again)) == len(made) == 1


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


def test_columnar_batches_join_in() -> None:
    mine, columnar = make(1, 2), BatchMeta([1, 2], ["p"] * 2, {"y": {"dtype": torch.int8, "shape": (1,)}}, [1, 1])
    assert mine.union(columnar).field_names == ["x", "y"]
    assert LegacyBatchMeta.concat([LegacyBatchMeta(columnar), columnar]).global_indexes == [1, 2, 1, 2]
    views = LegacyBatchMeta(samples=[columnar.samples[1], columnar.samples[0]])
    assert [row.global_index for row in rows(views)] == [2, 1]
    assert views.columnar.get_dtypes("y") == torch.int8
    with pytest.raises(TypeError, match=r"samples has a dict"):
        LegacyBatchMeta(samples=[{}])


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
        ([sample(1)], r"Batch sizes"),
        ([sample(1), sample(3)], r"Global indexes"),
        ([sample(1, "q"), sample(2)], r"Partition IDs"),
    ],
)
def test_union_of_other_rows_is_a_value_error(other: list[SampleMeta], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(1, 2).union(LegacyBatchMeta(other))
