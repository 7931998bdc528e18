"""A dataset without workers: what it gives, when it waits, when it ends, where it goes on."""

import gc
import json
import logging
import threading

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict

from support.shared_memory import counted
from support.sidecars import expect
from support.streams import FIELDS, check, flat, make, numbers_of, put, put_later
from transferqueue import BatchMeta, StreamingDataLoader, StreamingDataset
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, StaleBatchError
from transferqueue.streaming import default_fetch_batch_fn


def test_a_drained_stream_gives_every_row_once_and_ends(tq, partition):
    put(partition, range(10))
    assert numbers_of(make(partition, batch_size=5, micro_batch_size=2)) == [[0, 1], [2, 3], [4], [5, 6], [7, 8], [9]]
    assert tq.get_client().check_consumption_status("train", partition)


def test_another_task_gets_the_rows_too(tq, partition):
    put(partition, range(4))
    assert numbers_of(make(partition)) == numbers_of(make(partition, task_name="critic")) == [[0, 1], [2, 3]]


def test_an_endless_stream_waits_for_rows_and_goes_on_after_a_drained_partition(tq, partition):
    stream = iter(make(partition, should_check_consumption_status=False))
    later = put_later(partition, range(4))
    got = [check(*next(stream)) for _ in range(2)]
    later.join()
    later = put_later(partition, range(4, 8))
    got += [check(*next(stream)) for _ in range(2)]
    later.join()
    assert flat(got) == list(range(8))


def test_a_drained_stream_waits_for_a_partition_that_is_not_there_yet(tq, partition):
    later = put_later(partition, range(4))
    assert flat(numbers_of(make(partition))) == [0, 1, 2, 3]
    later.join()


def test_a_stream_ends_when_the_rows_that_it_saw_are_cleared(tq, partition):
    put(partition, range(6))  # one batch, and two rows that make none
    stream = iter(make(partition))
    assert [check(*next(stream)) for _ in range(2)] == [[0, 1], [2, 3]]
    tq.get_client().clear_partition(partition)
    with pytest.raises(StopIteration):
        next(stream)


def test_rows_that_make_no_batch_are_warned_of_once(tq, partition, caplog):
    put(partition, range(6))
    caplog.set_level(logging.WARNING, "transferqueue.streaming")
    warned = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: warned.set()
    logging.getLogger("transferqueue.streaming").addHandler(handler)
    try:
        thread = threading.Thread(target=lambda: (warned.wait(60), put(partition, range(6, 8))))
        thread.start()
        assert flat(numbers_of(make(partition))) == list(range(8))
        thread.join()
    finally:
        logging.getLogger("transferqueue.streaming").removeHandler(handler)
    assert [record.getMessage() for record in caplog.records] == [
        f"task 'train', rank 0: 2 of the 6 rows in partition {partition!r} are not consumed, fewer than a batch (4); the "
        "stream waits for more; choose a batch size that divides the rows, or leave the iteration"
    ]


def test_a_new_iteration_goes_on_after_what_was_delivered_and_ends_the_one_before(tq, partition):
    put(partition, range(12))
    dataset = make(partition, batch_size=6)
    first = iter(dataset)
    assert check(*next(first)) == [0, 1]
    second = iter(dataset)
    assert check(*next(second)) == [2, 3]
    assert list(first) == []
    assert dataset.batch_index == 1
    assert numbers_of(StreamingDataLoader(dataset)) == [[4, 5], [6, 7], [8, 9], [10, 11]]
    assert dataset.batch_index == 2


def test_reset_gives_the_same_batches_again_then_new_ones(tq, partition):
    put(partition, range(8))
    dataset = make(partition)
    loader = StreamingDataLoader(dataset)
    first = numbers_of(loader)
    loader.reset()
    put(partition, range(8, 12))
    assert numbers_of(loader) == [*first, [8, 9], [10, 11]]
    assert dataset.batch_index == 3


def test_reset_gives_batches_again_whose_rows_are_cleared(tq, partition):
    put(partition, range(8))
    loader = StreamingDataLoader(make(partition, should_check_consumption_status=False))
    stream = iter(loader)
    first = [check(*next(stream)) for _ in range(4)]
    tq.get_client().clear_partition(partition)
    loader.reset()
    assert [next(stream)[0]["number"].tolist() for _ in range(4)] == first
    assert [meta.size for _, meta in loader.get_buffer()] == [4, 4]


def test_columns_beyond_the_buffer_are_read_again_and_missed_once_they_are_cleared(tq, partition):
    put(partition, range(12))
    dataset = make(partition, buffer_bytes=100)
    first = numbers_of(dataset)
    assert dataset.buffer == []
    dataset.reset()
    assert numbers_of(dataset) == first
    tq.kv_clear(["0"], partition)
    dataset.reset()
    with pytest.raises(StaleBatchError):
        next(iter(dataset))


def test_the_buffer_holds_the_latest_batches_within_its_bytes(tq, partition):
    put(partition, range(12))
    one = (4 + sum(n % 4 + 1 for n in range(4))) * 8
    dataset = make(partition, buffer_bytes=2 * one)
    numbers_of(dataset)
    assert [td["number"].tolist() for td, _ in dataset.buffer] == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert dataset._replay.held_bytes == 2 * one


def test_step_goes_to_another_partition_and_forgets_the_batches(tq, partition):
    put(partition, range(4))
    put(f"{partition}-2", range(20, 28))
    loader = StreamingDataLoader(make(partition, should_check_consumption_status=False))
    stream = iter(loader)
    assert check(*next(stream)) == [0, 1]
    loader.step(f"{partition}-2")
    assert [check(*next(stream)) for _ in range(2)] == [[20, 21], [22, 23]]
    assert loader.dataset.partition_id == f"{partition}-2"
    assert [td["number"].tolist() for td, _ in loader.get_buffer()] == [[20, 21, 22, 23]]
    loader.reset()
    assert check(*next(stream)) == [20, 21]


# ---- going on elsewhere ----


def test_loading_a_state_ends_the_iteration(tq, partition):
    put(partition, range(8))
    dataset = make(partition)
    stream = iter(dataset)
    state = dataset.state_dict()
    assert check(*next(stream)) == [0, 1]
    dataset.load_state_dict(state)
    assert list(stream) == []
    assert numbers_of(dataset) == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"task_name": "other"},
        {"dp_rank": 1},
        {"places": []},
        {"places": [[0]]},
        {"places": [[-1, 0]]},
        {"partition_id": None},
        {"begun": {"0": "AAAA"}},
        {"begun": None},
    ],
)
def test_a_state_that_is_not_ones_own_is_refused_and_nothing_is_changed(tq, partition, wrong):
    put(partition, range(8))
    dataset = make(partition)
    stream = iter(dataset)
    check(*next(stream))
    before = dataset.state_dict()
    with pytest.raises(InvalidArgumentError, match="state_dict"):
        dataset.load_state_dict(before | wrong)
    with pytest.raises(InvalidArgumentError, match="state_dict"):
        dataset.load_state_dict({})
    assert dataset.state_dict() == before
    assert check(*next(stream)) == [2, 3]


# ---- functions of one's own ----


def test_a_fetch_of_ones_own_gets_what_the_default_gets(tq, partition):
    put(partition, range(4))
    asked = []

    def fetch(tq_client, data_fields, batch_size, partition_id, task_name, sampling_config, batch_index):
        asked.append((batch_size, partition_id, task_name, sampling_config, batch_index))
        given = default_fetch_batch_fn(
            tq_client, data_fields, batch_size, partition_id, task_name, sampling_config, batch_index
        )
        assert isinstance(given[1], BatchMeta)
        return given

    assert flat(numbers_of(make(partition, dp_rank=3, fetch_batch_fn=fetch))) == [0, 1, 2, 3]
    sampling = {"dp_rank": 3, "task_name": "train", "batch_index": 0, "partition_id": partition}
    assert asked[0] == (4, partition, "train", sampling, 0)
    assert {config["batch_index"] for *_, config, _ in asked} == {0, 1}


def test_a_processing_of_ones_own_gives_what_it_likes(tq, partition):
    put(partition, range(8))

    def process(data_dict, batch_meta, micro_batch_size):
        for start in range(0, batch_meta.size, micro_batch_size):
            yield {"sum": int(data_dict["number"][start : start + micro_batch_size].sum())}, batch_meta

    pairs = list(make(partition, process_batch_fn=process))
    assert [given["sum"] for given, _ in pairs] == [1, 5, 9, 13]


def test_an_error_of_a_fetch_reaches_the_consumer_and_the_next_iteration_goes_on(tq, partition):
    put(partition, range(8))
    broken = [True]

    def fetch(**asked):
        if asked["batch_index"] == 1 and broken:
            raise LookupError("not now")
        return default_fetch_batch_fn(**asked)

    dataset = make(partition, fetch_batch_fn=fetch)
    stream = iter(dataset)
    assert [check(*next(stream)) for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(LookupError, match="not now"):
        next(stream)
    broken.clear()
    assert numbers_of(dataset) == [[4, 5], [6, 7]]


# ---- arguments ----

RIGHT = {
    "config": None,
    "batch_size": 4,
    "micro_batch_size": 2,
    "data_fields": FIELDS,
    "partition_id": "p",
    "task_name": "train",
    "dp_rank": 0,
}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"batch_size": 0}, "batch_size: 0 given; give at least 1"),
        ({"micro_batch_size": 0}, "micro_batch_size: 0 given"),
        ({"dp_rank": -1}, "dp_rank: -1 given"),
        ({"buffer_bytes": -1}, "buffer_bytes: -1 given"),
        ({"data_fields": []}, r"data_fields: \[\] given"),
        ({"data_fields": "number"}, "data_fields: 'number' given"),
        ({"partition_id": "p" * 5000}, "partition_id: 5000 bytes"),
    ],
)
def test_wrong_arguments_are_refused_at_once(wrong, says):
    with pytest.raises(ValueError, match=says):
        StreamingDataset(**(RIGHT | wrong))


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 2.5}, {"micro_batch_size": "2"}, {"dp_rank": True}, {"dp_rank": None}]
)
def test_what_should_be_a_whole_number_and_is_none_is_refused_at_once(wrong):
    with pytest.raises(InvalidTypeError, match="; give an int of at least"):
        StreamingDataset(**(RIGHT | wrong))


def test_whole_numbers_may_be_numpys():
    dataset = StreamingDataset(**(RIGHT | {"batch_size": np.int64(8), "dp_rank": np.int32(1)}))
    assert (dataset.batch_size, dataset.dp_rank) == (8, 1)
    assert json.loads(json.dumps(dataset.state_dict()))["dp_rank"] == 1


def test_a_config_that_is_none_is_refused_and_so_is_a_loader_without_a_dataset():
    with pytest.raises(TypeError, match="config: 'unix:///x' is a str; give a dict"):
        make("p", config="unix:///x")
    with pytest.raises(TypeError, match="dataset: list given"):
        StreamingDataLoader([1])


def test_the_longest_pause_comes_from_the_peers_variable(tq, partition, monkeypatch):
    put(partition, range(4))
    monkeypatch.setenv("TQ_STREAMING_DATASET_EMPTY_BATCH_SLEEP_INTERVAL", "0.05")
    assert flat(numbers_of(make(partition))) == [0, 1, 2, 3]
    monkeypatch.setenv("TQ_STREAMING_DATASET_EMPTY_BATCH_SLEEP_INTERVAL", "soon")
    with pytest.raises(ValueError, match="'soon' given; it must be seconds > 0"):
        next(iter(make(partition)))


@pytest.mark.parametrize("kind", [dict, OmegaConf.create])
def test_a_configuration_tells_a_process_that_is_not_attached_where_the_queue_is(tq, partition, kind):
    from transferqueue import _session
    from transferqueue.streaming.queue_link import QueueLink

    address = _session.find().address
    for conf in (
        {"transferqueue": {"address": address, "timeout_s": 7.0}},
        {"controller": {"zmq_info": address, "sampler": "RankAwareSampler"}, "transferqueue": {"timeout_s": 7.0}},
    ):
        link = QueueLink.read(kind(conf))
        assert (link.sidecar.address, link.sidecar.timeout_s) == (address, 7.0)
    put(partition, range(4))
    assert flat(numbers_of(make(partition, config=kind(conf)))) == [0, 1, 2, 3]


# Last, since rows are put in the order of their indexes only as long as indexes are given back in order.
def test_columns_are_let_go_with_the_iteration_and_the_buffer(tq, partition):
    rows = 64
    big = TensorDict({"x": torch.ones(rows, 16384)}, batch_size=rows)  # 4 MiB, so a batch is a view under a lease
    tq.kv_batch_put([str(n) for n in range(rows)], partition, big)
    dataset = StreamingDataset(None, 32, 8, ["x"], partition, "train", 0, buffer_bytes=3 << 20)
    stream = iter(StreamingDataLoader(dataset))
    for _ in range(5):
        next(stream)
    assert counted(tq)["client_leases"] >= 1
    stream = None
    dataset.step("elsewhere")
    for name in tq.get_client().get_partition_list():
        tq.get_client().clear_partition(name)
    gc.collect()
    expect(lambda: not any(counted(tq).values()), lambda: str(counted(tq)), patience_s=20)
