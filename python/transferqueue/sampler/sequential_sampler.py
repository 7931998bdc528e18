"""The first ready rows."""

from __future__ import annotations

from typing import Any

from transferqueue.sampler.base import BaseSampler


class SequentialSampler(BaseSampler):
    """The first ready rows, each once; the default."""

    def sample(
        self, ready_indexes: list[int], batch_size: int, *args: Any, **kwargs: Any
    ) -> tuple[list[int], list[int]]:
        """The first `batch_size` rows, or all there are; a negative size leaves out so many of the last.

        Parameters
        ----------
        ready_indexes
            Global indexes, ascending.
        batch_size
            Rows wanted.

        Returns
        -------
        tuple of list of int
            The batch's rows, twice: all of them are consumed.
        """
        rows = list(ready_indexes[:batch_size])
        return rows, list(rows)
