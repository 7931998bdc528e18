"""Timed repetitions and what is told about them."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

#: Seconds of repetitions before the warm ones, until .NET has compiled anew what has been called thirty times, on the same
#: processors; and of the warm ones, since a median of twenty milliseconds is that of the processor's mood.
PHASE_S = 1.5


@dataclass(frozen=True, kw_only=True)
class Series:
    """Samples of one figure.

    Parameters
    ----------
    first
        The first, cold repetition; None where there is no such thing.
    samples
        The warm ones, at least one.
    """

    first: float | None
    samples: Sequence[float]

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    def describe(self) -> dict[str, Any]:
        """Statistics as the results file has them."""
        ordered = sorted(self.samples)
        return {
            "n": len(ordered),
            "first": self.first,
            "min": ordered[0],
            "median": self.median,
            "p99": percentile(ordered, 0.99),
            "max": ordered[-1],
        }


def after_the_first(samples: Sequence[float], warm_up: int = 1) -> Series:
    """A series whose first sample is the cold one; so many in all are not warm."""
    return Series(first=samples[0], samples=samples[warm_up:])


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest sample that at least `part` of the ascending samples do not exceed."""
    return ordered[max(math.ceil(part * len(ordered)) - 1, 0)]


def timed(
    call: Callable[[], Any],
    repetitions: int,
    *,
    warm_up: int = 1,
    phase_s: float = 0.0,
    after: Callable[[], Any] | None = None,
    collect: bool = True,
) -> Series:
    """Time `call` in milliseconds; the release of what it returns is not timed.

    Parameters
    ----------
    call
        What is timed.
    repetitions
        Warm samples, >= 1.
    warm_up
        Repetitions before them; the first one of all is the cold figure.
    phase_s
        Seconds that these take at least, and the warm samples as well; there are more of them then.
    after
        Runs after each repetition, not timed.
    collect
        Collect garbage first.
    """
    times: list[float] = []
    if collect:
        gc.collect()
    warm_from = time.perf_counter() + phase_s
    begin = 0.0
    while len(times) < warm_up + repetitions or begin < warm_from + phase_s:
        begin = time.perf_counter()
        if begin < warm_from:
            warm_up = max(warm_up, len(times) + 1)
        result = call()
        times.append((time.perf_counter() - begin) * 1e3)
        del result
        if after is not None:
            after()
    return Series(first=times[0], samples=times[warm_up:])


def in_turn(*calls: Callable[[], Any], repetitions: int) -> list[Series]:
    """Time each of some calls once, then all of them again, in milliseconds: so they meet the same pace and the same caches."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repetitions + 1):
        for call, mine in zip(calls, times, strict=True):
            mine += timed(call, 1, warm_up=0, collect=False).samples
    return [after_the_first(mine) for mine in times]


def figure(series: Series, unit: str = "ms", yardstick: dict[str, Any] | None = None) -> dict[str, Any]:
    """An entry of the results file.

    Parameters
    ----------
    series
        The samples.
    unit
        Of the samples: ms, us, s, 1/s, x ...
    yardstick
        What it is held against, as `yardstick` makes it; adds ``ratio``, this median over the yardstick's.
    """
    made = {"unit": unit, **series.describe()}
    if yardstick is not None:
        made |= {"yardstick": yardstick, "ratio": series.median / yardstick["median"]}
    return made


def yardstick(name: str, series: Series, size: int) -> dict[str, Any]:
    """What a figure is held against: its name, the bytes it moves, its statistics in milliseconds."""
    return {"name": name, "bytes": size, **series.describe()}


def number(value: float, unit: str) -> dict[str, Any]:
    """An entry of the results file that is one number."""
    return figure(Series(first=None, samples=[value]), unit)
