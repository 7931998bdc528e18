"""Stores of users' own for the columns, in place of the sidecar's memory (docs/backends.md).

The sidecar keeps everything else: partitions, rows, keys, tags, readiness, consumption, and what the store noted of each value.
"""

from transferqueue.storage.bootstrap import StorageBootstrapProvider
from transferqueue.storage.clients import StorageClientFactory, StorageKVClient
from transferqueue.storage.managers import KVStorageManager, StorageManager, StorageManagerFactory

__all__ = [
    "KVStorageManager",
    "StorageBootstrapProvider",
    "StorageClientFactory",
    "StorageKVClient",
    "StorageManager",
    "StorageManagerFactory",
]
