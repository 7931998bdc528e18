"""Whole groups of responses to one prompt."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from transferqueue.errors import InvalidArgumentError
from transferqueue.sampler.base import BaseSampler, check_count, check_rank


class GRPOGroupNSampler(BaseSampler):
    """Whole groups of rows with consecutive global indexes, for algorithms that compare the responses to one prompt.

    Put the responses to a prompt side by side, in one put: then their indexes are consecutive (as long as no rows are
    cleared one by one, which makes holes that later rows fill).

    Parameters
    ----------
    n_samples_per_prompt
        Rows of a group, >= 1; default 1.
    """

    def __init__(self, n_samples_per_prompt: int = 1) -> None:
        super().__init__()
        self.n_samples_per_prompt = check_count(type(self).__name__, "n_samples_per_prompt", n_samples_per_prompt)

    def sample(
        self,
        ready_indexes: list[int],
        batch_size: int,
        task_name: str = "",
        partition_id: str = "",
        *args: Any,
        **kwargs: Any,
    ) -> tuple[list[int], list[int]]:
        """The rows of the first ``batch_size / n_samples_per_prompt`` groups, ascending; nothing if there are fewer.

        Parameters
        ----------
        ready_indexes
            Global indexes.
        batch_size
            Rows wanted, a multiple of ``n_samples_per_prompt``.
        task_name, partition_id
            Whose batch.
        **kwargs
            ``dp_rank`` and ``batch_index``: with both the batch is fixed, and given again to whoever says the same.

        Returns
        -------
        tuple of list of int
            The batch's rows, twice: all of them are consumed. Empty if there are too few groups.

        Raises
        ------
        InvalidArgumentError
            `batch_size` is no multiple of ``n_samples_per_prompt``, or the rank is negative.
        """
        self._check_batch_size(batch_size)
        dp_rank, batch_index = kwargs.get("dp_rank"), kwargs.get("batch_index")
        check_rank(type(self).__name__, dp_rank)
        rows = self._find_batch(partition_id, task_name, dp_rank, batch_index)
        if rows is None:
            groups = find_groups(ready_indexes, batch_size // self.n_samples_per_prompt, self.n_samples_per_prompt)
            rows = [row for group in groups for row in group]
            if rows:
                self._fix_batch(partition_id, task_name, dp_rank, batch_index, rows)
        return rows, list(rows)

    def _check_batch_size(self, batch_size: int) -> None:
        if batch_size % self.n_samples_per_prompt:
            raise InvalidArgumentError(
                f"sampler {type(self).__name__}: batch_size is {batch_size}, groups have {self.n_samples_per_prompt} "
                "rows; batch_size must be a multiple of n_samples_per_prompt"
            )


def find_groups(ready_indexes: Sequence[int], count: int, rows: int) -> list[list[int]]:
    """The first `count` groups of `rows` consecutive indexes, in ascending order; none if there are fewer."""
    ordered = sorted(ready_indexes)
    groups: list[list[int]] = []
    at = 0
    while len(groups) < count and at + rows <= len(ordered):
        window = ordered[at : at + rows]
        if all(after == before + 1 for before, after in itertools.pairwise(window)):
            groups.append(window)
            at += rows
        else:
            at += 1
    return groups if len(groups) == count else []
