"""A small queue, a neighbour that must be served on, and the check that nothing was written."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any

import pytest
import torch
from queue_fixtures import partition, running_queue  # noqa: F401

from support.sidecars import expect
from support.wire import Wire
from transferqueue import _session

CAPACITY_BYTES = 64 << 20
NEIGHBOUR = "neighbour"


@pytest.fixture(scope="module")
def tq() -> Iterator[ModuleType]:
    """A queue of 64 MiB, in whose log no fault may stand at the end."""
    with running_queue({"transferqueue": {"capacity_bytes": CAPACITY_BYTES}}) as package:
        yield package
        assert package.get_client().stats()["faults"] == 0
        log = _session.session().log_path.read_text()
        assert "a fault" not in log, log[-4000:]


@pytest.fixture(scope="module")
def address(tq: ModuleType) -> str:
    return _session.session().address


@pytest.fixture
def connection(address: str) -> Iterator[Wire]:
    with Wire(address) as connection:
        yield connection


class Neighbour(threading.Thread):
    """Another client: it reads a row and writes a tag, again and again, and counts its answers."""

    def __init__(self, tq: ModuleType) -> None:
        super().__init__(daemon=True)
        self.tq = tq
        self.answers = 0
        self.failure: BaseException | None = None
        self._ended = threading.Event()
        self.row = torch.arange(4000)
        tq.kv_put("row", NEIGHBOUR, {"x": self.row}, {"step": 0})

    def run(self) -> None:
        try:
            while not self._ended.wait(0.003):
                assert torch.equal(self.tq.kv_batch_get("row", NEIGHBOUR)["x"][0], self.row)
                step = self.answers + 1
                assert self.tq.kv_put("row", NEIGHBOUR, tag={"step": step}).tags == [{"step": step}]
                self.answers = step
        except BaseException as failure:
            self.failure = failure

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def expect_served_on(self) -> None:
        """Wait until it has got further answers."""
        before = self.answers
        expect(lambda: self.failure is not None or self.answers >= before + 3, lambda: f"{self.answers} answers")
        assert self.failure is None, self.failure


@pytest.fixture(scope="module")
def neighbour(tq: ModuleType) -> Iterator[Neighbour]:
    neighbour = Neighbour(tq)
    neighbour.start()
    yield neighbour
    neighbour.stop()
    assert neighbour.failure is None, neighbour.failure


def state_of(tq: ModuleType) -> dict[str, Any]:
    """What would show a write: listings, rows, bytes, waiting fetches."""
    stats = tq.get_client().stats()
    listing = {name: keys for name, keys in tq.kv_list().items() if name != NEIGHBOUR}
    counted = ("bytes_used", "rows", "rows_stored", "partitions", "fetches_waiting", "faults")
    return {"listing": listing} | {name: stats[name] for name in counted}


def kept(tq: ModuleType) -> int:
    """Leases and loans that are out."""
    stats = tq.get_client().stats()
    return stats["leases"] + stats["loans"]


Unharmed = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def unharmed(tq: ModuleType, neighbour: Neighbour) -> Unharmed:
    """A context: what happens inside writes nothing, and the neighbour is served during and after it."""

    @contextmanager
    def check() -> Iterator[None]:
        # What an earlier test looked at is given back in the background: first that, then the count.
        gc.collect()
        expect(lambda: kept(tq) == 0, lambda: f"{kept(tq)} leases and loans are still out")
        before = state_of(tq)
        yield
        neighbour.expect_served_on()
        expect(lambda: state_of(tq) == before, lambda: f"before: {before}\nnow: {state_of(tq)}")

    return check
