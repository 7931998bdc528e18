"""P8: what the controller is asked. P10: how many requests it serves to several processes."""

from __future__ import annotations

import itertools
import time
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch
from tensordict import TensorDict

from transferqueue.bench import batches
from transferqueue.bench.crew import Crew
from transferqueue.bench.own_queue import core_pid, join_job, new_job, own_queue, processor_s
from transferqueue.bench.series import PHASE_S, Series, figure, timed

FIELDS = [f"f{i}" for i in range(10)]
CLIENTS = 4


def scalars(rows: int) -> TensorDict:
    """Ten columns of one byte per row."""
    return TensorDict({name: torch.zeros(rows, dtype=torch.uint8) for name in FIELDS}, batch_size=rows)


def questions(quick: bool) -> dict[str, dict[str, Any]]:
    """P8: fetch of 256 out of 16 k rows, production check, consumption status, clearing the partition."""
    rows, picked, repetitions, phase_s = (512, 32, 3, 0.0) if quick else (16_384, 256, 50, PHASE_S)
    data, asked = scalars(rows), itertools.count()
    with own_queue() as tq:
        client = tq.get_client()
        client.put(data, partition_id="p")
        fetch = timed(
            lambda: client.get_meta(FIELDS, picked, "p", task_name=f"t{next(asked) * picked // rows}"),
            repetitions,
            phase_s=phase_s,
        )
        check = timed(lambda: client.check_production_status(FIELDS, "p"), repetitions, phase_s=phase_s)
        status = timed(lambda: client.get_consumption_status("t0", "p"), repetitions, phase_s=phase_s)
        clears: list[float] = []
        for number in range(3 if quick else 12):
            client.put(data, partition_id=f"c{number}")
            clears += timed(partial(client.clear_partition, f"c{number}"), 1, warm_up=0).samples
    return {
        "P8": {
            "fetch 256 of 16 k": figure(fetch),
            "production check": figure(check),
            "consumption status": figure(status),
            "clear partition": figure(Series(first=clears[0], samples=clears[1:])),
        }
    }


def requests(quick: bool) -> dict[str, dict[str, Any]]:
    """P10: four processes put tags and ask whether rows are produced, in turn; requests per second of all."""
    seconds, rounds = (0.2, 1) if quick else (1.5, 3)
    job = new_job()
    with own_queue(job=job) as tq:
        tq.kv_batch_put(batches.keys_of(64), "p", scalars(64))
        used, rates, costs = processor_s(core_pid()), [], []
        with Crew() as crew:
            askers = [crew.start(ask, job, number) for number in range(CLIENTS)]
            for asker in askers:
                asker.receive()
            for _ in range(rounds + 1):
                for asker in askers:
                    asker.send(seconds)
                counts = [asker.receive() for asker in askers]
                now = processor_s(core_pid())
                rates.append(sum(count / took for count, took in counts))
                costs.append((now - used) * 1e6 / sum(count for count, _ in counts))
                used = now
            for asker in askers:
                asker.send(None)
    return {
        "P10": {
            "requests": figure(Series(first=rates[0], samples=rates[1:]), "1/s"),
            "processor time of the core per request": figure(Series(first=costs[0], samples=costs[1:]), "us"),
        }
    }


def ask(connection: Connection, job: str, number: int) -> None:
    """A client process of P10: asks for as many seconds as it is told, answers with (requests, seconds)."""
    import transferqueue as tq

    join_job(job)
    tq.init()
    client, key, tag = tq.get_client(), f"k{number}", {"status": "running"}
    connection.send("ready")
    while (seconds := connection.recv()) is not None:
        count, begin = 0, time.perf_counter()
        end = begin + seconds
        while time.perf_counter() < end:
            tq.kv_put(key, "p", tag=tag)
            client.check_production_status(FIELDS, "p")
            count += 2
        connection.send((count, time.perf_counter() - begin))
    tq.close()
