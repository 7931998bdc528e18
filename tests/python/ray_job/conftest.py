"""One Ray cluster for a module's tests, and drivers of jobs on it; all in processes of their own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import psutil
import pytest

from support.sidecars import OBEY, Host, Program, expect, make_host

#: A cluster's head; its node has more CPUs than the machine, as far as Ray knows.
CLUSTER = """
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 16, "include_dashboard": False})
"""
#: A driver with an actor class whose actors do what they are told, one that does so in a coroutine, and a task.
DRIVER = """
import asyncio, os, sys, time
import ray
import transferqueue as tq

answers, sys.stdout = os.fdopen(os.dup(1), "w", buffering=1), sys.stderr  # Ray prints, too

def print(text, **_):
    answers.write(text + "\\n")

ray.init(address=os.environ["TEST_CLUSTER"], log_to_driver=False)
NAME, NAMESPACE = "TransferQueueController", "transfer_queue"

class Obeying:
    def __init__(self):
        self.names = {"tq": tq, "os": os, "sys": sys, "time": time}
    def ask(self, line, *arguments):
        self.names["arguments"] = arguments
        try:
            return eval(line, self.names)
        except SyntaxError:
            exec(line, self.names)
        except Exception as error:
            return f"{type(error).__name__}: {error}"

class Coroutines:
    async def put(self, keys):
        tq.init()
        await asyncio.gather(*(tq.async_kv_put(key, "coroutines", tag={"by": key}) for key in keys))
        return await tq.async_kv_list("coroutines")
    def pid(self):
        return os.getpid()

Actor = ray.remote(num_cpus=1)(Obeying)
AsyncActor = ray.remote(num_cpus=0)(Coroutines)

@ray.remote(num_cpus=0)
def list_in_a_task():
    tq.init()
    return tq.kv_list()

def start(*conf):
    return type(tq.init(*conf)).__name__

def tell(actor, line, *arguments):
    return ray.get(actor.ask.remote(line, *arguments), timeout=60)

def controller():
    return ray.get_actor(NAME, namespace=NAMESPACE)

def attempt(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


class Cluster:
    """A Ray cluster, and the sidecars that its jobs start."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.variables = {"RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": str(host.folder)}
        if "TRANSFERQUEUE_CORE_DIR" in os.environ:
            self.variables["TRANSFERQUEUE_CORE_DIR"] = os.environ["TRANSFERQUEUE_CORE_DIR"]
        self.program = host.start(CLUSTER + OBEY, stub=False, **self.variables)
        self.address = self.program.ask("cluster.address")

    def start_driver(self) -> Program:
        """A driver of a job of its own, connected."""
        driver = self.host.start(DRIVER + OBEY, stub=False, TEST_CLUSTER=self.address, **self.variables)
        assert driver.ask("ray.is_initialized()")
        return driver

    def add_node(self, **arguments: object) -> None:
        """Another node, on the same machine."""
        self.program.ask(f"cluster.add_node(**{arguments!r}).unique_id")

    def expect_sidecars(self, count: int) -> None:
        """Wait until so many are there. Ray kills its actors' children, so a folder may be left until the next start."""
        expect(
            lambda: (
                len(self.host.keepers()) == len(self.host.cores()) == count and len(self.host.sidecar()) >= 2 * count
            ),
            lambda: str([process.cmdline() for process in self.host.sidecar()]),
        )

    def close(self) -> None:
        processes = psutil.Process(self.program.pid).children(recursive=True)
        self.program.process.stdin.close()
        with contextlib.suppress(Exception):
            self.program.process.wait(30)
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with make_host() as host:
        made = Cluster(host)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def start_driver(cluster: Cluster) -> Iterator[Callable[[], Program]]:
    """Starts drivers, which end with the test and leave nothing."""
    before = len(cluster.host.keepers())
    started: list[Program] = []

    def start() -> Program:
        started.append(cluster.start_driver())
        return started[-1]

    yield start
    for driver in started:
        driver.close()
    cluster.expect_sidecars(before)
