"""Each test here runs over torch's internals and over its public calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from transferqueue import _tensors


@pytest.fixture(autouse=True, params=[True, False], ids=["internals", "public"], scope="module")
def ways(request: pytest.FixtureRequest) -> Iterator[bool]:
    _tensors.use_internals(request.param)
    yield request.param
    _tensors.use_internals(True)
