"""What figures are held against does what it says."""

import pytest
import torch
from tensordict import TensorDict

from transferqueue.bench.yardsticks import ALONE_BYTES, Reader


@pytest.mark.parametrize("rows", [1, 3, ALONE_BYTES // 64 + 1])
def test_a_reader_leaves_nothing_out(rows: int):
    dense, first = torch.randint(1 << 30, (rows, 7)), torch.arange(rows)
    jagged = torch.nested.as_nested_tensor([dense[0], dense[0, :3]], layout=torch.jagged)
    reader = Reader()
    try:
        assert reader.read(TensorDict({"a": dense, "b": first}, [rows])) == int(dense.sum() + first.sum())
        assert reader.read(TensorDict({"c": jagged}, [2])) == int(dense[0].sum() + dense[0, :3].sum())
    finally:
        reader.close()
