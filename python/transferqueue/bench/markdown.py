"""Results as markdown tables, for README and for people who read a results folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from transferqueue.bench.table import COLUMNS, RFC_HEADS, SIZES_HEADS, metadata_rows, rows, sweep_rows
from transferqueue.bench.targets import source


def markdown(results: Mapping[str, Any]) -> str:
    """All tables, and what they were measured on."""
    workloads = results["workloads"]
    parts = ["\n".join(table(COLUMNS, rows(results)))]
    if "figures" in workloads.get("SIZES", {}):
        parts.append("\n".join(table(SIZES_HEADS, sweep_rows(workloads["SIZES"]["figures"]))))
    if "figures" in workloads.get("RFC", {}):
        parts.append("\n".join(table(RFC_HEADS, metadata_rows(workloads["RFC"]["figures"]))))
    return "\n\n".join([measured_on(results), *parts, source()]) + "\n"


def measured_on(results: Mapping[str, Any]) -> str:
    """Machine, versions, commit, date and command, in a sentence."""
    machine, built = results["machine"], results["source"]
    commit = (built["commit"] or "no checkout")[:10] + (" and changes" if built["changed"] else "")
    return (
        f"`{results['command']}`, {results['date']}, commit {commit}: {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, Linux {machine['kernel']}, Python {machine['python']}, .NET {machine['dotnet']}, "
        f"torch {machine['torch']}. first = cold, warm = median, pace = a piece of Python before / after."
    )


def table(heads: Sequence[str], lines: Iterable[list[str]]) -> Iterator[str]:
    """The lines of one table."""
    for cells in (heads, ["---"] * len(heads), *lines):
        yield "| " + " | ".join(cells) + " |"
