"""Requests and copies of a put and of a get of an RL batch, whatever the number of its rows: counted by both sides."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tensordict import TensorDict

from support.shared_memory import client_counts
from transferqueue.bench import batches

#: From so many bytes on a column is placed.
PLACED_BYTES = 64 << 10
CORE = ("bytes_loaned", "bytes_viewed", "bytes_gathered", "requests", "frames_sent", "runs_read")


def placed_frames(data: TensorDict) -> dict[str, int]:
    """Bytes of the frames that are placed: values, before them offsets that are padded to a multiple of 64 bytes."""
    head = -(-(len(data) + 1) * 8 // 64) * 64
    sizes = {}
    for name in data.keys():  # noqa: SIM118 - a TensorDict iterates over rows
        column = data.get(name)
        if not isinstance(column, torch.Tensor):
            sizes[name] = head + sum(
                len(str(row)) for row in column.tolist()
            )  # of objects a guess, too small to matter
        else:
            sizes[name] = head + column.values().nbytes if column.is_nested else column.nbytes
    return {name: size for name, size in sizes.items() if size >= PLACED_BYTES}


class Core:
    """What the core has done since the last question, without the question."""

    def __init__(self, tq: ModuleType) -> None:
        self.client = tq.get_client()
        self.before = self.client.stats()

    def since(self) -> dict[str, int]:
        now, before = self.client.stats(), self.before
        self.before = now
        return {name: now[name] - before[name] - (name == "requests") for name in CORE}


@pytest.mark.parametrize("rows", [128, 512])
def test_an_rl_batch_is_two_requests_and_one_copy_in_and_one_request_and_no_copy_out(tq, partition, rows):
    data, keys = batches.trajectories(rows), batches.keys_of(rows)
    large = placed_frames(data)
    assert large.keys() >= batches.TRAJECTORY_COLUMNS.keys()
    placed = sum(large.values())
    tq.kv_batch_put(keys, "warm", data)  # the first put asks for the memory's files
    core = Core(tq)

    with client_counts() as mine:
        tq.kv_batch_put(keys, partition, data)
    assert (mine["client_requests"], mine["frames_placed"], mine["bytes_copied"]) == (2, len(large), placed)
    theirs = core.since()
    assert (theirs["requests"], theirs["bytes_loaned"]) == (2, placed)

    with client_counts() as mine:
        got = tq.kv_batch_get(keys, partition)
    assert (mine["client_requests"], mine["bytes_copied"]) == (1, 0)
    assert (mine["frames_viewed"], mine["bytes_viewed"]) == (len(large), placed)
    theirs = core.since()
    assert (theirs["requests"], theirs["bytes_gathered"], theirs["bytes_viewed"]) == (1, 0, placed)
    assert theirs["runs_read"] == len(data.keys())
    del got


@pytest.mark.parametrize("rows", [128, 512])
def test_shuffled_rows_are_copied_once_by_the_core_and_not_by_the_reader(tq, partition, rows):
    data, keys = batches.trajectories(rows), batches.keys_of(rows)
    tq.kv_batch_put(keys, partition, data)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(1)).tolist()
    core = Core(tq)
    with client_counts() as mine:
        got = tq.kv_batch_get([keys[row] for row in order], partition)
    theirs = core.since()
    assert (mine["client_requests"], theirs["requests"], mine["bytes_copied"]) == (1, 1, 0)
    assert theirs["bytes_viewed"] == 0
    assert theirs["bytes_gathered"] == mine["bytes_viewed"] == sum(placed_frames(data).values())
    del got


@pytest.mark.parametrize("rows", [1, 64, 1024])
def test_a_small_batch_is_one_request_in_and_one_out(tq, partition, rows):
    keys, data = batches.keys_of(rows), TensorDict({"x": torch.zeros(rows), "y": torch.zeros(rows, 3)}, batch_size=rows)
    with client_counts() as mine:
        tq.kv_batch_put(keys, partition, data)
        tq.kv_batch_get(keys, partition)
    assert (mine["client_requests"], mine["frames_placed"], mine["frames_viewed"]) == (2, 0, 0)
