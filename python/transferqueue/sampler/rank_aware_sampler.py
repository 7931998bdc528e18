"""The same rows for everybody of one data-parallel rank."""

from __future__ import annotations

from typing import Any

from transferqueue.sampler.base import BaseSampler, check_rank


class RankAwareSampler(BaseSampler):
    """The first ready rows, the same for everybody of one data-parallel rank.

    Whoever of the rank asks first for a batch fixes its rows; the others, its tensor- or pipeline-parallel siblings, get
    the same ones.
    """

    def sample(
        self,
        ready_indexes: list[int],
        batch_size: int,
        dp_rank: int,
        batch_index: int,
        task_name: str,
        partition_id: str,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[list[int], list[int]]:
        """The batch that was fixed, or the first `batch_size` rows.

        Parameters
        ----------
        ready_indexes
            Global indexes, ascending.
        batch_size
            Rows wanted.
        dp_rank
            The data-parallel rank, >= 0.
        batch_index
            The batch's number, chosen by the consumers.
        task_name, partition_id
            Whose batch.

        Returns
        -------
        tuple of list of int
            The batch's rows, twice: all of them are consumed. Empty, and nothing is fixed, if too few rows are ready.

        Raises
        ------
        InvalidArgumentError
            The rank is negative.
        """
        check_rank(type(self).__name__, dp_rank)
        rows = self._find_batch(partition_id, task_name, dp_rank, batch_index)
        if rows is None:
            rows = list(ready_indexes[:batch_size])
            if len(rows) < batch_size:
                return [], []
            self._fix_batch(partition_id, task_name, dp_rank, batch_index, rows)
        return rows, list(rows)
