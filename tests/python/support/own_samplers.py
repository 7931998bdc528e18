"""Samplers of a user's own, good and bad. Without torch: they are loaded by a process that has none."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

from transferqueue.sampler import BaseSampler, RankAwareSampler

PATIENCE_S = 60.0


class LastRows(BaseSampler):
    """The last ready rows, last first; a mishap on request.

    Parameters
    ----------
    factor
        So many times the rows asked for.
    """

    def __init__(self, factor: int = 1) -> None:
        super().__init__()
        self.factor = factor

    def sample(self, ready_indexes: list[int], batch_size: int, *args: Any, **kwargs: Any) -> Any:
        mishap = kwargs.get("mishap")
        if mishap is not None:
            MISHAPS[mishap](ready_indexes, kwargs)
        if "returns" in kwargs:
            return kwargs["returns"]
        rows = ready_indexes[-batch_size * self.factor :][::-1]
        return rows, rows


class Counting(BaseSampler):
    """Draws with replacement, consumes the first row only, and remembers how often it was asked, by partition."""

    def sample(self, ready_indexes: list[int], batch_size: int, *args: Any, **kwargs: Any) -> Any:
        partition = kwargs["partition"].partition_id
        self._states[partition] = self._states.get(partition, 0) + 1
        return [ready_indexes[0]] * self._states[partition], ready_indexes[:1]


class Longest(BaseSampler):
    """The rows with the highest number in their tag."""

    def sample(self, ready_indexes: list[int], batch_size: int, *args: Any, **kwargs: Any) -> Any:
        tags = kwargs["partition"].get_custom_meta(ready_indexes)
        rows = sorted(ready_indexes, key=lambda row: -tags[row].get("length", 0))[:batch_size]
        return rows, rows


class OwnRankAware(RankAwareSampler):
    """One of ours, derived from: runs as the user's own."""


class Sulking(BaseSampler):
    """Can't be made."""

    def __init__(self) -> None:
        raise OSError("no weights here")

    def sample(self, ready_indexes: list[int], batch_size: int, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError


class Unpicklable(LastRows):
    """Holds what no other process can have."""

    def __init__(self) -> None:
        super().__init__()
        self.file = Path("/dev/null").open("rb")  # noqa: SIM115


def loop(*_: Any) -> None:
    while True:
        pass


def tell_modules(*_: Any) -> None:
    raise RuntimeError(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))


def tell_pid(*_: Any) -> None:
    raise RuntimeError(f"pid {os.getpid()}")


def tell_statuses(ready: list[int], kwargs: dict[str, Any]) -> None:
    view = kwargs["partition"]
    rows, consumed = view.get_consumption_status("train")
    _, produced = view.get_production_status_for_fields(["x", "y"])
    raise RuntimeError(f"{rows.tolist()} {consumed.tolist()} {produced.tolist()}")


def wait_for_word(ready: Any, kwargs: dict[str, Any]) -> None:
    """Say in a file what was offered, or is asked, and go on when another one is there."""
    folder = Path(kwargs["folder"])
    with (folder / "offered").open("a") as offered:
        offered.write(f"{ready}\n")
    deadline = time.monotonic() + PATIENCE_S
    while not (folder / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.005)


MISHAPS = {
    "raise": lambda *_: {}["no such key"],
    "exit": lambda *_: sys.exit("enough"),
    "end": lambda *_: os._exit(3),
    "crash": lambda *_: ctypes.string_at(0),
    "loop": loop,
    # A call that keeps the GIL: no Python thread of the process runs any more.
    "hang": lambda *_: ctypes.PyDLL(None).pause(),
    "wait": wait_for_word,
    "modules": tell_modules,
    "pid": tell_pid,
    "statuses": tell_statuses,
}
