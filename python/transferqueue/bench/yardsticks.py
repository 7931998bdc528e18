"""What the machine can do, measured in the same run: copying and reading the same bytes, warm to warm."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase

from transferqueue.bench.series import Series, timed, yardstick

#: Up to here handing work to another thread takes longer than the work.
ALONE_BYTES = 1 << 20


class Copying:
    """memcpy of a number of bytes: glibc's, with one thread and with two.

    Parameters
    ----------
    size
        Bytes, >= 1. Twice as much memory is taken, and touched, for as long as the object lives.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._source = np.ones(size, np.uint8)
        self._target = np.zeros(size, np.uint8)
        self._samples: list[float] = []
        self._samples_of_two: list[float] = []

    def measure(self, repetitions: int = 5) -> None:
        """Take samples; called before and after what is compared, since machines change their pace."""
        addresses = self._target.ctypes.data, self._source.ctypes.data
        half = self.size // 2
        self._samples += timed(lambda: ctypes.memmove(*addresses, self.size), repetitions).samples

        def copy_halves() -> None:
            other = pool.submit(ctypes.memmove, addresses[0] + half, addresses[1] + half, self.size - half)
            ctypes.memmove(*addresses, half)
            other.result()

        with ThreadPoolExecutor(1) as pool:
            self._samples_of_two += timed(copy_halves, repetitions).samples

    def yardstick(self) -> dict[str, Any]:
        """The figure that ratios refer to: one thread."""
        return yardstick("memcpy", Series(first=None, samples=self._samples), self.size)

    def best(self) -> dict[str, Any]:
        """The faster one of one thread and two."""
        two = yardstick("best memcpy", Series(first=None, samples=self._samples_of_two), self.size)
        one = self.yardstick() | {"name": "best memcpy"}
        return min(one, two, key=lambda found: float(found["median"]))


def arrays_of(batch: TensorDictBase) -> list[Any]:
    """The memory of a batch's tensors as int64 arrays, one per column; text and objects are left out."""
    arrays = []
    for name in batch.keys():  # noqa: SIM118 - a TensorDict iterates over rows
        column = batch.get(name)
        if isinstance(column, torch.Tensor):
            values = (column.values() if column.is_nested else column).detach().reshape(-1)
            octets = values.view(torch.uint8).numpy()
            arrays.append(octets[: len(octets) // 8 * 8].view(np.int64))
    return arrays


def column_bytes(batch: TensorDictBase) -> int:
    """Bytes of the tensors of a batch."""
    return sum(array.nbytes for array in arrays_of(batch))


class Reader:
    """Reads every byte of a batch's tensors: up to 1 MiB the calling thread alone, beyond that with a second one."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def read(self, batch: TensorDictBase) -> int:
        """The sum of all of it, so that nothing can be left out."""
        arrays = arrays_of(batch)
        if sum(array.nbytes for array in arrays) <= ALONE_BYTES:
            return _sum(arrays)
        other = self._pool.submit(_sum, [array[: len(array) // 2] for array in arrays])
        return _sum([array[len(array) // 2 :] for array in arrays]) + other.result()

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown()


def _sum(arrays: list[Any]) -> int:
    return sum(int(np.add.reduce(array)) for array in arrays)
