"""The picture of a results file: throughput against memcpy over sizes, latencies, and metadata over rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transferqueue.bench.targets import target_of

#: Okabe and Ito's colours, which colour-blind people can tell apart; lines differ in their marks besides.
BLUE, ORANGE, GREEN, BLACK, GREY = "#0072B2", "#D55E00", "#009E73", "#000000", "#999999"
#: What SIZES draws: figure, label, colour, mark.
READ = ("get, read, release", "get, read every byte, release", ORANGE, "s")
PUT, GET = ("put", "put", BLUE, "o"), ("get", "get", GREEN, "^")
#: What the bars show: workload, figure, label, milliseconds per unit.
CALLS = (
    ("P5", "tag put", "tag put, 1 row", 1e-3),
    ("P5", "15-field put", "put, 1 row, 15 fields", 1e-3),
    ("P5", "1-field get", "get, 1 row, 1 field", 1e-3),
    ("P8", "fetch 256 of 16 k", "fetch 256 of 16 k rows", 1.0),
    ("P4", "put", "put 4096 × 32 fields", 1.0),  # noqa: RUF001
    ("P4", "get", "get 4096 × 32 fields", 1.0),  # noqa: RUF001
    ("P3", "put", "put 512 trajectories", 1.0),
    ("P3", "get", "get 512 trajectories", 1.0),
    ("P1", "put", "put 302 MB", 1.0),
    ("P2", "get", "get 302 MB", 1.0),
)


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw what the results have into a file, .png or .svg.

    Raises
    ------
    ModuleNotFoundError
        matplotlib is not installed: ``pip install "transferqueue-net[bench]"``.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    chart, axes = pyplot.subplots(3, 2, figsize=(10.5, 12), layout="constrained")
    workloads = {name: found.get("figures", {}) for name, found in results["workloads"].items()}
    draw_throughput(axes[0, 0], workloads.get("SIZES", {}))
    draw_latency(axes[0, 1], workloads.get("SIZES", {}))
    draw_calls(axes[1, 0], workloads)
    metadata = workloads.get("RFC", {})
    draw_metadata(axes[1, 1], metadata, "objects", "Metadata of a batch: Python objects made")
    draw_metadata(axes[2, 0], metadata, "header", "Metadata of a put: bytes of its header")
    draw_metadata(axes[2, 1], metadata, "add_fields", "Metadata: add_fields of F more fields, ms")
    chart.suptitle(caption(results), fontsize=8, color=GREY)
    chart.savefig(path, dpi=110)
    pyplot.close(chart)


def caption(results: Mapping[str, Any]) -> str:
    """What it was measured on."""
    machine, source = results["machine"], results["source"]
    commit = (source["commit"] or "no checkout")[:8]
    lane = "shared memory" if source["shared_memory"] else "inline lane"
    return f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']} · {lane} · {commit} · {results['date'][:10]}"


def points_of(figures: Mapping[str, Any]) -> list[str]:
    """The sizes that a run of SIZES has: ``1 rows`` ..."""
    return [name.partition(", ")[2] for name in figures if name.startswith("put, ")]


def draw_throughput(axes: Any, figures: Mapping[str, Any]) -> None:
    """Gigabytes per second over the bytes of a batch."""
    points = points_of(figures)
    for held, label, colour in (("put", "memcpy", BLACK), (READ[0], "reading one's own memory", GREY)):
        copies = [figures[f"{held}, {size}"]["yardstick"] for size in points]
        speeds = [speed(each["bytes"], each["median"]) for each in copies]
        axes.plot(megabytes(figures, points), speeds, color=colour, linestyle="--", label=label)
    for what, label, colour, mark in (PUT, READ):
        found = [figures[f"{what}, {size}"] for size in points]
        speeds = [speed(each["yardstick"]["bytes"], each["median"]) for each in found]
        axes.plot(megabytes(figures, points), speeds, color=colour, marker=mark, markersize=4, label=label)
    finish_lines(axes, "Throughput over the size of a batch, GB/s", "batch of 8 fields, MB", "lower right")


def draw_latency(axes: Any, figures: Mapping[str, Any]) -> None:
    """Milliseconds of a call over the bytes of a batch."""
    points = points_of(figures)
    copies = [figures[f"put, {size}"]["yardstick"]["median"] for size in points]
    axes.plot(megabytes(figures, points), copies, color=BLACK, linestyle="--", label="memcpy")
    for what, label, colour, mark in (PUT, GET, READ):
        times = [figures[f"{what}, {size}"]["median"] for size in points]
        axes.plot(megabytes(figures, points), times, color=colour, marker=mark, markersize=4, label=label)
    finish_lines(axes, "Time of a call over the size of a batch, ms", "batch of 8 fields, MB", "upper left")


def megabytes(figures: Mapping[str, Any], points: list[str]) -> list[float]:
    """How large the batches are."""
    return [figures[f"put, {size}"]["yardstick"]["bytes"] / 1e6 for size in points]


def finish_lines(axes: Any, title: str, below: str, corner: str) -> None:
    """Scales, grid and words of a chart of lines; one without lines says so."""
    axes.set(title=title, xlabel=below)
    if not axes.lines or len(axes.lines[0].get_xdata()) == 0:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=GREY)
        return
    axes.set(xscale="log", yscale="log")
    axes.grid(which="major", alpha=0.3)
    if corner == "upper left":
        low, high = axes.get_ylim()
        axes.set_ylim(low, high * (high / low) ** 0.3)  # room for the legend above the lines
    axes.legend(frameon=False, loc=corner, ncols=1 if corner == "lower right" else 2, fontsize=7.5)


def speed(size: int, ms: float) -> float:
    """Gigabytes per second."""
    return size / ms / 1e6


def draw_calls(axes: Any, workloads: Mapping[str, Mapping[str, Any]]) -> None:
    """Milliseconds of calls, and the peer's."""
    found = [call for call in CALLS if call[1] in workloads.get(call[0], {})]
    for place, (workload, name, _, scale) in enumerate(found):
        value = workloads[workload][name]["median"] * scale
        axes.barh(place, value, color=BLUE, label="here" if place == 0 else None)
        peer = target_of(workload, name).get("peer")
        if peer:
            label = "peer (measured at another time)" if place == 0 else None
            axes.plot([each * scale for each in peer], [place] * 2, color=ORANGE, marker="|", linewidth=3, label=label)
    values = [workloads[workload][name]["median"] * scale for workload, name, _, scale in found]
    names = [f"{call[2]}: {value:.2g} ms" for call, value in zip(found, values, strict=True)]
    axes.set_yticks(range(len(found)), names)
    axes.invert_yaxis()
    axes.set(xlabel="ms, warm median", title="Time of a call, ms")
    if found:
        axes.set(xscale="log")
        axes.grid(which="major", axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.set_ylim(len(found) + 1.2, -0.6)
        axes.legend(frameon=False, loc="lower right", ncols=2, fontsize=7.5)


def draw_metadata(axes: Any, figures: Mapping[str, Any], name: str, label: str) -> None:
    """Lines over the rows of a batch: columns and rows, one line per number of fields."""
    lines: dict[tuple[str, int], list[tuple[int, float]]] = {}
    for entry, figure in figures.items():
        what, model, case = entry.rsplit(", ", 2)
        if what == name:
            rows, fields = (int(part.partition("=")[2]) for part in case.split())
            lines.setdefault((model, fields), []).append((rows, figure["median"]))
    styles = {"columns": (BLUE, "o"), "rows": (ORANGE, "s")}
    widths = sorted({fields for _, fields in lines})
    for (model, fields), points in sorted(lines.items()):
        colour, mark = styles[model]
        style = ("-", "--", ":")[widths.index(fields) % 3]
        words = f"{'columns (BatchMeta)' if model == 'columns' else 'rows (an object per cell)'}, F={fields}"
        axes.plot(*zip(*points, strict=True), color=colour, marker=mark, markersize=4, linestyle=style, label=words)
    finish_lines(axes, label, "rows of a batch, B", "upper left")
