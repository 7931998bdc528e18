"""P11: from nothing to the first answer, in fresh processes that have imported torch."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Any

from transferqueue.bench.crew import Crew
from transferqueue.bench.own_queue import join_job, new_job
from transferqueue.bench.series import Series, figure


def fresh(quick: bool) -> dict[str, dict[str, Any]]:
    """P11: the first ``init`` of a job, and that of a second process; each until it returns, and until the first answer."""
    starts, attaches = [], []
    with Crew() as crew:
        for _ in range(2 if quick else 6):
            job = new_job()
            first = crew.start(attach, job)
            starts.append(first.receive())
            second = crew.start(attach, job)
            attaches.append(second.receive())
            second.send("close")
            second.receive()
            first.send("close")
            first.receive()
    figures = {}
    for name, times in (("init", starts), ("attach", attaches)):
        for what, at in (("to the first answer", 1), ("until it returns", 0)):
            samples = [each[at] for each in times]
            figures[f"{name} {what}"] = figure(Series(first=samples[0], samples=samples[1:]), "s")
    return {"P11": figures}


def attach(connection: Connection, job: str) -> None:
    """A process of P11: tells the seconds from before ``init`` to its return and to the first answer; closes when told."""
    import transferqueue as tq

    join_job(job)
    begin = time.perf_counter()
    tq.init()
    returned = time.perf_counter() - begin
    tq.kv_list()
    connection.send((returned, time.perf_counter() - begin))
    connection.recv()
    tq.close()
    connection.send("closed")
