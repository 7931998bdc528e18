"""`SequentialSampler`, under the peer's path."""

from transferqueue.sampler.sequential_sampler import SequentialSampler

__all__ = ["SequentialSampler"]
