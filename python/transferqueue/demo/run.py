"""The parent process: starts the queue and the stages, shows their progress, judges the result."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import transferqueue as tq
from transferqueue.demo import curve
from transferqueue.demo.crew import Crew, WorkerDiedError
from transferqueue.demo.settings import Settings
from transferqueue.demo.snapshot import Point, Snapshot, Watch
from transferqueue.demo.view import View, choose_view

#: Points of accuracy that GRPO must add, and that shuffled advantages may at most.
WANTED_RISE, TOLERATED_RISE = 20.0, 5.0
#: Two digits take longer to learn.
TWO_DIGIT_STEPS = 600
LOOK_EVERY_S = 0.25
#: Seconds without any news after which the run counts as stuck.
STALL_S = 120.0
EXIT_FAILED, EXIT_STOPPED = 1, 130


class StalledError(RuntimeError):
    """Nothing moved for `STALL_S` seconds."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code: 0 it learned, 1 it did not or a process died, 130 stopped by Ctrl-C."""
    options = parser().parse_args(argv)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        return show(options)
    except KeyboardInterrupt:
        _say("demo: stopped; nothing is left running", sys.stderr.write)
        return EXIT_STOPPED
    except tq.errors.TransferQueueError as error:
        _say(f"demo: the queue failed, all processes were ended: {error}", sys.stderr.write)
    except (WorkerDiedError, StalledError, OSError) as error:
        _say(f"demo: {error}", sys.stderr.write)
    return EXIT_FAILED


def show(options: argparse.Namespace) -> int:
    """Run, show and judge; the exit code."""
    settings, started = settings_of(options), time.monotonic()
    snapshot = run(settings, choose_view(settings, quiet=options.quiet, plain=options.plain))
    lines, passed = verdict(settings, snapshot, options.min_rise)
    lines += [traffic_summary(snapshot), save(settings, snapshot, options.output)]
    lines.append(f"took {time.monotonic() - started:.0f} s in all")
    for line in lines:
        _say(line, sys.stdout.write)
    return 0 if passed else EXIT_FAILED


def parser() -> argparse.ArgumentParser:
    """The options of ``transferqueue demo``."""
    usual = Settings()
    made = argparse.ArgumentParser(
        prog="transferqueue demo",
        description="A small transformer learns to add by GRPO, in five processes that talk through the queue only.",
    )
    made.add_argument("--seed", type=int, default=usual.seed, help="default %(default)s")
    made.add_argument(
        "--digits", type=int, choices=(1, 2), default=usual.digits, help="of an operand, default %(default)s"
    )
    made.add_argument(
        "--steps",
        type=_positive(int),
        help=f"of GRPO, at most; default {usual.steps}, for two digits {TWO_DIGIT_STEPS}",
    )
    made.add_argument(
        "--seconds", type=_positive(float), default=usual.seconds, help="for GRPO, at most; default %(default)s"
    )
    made.add_argument(
        "--shuffle-advantages",
        action="store_true",
        help="the control: give samples the advantages of others; nothing may be learned",
    )
    made.add_argument(
        "--min-rise",
        type=float,
        default=WANTED_RISE,
        metavar="POINTS",
        help="points of accuracy that GRPO must add, default %(default)s; shortened runs want less",
    )
    made.add_argument("--quiet", action="store_true", help="show the result only")
    made.add_argument(
        "--plain", action="store_true", help="lines instead of the live view, as where there is no terminal"
    )
    made.add_argument(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="where the curve goes, default %(default)s/",
    )
    return made


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    read.__name__ = kind.__name__  # argparse names it in "invalid int value"
    return read


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that the command line asks for."""
    usual = Settings()
    return replace(
        usual,
        seed=options.seed,
        digits=options.digits,
        steps=options.steps or (usual.steps if options.digits == 1 else TWO_DIGIT_STEPS),
        seconds=options.seconds,
        shuffle_advantages=options.shuffle_advantages,
    )


def run(settings: Settings, view: View) -> Snapshot:
    """Run all processes to the end of the training; the last snapshot.

    Raises
    ------
    WorkerDiedError
        A process ended early; all others have been ended when this is raised.
    StalledError
        There was no news for `STALL_S` seconds.
    """
    with own_queue(), Crew(settings) as crew, view:
        watch = Watch()
        news, seen = time.monotonic(), Snapshot()
        while True:
            done = crew.is_done(LOOK_EVERY_S)
            snapshot = watch.look()
            view.show(snapshot)
            if done:
                return snapshot
            if (snapshot.rows, snapshot.phase, snapshot.step) != (seen.rows, seen.phase, seen.step):
                news, seen = time.monotonic(), snapshot
            elif time.monotonic() - news > STALL_S:
                raise StalledError(f"no news for {STALL_S:.0f} s at step {seen.step}; in flight: {snapshot.waiting}")


@contextmanager
def own_queue() -> Iterator[None]:
    """A sidecar for this demo alone, ended with it, also by SIGTERM; a queue that runs already is not touched."""
    for variable in ("TRANSFERQUEUE_ADDRESS", "TRANSFERQUEUE_JOB"):
        os.environ.pop(variable, None)
    os.environ["TRANSFERQUEUE_JOB"] = f"demo-{os.getpid()}"
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        tq.init()
        yield
    finally:
        tq.close()
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def verdict(settings: Settings, snapshot: Snapshot, wanted_rise: float) -> tuple[list[str], bool]:
    """The result in words, and whether it is what it must be."""
    points = exam_points(snapshot)
    first, last = points[0], points[-1]
    rise = round(100 * (last.accuracy - first.accuracy), 1)
    pairs = "held-out pairs" if settings.digits == 2 else "pairs (all there are)"
    lines = [
        f"exact match on {last.questions} {pairs}: {first.accuracy:.1%} after the warm start, "
        f"{last.accuracy:.1%} after {last.step} steps of GRPO in {last.time - first.time:.0f} s ({rise:+.1f} points)"
    ]
    if settings.shuffle_advantages:
        passed = rise <= TOLERATED_RISE
        lines.append(
            f"advantages were shuffled: {'nothing was learned, as it must be' if passed else 'FAILED, it must not rise'}"
        )
    else:
        passed = rise >= wanted_rise
        if not passed:
            lines.append(f"FAILED: GRPO must add at least {wanted_rise:g} points")
    return lines, passed


def exam_points(snapshot: Snapshot) -> list[Point]:
    """The evaluations of GRPO; the first is before its first step."""
    return [point for point in snapshot.points if point.phase == "GRPO"]


def traffic_summary(snapshot: Snapshot) -> str:
    """What went through the queue in all."""
    points = exam_points(snapshot)
    seconds = max(points[-1].time - points[0].time, 1e-9)
    return (
        f"through the queue, puts and gets: {snapshot.rows} rows ({snapshot.rows / seconds:.0f}/s), "
        f"{snapshot.transferred_bytes / 1e6:.1f} MB ({snapshot.transferred_bytes / 1e6 / seconds:.2f} MB/s)"
    )


def save(settings: Settings, snapshot: Snapshot, output: Path) -> str:
    """Write the curve into the folder `output`; a line that says where."""
    points, first_last = snapshot.points, exam_points(snapshot)
    curve.write_numbers(points, output / "curve.csv")
    control = ", advantages shuffled" if settings.shuffle_advantages else ""
    title = (
        f"GRPO, {settings.digits}-digit addition, seed {settings.seed}{control}: "
        f"{first_last[0].accuracy:.0%} to {first_last[-1].accuracy:.0%}"
    )
    if curve.draw(points, title, output / "curve.png"):
        return f"curve: {output / 'curve.png'}"
    return f"curve: {output / 'curve.csv'} (no picture: matplotlib is missing, pip install 'transferqueue-net[demo]')"


def _say(line: str, write: Callable[[str], object]) -> None:
    write(line + "\n")
