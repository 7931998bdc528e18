"""The controller, under the peer's path."""

from transferqueue._handles import TransferQueueController

__all__ = ["TransferQueueController"]
