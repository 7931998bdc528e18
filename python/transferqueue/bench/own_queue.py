"""A sidecar for one workload alone, ended with it, and the processes of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

JOB_VARIABLE = "TRANSFERQUEUE_JOB"
ADDRESS_VARIABLE = "TRANSFERQUEUE_ADDRESS"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@contextmanager
def own_queue(conf: dict[str, Any] | None = None, *, job: str | None = None) -> Iterator[Any]:
    """Start a sidecar and end it on leaving; the package.

    Parameters
    ----------
    conf
        As for ``init``.
    job
        A name that other processes attach by; default a new one.
    """
    import transferqueue as tq

    join_job(job or new_job())
    tq.init(conf)
    try:
        tq.kv_list()  # .NET is started now: that is P11's affair
        yield tq
    finally:
        tq.close()


def new_job() -> str:
    """A job's name that nobody else has."""
    return f"bench-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def join_job(job: str) -> None:
    """Make this process one of the job's."""
    os.environ.pop(ADDRESS_VARIABLE, None)
    os.environ[JOB_VARIABLE] = job


def core_pid() -> int:
    """The process that holds the columns."""
    from transferqueue import _session

    return int(_session.session().ready["core_pid"])


def processes() -> list[int]:
    """The ids of this process, of the keeper and of the core."""
    from transferqueue import _session

    return [os.getpid(), int(_session.session().ready["keeper_pid"]), core_pid()]


def processor_s(pid: int) -> float:
    """Processor time that a process has used, seconds (proc_pid_stat(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def private_bytes(pid: int) -> int:
    """Resident memory of a process without shared memory, pages of files by their share (proc_pid_smaps(5), PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    found = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines[1:])}
    return found["Pss"] - found["Pss_Shmem"]


def shared_memory_bytes(pid: int) -> int:
    """Memory behind the memfds that a process has open, whether anybody has touched it or not."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if str(entry.readlink()).startswith("/memfd:"):
                status = entry.stat()
                found[status.st_ino] = status.st_blocks * 512
        except FileNotFoundError:
            continue
    return sum(found.values())
