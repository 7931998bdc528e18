"""Loaders with workers where the queue is reached over TCP, by the job's token."""

from __future__ import annotations

import os
from pathlib import Path

from queue_fixtures import running_queue

from support.fork_server import Forked
from support.sidecars import ROOT
from support.streams import put
from transferqueue import _session

#: The fork server is there before the token is: no worker has that from its environment.
CONSUMER = """
import multiprocessing.forkserver, os, pickle
multiprocessing.set_forkserver_preload(["torch", "tensordict", "transferqueue.streaming"])
multiprocessing.forkserver.ensure_running()
os.environ.update(TRANSFERQUEUE_ADDRESS={address!r}, TRANSFERQUEUE_TOKEN={token!r})

import transferqueue as tq
from support.streams import check, make
from transferqueue import _session

def connections(pair):
    connection = _session.session().client._connection
    return os.getpid(), _session.session().address, connection.shares_memory, check(*pair)

tq.init()
seen = list(tq.StreamingDataLoader(make("train"), num_workers=2, collate_fn=connections))
kept = {token!r} in pickle.dumps(make("elsewhere")).decode("latin-1")
print((os.getpid(), seen, kept))
"""


def test_workers_attach_over_tcp_with_the_token_of_their_consumer():
    conf = {
        "controller": {"sampler": "RankAwareSampler", "polling_mode": True},
        "transferqueue": {"listen": "tcp://127.0.0.1:0"},
    }
    with running_queue(conf):
        put("train", range(16))
        ready = _session.session().ready
        token = (Path(ready["log"]).parent / "token").read_text().strip()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRANSFERQUEUE")}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "python"), str(ROOT / "tests" / "python")])
        consumer = Forked(CONSUMER.format(address=ready["tcp_address"], token=token), environment)
        printed, errors = consumer.communicate()
        assert consumer.returncode == 0, errors[-4000:]
    pid, seen, kept = eval(printed)
    assert sorted(numbers for *_, numbers in seen) == [[number, number + 1] for number in range(0, 16, 2)]
    assert {(address, shares) for _, address, shares, _ in seen} == {(ready["tcp_address"], False)}
    workers = {worker for worker, *_ in seen}
    assert len(workers) == 2
    assert pid not in workers
    assert not kept, "a pickle that may end in a file has the token"
