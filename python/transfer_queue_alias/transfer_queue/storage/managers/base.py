"""Stores of users' own, under the peer's path."""

from transferqueue.storage import KVStorageManager, StorageManager, StorageManagerFactory

__all__ = ["KVStorageManager", "StorageManager", "StorageManagerFactory"]
