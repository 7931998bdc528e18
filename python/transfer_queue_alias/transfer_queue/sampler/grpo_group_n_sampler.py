"""`GRPOGroupNSampler`, under the peer's path."""

from transferqueue.sampler.grpo_group_n_sampler import GRPOGroupNSampler

__all__ = ["GRPOGroupNSampler"]
