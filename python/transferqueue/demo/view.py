"""How a run is shown: a live picture on a terminal, lines elsewhere, nothing if so wished."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, Self

from transferqueue.demo.settings import ROLES, ROLLOUTS, Settings
from transferqueue.demo.snapshot import Point, Snapshot

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

BAR_WIDTH = 40
SPARKS = "▁▂▃▄▅▆▇█"


class View(AbstractContextManager["View"], Protocol):
    """Shows snapshots while its ``with`` block runs."""

    def show(self, snapshot: Snapshot) -> None:
        """Show the figures of one moment."""


class QuietView:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, snapshot: Snapshot) -> None:
        """Show nothing."""


class PlainView(QuietView):
    """A line when the phase changes, and one per evaluation."""

    def __init__(self) -> None:
        self._shown = 0
        self._phase = ""

    def show(self, snapshot: Snapshot) -> None:
        """Write the lines that are new."""
        if snapshot.phase != self._phase:
            self._phase = snapshot.phase
            self._write(f"{snapshot.phase} ...")
        points = [point for point in snapshot.points if point.phase == "GRPO"]
        for point in points[self._shown :]:
            self._write(f"{line_of(point)} | {traffic_of(snapshot)}")
        self._shown = len(points)

    def _write(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class LiveView:
    """A picture that is drawn anew a few times a second.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        from rich.live import Live

        self._settings = settings
        self._live = Live(self._draw(Snapshot()), refresh_per_second=8, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Draw the picture of `snapshot`."""
        self._live.update(self._draw(snapshot))

    def _draw(self, snapshot: Snapshot) -> RenderableType:
        from rich.console import Group
        from rich.panel import Panel
        from rich.text import Text

        digits = "two-digit" if self._settings.digits == 2 else "one-digit"
        title = f"TransferQueue demo: GRPO teaches {digits} addition"
        note = Text("advantages are shuffled: nothing should be learned", style="yellow")
        parts: list[RenderableType] = [self._headline(snapshot), stages_of(snapshot), Text(traffic_of(snapshot))]
        return Panel(Group(*parts, *([note] if self._settings.shuffle_advantages else [])), title=title, width=78)

    def _headline(self, snapshot: Snapshot) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        grid.add_column(min_width=11)
        grid.add_column(min_width=10)
        steps = self._settings.steps if snapshot.phase == "GRPO" else None
        starting = f"{snapshot.ready} of {len(ROLES)} processes are ready"
        phases = {"warm start": "supervised", "GRPO": "every column through the queue", "starting": starting}
        of_all = f" of {steps}" if steps else ""
        grid.add_row("phase", Text(snapshot.phase, style="bold"), phases[snapshot.phase])
        grid.add_row(
            "step", f"{snapshot.step}{of_all}", ProgressBar(steps or 1, snapshot.step if steps else 0, BAR_WIDTH)
        )
        grid.add_row("accuracy", f"{snapshot.accuracy:6.1%}", ProgressBar(1.0, snapshot.accuracy, BAR_WIDTH))
        if snapshot.reward is not None and snapshot.kl is not None:
            grid.add_row("mean reward", f"{snapshot.reward:6.2f}", f"KL to the reference {snapshot.kl:.3f}")
        grid.add_row("curve", "", Text(sparkline(snapshot.points)))
        style = "green" if snapshot.example_is_right else "red"
        grid.add_row("an answer", Text(snapshot.example, style=style if snapshot.example else ""))
        return grid


def stages_of(snapshot: Snapshot) -> Table:
    """A table: what waits for each stage, and what is through."""
    from rich.table import Table

    done = dict(snapshot.done)
    done["rollout"] = sum(done.pop(role, 0) for role in ROLLOUTS)
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for heading in ("stage", "processes", "samples in flight", "samples done"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage in ("rollout", "reward", "reference", "trainer"):
        processes = len(ROLLOUTS) if stage == "rollout" else 1
        table.add_row(stage, str(processes), f"{snapshot.waiting.get(stage, 0)}", f"{done.get(stage, 0)}")
    return table


def traffic_of(snapshot: Snapshot) -> str:
    """What goes through the queue, as a line."""
    return (
        f"queue: {snapshot.rows} rows ({snapshot.rows_per_s:.0f}/s), "
        f"{snapshot.transferred_bytes / 1e6:.1f} MB ({snapshot.bytes_per_s / 1e6:.2f} MB/s)"
    )


def line_of(point: Point) -> str:
    """An evaluation as a line."""
    reward = "" if point.reward is None else f" | reward {point.reward:.2f}"
    divergence = "" if point.kl is None else f" | KL {point.kl:.3f}"
    return f"step {point.step:4d} | accuracy {point.accuracy:6.1%}{reward}{divergence}"


def sparkline(points: tuple[Point, ...]) -> str:
    """The accuracies as little bars, warm start and GRPO parted by a stroke; the last ones if there is no room."""
    parts = [
        "".join(
            SPARKS[min(int(point.accuracy * len(SPARKS)), len(SPARKS) - 1)] for point in points if point.phase == phase
        )
        for phase in ("warm start", "GRPO")
    ]
    return f"{parts[0][-BAR_WIDTH // 2 :]}|{parts[1][-BAR_WIDTH // 2 :]}" if points else ""


def choose_view(settings: Settings, *, quiet: bool, plain: bool) -> View:
    """The live view on a terminal, unless `plain` or `quiet` say otherwise."""
    if quiet:
        return QuietView()
    return PlainView() if plain or not sys.stdout.isatty() else LiveView(settings)
