"""Queues, rows and functions for the tests of streams; the functions are at home here so that workers can import them."""

from __future__ import annotations

import os
import threading
from typing import Any

import torch
from tensordict import NonTensorStack, TensorDict

import transferqueue
from transferqueue.streaming import StreamingDataset, default_fetch_batch_fn

FIELDS = ["number", "tokens", "text"]
POLLING = {"controller": {"polling_mode": True}}


def length_of(number: int) -> int:
    return number % 4 + 1


def columns(numbers: list[int]) -> TensorDict:
    """One row per number; what is in it follows from the number."""
    tokens = [torch.full((length_of(n),), n) for n in numbers]
    return TensorDict(
        {
            "number": torch.tensor(numbers),
            "tokens": torch.nested.as_nested_tensor(tokens, layout=torch.jagged),
            "text": NonTensorStack(*[f"row {n}" for n in numbers]),
        },
        batch_size=len(numbers),
    )


def put(partition: str, numbers: range | list[int], tags: list[dict[str, Any]] | None = None) -> None:
    """Put a row per number, with the number as its key."""
    numbers = list(numbers)
    transferqueue.kv_batch_put([str(n) for n in numbers], partition, columns(numbers), tags=tags)


def put_later(partition: str, numbers: range, after_s: float = 0.3) -> threading.Timer:
    timer = threading.Timer(after_s, put, (partition, numbers))
    timer.start()
    return timer


def check(td: TensorDict, meta: Any) -> list[int]:
    """The numbers of a micro-batch, after its rows and its metadata were found to be the same rows, in all columns."""
    numbers = td["number"].tolist()
    assert td.batch_size[0] == meta.size == len(numbers)
    assert [t.tolist() for t in td["tokens"].unbind()] == [[n] * length_of(n) for n in numbers]
    assert td.get("text").tolist() == [f"row {n}" for n in numbers]
    assert meta.field_names == sorted(FIELDS)
    keys = transferqueue.get_client().kv_retrieve_keys(meta.global_indexes, meta.partition_ids[0])
    assert keys in ([str(n) for n in numbers], [None] * len(numbers))  # cleared meanwhile: nobody knows them
    return numbers


def numbers_of(stream: Any) -> list[list[int]]:
    """What a stream gives until it ends."""
    return [check(td, meta) for td, meta in stream]


def flat(batches: list[list[int]]) -> list[int]:
    return [n for batch in batches for n in batch]


def make(partition: str, batch_size: int = 4, micro_batch_size: int = 2, **options: Any) -> StreamingDataset:
    """A dataset that ends when all rows are consumed."""
    options = {"config": None, "task_name": "train", "dp_rank": 0, "should_check_consumption_status": True} | options
    return StreamingDataset(
        batch_size=batch_size,
        micro_batch_size=micro_batch_size,
        data_fields=FIELDS,
        partition_id=partition,
        **options,
    )


# ---- for workers ----


def pid_of(pair: Any) -> tuple[int, list[int]]:
    """A collate_fn: which process made the micro-batch, and the numbers in it."""
    return os.getpid(), pair[0]["number"].tolist()


def failing_fetch(**asked: Any) -> Any:
    """A fetch_batch_fn that breaks at its second batch."""
    if asked["batch_index"]:
        raise LookupError(f"batch {asked['batch_index']} is not to my taste")
    return default_fetch_batch_fn(**asked)
