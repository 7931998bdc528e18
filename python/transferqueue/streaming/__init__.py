"""Batches as a stream: a dataset that fetches from the queue, and a DataLoader over it."""

from transferqueue.streaming.loader import LoaderWorkerError, StreamingDataLoader
from transferqueue.streaming.microbatches import chunk_batch_fn, default_fetch_batch_fn
from transferqueue.streaming.stream import StreamingDataset

__all__ = [
    "LoaderWorkerError",
    "StreamingDataLoader",
    "StreamingDataset",
    "chunk_batch_fn",
    "default_fetch_batch_fn",
]
