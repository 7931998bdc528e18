"""What every sampler is."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from transferqueue.errors import InvalidArgumentError, InvalidTypeError


class BaseSampler(ABC):
    """Picks the rows of a batch; derive from it for a rule of your own.

    A constructor's arguments belong into public attributes of the same names. What a sampler remembers belongs into
    ``self._states``: a dict by partition, which `clear_cache` and the checkpoint methods know. Batches that are fixed are
    in ``self._states[partition_id][task_name][dp_rank][batch_index]``. An instance is called by one thread at a time.
    """

    def __init__(self) -> None:
        self._states: dict[Any, Any] = {}

    @abstractmethod
    def sample(
        self, ready_indexes: list[int], batch_size: int, *args: Any, **kwargs: Any
    ) -> tuple[list[int], list[int]]:
        """Pick rows.

        Parameters
        ----------
        ready_indexes : list of int
            Global indexes of the rows that are ready in all fields asked for and that the task has not consumed,
            ascending.
        batch_size : int
            Rows wanted.
        **kwargs
            ``partition``: what the rows' partition looks like (``partition.get_custom_meta(indexes)`` gives their tags),
            and the entries of the ``sampling_config`` that the caller gave to ``get_meta``.

        Returns
        -------
        tuple of list of int
            The batch's rows in its order, and those that the task does not get again; both empty if there is no batch
            in what is ready. A sampler that draws with replacement returns fewer consumed rows, or none.
        """

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[list[int], list[int]]:
        """Call `sample`."""
        return self.sample(*args, **kwargs)

    def has_cached_result(
        self, partition_id: str, task_name: str, sampling_config: Mapping[str, Any] | None = None
    ) -> bool:
        """Tell whether a batch is fixed already, so that `sample` can give it though too few rows are ready.

        Parameters
        ----------
        partition_id, task_name
            Whose batch.
        sampling_config
            With ``dp_rank`` and ``batch_index``; without them no batch is fixed.
        """
        config = sampling_config or {}
        return self._find_batch(partition_id, task_name, config.get("dp_rank"), config.get("batch_index")) is not None

    def clear_cache(self, partition_id: str) -> None:
        """Forget what belongs to a partition; called when the partition is cleared."""
        self._states.pop(partition_id, None)

    def save_checkpoint(self) -> dict[str, Any]:
        """What `load_checkpoint` needs to go on from here: a copy, made of what the sampler keeps in private attributes."""
        return {name: copy.deepcopy(value) for name, value in vars(self).items() if name.startswith("_")}

    def load_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Go on from where `save_checkpoint` was called; copied."""
        for name, value in state.items():
            setattr(self, name, copy.deepcopy(value))

    def _find_batch(self, partition_id: Any, task_name: Any, dp_rank: Any, batch_index: Any) -> list[int] | None:
        """The rows of a fixed batch."""
        if dp_rank is None or batch_index is None:
            return None
        found = self._states
        for key in (partition_id, task_name, dp_rank, batch_index):
            if not isinstance(found, dict) or key not in found:
                return None
            found = found[key]
        rows: list[int] = list(found)
        return rows

    def _fix_batch(self, partition_id: Any, task_name: Any, dp_rank: Any, batch_index: Any, rows: list[int]) -> None:
        """Fix the rows of a batch, if the caller said which it is."""
        if dp_rank is None or batch_index is None:
            return
        found = self._states
        for key in (partition_id, task_name, dp_rank):
            found = found.setdefault(key, {})
        found[batch_index] = list(rows)


def check_count(sampler: str, name: str, value: int) -> int:
    """A constructor argument that counts something.

    Raises
    ------
    InvalidTypeError, InvalidArgumentError
        It is no whole number; it is less than 1.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidTypeError(f"sampler {sampler}: {name} is {value!r}; give an int")
    if value < 1:
        raise InvalidArgumentError(f"sampler {sampler}: {name} is {value}; it must be a positive integer")
    return value


def check_rank(sampler: str, dp_rank: Any) -> None:
    """Refuse a rank that there can't be; None says nothing."""
    if dp_rank is not None and dp_rank < 0:
        raise InvalidArgumentError(f"sampler {sampler}: dp_rank is {dp_rank}; it must be 0 or more")
