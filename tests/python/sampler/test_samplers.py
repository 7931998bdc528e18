"""The samplers as plain objects."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import transferqueue
from transferqueue.sampler import (
    BaseSampler,
    GRPOGroupNSampler,
    RankAwareSampler,
    SeqlenBalancedSampler,
    SequentialSampler,
)
from transferqueue.sampler.seqlen_balanced_sampler import get_seqlen_balanced_partitions, karmarkar_karp

READY = [3, 5, 8, 13]
WHERE = {"task_name": "train", "partition_id": "p"}


class Tags:
    """A partition's view with nothing but tags."""

    def __init__(self, tags: dict[int, dict]) -> None:
        self.tags = tags

    def get_custom_meta(self, indexes: list[int]) -> dict[int, dict]:
        return {index: self.tags[index] for index in indexes if index in self.tags}


# ---- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["SequentialSampler", "GRPOGroupNSampler", "RankAwareSampler", "SeqlenBalancedSampler"]
)
def test_a_sampler_is_found_at_the_root_and_derives_from_the_base(name: str):
    kind = getattr(transferqueue, name)
    assert issubclass(kind, transferqueue.BaseSampler)
    assert kind()._states == {}


def test_the_base_can_not_be_used_itself():
    with pytest.raises(TypeError, match="sample"):
        BaseSampler()


def test_constructor_arguments_are_public_attributes():
    public = {name: value for name, value in vars(SeqlenBalancedSampler(4, dp_size=2)).items() if name[0] != "_"}
    assert public == {"n_samples_per_prompt": 4, "dp_size": 2}


def test_a_call_is_a_sample():
    assert SequentialSampler()(READY, 2, partition=None, anything=1) == ([3, 5], [3, 5])


def test_a_checkpoint_is_a_copy_that_another_instance_goes_on_from():
    before = SeqlenBalancedSampler(1, 2)
    before.sample([0, 1, 2, 3], 2, dp_rank=0, batch_index=0, **WHERE)
    saved = pickle.loads(pickle.dumps(before.save_checkpoint()))
    after = SeqlenBalancedSampler(1, 2)
    after.load_checkpoint(saved)
    before.clear_cache("p")
    assert after.has_cached_result("p", "train", {"dp_rank": 1, "batch_index": 0})
    assert after.sample([2, 3], 2, dp_rank=1, batch_index=0, **WHERE)[0] == [2, 3]
    assert not before.has_cached_result("p", "train", {"dp_rank": 1, "batch_index": 0})


# ---- SequentialSampler -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "taken"), [(0, []), (2, [3, 5]), (9, READY), (-1, [3, 5, 8])])
def test_sequential_slices_as_python_does(size: int, taken: list[int]):
    assert SequentialSampler().sample(READY, size) == (taken, taken)


def test_sequential_keeps_rows_that_come_twice_and_leaves_the_callers_list_alone():
    ready = [4, 4, 5]
    sampled, consumed = SequentialSampler().sample(ready, 2)
    sampled.append(9)
    assert (ready, consumed) == ([4, 4, 5], [4, 4])


# ---- GRPOGroupNSampler -----------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 40)), st.integers(1, 4), st.integers(1, 5))
def test_grpo_gives_whole_groups_or_nothing(ready: set[int], rows: int, groups: int):
    sampled, consumed = GRPOGroupNSampler(rows).sample(list(ready), rows * groups)
    assert sampled == consumed
    assert len(sampled) in (0, rows * groups)
    assert set(sampled) <= ready
    for first in range(0, len(sampled), rows):
        assert sampled[first : first + rows] == list(range(sampled[first], sampled[first] + rows))


def test_grpo_fixes_a_batch_only_for_a_named_rank_and_batch():
    sampler = GRPOGroupNSampler(n_samples_per_prompt=2)
    assert sampler.sample([0, 1, 2, 3], 2) == ([0, 1], [0, 1])
    assert sampler._states == {}
    assert sampler.sample([0, 1, 2, 3], 2, "train", "p", dp_rank=0, batch_index=7)[0] == [0, 1]
    assert sampler.sample([2, 3], 2, "train", "p", dp_rank=0, batch_index=7)[0] == [0, 1]
    assert sampler._states["p"]["train"][0][7] == [0, 1]
    sampler.clear_cache("p")
    assert sampler.sample([2, 3], 2, "train", "p", dp_rank=0, batch_index=7)[0] == [2, 3]


def test_grpo_refuses_a_batch_that_is_no_whole_number_of_groups():
    with pytest.raises(ValueError, match="multiple of n_samples_per_prompt"):
        GRPOGroupNSampler(4).sample(list(range(8)), 6)


@pytest.mark.parametrize("count", [0, -1])
@pytest.mark.parametrize("make", [GRPOGroupNSampler, SeqlenBalancedSampler])
def test_a_group_has_at_least_one_row(make: type, count: int):
    with pytest.raises(ValueError, match="must be a positive integer"):
        make(n_samples_per_prompt=count)
    with pytest.raises(TypeError, match="give an int"):
        make(n_samples_per_prompt=2.0)


# ---- RankAwareSampler ------------------------------------------------------------------------------------------------


def test_rank_aware_gives_siblings_the_same_rows():
    sampler = RankAwareSampler()
    first = sampler.sample(READY, 2, dp_rank=0, batch_index=0, **WHERE)
    assert first == ([3, 5], [3, 5])
    assert sampler.sample([8, 13], 2, dp_rank=0, batch_index=0, **WHERE) == first
    assert sampler.sample([8, 13], 2, dp_rank=1, batch_index=0, **WHERE)[0] == [8, 13]
    assert sampler._states["p"]["train"][0][0] == [3, 5]
    first[0].append(99)
    assert sampler.sample([], 2, dp_rank=0, batch_index=0, **WHERE)[0] == [3, 5]


def test_rank_aware_fixes_nothing_when_too_few_rows_are_ready():
    sampler = RankAwareSampler()
    assert sampler.sample([1], 2, dp_rank=0, batch_index=0, **WHERE) == ([], [])
    assert not sampler.has_cached_result("p", "train", {"dp_rank": 0, "batch_index": 0})
    assert not sampler.has_cached_result("p", "train")


def test_rank_aware_needs_to_know_whose_batch_it_is():
    with pytest.raises(ValueError, match="dp_rank is -1"):
        RankAwareSampler().sample(READY, 1, dp_rank=-1, batch_index=0, **WHERE)
    with pytest.raises(TypeError, match="batch_index"):
        RankAwareSampler().sample(READY, 1, dp_rank=0, **WHERE)


# ---- SeqlenBalancedSampler -------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 5000), min_size=12, max_size=12), st.sampled_from([(1, 2, 6), (2, 3, 4), (3, 2, 6)]))
def test_seqlen_shares_are_whole_groups_of_all_rows(lengths: list[int], sizes: tuple[int, int, int]):
    rows, ranks, batch = sizes
    sampler = SeqlenBalancedSampler(rows, ranks)
    partition = Tags({row: {"total_lengths": length} for row, length in enumerate(lengths)})
    shares = [
        sampler.sample(list(range(12)), batch, dp_rank=rank, batch_index=0, partition=partition, **WHERE)[0]
        for rank in range(ranks)
    ]
    assert sorted(row for share in shares for row in share) == list(range(batch * ranks))
    assert {len(share) for share in shares} == {batch}
    assert all(row % rows == position % rows for share in shares for position, row in enumerate(share))


def test_seqlen_balances_tokens():
    sampler = SeqlenBalancedSampler(dp_size=2)
    partition = Tags({row: {"total_lengths": 8 - row} for row in range(8)})
    shares = [
        sampler.sample(list(range(8)), 4, dp_rank=rank, batch_index=0, partition=partition, **WHERE)[0]
        for rank in (0, 1)
    ]
    assert [sum(8 - row for row in share) for share in shares] == [18, 18]


def test_seqlen_keeps_a_ranks_rows_for_it():
    sampler = SeqlenBalancedSampler(dp_size=2)
    assert sampler.sample([0, 1, 2, 3], 1, dp_rank=0, batch_index=0, **WHERE)[0] == [0]
    assert sampler.sample([1, 2, 3], 1, dp_rank=0, batch_index=1, **WHERE)[0] == [2]
    assert sampler.sample([1, 3], 1, dp_rank=1, batch_index=0, **WHERE)[0] == [1]
    assert sampler.sample([3], 1, dp_rank=1, batch_index=1, **WHERE)[0] == [3]
    assert sampler._balanced_cache == {"p": {}}
    sampler.clear_cache("p")
    assert (sampler._balanced_cache, sampler._states) == ({}, {})


def test_seqlen_gives_nothing_for_a_rank_that_there_is_not_or_too_few_groups():
    sampler = SeqlenBalancedSampler(2, 2)
    assert sampler.sample(list(range(8)), 2, dp_rank=2, batch_index=0, **WHERE) == ([], [])
    assert sampler.sample([0, 1, 2], 2, dp_rank=0, batch_index=0, **WHERE) == ([], [])
    with pytest.raises(ValueError, match="must be a positive integer"):
        SeqlenBalancedSampler(dp_size=0)


# ---- the division ----------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 5).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.integers(0, 999), min_size=k, max_size=40)))
)
def test_parts_hold_every_sequence_once_and_none_is_empty(given_: tuple[int, list[int]]):
    k, lengths = given_
    parts = get_seqlen_balanced_partitions(lengths, k, equal_size=False)
    assert len(parts) == k
    assert all(parts)
    assert all(part == sorted(part) for part in parts)
    assert sorted(position for part in parts for position in part) == list(range(len(lengths)))


@given(st.integers(1, 5), st.integers(1, 8), st.data())
def test_even_shares_differ_by_no_more_than_the_weights(k: int, rounds: int, data: st.DataObject):
    weights = data.draw(st.lists(st.integers(0, 999), min_size=k * rounds, max_size=k * rounds))
    shares = karmarkar_karp(weights, k, equal_size=True)
    assert {len(share) for share in shares} == {rounds}
    sums = [sum(weights[position] for position in share) for share in shares]
    assert max(sums) - min(sums) <= max(weights) - min(weights)


def test_what_can_not_be_divided_is_refused():
    with pytest.raises(AssertionError, match="evenly"):
        karmarkar_karp([1, 2, 3], 2, equal_size=True)
    with pytest.raises(AssertionError, match="at least as many"):
        get_seqlen_balanced_partitions([1], 2, equal_size=False)
