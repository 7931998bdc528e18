"""What a trainer puts around its workers' functions: metadata in, columns for the function, metadata out.

All coroutines of the queue's client run on one event loop in a thread of their own, whichever thread calls.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from tensordict import NonTensorData, TensorDict


class BackgroundLoop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="metas and columns", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def bridged(tq: Any, background: BackgroundLoop, collects: Callable[[Any], bool] = lambda _: True) -> Any:
    """A decorator for ``function(worker, columns) -> columns``: it takes and gives BatchMeta or KVBatchMeta instead."""

    def decorate(function: Callable[[Any, TensorDict], TensorDict]) -> Callable[[Any, Any], Any]:
        @functools.wraps(function)
        def wrapper(worker: Any, meta: Any) -> Any:
            assert isinstance(meta, tq.BatchMeta | tq.KVBatchMeta)
            given = meta
            if isinstance(given, tq.KVBatchMeta):
                meta = background.run(meta_of_keys(tq, given))
            columns = background.run(tq.get_client().async_get_data(meta))
            for name, value in meta.extra_info.items():
                columns.set(name, NonTensorData(value, batch_size=columns.batch_size))
            made = function(worker, columns)
            if not collects(worker):
                return tq.BatchMeta()
            info = {
                name: made.pop(name).data for name in list(made.keys()) if isinstance(made.get(name), NonTensorData)
            }
            if len(list(made.keys())):
                meta = background.run(tq.get_client().async_put(data=made, metadata=meta))
            meta.extra_info = info
            return background.run(keys_of_meta(tq, meta, given)) if isinstance(given, tq.KVBatchMeta) else meta

        return wrapper

    return decorate


async def meta_of_keys(tq: Any, given: Any) -> Any:
    meta = await tq.get_client().async_kv_retrieve_meta(keys=given.keys, partition_id=given.partition_id, create=False)
    if given.fields is not None:
        meta = meta.select_fields(given.fields)
    meta.extra_info = given.extra_info
    return meta


async def keys_of_meta(tq: Any, meta: Any, given: Any = None) -> Any:
    [partition] = set(meta.partition_ids)
    keys = await tq.get_client().async_kv_retrieve_keys(global_indexes=meta.global_indexes, partition_id=partition)
    made = tq.KVBatchMeta(keys=keys, tags=[{}] * meta.size, partition_id=partition, fields=meta.field_names)
    if given is not None:
        made.tags = given.tags
    made.extra_info.update(meta.extra_info)
    return made
