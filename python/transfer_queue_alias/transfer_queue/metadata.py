"""The metadata types, under the peer's path."""

from transferqueue import BatchMeta, KVBatchMeta

__all__ = ["BatchMeta", "KVBatchMeta"]
