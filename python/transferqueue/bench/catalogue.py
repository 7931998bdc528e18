"""Which workloads there are, and the functions that run them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Group:
    """Workloads that are measured together, in one process.

    Parameters
    ----------
    ids
        Their names.
    module
        Of this package.
    function
        Takes ``quick``, returns figures by workload and name.
    """

    ids: tuple[str, ...]
    module: str
    function: str


#: In the order in which they run.
GROUPS = (
    Group(ids=("P1", "P2"), module="bulk", function="large"),
    Group(ids=("P3",), module="rl_batch", function="together"),
    Group(ids=("P3s",), module="rl_batch", function="one_by_one"),
    Group(ids=("P4",), module="bulk", function="wide"),
    Group(ids=("P5",), module="single_rows", function="latencies"),
    Group(ids=("P6",), module="single_rows", function="producers"),
    Group(ids=("P7",), module="listing", function="tags"),
    Group(ids=("P8",), module="control", function="questions"),
    Group(ids=("P9",), module="stored_rows", function="scan"),
    Group(ids=("P10",), module="control", function="requests"),
    Group(ids=("P11",), module="startup", function="fresh"),
    Group(ids=("P12",), module="remote", function="over_tcp"),
    Group(ids=("P13",), module="stored_rows", function="growth"),
    Group(ids=("P14",), module="residency", function="memory"),
    Group(ids=("SIZES",), module="bulk", function="sizes"),
    Group(ids=("RFC",), module="metadata", function="rfc"),
)
IDS = tuple(name for group in GROUPS for name in group.ids)
