"""A program of a user, for mypy --strict: every call has the type that is asserted, and none is Any. It is never run."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
import torch
from tensordict import TensorDict

import transferqueue as tq
from transferqueue import Batch, BatchMeta, KVBatchMeta, Loan, TransferQueueClient
from transferqueue.legacy import LegacyBatchMeta, SampleMeta


class EveryOther(tq.BaseSampler):
    def sample(
        self, ready_indexes: list[int], batch_size: int, *args: Any, **kwargs: Any
    ) -> tuple[list[int], list[int]]:
        picked = ready_indexes[::2][:batch_size]
        return picked, picked


def by_key() -> None:
    tq.init()
    assert_type(tq.init({"transferqueue": {"capacity_bytes": 2**30}}), dict[str, dict[str, int]])
    columns = TensorDict({"x": torch.zeros(2, 3)}, batch_size=2)
    assert_type(tq.kv_put("a", "p", {"x": torch.zeros(3)}, tag={"n": 1}), KVBatchMeta)
    meta = tq.kv_batch_put(keys=["a", "b"], partition_id="p", fields=columns, tags=[{}, {"n": 1}])
    assert_type(meta, KVBatchMeta)
    assert_type(meta.keys, list[str])
    assert_type(meta.tags, list[dict[str, Any]])
    assert_type(meta.chunk(2), list[KVBatchMeta])
    assert_type(tq.kv_batch_get(meta.keys, "p", select_fields=["x"]), TensorDict)
    assert_type(tq.kv_batch_get_by_meta(meta), TensorDict)
    assert_type(tq.kv_list("p"), dict[str, dict[str, Any]])
    assert_type(tq.batch("p", keys=["a"])[0:1], Batch)
    assert_type(tq.batch("p", keys=["a"])[0], TensorDict)
    with tq.loan("p", ["a"], {"x": (torch.float32, (3,))}) as room:
        assert_type(room, Loan)
    tq.kv_clear(["a"], "p")
    tq.close()


async def by_key_as_coroutines() -> None:
    assert_type(await tq.async_kv_put("a", "p", tag={"n": 1}), KVBatchMeta)
    assert_type(await tq.async_kv_batch_get("a", "p"), TensorDict)
    assert_type(await tq.async_kv_list(), dict[str, dict[str, Any]])


def by_task() -> None:
    client = tq.get_client()
    assert_type(client, TransferQueueClient)
    made = client.put(TensorDict({"x": torch.zeros(2)}, batch_size=2), partition_id="p")
    assert_type(made, BatchMeta)
    assert_type(client.get_meta(["x"], 2, "p", task_name="t", timeout_s=1.0), BatchMeta)
    assert_type(client.get_data(made), TensorDict)
    assert_type(client.get_consumption_status("t", "p"), tuple[torch.Tensor | None, torch.Tensor | None])
    assert_type(client.check_production_status(["x"], "p"), bool)
    assert_type(client.get_partition_list(), list[str])
    assert_type(client.kv_retrieve_keys(made.global_indexes, "p"), list[str | None])
    assert_type(made.chunk(2), list[BatchMeta])
    assert_type(made.get_dtypes("x"), torch.dtype | None)
    assert_type(made.get_row_shape("x", 0), tuple[int, ...] | None)
    assert_type(made.production_status, np.ndarray[Any, np.dtype[np.int8]])


def by_row(meta: BatchMeta) -> None:
    assert_type(LegacyBatchMeta(meta).samples, list[SampleMeta])
    assert_type(LegacyBatchMeta(meta).columnar, BatchMeta)


def fetch() -> TensorDict | None:
    try:
        return tq.kv_batch_get("a", "p")
    except tq.errors.StaleBatchError as stale:
        assert_type(stale, tq.errors.StaleBatchError)
        return None


# Wrong calls are told, each once; mypy says so if one is not.
tq.kv_put(1, "p")  # type: ignore[arg-type]
tq.kv_batch_get(keys=["a"])  # type: ignore[call-arg]
tq.no_such_call()  # type: ignore[attr-defined]
