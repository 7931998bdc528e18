"""Functions of workers that get columns and give columns, between metadata that travels."""

from __future__ import annotations

import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from tensordict import NonTensorData, TensorDict

import transfer_queue as tq
from support.trainer_bridge import BackgroundLoop, bridged, keys_of_meta, meta_of_keys

pytestmark = pytest.mark.usefixtures("tq")


@pytest.fixture
def background():
    loop = BackgroundLoop()
    yield loop
    loop.close()


def tokens(lengths: list[int], first: int = 0) -> torch.Tensor:
    rows = [torch.arange(first + n, first + n + length) for n, length in enumerate(lengths)]
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def put(partition: str, keys: list[str], lengths: list[int] | None = None) -> tq.KVBatchMeta:
    lengths = lengths or [n % 3 + 2 for n in range(len(keys))]
    columns = TensorDict({"input_ids": tokens(lengths), "number": torch.arange(len(keys))}, batch_size=len(keys))
    return tq.kv_batch_put(
        keys=keys, partition_id=partition, fields=columns, tags=[{"seq_len": length} for length in lengths]
    )


def test_a_function_gets_columns_and_what_it_makes_is_put(partition, background):
    batch = put(partition, ["a", "b", "c"], [2, 2, 2])
    batch.extra_info["temperature"] = 0.5

    @bridged(tq, background)
    def log_probs(worker, columns):
        assert columns["temperature"] == 0.5
        lengths = columns["input_ids"].offsets().diff()
        values = columns["input_ids"].values().float() * columns["temperature"]
        made = torch.nested.nested_tensor_from_jagged(values, columns["input_ids"].offsets())
        return TensorDict({"log_probs": made, "metrics": NonTensorData({"tokens": int(lengths.sum())})}, batch_size=3)

    done = log_probs(None, batch)
    assert (done.keys, done.tags, done.extra_info) == (batch.keys, batch.tags, {"metrics": {"tokens": 6}})
    assert done.fields == ["input_ids", "log_probs", "number"]
    got = tq.kv_batch_get(keys=["c", "a"], partition_id=partition, select_fields=["log_probs"])
    assert [row.tolist() for row in got["log_probs"].unbind()] == [[1.0, 1.5], [0.0, 0.5]]


def test_metrics_alone_are_not_put(partition, background):
    batch = put(partition, ["a", "b"])

    @bridged(tq, background)
    def update(worker, columns):
        return TensorDict({"metrics": NonTensorData({"loss": 1.0})}, batch_size=2)

    done = update(None, batch)
    assert done.extra_info == {"metrics": {"loss": 1.0}}
    assert done.fields == ["input_ids", "number"]


def test_many_threads_share_one_loop_and_leave_no_descriptors(partition, background):
    keys = [f"k{n}" for n in range(32)]
    batch = put(partition, keys)

    @bridged(tq, background)
    def double(worker, columns):
        return TensorDict({f"double_{worker}": 2 * columns["number"]}, batch_size=columns.batch_size)

    def call(worker: int) -> list[int]:
        part = batch.chunk(8)[worker % 8]
        done = double(worker % 4, part)
        got = tq.kv_batch_get(keys=done.keys, partition_id=partition, select_fields=[f"double_{worker % 4}"])
        assert done.keys == part.keys
        return got[f"double_{worker % 4}"].tolist()

    with ThreadPoolExecutor(8) as threads:
        first = list(threads.map(call, range(8)))
        gc.collect()
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(8):
            assert list(threads.map(call, range(8))) == first
        gc.collect()
        # 64 calls. The pool may have grown up to a connection for each thread that called at the same time.
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 8
    assert [number for part in first for number in part] == [2 * n for n in range(32)]


def test_a_batch_is_divided_once_and_all_ranks_but_one_per_share_give_nothing(partition, background):
    keys = [f"k{n}" for n in range(10)]
    batch = put(partition, keys)
    meta = background.run(meta_of_keys(tq, batch))
    shares = [pickle.dumps(share) for share in meta.chunk(chunks=4)]
    barrier = threading.Barrier(8)

    @bridged(tq, background, collects=lambda rank: rank % 2 == 0)
    def values(rank, columns):
        barrier.wait(60)
        return TensorDict(
            {"values": columns["number"].float() + 0.5, "metrics": NonTensorData({"rank": rank})},
            batch_size=columns.batch_size,
        )

    def run(rank: int) -> bytes:
        return pickle.dumps(values(rank, pickle.loads(shares[rank // 2])))

    with ThreadPoolExecutor(8) as threads:
        outputs = [pickle.loads(output) for output in threads.map(run, range(8))]
    assert [output.size for output in outputs] == [3, 0, 3, 0, 2, 0, 2, 0]
    assert [output.extra_info for output in outputs[::2]] == [{"metrics": {"rank": rank}} for rank in (0, 2, 4, 6)]
    for output in outputs:
        output.extra_info = {}
    whole = tq.BatchMeta.concat(outputs)
    done = background.run(keys_of_meta(tq, whole))
    assert done.keys == keys
    got = tq.kv_batch_get(keys=keys, partition_id=partition, select_fields=["values"])
    assert got["values"].tolist() == [n + 0.5 for n in range(10)]


def test_a_batch_without_rows_travels_and_is_left_out(partition, background):
    batch = background.run(meta_of_keys(tq, put(partition, ["a", "b"])))
    empty = pickle.loads(pickle.dumps(tq.BatchMeta()))
    assert (empty.size, len(empty), empty.global_indexes, empty.is_ready) == (0, 0, [], False)
    assert tq.BatchMeta.concat([empty, batch, empty]).global_indexes == batch.global_indexes
    assert tq.BatchMeta.concat([empty, empty]).size == 0
    assert background.run(tq.get_client().async_get_data(empty)).batch_size[0] == 0
    assert [share.size for share in empty.chunk(chunks=2)] == [0, 0]
    with pytest.raises(ValueError, match="metadata cannot be none or empty"):
        background.run(tq.get_client().async_put(data=TensorDict({}, batch_size=0), metadata=empty))


def test_a_function_that_fails_costs_its_caller_alone(partition, background):
    batch = put(partition, ["a", "b"])

    @bridged(tq, background)
    def sometimes(worker, columns):
        if worker:
            raise ArithmeticError("worker 1")
        return TensorDict({"fine": columns["number"]}, batch_size=2)

    with ThreadPoolExecutor(2) as threads:
        fine, failed = threads.submit(sometimes, 0, batch), threads.submit(sometimes, 1, batch)
        assert "fine" in fine.result(60).fields
        with pytest.raises(ArithmeticError):
            failed.result(60)


def test_functions_of_the_package_can_be_replaced_where_they_are_read(monkeypatch, partition):
    monkeypatch.setattr(tq, "kv_list", lambda partition_id=None: {"replaced": {}})
    assert tq.kv_list() == {"replaced": {}}
    monkeypatch.undo()
    put(partition, ["a", "b"])
    assert list(tq.kv_list(partition)[partition]) == ["a", "b"]
