"""What the parent sees of a run: it lists tags in the queue, fetches no column, and needs no torch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import transferqueue as tq
from transferqueue.demo.settings import CURVE, PROGRESS, ROLES, ROLLOUTS

#: Seconds over which rates are averaged.
WINDOW_S = 3.0

Tags = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Point:
    """An evaluation. Steps of the warm start are negative and end at 0, where GRPO begins."""

    phase: str
    step: int
    accuracy: float
    time: float
    questions: int = 0
    reward: float | None = None
    kl: float | None = None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Figures of one moment.

    Attributes
    ----------
    phase : str
        "starting", "warm start" or "GRPO".
    ready : int
        Processes that are attached to the queue.
    done, waiting : dict of str to int
        By role: rows that are through it; rows that could go through it now ("in flight").
    rows, transferred_bytes : int
        Put and got by all processes so far.
    rows_per_s, bytes_per_s : float
        Over the last seconds.
    example : str
        One of the last answers with its question; empty before the first.
    """

    phase: str = "starting"
    ready: int = 0
    step: int = 0
    accuracy: float = 0.0
    reward: float | None = None
    kl: float | None = None
    done: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    transferred_bytes: int = 0
    rows_per_s: float = 0.0
    bytes_per_s: float = 0.0
    example: str = ""
    example_is_right: bool = False
    points: tuple[Point, ...] = ()


class Watch:
    """Takes snapshots and knows the rates between them."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque()

    def look(self) -> Snapshot:
        """The figures of now: one listing of the queue."""
        listing = tq.kv_list()
        return self._snapshot(listing.get(PROGRESS, {}), listing.get(CURVE, {}))

    def _snapshot(self, progress: Tags, curve: Tags) -> Snapshot:
        trainer, reward = progress.get("trainer", {}), progress.get("reward", {})
        rows = sum(int(tag.get("rows", 0)) for tag in progress.values())
        transferred = sum(int(tag.get("bytes", 0)) for tag in progress.values())
        rows_per_s, bytes_per_s = self._rates(rows, transferred)
        done = {role: int(progress.get(role, {}).get("done", 0)) for role in ROLES}
        return Snapshot(
            phase=trainer.get("phase", "starting"),
            ready=len(progress),
            step=trainer.get("step", 0),
            accuracy=trainer.get("accuracy", 0.0),
            reward=trainer.get("reward"),
            kl=trainer.get("kl"),
            done=done,
            waiting=in_flight(int(trainer.get("asked", 0)), done),
            rows=rows,
            transferred_bytes=transferred,
            rows_per_s=rows_per_s,
            bytes_per_s=bytes_per_s,
            example=reward.get("example", ""),
            example_is_right=reward.get("example_reward", 0.0) == 1.0,
            points=tuple(Point(**tag) for tag in curve.values()),
        )

    def _rates(self, rows: int, transferred: int) -> tuple[float, float]:
        now = time.monotonic()
        self._samples.append((now, rows, transferred))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW_S:
            self._samples.popleft()
        first = self._samples[0]
        span = now - first[0]
        return ((rows - first[1]) / span, (transferred - first[2]) / span) if span > 0 else (0.0, 0.0)


def in_flight(asked: int, done: Mapping[str, int]) -> dict[str, int]:
    """Rows that wait for a stage or are in it: through the stage before, not yet through this one."""
    answered = sum(done[role] for role in ROLLOUTS)
    complete = min(done["reward"], done["reference"])
    waiting = {
        "rollout": asked - answered,
        "reward": answered - done["reward"],
        "reference": answered - done["reference"],
        "trainer": complete - done["trainer"],
    }
    # The stages report one after the other, so a difference may be off for a moment.
    return {stage: max(rows, 0) for stage, rows in waiting.items()}
