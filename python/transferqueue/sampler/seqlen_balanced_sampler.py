"""Batches of about as many tokens for every data-parallel rank."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from transferqueue.sampler.base import check_count, check_rank
from transferqueue.sampler.grpo_group_n_sampler import GRPOGroupNSampler, find_groups


class SeqlenBalancedSampler(GRPOGroupNSampler):
    """Whole groups, divided among the data-parallel ranks so that each has as many groups and about as many tokens.

    Whoever asks first fixes the batches of all ranks. The rows of a rank's batch are kept for it until it has taken them.

    Parameters
    ----------
    n_samples_per_prompt
        Rows of a group, >= 1; default 1.
    dp_size
        Data-parallel ranks, >= 1; default 1.
    """

    def __init__(self, n_samples_per_prompt: int = 1, dp_size: int = 1) -> None:
        super().__init__(n_samples_per_prompt)
        self.dp_size = check_count(type(self).__name__, "dp_size", dp_size)
        #: Rows of batches that their ranks have not taken yet: by partition, task, rank and batch.
        self._balanced_cache: dict[Any, dict[tuple[Any, int, Any], list[int]]] = {}

    def sample(
        self,
        ready_indexes: list[int],
        batch_size: int,
        task_name: str = "",
        partition_id: str = "",
        *args: Any,
        **kwargs: Any,
    ) -> tuple[list[int], list[int]]:
        """The rank's batch.

        Parameters
        ----------
        ready_indexes
            Global indexes.
        batch_size
            Rows wanted for one rank, a multiple of ``n_samples_per_prompt``; ``dp_size`` times as many must be ready.
        task_name, partition_id
            Whose batch.
        **kwargs
            ``dp_rank`` (default 0) and ``batch_index`` (default: nothing is fixed); ``partition``, whose
            ``get_custom_meta(indexes)`` has each row's ``total_lengths``, its number of tokens (default 1). Without
            ``partition`` the groups are divided in their order.

        Returns
        -------
        tuple of list of int
            The rows of this rank's batch, twice: all of them are consumed. Empty if too few groups are ready, or for a
            rank that there is not.

        Raises
        ------
        InvalidArgumentError
            `batch_size` is no multiple of ``n_samples_per_prompt``, or the rank is negative.
        """
        self._check_batch_size(batch_size)
        dp_rank, batch_index = kwargs.get("dp_rank"), kwargs.get("batch_index")
        check_rank(type(self).__name__, dp_rank)
        rank = dp_rank or 0
        if rank >= self.dp_size:
            return [], []
        rows = self._find_batch(partition_id, task_name, rank, batch_index)
        if rows is None:
            shares = self._divide(ready_indexes, batch_size, task_name, partition_id, kwargs.get("partition"))
            if not shares:
                return [], []
            for other, share in enumerate(shares):
                self._fix_batch(partition_id, task_name, other, batch_index, share)
                if batch_index is not None:
                    self._balanced_cache.setdefault(partition_id, {})[task_name, other, batch_index] = share
            rows = shares[rank]
        self._balanced_cache.get(partition_id, {}).pop((task_name, rank, batch_index), None)
        return rows, list(rows)

    def clear_cache(self, partition_id: str) -> None:
        """Forget what belongs to a partition."""
        super().clear_cache(partition_id)
        self._balanced_cache.pop(partition_id, None)

    def _divide(
        self, ready_indexes: list[int], batch_size: int, task_name: Any, partition_id: Any, partition: Any
    ) -> list[list[int]]:
        """The rows of every rank's batch; none if too few groups are free."""
        waiting = self._balanced_cache.get(partition_id, {})
        kept = {row for (task, _, _), rows in waiting.items() if task == task_name for row in rows}
        free = [row for row in ready_indexes if row not in kept]
        count = batch_size // self.n_samples_per_prompt * self.dp_size
        groups = find_groups(free, count, self.n_samples_per_prompt)
        if not groups:
            return []
        if partition is None:
            each = count // self.dp_size
            shares = [list(range(rank * each, (rank + 1) * each)) for rank in range(self.dp_size)]
        else:
            tags = partition.get_custom_meta([row for group in groups for row in group])
            weights = [sum(count_tokens(tags.get(row)) for row in group) for group in groups]
            shares = karmarkar_karp(weights, self.dp_size, equal_size=True)
        return [[row for position in share for row in groups[position]] for share in shares]


def count_tokens(tag: Any) -> float:
    """A row's number of tokens, from its tag."""
    tokens = (tag or {}).get("total_lengths")
    return 1 if tokens is None else tokens


class Division:
    """Some weights, divided into k shares: one step of the method of N. Karmarkar and R. M. Karp (1982)."""

    def __init__(self, shares: list[tuple[float, list[int]]], number: int) -> None:
        #: Sum and positions of each share, the heaviest first. Sorting is stable, so that ties are always broken alike.
        self.shares = sorted(shares, key=lambda share: -share[0])
        self._order = (self.shares[-1][0] - self.shares[0][0], number)

    def __lt__(self, other: Division) -> bool:
        # The one with the widest spread comes first, of equal ones the older.
        return self._order < other._order

    def joined(self, other: Division, number: int) -> Division:
        """Both: the heaviest share of this one with the lightest of the other, and so on."""
        pairs = zip(self.shares, reversed(other.shares), strict=True)
        return Division([(a + b, [*positions, *more]) for (a, positions), (b, more) in pairs], number)


def karmarkar_karp(seqlen_list: Sequence[float], k_partitions: int, equal_size: bool) -> list[list[int]]:
    """Divide weights among shares whose sums are close to each other: the largest differencing method.

    Parameters
    ----------
    seqlen_list
        The weights.
    k_partitions
        Number of shares, >= 1.
    equal_size
        Every share gets as many weights; their number must be a multiple of `k_partitions`.

    Returns
    -------
    list of list of int
        Per share the positions of its weights, ascending; the heaviest share first.

    Raises
    ------
    AssertionError
        With `equal_size`: the number of weights is no multiple of `k_partitions`.
    """
    order = sorted(range(len(seqlen_list)), key=lambda position: seqlen_list[position])
    if equal_size:
        # An AssertionError is what callers of the peer's function expect, here and below.
        assert len(order) % k_partitions == 0, (
            f"karmarkar_karp: {len(order)} weights can't be divided evenly among {k_partitions}"
        )
        starts = [order[first : first + k_partitions] for first in range(0, len(order), k_partitions)]
        shares = [[(seqlen_list[position], [position]) for position in start] for start in starts]
    else:
        empty: list[tuple[float, list[int]]] = [(0, []) for _ in range(k_partitions - 1)]
        shares = [[(seqlen_list[position], [position]), *empty] for position in order]
    divisions = [Division(share, number) for number, share in enumerate(shares)]
    if not divisions:
        return [[] for _ in range(k_partitions)]
    heapq.heapify(divisions)
    number = len(divisions)
    while len(divisions) > 1:
        widest, next_one = heapq.heappop(divisions), heapq.heappop(divisions)
        heapq.heappush(divisions, widest.joined(next_one, number))
        number += 1
    return [sorted(positions) for _, positions in divisions[0].shares]


def get_seqlen_balanced_partitions(
    seqlen_list: Sequence[float], k_partitions: int, equal_size: bool
) -> list[list[int]]:
    """Divide sequences into parts of about as many tokens, none of them empty.

    Parameters
    ----------
    seqlen_list
        Each sequence's number of tokens.
    k_partitions
        Number of parts, >= 1.
    equal_size
        Every part gets as many sequences.

    Returns
    -------
    list of list of int
        Per part the positions of its sequences, ascending.

    Raises
    ------
    AssertionError
        There are fewer sequences than parts, or they can't be divided evenly.
    """
    assert len(seqlen_list) >= k_partitions, (
        f"get_seqlen_balanced_partitions: {len(seqlen_list)} sequences for {k_partitions} parts; give at least as many"
    )
    parts = karmarkar_karp(seqlen_list, k_partitions, equal_size)
    if all(parts):
        return parts
    # Weights of 0 can leave a share empty: a part that has several gives one away.
    for part in parts:
        if not part:
            part.append(max(parts, key=len).pop())
    return [sorted(part) for part in parts]
