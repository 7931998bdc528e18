"""The numbers of the core as metrics for Prometheus, under the peer's names."""

from __future__ import annotations

import os
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferqueue.server.plain_wire import METRICS, STATS, PlainWire

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: The peer's word for a type of request (docs/wire.md), by who answers it there.
CONTROLLER_WORDS = {
    **{
        12: "GET_META",
        13: "KV_RETRIEVE_META",
        14: "KV_RETRIEVE_KEYS",
        15: "KV_LIST",
        16: "CLEAR_META",
        17: "CLEAR_META",
    },
    **{18: "CLEAR_PARTITION", 19: "SET_CUSTOM_META", 20: "GET_PRODUCTION", 21: "GET_CONSUMPTION"},
    **{22: "RESET_CONSUMPTION", 23: "GET_LIST_PARTITIONS", 25: "GET_TAGS"},
}
STORAGE_WORDS = {10: "PUT", 11: "GET", 31: "RESERVE"}
#: Upper bounds of the histogram's buckets, in seconds; METRICS counts by the same ones.
BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
#: There is one storage on a node, however many units the configuration names.
UNIT = "0"
#: For so many seconds everybody gets the same numbers, so that no number of visitors keeps the core busy.
KEPT_S = 0.5


@dataclass
class Operation:
    """Requests of one word."""

    count: int = 0
    errors: int = 0
    rows: int = 0
    seconds: float = 0.0
    buckets: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)

    def add(self, entry: list[Any]) -> None:
        """Add what METRICS tells of a type."""
        _, count, errors, rows, microseconds, buckets = entry
        self.count += count
        self.errors += errors
        self.rows += rows
        self.seconds += microseconds / 1e6
        self.buckets = tuple(map(sum, zip(self.buckets, array("q", buckets), strict=True)))

    def quantile(self, share: float) -> float:
        """Seconds within which `share` of the requests were answered, read off the buckets."""
        wanted, below, lower = share * self.count, 0, 0.0
        for upper, count in zip(BOUNDS_S, self.buckets, strict=False):
            if count and below + count >= wanted:
                return lower + (upper - lower) * (wanted - below) / count
            below, lower = below + count, upper
        return lower


class CoreNumbers:
    """What the core and its process tell; asked for at most once in `KEPT_S` seconds. Safe from any thread.

    Parameters
    ----------
    connect
        Opens a connection to the core.
    """

    def __init__(self, connect: Callable[[], PlainWire]) -> None:
        self._connect = connect
        self._wire: PlainWire | None = None
        self._lock = threading.Lock()
        self._asked = 0.0
        self._told: tuple[dict[str, Any], dict[str, int], int] | None = None

    def read(self) -> tuple[dict[str, Any], dict[str, int], int]:
        """The answers to METRICS and STATS, and the bytes that the core's process has in memory."""
        with self._lock:
            if self._told is None or time.monotonic() - self._asked > KEPT_S:
                if self._wire is None:
                    self._wire = self._connect()
                try:
                    self._told = self._wire.call(METRICS), self._wire.call(STATS), read_rss(self._wire.core_pid)
                except BaseException:
                    self._wire.close()
                    self._wire = None
                    raise
                self._asked = time.monotonic()
            return self._told


def read_rss(pid: int) -> int:
    """Bytes that a process has in memory, shared ones included."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class QueueCollector:
    """Makes the metrics at each scrape; to be registered with a registry of ``prometheus_client``."""

    def __init__(self, numbers: CoreNumbers) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        told, counters, rss = self._numbers.read()
        yield from requests("controller", sum_up(told["operations"], CONTROLLER_WORDS))
        storage = sum_up(told["operations"], STORAGE_WORDS)
        yield from requests("storage", storage)
        yield from controller(told, rss)
        yield from partitions(told["partitions"])
        yield from storage_unit(told, storage, rss)
        for name, value in sorted(counters.items()):
            yield gauge(f"tq_core_{name}", f"The core's counter {name}, as client.stats() tells it", [((), value)])


def gauge(
    name: str, text: str, samples: Iterable[tuple[tuple[str, ...], float]], labels: tuple[str, ...] = ()
) -> Metric:
    """A gauge with its samples."""
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def sum_up(entries: list[list[Any]], words: dict[int, str]) -> dict[str, Operation]:
    """Requests by the peer's word."""
    operations: dict[str, Operation] = {}
    for entry in entries:
        if entry[0] in words:
            operations.setdefault(words[entry[0]], Operation()).add(entry)
    return operations


def requests(role: str, operations: dict[str, Operation]) -> Iterator[Metric]:
    """Counts and durations of requests."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    durations = HistogramMetricFamily(
        f"tq_{role}_request_duration_seconds",
        "From a request's arrival to its answer, waiting included",
        labels=["op_type"],
    )
    counters = {
        name: CounterMetricFamily(f"tq_{role}_request{name}", text, labels=["op_type"])
        for name, text in (
            ("", "Requests answered"),
            ("_errors", "Requests answered by an error"),
            ("_samples", "Rows that requests put, got or fetched"),
        )
    }
    for word, operation in sorted(operations.items()):
        below, buckets = 0, []
        for bound, count in zip([*map(str, BOUNDS_S), "+Inf"], operation.buckets, strict=True):
            below += count
            buckets.append((bound, below))
        durations.add_metric([word], buckets, operation.seconds)
        for name, value in (("", operation.count), ("_errors", operation.errors), ("_samples", operation.rows)):
            counters[name].add_metric([word], value)
    yield durations
    yield from counters.values()


def controller(told: dict[str, Any], rss: int) -> Iterator[Metric]:
    """What there is as a whole."""
    given, free = told["next_index"], told["free_indexes"]
    yield gauge("tq_controller_uptime_seconds", "Since the core started", [((), told["uptime_ms"] / 1000)])
    yield gauge("tq_controller_memory_rss_bytes", "Memory of the core's process, columns included", [((), rss)])
    yield gauge("tq_partitions_total", "Partitions", [((), len(told["partitions"]))])
    yield gauge("tq_global_index_allocated_total", "Global indexes in use", [((), given - free)])
    yield gauge("tq_global_index_reusable_total", "Global indexes that were given back", [((), free)])


def partitions(entries: list[list[Any]]) -> Iterator[Metric]:
    """What there is by partition; progress is a share from 0 to 1."""
    rows = [((name,), count) for name, count, *_ in entries]
    produced, consumed = [], []
    for name, count, cells, fields, tasks in entries:
        share = cells / (count * len(fields)) if count and fields else 0.0
        produced += [((name, task), share) for task in ["", *tasks]]
        consumed += [((name, task), taken / count if count else 0.0) for task, taken in tasks.items()]
    both = ("partition_id", "task_name")
    yield gauge("tq_partition_samples_total", "Rows, pre-allocated ones included", rows, both[:1])
    yield gauge(
        "tq_partition_production_progress", "Share of the cells that are ready; the same for every task", produced, both
    )
    yield gauge("tq_partition_consumption_progress", "Share of the rows that the task has consumed", consumed, both)


def storage_unit(told: dict[str, Any], operations: dict[str, Operation], rss: int) -> Iterator[Metric]:
    """What the storage holds and does; without a limit on rows neither capacity nor utilization."""
    label = ("storage_unit_id",)
    capacity, stored = told.get("row_capacity"), told["stored_rows"]
    yield gauge("tq_storage_active_keys_total", "Rows that have a cell", [((UNIT,), stored)], label)
    yield gauge("tq_storage_memory_rss_bytes", "Memory of the process", [((UNIT,), rss)], label)
    if capacity is not None:
        yield gauge("tq_storage_capacity_total", "Rows that may be stored", [((UNIT,), capacity)], label)
        share = stored / capacity if capacity else 1.0
        yield gauge("tq_storage_utilization_ratio", "Share of the capacity that is taken", [((UNIT,), share)], label)
    figures: dict[str, tuple[str, Callable[[Operation], float]]] = {
        "ops": ("Requests so far", lambda operation: operation.count),
        "latency_avg": ("Seconds, on average", lambda operation: operation.seconds / max(operation.count, 1)),
        "latency_p50": ("Seconds within which half were answered", lambda operation: operation.quantile(0.5)),
        "latency_p99": ("Seconds within which 99 of 100 were answered", lambda operation: operation.quantile(0.99)),
    }
    for name, (text, figure) in figures.items():
        samples = [((UNIT, word), figure(operation)) for word, operation in sorted(operations.items())]
        yield gauge(f"tq_storage_request_{name}", text, samples, (*label, "op_type"))
