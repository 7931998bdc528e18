"""The enumerations, under the peer's path."""

from transferqueue._enums import ExplicitEnum, Role
from transferqueue.legacy import ProductionStatus

#: The name of `Role` in older versions of the peer.
TransferQueueRole = Role

__all__ = ["ExplicitEnum", "ProductionStatus", "Role", "TransferQueueRole"]
