"""A batch that lives in the queue reads like a TensorDict."""

from __future__ import annotations

import pytest
import torch
from tensordict import NonTensorStack, TensorDict

import transferqueue


@pytest.fixture
def stored(tq, partition):
    data = TensorDict(
        {
            "x": torch.arange(12).reshape(6, 2),
            "r": torch.arange(6).float(),
            "s": NonTensorStack(*"abcdef"),
        },
        batch_size=6,
    )
    tq.kv_batch_put([f"k{i}" for i in range(6)], partition, data)
    return data


def requests(tq) -> int:
    return tq.get_client().stats()["requests"]


def test_it_reads_like_the_tensordict_that_a_get_returns(tq, partition, stored):
    lazy = tq.batch(partition)
    eager = tq.kv_batch_get([f"k{i}" for i in range(6)], partition)
    assert lazy.batch_size == eager.batch_size
    assert len(lazy) == len(eager)
    assert lazy.keys() == sorted(eager.keys())
    assert "x" in lazy
    assert "nope" not in lazy
    assert torch.equal(lazy["r"], eager["r"])
    assert torch.equal(lazy["x"].values(), eager["x"].values())
    assert lazy["s"] == eager["s"]
    assert lazy.get("s").tolist() == eager.get("s").tolist()
    assert lazy.get("nope", 5) == 5
    assert sorted(name for name, _ in lazy.items()) == sorted(eager.keys())
    assert torch.equal(lazy.to_tensordict()["r"], eager["r"])
    assert lazy[2]["r"] == eager[2]["r"]
    assert torch.equal(lazy[2:4]["r"], eager["r"][2:4])
    assert torch.equal(lazy[[4, 1]]["r"], eager["r"][[4, 1]])
    assert torch.equal(lazy.select("r").to_tensordict()["r"], eager.select("r")["r"])
    assert [len(part) for part in lazy.split(4)] == [len(part) for part in eager.split(4)]


def test_nothing_is_fetched_before_a_column_is_read(tq, partition, stored):
    lazy = tq.batch(partition, keys=["k5", "k1"])
    before = requests(tq)
    parts = [*lazy.select("x").split(1), lazy[0:1]]
    assert len(parts) == 3
    assert lazy.keys() == ["r", "s", "x"]
    assert requests(tq) - before == 1  # the question itself
    assert lazy["r"].tolist() == [5, 1]
    assert lazy["r"].tolist() == [5, 1]
    assert requests(tq) - before == 3  # one get and the second question


def test_writing_a_column_puts_it_and_reads_it_anew(tq, partition, stored):
    lazy = tq.batch(partition)
    assert lazy["r"].tolist() == [0, 1, 2, 3, 4, 5]
    lazy["r"] = torch.ones(6)
    lazy["new"] = torch.arange(6)
    assert lazy["r"].tolist() == [1] * 6
    assert lazy["new"].tolist() == [0, 1, 2, 3, 4, 5]
    assert tq.kv_batch_get("k3", partition, ["r", "new"])["new"].tolist() == [3]
    lazy.update({"r": torch.zeros(6), "z": torch.zeros(6)})
    assert lazy.set("r", torch.full((6,), 2.0))["r"].tolist() == [2] * 6


def test_its_rows_are_fixed_and_a_cleared_one_is_told(tq, partition, stored):
    lazy = tq.batch(partition)
    tq.kv_put("late", partition, {"x": torch.tensor([1, 2]), "r": torch.tensor(1.0), "s": "z"})
    assert len(lazy) == 6
    assert lazy["r"].shape == (6,)
    tq.kv_clear("k0", partition)
    with pytest.raises(transferqueue.errors.StaleBatchError):
        lazy["x"]
    assert lazy[1:]["r"].tolist() == [1, 2, 3, 4, 5]


def test_it_is_made_of_metadata_too(tq, partition, stored):
    client = tq.get_client()
    fetched = client.get_meta(["x"], 3, partition, task_name="t")
    assert tq.batch(fetched).keys() == ["x"]
    kv = tq.kv_batch_put(["k1"], partition, tags=[{"a": 1}])
    assert tq.batch(kv)["r"].tolist() == [1]


def test_unknown_keys_and_fields_are_errors(tq, partition, stored):
    with pytest.raises(KeyError, match="nobody"):
        tq.batch(partition, keys=["k1", "nobody"])
    with pytest.raises(KeyError, match="nope"):
        tq.batch(partition)["nope"]
    with pytest.raises(TypeError):
        tq.batch(5)
