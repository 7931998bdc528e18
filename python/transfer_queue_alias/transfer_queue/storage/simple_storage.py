"""`SimpleStorageUnit`, under the peer's path."""

from transferqueue._handles import SimpleStorageUnit

__all__ = ["SimpleStorageUnit"]
