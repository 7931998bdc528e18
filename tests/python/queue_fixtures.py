"""A real sidecar for a module's tests."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

_numbers = itertools.count()


@contextmanager
def running_queue(conf: dict[str, Any] | None = None) -> Iterator[ModuleType]:
    """A sidecar of its own, ended on leaving."""
    import transferqueue

    before = os.environ.get("TRANSFERQUEUE_JOB")
    os.environ["TRANSFERQUEUE_JOB"] = f"test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        transferqueue.init(conf)
        yield transferqueue
    finally:
        transferqueue.close()
        if before is None:
            os.environ.pop("TRANSFERQUEUE_JOB", None)
        else:
            os.environ["TRANSFERQUEUE_JOB"] = before


@pytest.fixture(scope="module")
def tq() -> Iterator[ModuleType]:
    """The package, attached to a sidecar that this module's tests share."""
    with running_queue() as package:
        yield package


@pytest.fixture
def partition() -> str:
    """A partition that no other test uses."""
    return f"p{next(_numbers)}-{uuid.uuid4().hex[:6]}"


def rows_of(column: Any) -> list[Any]:
    """The rows of a fetched column, as a list."""
    return [column[i] for i in range(len(column))] if not hasattr(column, "unbind") else list(column.unbind())
