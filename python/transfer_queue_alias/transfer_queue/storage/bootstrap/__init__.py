"""Stores of users' own, under the peer's path."""

from transferqueue.storage import StorageBootstrapProvider

__all__ = ["StorageBootstrapProvider"]
