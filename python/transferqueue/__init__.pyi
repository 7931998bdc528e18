"""The public names and their types, for type checkers; at run time each loads on first use."""

from transferqueue import errors, legacy, meta, sampler, streaming
from transferqueue._checkpoint import load_checkpoint, save_checkpoint
from transferqueue._kv import (
    async_kv_batch_get,
    async_kv_batch_get_by_meta,
    async_kv_batch_put,
    async_kv_clear,
    async_kv_list,
    async_kv_put,
    kv_batch_get,
    kv_batch_get_by_meta,
    kv_batch_put,
    kv_clear,
    kv_list,
    kv_put,
)
from transferqueue._lazy_batch import Batch, batch
from transferqueue._lifecycle import close, get_client, get_metrics_endpoint, init, register_sampler
from transferqueue._loan import Loan, loan
from transferqueue._version import __version__
from transferqueue.client import AsyncTransferQueueClient, TransferQueueClient
from transferqueue.errors import StorageKeyNotFoundError
from transferqueue.legacy import LegacyBatchMeta
from transferqueue.meta import BatchMeta, KVBatchMeta
from transferqueue.sampler import (
    BaseSampler,
    GRPOGroupNSampler,
    RankAwareSampler,
    SeqlenBalancedSampler,
    SequentialSampler,
)
from transferqueue.streaming import StreamingDataLoader, StreamingDataset

__all__ = [
    "AsyncTransferQueueClient",
    "BaseSampler",
    "Batch",
    "BatchMeta",
    "GRPOGroupNSampler",
    "KVBatchMeta",
    "LegacyBatchMeta",
    "Loan",
    "RankAwareSampler",
    "SeqlenBalancedSampler",
    "SequentialSampler",
    "StorageKeyNotFoundError",
    "StreamingDataLoader",
    "StreamingDataset",
    "TransferQueueClient",
    "__version__",
    "async_kv_batch_get",
    "async_kv_batch_get_by_meta",
    "async_kv_batch_put",
    "async_kv_clear",
    "async_kv_list",
    "async_kv_put",
    "batch",
    "close",
    "errors",
    "get_client",
    "get_metrics_endpoint",
    "init",
    "kv_batch_get",
    "kv_batch_get_by_meta",
    "kv_batch_put",
    "kv_clear",
    "kv_list",
    "kv_put",
    "legacy",
    "load_checkpoint",
    "loan",
    "meta",
    "register_sampler",
    "sampler",
    "save_checkpoint",
    "streaming",
]
