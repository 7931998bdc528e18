"""The batches that a dataset has had, to be given out again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch


class Kept(NamedTuple):
    """A batch: its columns, None once they were dropped, and its metadata."""

    data: Any
    meta: Any


class ReplayBuffer:
    """Batches by number. The columns of the latest ones are held, of the others only the metadata.

    Parameters
    ----------
    byte_limit
        Bytes of columns to hold, >= 0.
    batch_limit
        Batches whose metadata to hold, > 0.

    Not safe to use from several threads at once.
    """

    def __init__(self, byte_limit: int, batch_limit: int = 16_384) -> None:
        self._byte_limit = byte_limit
        self._batch_limit = batch_limit
        self._batches: OrderedDict[int, Kept] = OrderedDict()
        self._bytes: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def held_bytes(self) -> int:
        """Bytes of the columns that are held."""
        return sum(self._bytes.values())

    def find(self, number: int) -> Kept | None:
        """A batch, if it is there."""
        return self._batches.get(number)

    def keep(self, number: int, data: Any, meta: Any) -> None:
        """Take a batch in; the oldest go when there is no room."""
        self._drop_columns(number)
        self._batches.pop(number, None)
        length = None if data is None else byte_length(data)
        if length is not None and length <= self._byte_limit:
            self._bytes[number] = length
            self._batches[number] = Kept(data, meta)
        else:
            self._batches[number] = Kept(None, meta)
        while self.held_bytes > self._byte_limit:
            self._drop_columns(next(iter(self._bytes)))
        while len(self._batches) > self._batch_limit:
            oldest = next(iter(self._batches))
            self._drop_columns(oldest)
            del self._batches[oldest]

    def _drop_columns(self, number: int) -> None:
        if self._bytes.pop(number, None) is not None:
            self._batches[number] = Kept(None, self._batches[number].meta)

    def held(self) -> list[tuple[Any, Any]]:
        """The batches whose columns are held, oldest first."""
        return [(batch.data, batch.meta) for batch in self._batches.values() if batch.data is not None]

    def clear(self) -> None:
        """Forget all batches."""
        self._batches.clear()
        self._bytes.clear()

    def without_columns(self) -> ReplayBuffer:
        """A buffer of the same metadata, which never holds columns; for another process."""
        made = ReplayBuffer(0, self._batch_limit)
        made._batches = OrderedDict((number, Kept(None, batch.meta)) for number, batch in self._batches.items())
        return made


def byte_length(data: Any) -> int:
    """Bytes of the tensors in a TensorDict or dict; what else is in there counts nothing."""
    if isinstance(data, torch.Tensor):
        flat = data.values() if data.is_nested else data
        return int(flat.numel() * flat.element_size())
    if isinstance(data, Mapping):
        return sum(byte_length(value) for value in data.values())
    return 0
