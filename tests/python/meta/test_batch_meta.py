"""BatchMeta: what it is without the core."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from transferqueue.errors import InvalidArgumentError, InvalidTypeError
from transferqueue.meta import BatchMeta

SCHEMA = {
    "tokens": {
        "dtype": torch.int64,
        "shape": None,
        "is_nested": True,
        "is_non_tensor": False,
        "per_sample_shapes": [(2,), (5,), (1,)],
    },
    "reward": {
        "dtype": torch.float32,
        "shape": (1,),
        "is_nested": False,
        "is_non_tensor": False,
        "per_sample_shapes": None,
    },
    "prompt": {
        "dtype": None,
        "shape": None,
        "is_nested": False,
        "is_non_tensor": True,
        "per_sample_shapes": None,
    },
}


def make() -> BatchMeta:
    return BatchMeta(
        [7, 3, 9],
        ["a", "a", "b"],
        SCHEMA,
        np.array([1, 0, 1], np.int8),
        {"step": 4},
        [{"uid": "x"}, {}, {"n": (1, 2)}],
        [{"size": 1}, {}, {"size": 3}],
    )


def test_it_says_what_it_was_made_of() -> None:
    meta = make()
    assert (meta.size, len(meta)) == (3, 3)
    assert meta.global_indexes == [7, 3, 9]
    assert meta.partition_ids == ["a", "a", "b"]
    assert meta.field_names == ["prompt", "reward", "tokens"]
    assert meta.field_schema == SCHEMA
    assert meta.production_status.dtype == np.int8
    assert meta.production_status.tolist() == [1, 0, 1]
    assert not meta.is_ready
    assert meta.extra_info == {"step": 4}
    assert meta.custom_meta == [{"uid": "x"}, {}, {"n": (1, 2)}]
    assert meta._custom_backend_meta == [{"size": 1}, {}, {"size": 3}]


def test_one_field_can_be_asked_for() -> None:
    meta = make()
    assert meta.get_dtypes("reward") == torch.float32
    assert meta.get_dtypes("prompt") is None
    assert meta.get_shapes("reward") == (1,)
    assert meta.get_shapes("tokens") == [(2,), (5,), (1,)]
    for ask in (meta.get_dtypes, meta.get_shapes):
        with pytest.raises(KeyError, match=r"'nothing'.*prompt, reward, tokens"):
            ask("nothing")


def test_without_arguments_it_is_empty_and_not_ready() -> None:
    for meta in (BatchMeta(), BatchMeta.empty()):
        assert (meta.size, meta.field_names, meta.is_ready, meta.custom_meta) == (0, [], False, [])
    assert BatchMeta.empty({"a": 1}).extra_info == {"a": 1}


def test_it_is_ready_where_all_rows_are() -> None:
    meta = make()
    meta.production_status[:] = 1
    assert meta.is_ready


def test_what_it_was_made_of_can_change_without_it() -> None:
    indexes, tags, info = [1, 2], [{"a": [1]}, {}], {"k": 1}
    meta = BatchMeta(indexes, ["p", "p"], extra_info=info, custom_meta=tags)
    indexes.append(3)
    tags[0]["a"].append(2)
    info["k"] = 2
    assert (meta.global_indexes, meta.custom_meta, meta.extra_info) == ([1, 2], [{"a": [1]}, {}], {"k": 1})


def test_arrays_tensors_and_generators_are_taken_too() -> None:
    for indexes in (np.array([4, 5]), torch.tensor([4, 5]), iter([4, 5]), range(4, 6)):
        assert BatchMeta(indexes, (p for p in "ab")).global_indexes == [4, 5]


@pytest.mark.parametrize(
    "arguments",
    [
        {"partition_ids": ["a"]},
        {"partition_ids": ["a"] * 3},
        {"production_status": [1]},
        {"production_status": [1, 2]},
        {"custom_meta": [{}]},
        {"_custom_backend_meta": [{}]},
        {"field_schema": {"x": {"dtype": torch.int8, "is_nested": True, "per_sample_shapes": [(1,)]}}},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_a_column_of_another_length_is_a_value_error(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"production_status|length|dicts for"):
        BatchMeta(**{"global_indexes": [1, 2], "partition_ids": ["a", "a"], **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"global_indexes": [1.5, 2.5]},
        {"partition_ids": "ab"},
        {"partition_ids": [1, 2]},
        {"custom_meta": [{"a": {1, 2}}, {}]},
        {"custom_meta": [1, 2]},
    ],
    ids=lambda arguments: repr(arguments),
)
def test_a_value_of_a_wrong_type_is_a_type_error(arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidTypeError):
        BatchMeta(**{"global_indexes": [1, 2], "partition_ids": ["a", "a"], **arguments})


def test_pickling_keeps_everything_and_the_status_is_writable_then() -> None:
    meta = make()
    copy = pickle.loads(pickle.dumps(meta))
    assert type(copy) is BatchMeta
    assert copy.global_indexes == meta.global_indexes
    assert copy.partition_ids == meta.partition_ids
    assert copy.field_schema == meta.field_schema
    assert copy.custom_meta == meta.custom_meta
    assert copy.extra_info == meta.extra_info
    assert copy._custom_backend_meta == meta._custom_backend_meta
    copy.production_status[0] = 0
    assert pickle.loads(pickle.dumps(copy)).production_status.tolist() == [0, 0, 1]


def test_a_pickled_batch_is_small() -> None:
    def pickled(rows: int) -> int:
        schema = {f"field {n}": {"dtype": torch.float32, "shape": (8,)} for n in range(20)}
        return len(pickle.dumps(BatchMeta(range(rows), ["train"] * rows, schema)))

    # An index and a status per row; nothing per row and field, nothing per row for a partition.
    assert pickled(10_000) - pickled(5_000) < 5_000 * 10


def test_making_reading_and_pickling_one_start_neither_dotnet_nor_torch() -> None:
    code = (
        "import sys, pickle; from transferqueue.meta import BatchMeta\n"
        "m = BatchMeta([1], ['a'], {'x': {'dtype': None, 'shape': (2,)}}, custom_meta=[{'a': 1}])\n"
        "m = pickle.loads(pickle.dumps(m)); m.size, m.is_ready, m.custom_meta, m.field_schema, m.samples[0]\n"
        "print([name for name in ('torch', 'tensordict', 'clr', 'pythonnet') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip() == "[]", done.stderr


# --- extra_info and tags ---


def test_extra_info_has_its_methods() -> None:
    meta = BatchMeta()
    meta.set_extra_info("a", [1])
    meta.update_extra_info({"b": 2})
    assert meta.get_extra_info("a") == [1]
    assert meta.get_extra_info("c", 3) == 3
    assert meta.has_extra_info("b")
    everything = meta.get_all_extra_info()
    everything["a"].append(2)
    assert meta.extra_info == {"a": [1], "b": 2}
    assert meta.remove_extra_info("b") == 2
    assert meta.remove_extra_info("b") is None
    meta.clear_extra_info()
    assert meta.extra_info == {}
    meta.extra_info = info = {"mine": 1}
    assert meta.extra_info is info


def test_tags_are_merged_row_by_row() -> None:
    meta = make()
    meta.update_custom_meta(None)
    meta.update_custom_meta([{"uid": "y", "n": np.int64(1)}, {}, {"m": torch.tensor(2)}])
    assert meta.custom_meta == [{"uid": "y", "n": 1}, {}, {"n": (1, 2), "m": 2}]
    assert pickle.loads(pickle.dumps(meta)).custom_meta == meta.custom_meta
    meta.clear_custom_meta()
    assert pickle.loads(pickle.dumps(meta)).custom_meta == [{}, {}, {}]
    assert meta._tags_bytes is None


def test_a_tag_that_can_not_be_merged_changes_nothing() -> None:
    meta = make()
    for wrong, error in (([{}], ValueError), ([{"uid": object()}, {}, {}], TypeError)):
        with pytest.raises(error):
            meta.update_custom_meta(wrong)
    assert meta.custom_meta == make().custom_meta


def test_a_tag_changed_in_place_travels() -> None:
    meta = make()
    meta.custom_meta[1]["late"] = True
    assert pickle.loads(pickle.dumps(meta)).custom_meta[1] == {"late": True}


def test_a_copy_of_all_tags_is_deep() -> None:
    meta = make()
    meta.get_all_custom_meta()[0]["uid"] = "z"
    assert meta.custom_meta[0] == {"uid": "x"}


# --- rows as objects ---


def test_a_row_can_be_read_by_item_and_by_attribute() -> None:
    rows = make().samples
    assert len(rows) == 3
    assert [row.global_index for row in rows] == [7, 3, 9]
    row = rows[2]
    assert row.partition_id == row["partition_id"] == "b"
    assert (row.production_status, row.is_ready, row.batch_index) == (1, True, 2)
    assert row.custom_meta["n"] == (1, 2)
    assert row.fields["tokens"].shape == row.fields["tokens"]["shape"] == (1,)
    assert row.fields["reward"].dtype == torch.float32
    assert rows[-1].global_index == 9
    assert [row.global_index for row in rows[:2]] == [7, 3]
    assert BatchMeta().samples == []
    with pytest.raises(IndexError):
        rows[3]


def test_rows_can_not_be_changed() -> None:
    row = make().samples[0]
    with pytest.raises(AttributeError, match=r"read-only"):
        row.global_index = 1
    with pytest.raises(TypeError):
        row.custom_meta["a"] = 1
    with pytest.raises(AttributeError, match=r"no 'nothing'"):
        row.nothing  # noqa: B018


def test_a_row_answers_what_code_for_the_old_rows_asks() -> None:
    from transferqueue.legacy import ProductionStatus

    meta = BatchMeta([7, 3], ["p", "p"], {"x": {"dtype": torch.int8, "shape": (2,)}, "a": {}}, [1, 0])
    first, second = meta.samples
    assert first.field_names == ["a", "x"]
    assert (first.has_field("x"), first.has_field("z")) == (True, False)
    assert [first.is_field_ready("x"), first.is_field_ready("z"), second.is_field_ready("x")] == [True, False, False]
    assert first.get_field_by_name("x").shape == (2,)
    assert first.get_field_by_name("z") is None
    assert first.fields["x"].production_status == ProductionStatus.READY_FOR_CONSUME
    assert int(second.fields["x"].production_status) == 0
    assert [row.fields["x"].is_ready for row in meta.samples] == [True, False]


def test_a_batch_is_indexed_by_int_or_slice() -> None:
    meta = make()
    with pytest.raises(IndexError):
        meta[3]
    with pytest.raises(TypeError):
        meta["a"]
    with pytest.raises(TypeError):
        meta[True]


def test_concat_and_union_take_batches_only() -> None:
    with pytest.raises(InvalidTypeError):
        BatchMeta.concat([make(), {"a": 1}])
    with pytest.raises(InvalidTypeError):
        make().union([make()])


def test_adding_no_fields_changes_nothing() -> None:
    from tensordict import TensorDict

    meta = make()
    assert meta.add_fields(TensorDict({}, [3])) is meta
    with pytest.raises(InvalidArgumentError, match=r"Inconsistent batch dimension"):
        meta.add_fields(TensorDict({"x": torch.ones(4)}, [4]))
