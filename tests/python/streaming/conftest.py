from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
from queue_fixtures import partition, running_queue  # noqa: F401


@pytest.fixture(scope="module")
def tq() -> Iterator[ModuleType]:
    """A queue whose fetches come back at once, and whose batches are the same for all processes of a rank."""
    with running_queue({"controller": {"sampler": "RankAwareSampler", "polling_mode": True}}) as package:
        yield package
