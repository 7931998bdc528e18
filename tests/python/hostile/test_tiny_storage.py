"""A queue with less room than a page."""

from __future__ import annotations

import pytest
import torch
from queue_fixtures import running_queue

from transferqueue import errors


def test_a_queue_of_a_few_bytes_says_so():
    with running_queue({"transferqueue": {"capacity_bytes": 4096}}) as tq:
        tq.kv_put("a", "p", {"x": torch.zeros(100)})
        with pytest.raises((errors.StorageFullError, errors.LimitExceededError), match="4096"):
            tq.kv_put("b", "p", {"x": torch.zeros(1000)}, timeout_s=0.5)
        assert list(tq.kv_list("p")["p"]) == ["a"]
