"""The enumerations of the peer that users import: their members are str, and an unknown value names those that there are."""

from __future__ import annotations

from enum import Enum

from transferqueue.errors import InvalidArgumentError

__all__ = ["ExplicitEnum", "Role"]


class ExplicitEnum(str, Enum):  # noqa: UP042 (its str() is the old one)
    """An enumeration of strings whose error lists its values."""

    @classmethod
    def _missing_(cls, value: object) -> ExplicitEnum:
        known = ", ".join(repr(member.value) for member in cls)
        raise InvalidArgumentError(f"{value!r} is no {cls.__name__}; there are {known}")


class Role(ExplicitEnum):
    """What a part of the queue does. Here one sidecar does the first two."""

    CONTROLLER = "TransferQueueController"
    STORAGE = "TransferQueueStorage"
    CLIENT = "TransferQueueClient"
