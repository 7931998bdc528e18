"""The same samplers in the core: what a fetch gets is what the Python object would have picked."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from queue_fixtures import running_queue
from tensordict import TensorDict

from transferqueue import options
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, NotReadyError
from transferqueue.sampler import GRPOGroupNSampler, RankAwareSampler, SeqlenBalancedSampler, SequentialSampler


class Tags:
    def __init__(self, tags: dict[int, dict[str, Any]]) -> None:
        self.tags = tags

    def get_custom_meta(self, indexes: list[int]) -> dict[int, dict[str, Any]]:
        return {index: self.tags[index] for index in indexes}


def put(tq: Any, partition: str, keys: range, tags: list[dict[str, Any]] | None = None) -> None:
    rows = TensorDict({"x": torch.tensor(list(keys))}, batch_size=len(keys))
    tq.kv_batch_put([f"k{key}" for key in keys], partition, rows, tags=tags)


def fetch(tq: Any, partition: str, rows: int, task: str = "train", **sampling: Any) -> list[int]:
    meta = tq.get_client().get_meta(["x"], rows, partition, task_name=task, sampling_config=sampling or None)
    return meta.global_indexes


def configuration(sampler: Any, **arguments: Any) -> dict[str, Any]:
    return {"controller": {"sampler": sampler, "sampler_arguments": arguments, "polling_mode": True}}


def test_rank_aware_siblings_read_the_same_rows():
    with running_queue(configuration(RankAwareSampler)) as tq:
        put(tq, "p", range(6))
        assert fetch(tq, "p", 2, dp_rank=0, batch_index=0) == [0, 1]
        assert fetch(tq, "p", 2, dp_rank=1, batch_index=0) == [2, 3]
        assert fetch(tq, "p", 2, dp_rank=0, batch_index=0) == [0, 1]
        assert fetch(tq, "p", 2, dp_rank=0, batch_index=1) == [4, 5]
        assert fetch(tq, "p", 2, dp_rank=1, batch_index=1) == []
        assert tq.get_client().get_consumption_status("train", "p")[1].tolist() == [1] * 6
        assert fetch(tq, "p", 2, "critic", dp_rank=0, batch_index=1) == [0, 1]
        tq.get_client().clear_partition("p")
        put(tq, "p", range(2))
        assert len(fetch(tq, "p", 1, dp_rank=0, batch_index=0)) == 1
        with pytest.raises(InvalidArgumentError, match="sampling_config has no dp_rank"):
            fetch(tq, "nowhere", 2)


def test_grpo_gives_whole_groups(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TQ_PRE_ALLOC_SAMPLE_NUM", "0")
    with running_queue(configuration(GRPOGroupNSampler(n_samples_per_prompt=4))) as tq:
        put(tq, "p", range(3))
        assert fetch(tq, "p", 4) == []
        put(tq, "p", range(3, 9))
        assert fetch(tq, "p", 4) == [0, 1, 2, 3]
        assert fetch(tq, "p", 8) == []
        assert fetch(tq, "p", 4, dp_rank=0, batch_index=3) == [4, 5, 6, 7]
        assert fetch(tq, "p", 4, dp_rank=0, batch_index=3) == [4, 5, 6, 7]
        with pytest.raises(ValueError, match="multiple of n_samples_per_prompt"):
            fetch(tq, "p", 6)


def test_seqlen_shares_are_those_of_the_python_object(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TQ_PRE_ALLOC_SAMPLE_NUM", "0")
    draw = random.Random(7)
    with running_queue(configuration("SeqlenBalancedSampler", n_samples_per_prompt=2, dp_size=3)) as tq:
        lengths = [draw.choice([draw.randrange(1, 900), 5, 1.5]) for _ in range(200)]
        put(tq, "p", range(200), [{"total_lengths": length} for length in lengths])
        view = Tags({row: {"total_lengths": length} for row, length in enumerate(lengths)})
        twin = SeqlenBalancedSampler(2, 3)
        ready = list(range(200))
        for batch, rank in [(0, 0), (1, 0), (0, 2), (2, 1), (1, 2), (0, 1), (2, 0), (1, 1), (2, 2), (0, 0)]:
            given = {"dp_rank": rank, "batch_index": batch, "task_name": "train", "partition_id": "p"}
            expected, consumed = twin.sample(ready, 12, partition=view, **given)
            assert fetch(tq, "p", 12, **given) == expected
            ready = [row for row in ready if row not in consumed]
        with pytest.raises(InvalidArgumentError, match="must be 0 to 2"):
            fetch(tq, "p", 12, dp_rank=3, batch_index=0)


def test_a_fetch_that_waits_is_woken_by_the_row_that_completes_a_group():
    conf = {"controller": {"sampler": "GRPOGroupNSampler", "sampler_arguments": {"n_samples_per_prompt": 2}}}
    with running_queue(conf) as tq:
        put(tq, "p", range(1))
        with pytest.raises(NotReadyError, match="1 of 2 rows ready"):
            tq.get_client().get_meta(["x"], 2, "p", task_name="train", timeout_s=0.05)
        put(tq, "p", range(1, 2))
        assert tq.get_client().get_meta(["x"], 2, "p", task_name="train", timeout_s=20).size == 2
        with pytest.raises(NotReadyError, match="0 of 2 rows ready; missing"):
            tq.get_client().get_meta(["x"], 2, "p", task_name="train", timeout_s=0.05)


# ---- the configuration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampler", "arguments"),
    [
        ("GRPOGroupNSampler", {"n_samples_per_prompt": 4}),
        (GRPOGroupNSampler, {"n_samples_per_prompt": 4}),
        (GRPOGroupNSampler(4), {}),
    ],
)
def test_name_class_and_instance_mean_the_same(sampler: Any, arguments: dict[str, int]):
    conf = {"controller": {"sampler": sampler, "sampler_arguments": arguments}}
    for given in (conf, OmegaConf.create(conf, flags={"allow_objects": True})):
        read = options.Options.read(given, {}).controller
        assert (read.sampler, dict(read.sampler_arguments)) == ("GRPOGroupNSampler", {"n_samples_per_prompt": 4})


@pytest.mark.parametrize(
    ("sampler", "arguments", "error", "says"),
    [
        ("GRPOGroupNSampler", {"n_samples_per_prompt": 0}, InvalidArgumentError, "positive integer"),
        ("GRPOGroupNSampler", {"n": 4}, InvalidTypeError, "unexpected keyword argument 'n'"),
        (GRPOGroupNSampler(4), {"n_samples_per_prompt": 4}, InvalidArgumentError, "which has its arguments"),
        ("Sequential", {}, InvalidArgumentError, "Could not find sampler 'Sequential'"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(
    sampler: Any, arguments: dict[str, int], error: type[Exception], says: str
):
    with pytest.raises(error, match=says):
        options.Options.read({"controller": {"sampler": sampler, "sampler_arguments": arguments}}, {})


def test_the_default_is_sequential():
    assert options.Options.read(None, {}).controller.sampler == SequentialSampler.__name__
