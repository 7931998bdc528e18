"""Streams with each of the samplers, and in a queue whose fetches wait."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from queue_fixtures import running_queue

from support.streams import check, flat, make, numbers_of, put, put_later

SAMPLERS = [
    ("SequentialSampler", {}),
    ("GRPOGroupNSampler", {"n_samples_per_prompt": 4}),
    ("RankAwareSampler", {}),
    ("SeqlenBalancedSampler", {"n_samples_per_prompt": 2, "dp_size": 2}),
]


@pytest.mark.parametrize("polling", [True, False], ids=["polling", "waiting"])
@pytest.mark.parametrize(("sampler", "arguments"), SAMPLERS, ids=[name for name, _ in SAMPLERS])
def test_two_ranks_get_all_rows_once_between_them(sampler, arguments, polling):
    conf = {"controller": {"sampler": sampler, "sampler_arguments": arguments, "polling_mode": polling}}
    with running_queue(conf):
        tags = [{"total_lengths": 10 + n} for n in range(24)]
        put("train", range(24), tags)
        with ThreadPoolExecutor(2) as threads:  # a rank ends when both have all that is theirs
            got = list(threads.map(lambda rank: flat(numbers_of(make("train", dp_rank=rank))), (0, 1)))
        assert sorted(got[0] + got[1]) == list(range(24))
        if sampler == "SeqlenBalancedSampler":
            assert len(got[0]) == len(got[1]) == 12


def test_a_stream_whose_fetches_wait_is_woken_by_the_rows_that_complete_its_batch():
    with running_queue({"controller": {"sampler": "RankAwareSampler"}}):
        put("train", range(2))
        later = put_later("train", range(2, 8))
        assert flat(numbers_of(make("train"))) == list(range(8))
        later.join()


def test_siblings_of_a_rank_get_the_same_batches_also_after_all_rows_are_consumed():
    with running_queue({"controller": {"sampler": "RankAwareSampler", "polling_mode": True}}) as tq:
        put("train", range(12))
        first = numbers_of(make("train"))
        assert tq.get_client().check_consumption_status("train", "train")
        assert numbers_of(make("train")) == first


def test_a_state_is_gone_on_with_in_the_middle_of_a_batch():
    with running_queue({"controller": {"polling_mode": True}}):  # Sequential: nothing gives the rows a second time
        put("train", range(12))
        one = make("train", batch_size=6)
        stream = iter(one)
        assert [check(*next(stream)) for _ in range(4)] == [[0, 1], [2, 3], [4, 5], [6, 7]]
        state = one.state_dict()
        other = make("somewhere", batch_size=6)
        other.load_state_dict(pickle.loads(pickle.dumps(state)))
        assert numbers_of(other) == [[8, 9], [10, 11]]
        # with tools that know plain values only
        assert set(map(type, state.values())) <= {int, str, list, dict}
