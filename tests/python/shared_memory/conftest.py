"""A small queue, so that memory is used again soon, and programs that attach to it."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from types import ModuleType

import pytest
from queue_fixtures import partition, running_queue  # noqa: F401

from support.shared_memory import COUNTED, counted
from support.sidecars import OBEY, ROOT, Program, expect

CAPACITY_BYTES = 64 << 20


@pytest.fixture(scope="module")
def tq() -> Iterator[ModuleType]:
    with running_queue({"transferqueue": {"capacity_bytes": CAPACITY_BYTES}}) as package:
        assert package.get_client()._connection.shares_memory
        yield package
        assert package.get_client().stats()["faults"] == 0


@pytest.fixture(autouse=True)
def nothing_is_left(tq: ModuleType) -> Iterator[None]:
    """After each test and the end of its programs: with the rows cleared, every byte of the memory is free again."""
    yield
    gc.collect()
    client = tq.get_client()
    for name in client.get_partition_list():
        client.clear_partition(name)
    expect(lambda: not any(counted(tq).values()), lambda: str(counted(tq)), patience_s=20)
    assert set(counted(tq)) == set(COUNTED)


@pytest.fixture
def attach(tq: ModuleType, nothing_is_left: None) -> Iterator[Callable[..., Program]]:
    """Start programs that obey, in the job of this module's queue."""
    with ExitStack() as programs:

        def start(**variables: str) -> Program:
            environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), **variables}
            program = programs.enter_context(closing(Program(OBEY, environment, forked=True)))
            program.say("import torch; from tensordict import TensorDict")
            program.hear()
            return program

        yield start
