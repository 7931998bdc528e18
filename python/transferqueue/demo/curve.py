"""The learning curve as a picture and as numbers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from transferqueue.demo.snapshot import Point


def write_numbers(points: Sequence[Point], path: Path) -> None:
    """Write the points as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["phase", "step", "accuracy"])
        writer.writerows([point.phase, point.step, f"{point.accuracy:.4f}"] for point in points)


def draw(points: Sequence[Point], title: str, path: Path) -> bool:
    """Draw the points as PNG; False, and no file, without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for phase, colour, label in (
        ("warm start", "tab:gray", "supervised warm start (training pairs)"),
        ("GRPO", "tab:blue", "GRPO through the queue"),
    ):
        chosen = [point for point in points if point.phase == phase]
        axes.plot([p.step for p in chosen], [100 * p.accuracy for p in chosen], color=colour, marker=".", label=label)
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
    axes.set(
        title=title, xlabel="optimization step (GRPO begins at 0)", ylabel="exact match, greedy (%)", ylim=(0, 100)
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    figure.savefig(path, dpi=120)
    return True
