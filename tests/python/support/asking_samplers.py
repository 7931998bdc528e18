"""Rows, and fetches that a sampler of the user's own answers."""

from __future__ import annotations

import time
from typing import Any

import psutil
import torch
from tensordict import TensorDict

from transferqueue import _session

PATIENCE_S = 60.0


def configuration(sampler: Any, *, polling: bool = False, timeout_s: float = 30.0, **arguments: Any) -> dict[str, Any]:
    return {
        "controller": {"sampler": sampler, "sampler_arguments": arguments, "polling_mode": polling},
        "transferqueue": {"sampler_timeout_s": timeout_s},
    }


def put(tq: Any, partition: str, count: int, tags: list[dict[str, Any]] | None = None, first: int = 0) -> list[int]:
    rows = TensorDict({"x": torch.arange(count)}, batch_size=count)
    keys = [f"k{first + i}" for i in range(count)]
    tq.kv_batch_put(keys, partition, rows, tags=tags)
    return tq.get_client().kv_retrieve_meta(keys, partition).global_indexes


def fetch(tq: Any, partition: str, rows: int, timeout_s: float = PATIENCE_S, **sampling: Any) -> list[int]:
    client = tq.get_client()
    meta = client.get_meta(
        ["x"], rows, partition, task_name="train", sampling_config=sampling or None, timeout_s=timeout_s
    )
    return meta.global_indexes


def children(name: str) -> list[psutil.Process]:
    """The keeper's children that run `name` now; one that has just ended is none."""
    keeper = psutil.Process(_session.session().ready["keeper_pid"])
    return [child for child in keeper.children() if name in _command(child)]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie too
        return ""


def expect(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
