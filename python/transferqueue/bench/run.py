"""The command ``transferqueue bench``: runs workloads in processes of their own, shows and keeps what they found."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from transferqueue.bench.catalogue import GROUPS, IDS, Group
from transferqueue.bench.comparison import show_comparison
from transferqueue.bench.crew import Crew, WorkerError
from transferqueue.bench.machine import describe_machine, describe_source, pace_ms
from transferqueue.bench.markdown import markdown
from transferqueue.bench.table import show

#: Of the results file; grows when a reader of an older one would misread it.
SCHEMA = 1
EXIT_FAILED, EXIT_STOPPED = 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 1 if a workload failed, 130 if it was stopped by Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(arguments)
    try:
        results = json.loads(options.results.read_text()) if options.results else run(options, arguments)
    except KeyboardInterrupt:
        return EXIT_STOPPED
    keep(results, options.json)
    show(results)
    if options.compare:
        show_comparison(json.loads(options.compare.read_text()), results)
    if options.markdown:
        options.markdown.write_text(markdown(results))
    if options.plot:
        from transferqueue.bench.picture import draw

        draw(results, options.plot)
    return EXIT_FAILED if any("error" in found for found in results["workloads"].values()) else 0


def parser() -> argparse.ArgumentParser:
    """The options of ``transferqueue bench``."""
    made = argparse.ArgumentParser(
        prog="transferqueue bench",
        description="Measure the workloads P1 to P14, batches over sizes (SIZES) and metadata (RFC).",
        epilog="docs/benchmarks.md tells what each workload does and how to read the table.",
    )
    made.add_argument("--workload", type=workloads, default=IDS, metavar="P1,P3s,…", help="default: all of them")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    made.add_argument("--compare", type=Path, metavar="OLD", help="also show the change against these results")
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables here, as markdown")
    made.add_argument("--plot", type=Path, metavar="FILE", help="draw the picture, .png or .svg (needs matplotlib)")
    made.add_argument("--quick", action="store_true", help="tiny sizes: whether it runs, not how fast")
    made.add_argument(
        "--from", dest="results", type=Path, metavar="FILE", help="measure nothing, show these results instead"
    )
    return made


def workloads(text: str) -> tuple[str, ...]:
    """Names of workloads, separated by commas, in the catalogue's order."""
    asked = {name.strip() for name in text.split(",") if name.strip()}
    unknown = asked - set(IDS)
    if unknown or not asked:
        raise argparse.ArgumentTypeError(
            f"{text!r}: no workload {', '.join(sorted(unknown))}; there are {', '.join(IDS)}"
        )
    return tuple(name for name in IDS if name in asked)


def run(options: argparse.Namespace, arguments: Sequence[str]) -> dict[str, Any]:
    """Measure; the content of the results file."""
    results: dict[str, Any] = {
        "schema": SCHEMA,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["transferqueue", "bench", *arguments]),
        "quick": options.quick,
        "machine": describe_machine(),
        "source": describe_source(),
        "workloads": {},
    }
    if results["source"]["build"] == "Debug":
        say("the core is a debug build: these are no figures to show")
    for group in GROUPS:
        if set(group.ids) & set(options.workload):
            results["workloads"] |= {
                name: found for name, found in run_group(group, options.quick).items() if name in options.workload
            }
            keep(results, options.json)  # a run takes minutes: what was measured outlives its end
    return results


def keep(results: dict[str, Any], path: Path | None) -> None:
    """Write the results file, if one is wanted."""
    if path is not None:
        path.write_text(json.dumps(results, indent=1) + "\n")


def run_group(group: Group, quick: bool) -> dict[str, Any]:
    """Measure a group in a new process; figures, or an error, by workload."""
    say(f"{' '.join(group.ids)} …")
    load, pace, begin = os.getloadavg()[0], pace_ms(), time.monotonic()
    try:
        with Crew() as crew:
            figures = crew.start(measure, group, quick).receive()
    except WorkerError as error:
        return {name: {"error": str(error)} for name in group.ids}
    told = {"seconds": round(time.monotonic() - begin, 1), "load_before": load, "pace_ms": [pace, pace_ms()]}
    return {name: {"figures": figures[name], **told} for name in group.ids}


def measure(connection: Connection, group: Group, quick: bool) -> None:
    """A process that measures one group."""
    logging.getLogger("torch.fx").setLevel(logging.ERROR)  # it announces what it will do to callers that are not we
    module = importlib.import_module(f"transferqueue.bench.{group.module}")
    connection.send(getattr(module, group.function)(quick))


def say(line: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"bench: {line}\n")
    sys.stderr.flush()
