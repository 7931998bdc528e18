"""Samplers: which of the ready rows a fetch gets.

The four below also run in the core, which is where they run when a configuration names them. A class of your own that
derives from `BaseSampler` runs in a process of the sidecar. See ``docs/samplers.md``.
"""

from transferqueue.sampler.base import BaseSampler
from transferqueue.sampler.grpo_group_n_sampler import GRPOGroupNSampler
from transferqueue.sampler.rank_aware_sampler import RankAwareSampler
from transferqueue.sampler.seqlen_balanced_sampler import SeqlenBalancedSampler
from transferqueue.sampler.sequential_sampler import SequentialSampler

__all__ = ["BaseSampler", "GRPOGroupNSampler", "RankAwareSampler", "SeqlenBalancedSampler", "SequentialSampler"]
