"""Columns of more than 2 GiB: they work, but for a row that the lengths of a batch can't tell."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import psutil
import pytest
import torch
from queue_fixtures import running_queue
from tensordict import TensorDict

from transferqueue import errors

GIB = 1 << 30
BYTES = 2**31 + (200 << 20)


@pytest.fixture(scope="module")
def large() -> Iterator[ModuleType]:
    if psutil.virtual_memory().available < 10 * GIB:
        pytest.skip("10 GiB of memory are needed: a column at the caller, in the core, and at the caller again")
    with running_queue({"transferqueue": {"capacity_bytes": 3 * GIB}}) as package:
        yield package


@pytest.fixture(scope="module")
def octets() -> torch.Tensor:
    """Zeros, and numbers where 32 bits would go wrong."""
    octets = torch.zeros(BYTES, dtype=torch.uint8)
    for number, at in enumerate([0, BYTES // 2 - 1, BYTES // 2, 2**31 - 1, 2**31, 2**31 + 1, BYTES - 1], 1):
        octets[at] = number
    return octets


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_dense_column_of_more_than_two_gib_comes_back(large, octets):
    fields = TensorDict({"x": octets.view(2, -1)}, batch_size=2)
    large.kv_batch_put(["a", "b"], "p", fields)
    got = large.kv_batch_get(["b", "a"], "p")["x"]
    assert got.offsets().tolist() == [0, BYTES // 2, BYTES]
    assert torch.equal(got[0], octets[BYTES // 2 :])
    assert torch.equal(got[1], octets[: BYTES // 2])
    large.kv_clear(["a", "b"], "p")


@pytest.mark.timeout(300)
def test_a_jagged_row_of_more_than_two_to_the_31_is_refused_and_leaves_nothing(large, octets):
    rows = torch.nested.nested_tensor_from_jagged(octets, torch.tensor([0, BYTES - 5, BYTES]))
    used = large.get_client().stats()["bytes_used"]
    with pytest.raises(errors.LimitExceededError, match=str(2**31 - 1)):
        large.kv_batch_put(["a", "b"], "q", TensorDict({"x": rows}, batch_size=2))
    assert large.kv_list("q") == {}
    assert large.get_client().stats()["bytes_used"] == used
