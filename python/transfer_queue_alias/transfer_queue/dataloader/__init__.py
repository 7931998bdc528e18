"""Batches as a stream, under the peer's path."""

from transferqueue.streaming import StreamingDataLoader, StreamingDataset

__all__ = ["StreamingDataLoader", "StreamingDataset"]
