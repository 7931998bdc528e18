"""``transferqueue serve``: the keeper's process, started by ``init`` or by hand.

By hand it serves until SIGTERM or Ctrl-C, whoever attaches or leaves: processes meet it by the job's name or by
``TRANSFERQUEUE_ADDRESS``, which the first line of the log tells.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from transferqueue import _logging, _starter
from transferqueue._job_folder import JobFolder
from transferqueue._meeting import SERVICE, Job, find_named_job
from transferqueue.errors import InvalidArgumentError
from transferqueue.options import Options, SidecarOptions
from transferqueue.server.keeper import Keeper

LOCK_TIMEOUT_S = 30.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a keeper; the exit status.

    Parameters
    ----------
    argv
        Arguments after ``serve``; None takes those of the process.
    """
    arguments = make_parser().parse_args(argv)
    _logging.configure_sidecar()
    if arguments.folder is None:
        return serve_by_hand(arguments)
    return serve_for_starter(arguments)


def make_parser() -> argparse.ArgumentParser:
    """The options of ``serve``."""
    parser = argparse.ArgumentParser(
        prog="transferqueue serve", description="Serve a queue until SIGTERM or Ctrl-C, whoever attaches or leaves."
    )
    parser.add_argument("--job", help="name by which processes meet it (they set TRANSFERQUEUE_JOB)")
    parser.add_argument("--listen", metavar="tcp://HOST:PORT", help="serve other hosts, too; port 0 takes a free one")
    parser.add_argument("--capacity-bytes", type=int, help="memory for columns; default: half of what is free")
    parser.add_argument("--rows", type=int, help="rows that may be stored at a time; default: no limit")
    # What init tells the keeper that it starts.
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--starter", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--report-fd", type=int, help=argparse.SUPPRESS)
    return parser


def serve_for_starter(arguments: argparse.Namespace) -> int:
    """Run the keeper of a sidecar that a process of the job starts and waits for."""

    def report(text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(arguments.report_fd, text.encode())
            os.close(arguments.report_fd)

    try:
        keeper = Keeper(JobFolder(Path(arguments.folder)), arguments.starter, report)
    except Exception as error:
        report(f"{type(error).__name__}: {error}")
        raise
    return keeper.run()


def serve_by_hand(arguments: argparse.Namespace) -> int:
    """Run a keeper in the foreground."""
    options = Options.read(
        {
            "transferqueue": {
                "job": arguments.job,
                "listen": arguments.listen,
                "capacity_bytes": arguments.capacity_bytes,
            },
            "backend": {"SimpleStorage": {"total_storage_size": arguments.rows}},
        }
    )
    job = find_service(options.sidecar)
    folder = job.folder(os.environ)
    log = _logging.get_logger("serve")
    with contextlib.ExitStack() as lock:
        lock.enter_context(folder.locked(time.monotonic() + LOCK_TIMEOUT_S))
        if folder.has_keeper():
            raise InvalidArgumentError(f"job {job.name}: it is served already, from {folder.path}; end that first")
        _starter.prepare(folder, job, options)
        held = lock.pop_all()

    def report(_text: str) -> None:
        held.close()
        log.info("job %s: TRANSFERQUEUE_ADDRESS=%s", job.name, folder.address)

    with held:
        return Keeper(folder, None, report).run()


def find_service(options: SidecarOptions) -> Job:
    """The job that is served by hand: a named one, or one of this process."""
    named = find_named_job(options, os.environ)
    name = named.key if named is not None else f"service {os.getpid()}"
    return Job(name=name, key=name, mode=SERVICE)


if __name__ == "__main__":
    sys.exit(main())
