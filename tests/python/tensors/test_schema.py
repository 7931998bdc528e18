"""The schema of a batch, as BatchMeta keeps it."""

from __future__ import annotations

import numpy as np
import torch

from transferqueue import _tensors


def test_every_kind_of_column_has_its_entry_sorted_by_name() -> None:
    offsets = torch.tensor([0, 2, 2, 5])
    fields = {
        "text": ["a", "b", "c"],
        "scalar": torch.zeros(3, dtype=torch.int64),
        "ragged": [torch.zeros(1, 2), torch.zeros(3, 4), torch.zeros(2, 2)],
        "jagged": torch.nested.nested_tensor_from_jagged(torch.rand(4, 5), offsets, jagged_dim=2),
        "dense": torch.zeros(3, 4, 2, dtype=torch.bool),
        "mixed rank": [torch.zeros(2), torch.tensor(1.0), torch.zeros(1, 1)],
    }
    assert _tensors.schema(fields, 3) == [
        ["dense", 11, [4, 2], 0, None],
        ["jagged", 6, [4, -1], 1, np.array([2, 0, 3], "<i4").tobytes()],
        ["mixed rank", 6, [-1, -1], 1, np.array([2, -1, -1, -1, 1, 1], "<i4").tobytes()],
        ["ragged", 6, [-1, -1], 1, np.array([1, 2, 3, 4, 2, 2], "<i4").tobytes()],
        ["scalar", 4, [], 0, None],
        ["text", -1, None, 2, None],
    ]
