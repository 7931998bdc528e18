"""No room: the error has the numbers, nothing is written, and what is cleared can be used again."""

from __future__ import annotations

import pytest
import torch
from tensordict import NonTensorStack, TensorDict

from transferqueue import errors

CAPACITY_BYTES = 64 << 20
MIB = 1 << 20


def mebibytes(rows: int) -> TensorDict:
    return TensorDict({"x": torch.zeros(rows, MIB, dtype=torch.uint8)}, batch_size=rows)


def keys(rows: int, prefix: str = "k") -> list[str]:
    return [f"{prefix}{row}" for row in range(rows)]


def test_what_does_not_fit_is_refused_with_numbers_and_fits_after_a_clear(tq, partition, unharmed):
    client = tq.get_client()
    with unharmed():
        tq.kv_batch_put(keys(40), partition, mebibytes(40))
        used = client.stats()["bytes_used"]
        with pytest.raises(errors.StorageFullError, match=str(CAPACITY_BYTES)) as caught:
            tq.kv_batch_put(keys(30, "late"), partition, mebibytes(30), tags=[{"t": 1}] * 30, timeout_s=0.5)
        assert isinstance(caught.value, MemoryError)
        assert str(30 * MIB) in str(caught.value)
        assert client.stats()["bytes_used"] == used
        assert list(tq.kv_list(partition)[partition]) == keys(40)
        tq.kv_batch_put(["small"], partition, TensorDict({"x": torch.zeros(1, 9, dtype=torch.uint8)}, batch_size=1))
        tq.kv_clear(keys(40), partition)
        tq.kv_batch_put(keys(30, "late"), partition, mebibytes(30))
        assert tq.kv_batch_get(keys(30, "late"), partition)["x"].values().numel() == 30 * MIB
        client.clear_partition(partition)


def test_a_put_of_several_columns_is_refused_as_a_whole(tq, partition, unharmed):
    """The last of the columns is the one that there is no room for."""
    tq.kv_batch_put(keys(20), partition, mebibytes(20))
    fields = mebibytes(20).update({name: torch.zeros(20, MIB, dtype=torch.uint8) for name in "yz"})
    with unharmed(), pytest.raises(errors.StorageFullError):
        tq.kv_batch_put(keys(20), partition, fields, timeout_s=0.5)
    assert list(tq.kv_batch_get(keys(20), partition).keys()) == ["x"]
    tq.get_client().clear_partition(partition)


def test_a_put_beyond_the_whole_capacity_is_a_limit(tq, partition, unharmed):
    with unharmed(), pytest.raises(errors.LimitExceededError, match=str(CAPACITY_BYTES)):
        tq.kv_batch_put(keys(65), partition, mebibytes(65))


def test_the_client_goes_on_after_a_put_beyond_the_whole_capacity(tq, partition):
    for _ in range(3):
        with pytest.raises(errors.LimitExceededError):
            tq.kv_batch_put(keys(65), partition, mebibytes(65))
        tq.kv_put("a", partition, tag={"alive": True})
    assert tq.kv_list(partition) == {partition: {"a": {"alive": True}}}
    tq.get_client().clear_partition(partition)


def test_overwriting_for_ever_fits_in_a_small_storage(tq, partition):
    for step in range(40):
        tq.kv_batch_put(
            keys(8), partition, TensorDict({"x": torch.full((8, MIB), step, dtype=torch.uint8)}, batch_size=8)
        )
    assert tq.kv_batch_get(keys(8), partition)["x"].values()[::MIB].tolist() == [39] * 8
    tq.get_client().clear_partition(partition)


def test_filling_and_clearing_in_odd_sizes_ends_where_it_began(tq, partition):
    """Small and large, dense and text, by key and by meta; at the end one column of almost everything fits."""
    client = tq.get_client()
    tq.kv_put("first", partition, tag={})
    used = client.stats()["bytes_used"]
    for step in range(120):
        size = [1, 70, 4000, 90_000, 1_500_000][step % 5]
        fields = {"x": torch.zeros(2, size, dtype=torch.uint8), "t": NonTensorStack("y" * size, "")}
        tq.kv_batch_put([f"a{step}", f"b{step}"], partition, TensorDict(fields, batch_size=2))
        if step >= 7:
            tq.kv_clear([f"a{step - 7}", f"b{step - 7}"], partition)
    tq.kv_clear([f"{which}{step}" for step in range(120) for which in "ab"], partition)
    assert client.stats()["bytes_used"] == used
    tq.kv_batch_put(keys(60), partition, mebibytes(60))
    client.clear_partition(partition)
