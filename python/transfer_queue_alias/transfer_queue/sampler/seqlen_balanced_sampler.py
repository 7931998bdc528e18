"""`SeqlenBalancedSampler` and what it divides with, under the peer's path."""

from transferqueue.sampler.seqlen_balanced_sampler import (
    SeqlenBalancedSampler,
    get_seqlen_balanced_partitions,
    karmarkar_karp,
)

__all__ = ["SeqlenBalancedSampler", "get_seqlen_balanced_partitions", "karmarkar_karp"]
