"""The enumerations, under the peer's path."""

from transferqueue.legacy import ProductionStatus

__all__ = ["ProductionStatus"]
