"""Two results side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transferqueue.bench.table import amount, print_table, wide_console

HEADS = ("", "figure", "old", "new", "change", "old ratio", "new ratio", "change of ratio")


def compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[list[str]]:
    """A line per figure that both have; the change is that of the warm median."""
    for workload, found in new["workloads"].items():
        before = old["workloads"].get(workload, {}).get("figures", {})
        for name, figure in found.get("figures", {}).items():
            if name not in before:
                continue
            was = before[name]
            line = [workload, name, amount(was["median"], was["unit"]), amount(figure["median"], figure["unit"])]
            line.append(change(was["median"], figure["median"]) if was["unit"] == figure["unit"] else "other unit")
            if "ratio" in was and "ratio" in figure:
                line += [f"{was['ratio']:.2f}", f"{figure['ratio']:.2f}", change(was["ratio"], figure["ratio"])]
            else:
                line += ["", "", ""]
            yield line


def change(old: float, new: float) -> str:
    """By how much a number has changed."""
    return "" if old == 0 else f"{new / old - 1:+.0%}"


def show_comparison(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Print the comparison."""
    console = wide_console()
    for name, results in (("old", old), ("new", new)):
        commit = results["source"]["commit"] or "no checkout"
        console.print(f"{name}: {commit[:10]}, {results['date']}, {results['machine']['cpu']}", highlight=False)
    if old["machine"] != new["machine"]:
        console.print("The machines or versions differ: only ratios can be compared.", style="yellow")
    print_table(console, "Comparison of warm medians", HEADS, list(compared(old, new)))
