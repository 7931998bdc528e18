"""Samplers of a user's own with states that a checkpoint can hold, or can't."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from support.own_samplers import LastRows, wait_for_word
from transferqueue.sampler import BaseSampler


class Drawing(BaseSampler):
    """Draws at random, with generators of two libraries and a state of every kind."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self._random = random.Random(seed)
        self._numpy = np.random.default_rng(seed)
        self._seen: dict[Any, Any] = {("a", 1): {1, 2}, 3: np.arange(2), "t": (1, [2.5, None])}

    def sample(self, ready_indexes: list[int], batch_size: int, *args: Any, **kwargs: Any) -> Any:
        assert self._seen["a", 1] == {1, 2}
        assert self._seen["t"] == (1, [2.5, None])
        assert self._seen[3].tolist() == [0, 1]
        if len(ready_indexes) < batch_size:
            return [], []
        rows = self._random.sample(ready_indexes, batch_size)
        rows = [rows[i] for i in self._numpy.permutation(batch_size)]
        return rows, rows


class Unpackable(LastRows):
    """Keeps a lock, which no file can hold; the pickle of it is made without."""

    def __init__(self) -> None:
        super().__init__()
        self._lock: Any = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        self._lock = threading.local()

    def save_checkpoint(self) -> dict[str, Any]:
        return {"_lock": self._lock}


class Dawdling(LastRows):
    """Takes its time to say, or to take in, what it remembers: until a file is there.

    Parameters
    ----------
    folder
        Where it says in a file what it was asked for, and waits for the file ``go``.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def save_checkpoint(self) -> dict[str, Any]:
        wait_for_word("save", {"folder": self.folder})
        return super().save_checkpoint()

    def load_checkpoint(self, state: Mapping[str, Any]) -> None:
        wait_for_word("load", {"folder": self.folder})
        super().load_checkpoint(state)


class Forgetful(LastRows):
    """Saves, and can't load."""

    def load_checkpoint(self, state: Mapping[str, Any]) -> None:
        if "_states" in state and not state.get("_mine"):
            raise LookupError("no such thing")

    def save_checkpoint(self) -> dict[str, Any]:
        return {"_states": {}, "_mine": False}
