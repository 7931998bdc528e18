"""`RankAwareSampler`, under the peer's path."""

from transferqueue.sampler.rank_aware_sampler import RankAwareSampler

__all__ = ["RankAwareSampler"]
