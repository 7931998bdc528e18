"""A LegacyBatchMeta where a client takes a BatchMeta."""

from __future__ import annotations

import warnings

import pytest
import torch
from tensordict import TensorDict

from transferqueue import LegacyBatchMeta, StorageKeyNotFoundError


def test_rows_of_the_old_kind_are_put_read_tagged_and_cleared(tq, partition):
    client = tq.get_client()
    meta = LegacyBatchMeta(client.put(TensorDict({"x": torch.arange(3)}, [3]), partition_id=partition))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert [row.field_names for row in meta.samples] == [["x"]] * 3
        client.put(TensorDict({"y": torch.ones(3, 2)}, [3]), metadata=meta)
        assert [row.field_names for row in meta.samples] == [["x", "y"]] * 3
        meta.samples.reverse()
    assert client.get_data(meta)["x"].tolist() == [2, 1, 0]
    meta.update_custom_meta([{"n": 2}, {"n": 1}, {"n": 0}])
    client.set_custom_meta(meta)
    stored = client.get_meta(["x"], 3, partition, mode="force_fetch")
    tags = dict(zip(stored.global_indexes, stored.custom_meta, strict=True))
    assert tags == meta.custom_meta
    client.clear_samples(meta.select_samples([0]))
    assert client.get_data(meta.select_samples([2, 1]))["x"].tolist() == [0, 1]
    # Rows that were changed as objects still are the rows that they were: a cleared one is missed, not replaced.
    with pytest.raises(StorageKeyNotFoundError):
        client.get_data(meta)
