"""Stores of users' own, under the peer's path."""

from transferqueue.storage import StorageClientFactory, StorageKVClient

__all__ = ["StorageClientFactory", "StorageKVClient"]
