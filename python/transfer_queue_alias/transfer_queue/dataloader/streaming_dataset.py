"""`StreamingDataset` and the functions that it uses by default, under the peer's path."""

from transferqueue.streaming import StreamingDataset, chunk_batch_fn, default_fetch_batch_fn

__all__ = ["StreamingDataset", "chunk_batch_fn", "default_fetch_batch_fn"]
