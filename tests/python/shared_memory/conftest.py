"""A small queue, so that memory is used again soon, and programs that attach to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from types import ModuleType

import pytest
from queue_fixtures import partition, running_queue  # noqa: F401

from support.sidecars import OBEY, ROOT, Program

CAPACITY_BYTES = 128 << 20


@pytest.fixture(scope="module")
def tq() -> Iterator[ModuleType]:
    with running_queue({"transferqueue": {"capacity_bytes": CAPACITY_BYTES}}) as package:
        yield package
        assert package.get_client().stats()["faults"] == 0


@pytest.fixture
def attach(tq: ModuleType) -> Iterator[Callable[..., Program]]:
    """Start programs that obey, in the job of this module's queue."""
    with ExitStack() as programs:

        def start(**variables: str) -> Program:
            environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), **variables}
            program = programs.enter_context(closing(Program(OBEY, environment)))
            program.say("import torch; from tensordict import TensorDict")
            program.hear()
            return program

        yield start
