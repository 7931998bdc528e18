"""`BaseSampler`, under the peer's path."""

from transferqueue.sampler.base import BaseSampler

__all__ = ["BaseSampler"]
