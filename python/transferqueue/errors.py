"""The errors that TransferQueue raises on purpose: one tree, the same as the core's.

::

    TransferQueueError
    ├── InvalidArgumentError      (ValueError)
    ├── InvalidTypeError          (TypeError)
    ├── SchemaMismatchError       (ValueError)
    ├── NotReadyError             (TimeoutError)
    ├── DeadlineExceededError     (TimeoutError)
    ├── StorageKeyNotFoundError   (KeyError, RuntimeError)
    │   └── StaleBatchError
    ├── StorageFullError          (MemoryError, RuntimeError)
    ├── ConnectionLostError       (ConnectionError)
    ├── ProtocolError
    │   ├── ProtocolVersionError
    │   └── LimitExceededError
    ├── ForkedProcessError        (RuntimeError)
    ├── AuthenticationError       (PermissionError)
    ├── CheckpointError           (ValueError, RuntimeError)
    │   └── CheckpointNotFoundError (FileNotFoundError)
    ├── SamplerError              (RuntimeError)
    ├── NotRunningError           (RuntimeError)
    └── RuntimeNotFoundError      (ImportError)

Each is also the built-in error in parentheses, so code that expects that one keeps working.
A message says what had it, what was asked, what there is and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ERRORS_BY_KIND",
    "AuthenticationError",
    "CheckpointError",
    "CheckpointNotFoundError",
    "ConnectionLostError",
    "DeadlineExceededError",
    "ForkedProcessError",
    "InvalidArgumentError",
    "InvalidTypeError",
    "LimitExceededError",
    "NotReadyError",
    "NotRunningError",
    "ProtocolError",
    "ProtocolVersionError",
    "RuntimeNotFoundError",
    "SamplerError",
    "SchemaMismatchError",
    "StaleBatchError",
    "StorageFullError",
    "StorageKeyNotFoundError",
    "TransferQueueError",
]


class TransferQueueError(Exception):
    """The base of every error that TransferQueue raises on purpose; raised as itself for a fault of ours.

    Parameters
    ----------
    message
        What had it: what was asked, what there is, what to do.
    details
        The numbers and names behind the message, as the core sent them; empty by default. Copied.
    """

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        # KeyError would print the message's repr.
        return self.message


class InvalidArgumentError(TransferQueueError, ValueError):
    """A value that can't be right."""


class InvalidTypeError(TransferQueueError, TypeError):
    """A value of a wrong type."""


class NotReadyError(TransferQueueError, TimeoutError):
    """A fetch found too few ready rows by its deadline."""


class DeadlineExceededError(TransferQueueError, TimeoutError):
    """A call outlived its deadline."""


class SchemaMismatchError(TransferQueueError, ValueError):
    """A column whose dtype or kind contradicts the field's schema."""


class StorageKeyNotFoundError(TransferQueueError, KeyError, RuntimeError):
    """A row, or a cell of it, that is not there."""


class StaleBatchError(StorageKeyNotFoundError):
    """A batch whose rows were cleared since it was made."""


class StorageFullError(TransferQueueError, MemoryError, RuntimeError):
    """No room for a column or a row."""


class ConnectionLostError(TransferQueueError, ConnectionError):
    """The connection to the core ended."""


class ProtocolError(TransferQueueError):
    """A message that breaks the wire's rules."""


class ProtocolVersionError(ProtocolError):
    """A message of another protocol version."""


class LimitExceededError(ProtocolError):
    """A message over a limit of the wire."""


class ForkedProcessError(TransferQueueError, RuntimeError):
    """A call in a process that was forked after .NET had started: use spawn or forkserver."""


class AuthenticationError(TransferQueueError, PermissionError):
    """A peer that is not who it must be."""


class CheckpointError(TransferQueueError, ValueError, RuntimeError):
    """A checkpoint that can't be written or read."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """A checkpoint, or a file of it, that is not there."""


class NotRunningError(TransferQueueError, RuntimeError):
    """Nothing to attach to: no core is running for this job."""


class SamplerError(TransferQueueError, RuntimeError):
    """A sampler of the user's own raised an exception, ended its process or took too long; the message has its traceback."""


class RuntimeNotFoundError(TransferQueueError, ImportError):
    """No .NET runtime of the version that the core needs."""


#: The class of every kind that travels in an error reply (the core's enum ErrorKind).
ERRORS_BY_KIND: dict[int, type[TransferQueueError]] = {
    0: TransferQueueError,
    1: InvalidArgumentError,
    2: InvalidTypeError,
    3: NotReadyError,
    4: DeadlineExceededError,
    5: SchemaMismatchError,
    6: StorageKeyNotFoundError,
    7: StaleBatchError,
    8: StorageFullError,
    9: ConnectionLostError,
    10: ProtocolError,
    11: ProtocolVersionError,
    12: LimitExceededError,
    13: ForkedProcessError,
    14: AuthenticationError,
    15: CheckpointError,
    16: NotRunningError,
    17: RuntimeNotFoundError,
    18: SamplerError,
    19: CheckpointNotFoundError,
}
