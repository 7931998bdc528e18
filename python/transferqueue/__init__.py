"""TransferQueue: columns of samples between the stages of RL post-training."""

from transferqueue._version import __version__

__all__ = ["__version__"]
