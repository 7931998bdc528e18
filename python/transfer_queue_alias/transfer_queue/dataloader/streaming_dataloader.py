"""`StreamingDataLoader`, under the peer's path."""

from transferqueue.streaming import StreamingDataLoader

__all__ = ["StreamingDataLoader"]
