"""BatchMeta's operations, which the core does."""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict

from transferqueue.meta import BatchMeta


def make(rows: int = 5, *, start: int = 0, fields: dict[str, Any] | None = None, **info: Any) -> BatchMeta:
    schema = {"a": {"dtype": torch.float32, "shape": (3,)}} if fields is None else fields
    indexes = range(start, start + rows)
    return BatchMeta(
        indexes,
        ["p" if index % 3 else "q" for index in indexes],
        schema,
        [index % 2 for index in indexes],
        info,
        [{"index": index} for index in indexes],
        [{"backend": index} for index in indexes],
    )


def assert_rows(meta: BatchMeta, indexes: list[int]) -> None:
    """All that is kept per row says the same rows."""
    assert meta.global_indexes == indexes
    assert meta.partition_ids == ["p" if index % 3 else "q" for index in indexes]
    assert meta.production_status.tolist() == [index % 2 for index in indexes]
    assert meta.custom_meta == [{"index": index} for index in indexes]
    assert meta._custom_backend_meta == [{"backend": index} for index in indexes]


def test_rows_are_selected_in_the_order_given_and_may_repeat() -> None:
    meta = make(step=1)
    selected = meta.select_samples([4, 0, 4])
    assert_rows(selected, [4, 0, 4])
    assert selected.extra_info == {"step": 1}
    assert_rows(meta.select_samples(np.array([1, 2])), [1, 2])
    assert_rows(meta.select_samples([]), [])
    assert_rows(meta, [0, 1, 2, 3, 4])


@pytest.mark.parametrize("rows", [[5], [-1], [0, 99]])
def test_a_row_out_of_range_is_a_value_error(rows: list[int]) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        make().select_samples(rows)


def test_items_and_slices_are_batches() -> None:
    meta = make()
    assert_rows(meta[-1], [4])
    assert_rows(meta[1:4:2], [1, 3])
    assert_rows(meta[np.int64(2)], [2])


def test_fields_are_selected_and_unknown_ones_ignored() -> None:
    meta = make(fields={name: {"dtype": torch.int8, "shape": (1,)} for name in "abc"})
    assert meta.select_fields(["c", "x", "a"]).field_names == ["a", "c"]
    assert_rows(meta.select_fields([]), [0, 1, 2, 3, 4])


def test_the_first_chunks_are_one_row_longer() -> None:
    chunks = make(7).chunk(3)
    assert [chunk.global_indexes for chunk in chunks] == [[0, 1, 2], [3, 4], [5, 6]]
    assert_rows(chunks[0], [0, 1, 2])
    assert [chunk.size for chunk in make(2).chunk(chunks=4)] == [1, 1, 0, 0]
    with pytest.raises(ValueError, match=r"0"):
        make().chunk(0)


def test_chunks_by_partition_come_in_the_order_of_first_appearance() -> None:
    chunks = make(6).chunk_by_partition()
    assert [chunk.partition_ids for chunk in chunks] == [["q", "q"], ["p"] * 4]
    assert_rows(chunks[0], [0, 3])
    assert_rows(chunks[1], [1, 2, 4, 5])


def test_concat_joins_rows_and_leaves_empty_batches_out() -> None:
    joined = BatchMeta.concat([make(2), BatchMeta(), make(2, start=2)])
    assert_rows(joined, [0, 1, 2, 3])
    assert joined.field_schema == make(4).field_schema
    assert BatchMeta.concat([]).size == 0
    assert BatchMeta.concat([BatchMeta.empty({"a": 1})]).extra_info == {"a": 1}


def test_concat_of_different_fields_or_dtypes_is_a_value_error() -> None:
    other = make(fields={"b": {"dtype": torch.float32, "shape": (3,)}})
    with pytest.raises(ValueError, match=r"\[a\].*\[b\]|a.*b"):
        BatchMeta.concat([make(), other])
    other = make(fields={"a": {"dtype": torch.int64, "shape": (3,)}})
    with pytest.raises(ValueError, match=r"dtype"):
        BatchMeta.concat([make(), other])


def test_concat_of_different_shapes_is_nested_with_every_rows_shape() -> None:
    other = make(2, start=5, fields={"a": {"dtype": torch.float32, "shape": (7,)}})
    schema = BatchMeta.concat([make(2), other]).field_schema["a"]
    assert schema["is_nested"]
    assert schema["per_sample_shapes"] == [(3,), (3,), (7,), (7,)]


def test_concat_joins_extra_info_and_refuses_conflicting_values() -> None:
    same = {"t": torch.tensor([1.0, float("nan")]), "l": [np.array([1, 2])], "n": float("nan")}
    again = {"t": torch.tensor([1.0, float("nan")]), "l": [np.array([1, 2])], "n": float("nan"), "more": 1}
    assert BatchMeta.concat([make(1, **same), make(1, start=1, **again)]).extra_info.keys() == again.keys()
    for mine, theirs in (
        (1, 2),
        (torch.ones(2), torch.zeros(2)),
        (torch.ones(2), torch.ones(3)),
        ([np.ones(2)], [np.zeros(2)]),
        ({"a": 1}, {"a": 2}),
        (torch.ones(1), 1),
    ):
        with pytest.raises(ValueError, match=r"conflicting values.*'k'"):
            BatchMeta.concat([make(1, k=mine), make(1, start=1, k=theirs)])


def test_union_has_the_fields_of_both_and_the_other_wins() -> None:
    mine = make(3, a=1, b=1)
    theirs = make(3, fields={"a": {"dtype": torch.int8, "shape": (2,)}, "c": {"dtype": torch.int8}}, b=2)
    theirs.production_status[:] = [1, 1, 0]
    theirs.custom_meta[1]["index"] = "theirs"
    union = mine.union(theirs)
    assert union.field_names == ["a", "c"]
    assert union.get_dtypes("a") == torch.int8
    assert union.production_status.tolist() == [0, 1, 0]
    assert union.extra_info == {"a": 1, "b": 2}
    assert union.custom_meta == [{"index": 0}, {"index": "theirs"}, {"index": 2}]
    assert union._custom_backend_meta == [{"backend": 0}, {"backend": 1}, {"backend": 2}]


def test_union_of_other_rows_is_a_value_error_and_of_an_empty_batch_a_copy() -> None:
    with pytest.raises(ValueError, match=r"rows"):
        make(3).union(make(3, start=1))
    assert_rows(make(3).union(BatchMeta()), [0, 1, 2])
    assert_rows(BatchMeta().union(make(3)), [0, 1, 2])


def test_reorder_is_in_place() -> None:
    meta = make(3)
    assert meta.reorder([2, 0, 1]) is None
    assert_rows(meta, [2, 0, 1])


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [0, 1, 3], [-1, 0, 1], []])
def test_what_is_no_permutation_is_a_value_error(order: list[int]) -> None:
    meta = make(3)
    with pytest.raises(ValueError, match=r"\d"):
        meta.reorder(order)
    assert_rows(meta, [0, 1, 2])


def test_add_fields_reads_the_schema_of_columns_in_place() -> None:
    meta = make(3)
    nested = torch.nested.nested_tensor_from_jagged(torch.rand(5, 2), torch.tensor([0, 2, 2, 5]))
    batch = TensorDict({"r": torch.zeros(3, dtype=torch.bfloat16), "n": nested, "t": list("xyz")}, [3])
    assert meta.add_fields(batch) is meta
    assert meta.field_names == ["a", "n", "r", "t"]
    assert meta.is_ready
    assert meta.get_dtypes("r") == torch.bfloat16
    assert meta.get_shapes("r") == (1,)
    assert meta.get_shapes("n") == [(2, 2), (0, 2), (3, 2)]
    assert meta.field_schema["t"]["is_non_tensor"]
    assert meta.select_samples([2, 0]).get_shapes("n") == [(3, 2), (2, 2)]
    assert meta.custom_meta == [{"index": 0}, {"index": 1}, {"index": 2}]
    before = make(3)
    assert before.add_fields(batch, set_all_ready=False).production_status.tolist() == [0, 1, 0]


def test_what_was_changed_in_place_is_in_the_result() -> None:
    meta = make(3)
    meta.custom_meta[0]["late"] = 1
    meta.production_status[:] = 1
    selected = meta.select_samples([0, 1])
    assert selected.is_ready
    assert selected.custom_meta[0] == {"index": 0, "late": 1}


def test_results_share_nothing_with_the_batch() -> None:
    meta = make(3, info=[1])
    for other in (meta.copy(), meta[:], meta.select_fields(["a"])):
        other.custom_meta[0]["mine"] = 1
        other._custom_backend_meta[0]["mine"] = 1
        other.set_extra_info("mine", 1)
    copy = meta.copy()
    copy.extra_info["info"].append(2)
    assert_rows(meta, [0, 1, 2])
    assert meta.extra_info == {"info": [1]}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 12), st.integers(1, 6), st.randoms(use_true_random=False))
def test_chunks_concatenated_and_an_order_undone_give_the_batch(rows: int, count: int, rng: random.Random) -> None:
    meta = make(rows)
    order = rng.sample(range(rows), rows)
    shuffled = meta.copy()
    shuffled.reorder(order)
    assert_rows(shuffled, order)
    again = BatchMeta.concat(shuffled.chunk(count))
    again.reorder([order.index(row) for row in range(rows)])
    assert_rows(again, list(range(rows)))


def test_what_a_backend_keeps_of_a_field_goes_with_the_field() -> None:
    schema = {name: {"dtype": torch.int8, "shape": (1,)} for name in "ab"}
    kept = [{"a": {"packed": row}, "b": {"packed": row}, "_strategy": row} for row in range(3)]
    meta = BatchMeta([5, 6, 7], ["p", "q", "p"], schema, _custom_backend_meta=kept)
    kept[0]["a"] = "changed later"
    chosen = meta.select_fields(["a"])
    assert chosen._custom_backend_meta == [{"a": {"packed": row}, "_strategy": row} for row in range(3)]
    assert meta._custom_backend_meta[0].keys() == {"a", "b", "_strategy"}
    for part, rows in zip(chosen.chunk_by_partition(), ([0, 2], [1]), strict=True):
        assert [entry["_strategy"] for entry in part._custom_backend_meta] == rows
    chosen.reorder([2, 0, 1])
    again = pickle.loads(pickle.dumps(BatchMeta.concat([*chosen.chunk(2), chosen[0:1].select_samples([0, 0])])))
    assert [entry["_strategy"] for entry in again._custom_backend_meta] == [2, 0, 1, 2, 2]
    other = meta.select_fields(["b"])
    other._custom_backend_meta = [{"b": "theirs"}, {}, {"c": 1}]
    assert meta.select_fields(["a"]).union(other)._custom_backend_meta == [
        {"a": {"packed": 0}, "_strategy": 0, "b": "theirs"},
        {"a": {"packed": 1}, "_strategy": 1},
        {"a": {"packed": 2}, "_strategy": 2, "c": 1},
    ]
    assert meta.copy()._custom_backend_meta == meta._custom_backend_meta


def test_a_status_can_be_assigned_and_is_copied() -> None:
    meta = make(3)
    status = np.array([1, 1, 1])
    meta.production_status = status
    status[:] = 0
    assert meta.is_ready
    assert meta.production_status.dtype == np.int8
    assert pickle.loads(pickle.dumps(meta)).is_ready
    meta.production_status = [True, False, True]
    assert meta.select_samples([1]).production_status.tolist() == [0]
