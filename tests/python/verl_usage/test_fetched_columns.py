"""What trainers do with fetched columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import NonTensorStack, TensorDict
from tensordict.utils import LinkedList

import transfer_queue as tq

pytestmark = pytest.mark.usefixtures("tq")

KEYS = ["a", "b", "c"]
PROMPTS = [[{"role": "user", "content": "1+1"}], [{"role": "user", "content": "2"}, {"role": "tool"}], []]


def jagged(lengths: list[int], dtype: torch.dtype = torch.int64) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.arange(n).to(dtype) for n in lengths], layout=torch.jagged)


@pytest.fixture
def batch(partition: str) -> str:
    """Three rows with a column of each kind that a trainer puts."""
    columns = {
        "responses": jagged([3, 1, 2]),
        "rm_scores": jagged([3, 1, 2], torch.float32),
        "log_probs": jagged([3, 1, 2], torch.bfloat16),
        "same_length": torch.arange(12).reshape(3, 4),
        "position_ids": torch.nested.as_nested_tensor(
            [torch.arange(4 * n).reshape(4, n) for n in (3, 1, 2)], layout=torch.strided
        ),
        "routed_experts": torch.nested.as_nested_tensor(
            [torch.full((n, 2, 2), n, dtype=torch.int16) for n in (3, 1, 2)], layout=torch.jagged
        ),
        "reward": torch.tensor([1.0, 0.0, 0.5]),
        "uid": NonTensorStack("u0", "u0", "u1"),
        "raw_prompt": NonTensorStack(*PROMPTS),
        "num_turns": NonTensorStack(1, 2, 3),
        "multi_modal_inputs": NonTensorStack({"pixel_values": torch.ones(2, 3, dtype=torch.bfloat16)}, {}, {}),
        "reward_model": NonTensorStack({"ground_truth": "2"}, {"ground_truth": None}, {"style": ("rule", 1)}),
    }
    tq.kv_batch_put(keys=KEYS, partition_id=partition, fields=TensorDict(columns, batch_size=3))
    return partition


def test_values_of_any_type_are_read_in_each_way_that_trainers_have(batch):
    columns = tq.kv_batch_get(keys=KEYS, partition_id=batch)
    assert columns.get("uid").tolist() == list(columns["uid"]) == ["u0", "u0", "u1"]
    assert [getattr(value, "data", value) for value in columns["raw_prompt"]] == PROMPTS
    assert [getattr(value, "data", value) for value in columns.get("raw_prompt")] == PROMPTS
    assert columns.pop("num_turns").tolist() == [1, 2, 3]
    assert "num_turns" not in columns
    assert columns.pop("num_turns", None) is None
    assert columns["reward_model"][2] == {"style": ("rule", 1)}
    assert type(columns["reward_model"][2]["style"]) is tuple
    assert columns["multi_modal_inputs"][0]["pixel_values"].dtype is torch.bfloat16
    assert np.array(columns["uid"], dtype=object).tolist() == ["u0", "u0", "u1"]
    for name in columns.keys():  # noqa: SIM118 (a TensorDict iterates over its rows)
        assert isinstance(columns[name], torch.Tensor | LinkedList)


def test_every_column_with_a_dimension_is_jagged_whatever_its_lengths(batch):
    columns = tq.kv_batch_get(keys=KEYS, partition_id=batch)
    assert columns["same_length"].offsets().diff().tolist() == [4, 4, 4]
    assert tq.kv_batch_get(keys=["b"], partition_id=batch)["responses"].offsets().tolist() == [0, 1]
    assert not columns["reward"].is_nested
    assert columns["log_probs"].dtype is torch.bfloat16
    assert columns["routed_experts"].values().shape == (6, 2, 2)
    assert [row.shape for row in columns["position_ids"].unbind()] == [(4, 3), (4, 1), (4, 2)]


def test_columns_are_padded_together_and_one_by_one(batch):
    columns = tq.kv_batch_get(keys=KEYS, partition_id=batch, select_fields=["responses", "rm_scores", "uid", "reward"])
    assert columns["responses"].to_padded_tensor(padding=-1).tolist() == [[0, 1, 2], [0, -1, -1], [0, 1, -1]]
    padded = columns.to_padded_tensor()
    assert padded["rm_scores"].shape == (3, 3)
    assert list(padded["uid"]) == ["u0", "u0", "u1"]
    assert padded.select("reward")["reward"].tolist() == [1.0, 0.0, 0.5]
    columns["advantages"] = columns["rm_scores"] * 2
    assert torch.equal(columns["advantages"].values(), columns["rm_scores"].values() * 2)


@pytest.mark.parametrize("rows", [[2, 0], [1], [0, 1, 2, 2]])
def test_rows_are_selected_by_index(batch, rows):
    columns = tq.kv_batch_get(keys=KEYS, partition_id=batch)
    chosen = {}
    for name in columns.keys():  # noqa: SIM118
        column = columns.get(name)
        if isinstance(column, torch.Tensor) and column.is_nested:
            parts = column.unbind()
            chosen[name] = torch.nested.as_nested_tensor([parts[row] for row in rows], layout=torch.strided)
        elif isinstance(column, torch.Tensor):
            chosen[name] = torch.index_select(column, 0, torch.tensor(rows))
        else:
            chosen[name] = NonTensorStack(*[column.tolist()[row] for row in rows])
    selected = TensorDict(chosen, batch_size=len(rows))
    same = tq.kv_batch_get(keys=[KEYS[row] for row in sorted(set(rows))], partition_id=batch)
    for place, row in enumerate(rows):
        other = sorted(set(rows)).index(row)
        for name in ("responses", "position_ids", "routed_experts", "log_probs"):
            assert torch.equal(selected[name].unbind()[place], same[name].unbind()[other])
        assert selected.get("uid").tolist()[place] == same.get("uid").tolist()[other]
    # and put again under other keys, as a trainer does that drops rows
    keys = [f"again{n}" for n in range(len(rows))]
    tq.kv_batch_put(keys=keys, partition_id=batch, fields=selected)
    again = tq.kv_batch_get(keys=keys, partition_id=batch, select_fields=["responses", "uid"])
    assert [row.tolist() for row in again["responses"].unbind()] == [list(range([3, 1, 2][row])) for row in rows]


def test_a_fetched_batch_is_saved_and_loaded(batch, tmp_path):
    columns = tq.kv_batch_get(keys=KEYS, partition_id=batch)
    torch.save(columns, tmp_path / "batch.pt")
    loaded = torch.load(tmp_path / "batch.pt", weights_only=False)
    assert sorted(loaded.keys()) == sorted(columns.keys())
    for name in ("responses", "log_probs", "routed_experts", "same_length", "position_ids"):
        for one, other in zip(columns[name].unbind(), loaded[name].unbind(), strict=True):
            assert torch.equal(one, other)
    assert loaded.get("raw_prompt").tolist() == PROMPTS
    tq.kv_batch_put(keys=["x", "y", "z"], partition_id=batch, fields=loaded)
    again = tq.kv_batch_get(keys=["z"], partition_id=batch, select_fields=["responses"])
    assert again["responses"][0].tolist() == [0, 1]


def test_a_saved_batch_is_as_large_as_its_bytes(partition, tmp_path):
    column = torch.zeros(64, 16384)  # 4 MiB, so that its fetch is a view of shared memory
    keys = [f"k{n}" for n in range(64)]
    tq.kv_batch_put(keys=keys, partition_id=partition, fields=TensorDict({"x": column}, batch_size=64))
    torch.save(tq.kv_batch_get(keys=keys[:8], partition_id=partition), tmp_path / "part.pt")
    assert (tmp_path / "part.pt").stat().st_size < 8 * 16384 * 4 + 65536


def test_columns_are_put_for_rows_that_are_there_and_replaced(batch):
    mask = TensorDict({"response_mask": jagged([3, 1, 2])}, batch_size=3)
    put = tq.kv_batch_put(keys=KEYS, partition_id=batch, fields=mask)
    assert "response_mask" in put.fields
    assert put.extra_info == {}
    tq.kv_batch_put(
        keys=KEYS, partition_id=batch, fields=TensorDict({"response_mask": jagged([1, 1, 1])}, batch_size=3)
    )
    got = tq.kv_batch_get(keys=KEYS, partition_id=batch, select_fields=["response_mask"])
    assert got["response_mask"].offsets().diff().tolist() == [1, 1, 1]
