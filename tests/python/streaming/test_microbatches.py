"""How a batch is cut: columns and metadata at the same rows."""

import pytest
import torch
from tensordict import NonTensorStack, TensorDict

from transferqueue import BatchMeta
from transferqueue.streaming import chunk_batch_fn


def meta_of(rows: int) -> BatchMeta:
    return BatchMeta(range(100, 100 + rows), ["p"] * rows, production_status=[1] * rows)


def jagged(lengths: list[int]) -> torch.Tensor:
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    return torch.nested.nested_tensor_from_jagged(torch.arange(float(offsets[-1])), offsets)


@pytest.mark.parametrize(
    ("rows", "micro", "sizes"),
    [(10, 4, [4, 4, 2]), (4, 4, [4]), (3, 5, [3]), (3, 1, [1, 1, 1]), (7, 2, [2, 2, 2, 1]), (0, 2, [])],
)
def test_columns_and_metadata_are_cut_at_the_same_rows(rows, micro, sizes):
    chunks = chunk_batch_fn(TensorDict({"x": torch.arange(rows)}, batch_size=rows), meta_of(rows), micro)
    assert [td.batch_size[0] for td, _ in chunks] == sizes
    for td, meta in chunks:
        assert [100 + x for x in td["x"].tolist()] == meta.global_indexes
        assert meta.is_ready


def test_one_row_is_the_default():
    assert len(chunk_batch_fn(TensorDict({"x": torch.arange(3)}, batch_size=3), meta_of(3))) == 3


def test_jagged_columns_are_cut_without_a_copy_and_stay_jagged():
    column = jagged([3, 0, 2, 5])
    (first, _), (second, _) = chunk_batch_fn(TensorDict({"t": column}, batch_size=4), meta_of(4), 2)
    for chunk, expected in ((first["t"], [[0, 1, 2], []]), (second["t"], [[3, 4], [5, 6, 7, 8, 9]])):
        assert chunk.layout is torch.jagged
        assert [row.tolist() for row in chunk.unbind()] == expected
        assert chunk.values().untyped_storage().data_ptr() == column.values().untyped_storage().data_ptr()
        assert int(chunk.offsets()[0]) == 0
    assert second["t"].to_padded_tensor(-1.0).shape == (2, 5)


def test_the_ragged_dimension_may_be_another_than_the_first():
    values = torch.arange(36).reshape(4, 9)
    column = torch.nested.nested_tensor_from_jagged(values, torch.tensor([0, 2, 5, 9]), jagged_dim=2)
    chunks = chunk_batch_fn(TensorDict({"position_ids": column}, batch_size=3), meta_of(3), 2)
    rows = [row for td, _ in chunks for row in td["position_ids"].unbind()]
    assert [row.shape for row in rows] == [(4, 2), (4, 3), (4, 4)]
    assert torch.equal(torch.cat(rows, 1), values)


def test_columns_of_the_same_lengths_can_still_be_computed_with():
    tokens = jagged([3, 1, 2])
    weights = torch.nested.nested_tensor_from_jagged(torch.ones(6), tokens.offsets())
    for td, _ in chunk_batch_fn(TensorDict({"a": tokens, "b": weights}, batch_size=3), meta_of(3), 2):
        assert torch.equal((td["a"] + td["b"]).values(), td["a"].values() + 1)


def test_strided_nested_columns_and_values_of_any_type_are_cut():
    strided = torch.nested.as_nested_tensor(
        [torch.zeros(1, 2), torch.ones(2, 3), torch.ones(4, 1)], layout=torch.strided
    )
    columns = {"s": strided, "v": NonTensorStack("a", {"b": 1}, None), "d": torch.arange(6).reshape(3, 2)}
    (first, _), (second, _) = chunk_batch_fn(TensorDict(columns, batch_size=3), meta_of(3), 2)
    assert [row.shape for row in first["s"].unbind()] == [(1, 2), (2, 3)]
    assert second["s"].layout is torch.strided
    assert (first.get("v").tolist(), second.get("v").tolist()) == (["a", {"b": 1}], [None])
    assert second["d"].tolist() == [[4, 5]]


def test_what_is_no_batch_is_refused():
    td = TensorDict({"x": torch.arange(3)}, batch_size=3)
    with pytest.raises(TypeError, match="td is a dict"):
        chunk_batch_fn({"x": torch.arange(3)}, meta_of(3), 1)
    with pytest.raises(ValueError, match="micro_batch_size: 0 given"):
        chunk_batch_fn(td, meta_of(3), 0)
    with pytest.raises(ValueError, match="3 rows of columns and 2 of metadata"):
        chunk_batch_fn(td, meta_of(2), 1)
