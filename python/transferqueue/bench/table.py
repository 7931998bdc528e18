"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transferqueue.bench.targets import share_of, source, target_of, verdict

COLUMNS = ("", "figure", "first", "warm", "p99", "of the yardstick", "peer", "reach", "dream", "reached", "pace, ms")
#: Workloads whose figures are lines over a size: too many for the table, told in tables of their own.
LINES = ("SIZES", "RFC")
MIN_WIDTH = 190
SIZES_HEADS = ("batch", "bytes", "memcpy", "put", "get", "get, read, release (x reading)")
RFC_COUNTS = ("objects", "objects of a put", "header", "frames")
RFC_NAMES = (*RFC_COUNTS, "add_fields", "split over units", "is_ready", "chunk", "concat")
RFC_HEADS = ("columns / rows", *RFC_COUNTS, *(f"{name}, ms" for name in RFC_NAMES[len(RFC_COUNTS) :]))


def amount(value: float | None, unit: str) -> str:
    """A number with its unit, three digits."""
    if value is None:
        return ""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}"


def span(values: list[float] | None, unit: str) -> str:
    """A range of numbers."""
    if not values:
        return ""
    low, high = values
    return amount(low, unit) if low == high else f"{amount(low, '').strip()}–{amount(high, unit)}"  # noqa: RUF001


def bound_text(bound: Mapping[str, float] | None, unit: str, better: str) -> str:
    """A target in words."""
    if bound is None:
        return ""
    if "share" in bound:
        return f"≥ {bound['share']:.0%}"
    return f"{'≥' if better == 'more' else '≤'} {amount(bound['median'], unit)}"


def rows(results: Mapping[str, Any]) -> Iterator[list[str]]:
    """The table's cells."""
    for workload, found in results["workloads"].items():
        if workload in LINES or "error" in found:
            continue
        pace = " / ".join(f"{each:.1f}" for each in found.get("pace_ms", []))
        for name, figure in found["figures"].items():
            unit, target = figure["unit"], target_of(workload, name)
            better = target.get("better", "less")
            held = f"{share_of(figure):.0%} of {figure['yardstick']['name']}" if "yardstick" in figure else ""
            yield [
                workload,
                name,
                amount(figure["first"], unit),
                amount(figure["median"], unit),
                amount(figure["p99"], unit) if figure["n"] >= 100 else "",
                held,
                span(target.get("peer"), unit),
                bound_text(target.get("reach"), unit, better),
                bound_text(target.get("dream"), unit, better),
                "" if results["quick"] else verdict(figure, target),
                pace,
            ]
            pace = ""


def sweep_rows(figures: Mapping[str, Any]) -> Iterator[list[str]]:
    """SIZES: one line per batch size."""
    for name, put in figures.items():
        what, _, size = name.partition(", ")
        if what != "put":
            continue
        got, read = figures[f"get, {size}"], figures[f"get, read, release, {size}"]
        copy = put["yardstick"]
        cells = [size, amount(copy["bytes"] / 2**20, "MiB"), amount(copy["median"], "ms")]
        yield cells + [f"{amount(each['median'], 'ms')} (x {each['ratio']:.2g})" for each in (put, got, read)]


def cases(figures: Mapping[str, Any]) -> list[str]:
    """The sizes of an RFC run: ``B=64 F=1`` ..."""
    return [name.rpartition(", ")[2] for name in figures if name.startswith("objects, columns,")]


def metadata_rows(figures: Mapping[str, Any]) -> Iterator[list[str]]:
    """RFC: columns against rows, one line per size."""
    for case in cases(figures):
        line = [case]
        for name in RFC_NAMES:
            pair = [figures.get(f"{name}, {model}, {case}") for model in ("columns", "rows")]
            line.append(" / ".join("–" if each is None else plain(each) for each in pair))  # noqa: RUF001
        yield line


def plain(figure: Mapping[str, Any]) -> str:
    """A number; milliseconds for times."""
    value = figure["median"]
    return f"{value:.3g}" if figure["unit"] == "ms" else f"{value:,.0f}"


def show(results: Mapping[str, Any]) -> None:
    """Print all tables."""
    console = wide_console()
    if lines := list(rows(results)):
        print_table(
            console, "Figures (warm medians; first = cold; pace = a piece of Python before / after)", COLUMNS, lines
        )
    workloads = results["workloads"]
    if "figures" in workloads.get("SIZES", {}):
        print_table(console, "Over sizes (x memcpy)", SIZES_HEADS, list(sweep_rows(workloads["SIZES"]["figures"])))
    if "figures" in workloads.get("RFC", {}):
        print_table(console, "Metadata: columns / rows", RFC_HEADS, list(metadata_rows(workloads["RFC"]["figures"])))
    for name, found in workloads.items():
        if "error" in found:
            console.print(f"{name} failed:\n{found['error']}", markup=False, highlight=False)
    console.print(source(), style="dim", highlight=False)


def wide_console() -> Any:
    """A console that is never narrower than the tables: a cell cut to a letter tells nothing."""
    from rich.console import Console

    return Console(width=max(Console().width, MIN_WIDTH))


def print_table(console: Any, title: str, heads: tuple[str, ...], lines: list[list[str]]) -> None:
    """One table; the two first columns are texts."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place < 2 else "right", no_wrap=place < 2)
    for line in lines:
        table.add_row(*line)
    console.print(table)
