"""The peer's storage units, under its path."""

from transferqueue._handles import SimpleStorageUnit

__all__ = ["SimpleStorageUnit"]
