"""Storage units, and stores of users' own, under the peer's path."""

from transferqueue._handles import SimpleStorageUnit
from transferqueue.storage import (
    KVStorageManager,
    StorageBootstrapProvider,
    StorageClientFactory,
    StorageKVClient,
    StorageManager,
    StorageManagerFactory,
)

__all__ = [
    "KVStorageManager",
    "SimpleStorageUnit",
    "StorageBootstrapProvider",
    "StorageClientFactory",
    "StorageKVClient",
    "StorageManager",
    "StorageManagerFactory",
]
