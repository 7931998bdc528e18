"""The client: every operation of the queue, blocking and as a coroutine.

A method checks its arguments, builds one `Operation` and sends it; all logic is in `_operations` and in the C# core. A client is safe
in any thread and on any event loop, also on a new loop for each call.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from transferqueue import _backends, _operations
from transferqueue._checkpoint_work import AsyncCheckpoints, Checkpoints
from transferqueue._listings import Listings
from transferqueue._operations import Operation
from transferqueue.errors import InvalidArgumentError, InvalidTypeError
from transferqueue.meta import BatchMeta

if TYPE_CHECKING:
    from tensordict import TensorDict
    from torch import Tensor

    from transferqueue._core import Connection, Frame

T = TypeVar("T")

logger = logging.getLogger("transferqueue.client")

#: Seconds that a fetch waits for rows where the caller says nothing.
FETCH_TIMEOUT_S = 30.0

#: Names that `initialize_storage_manager` takes: the peer's managers, and its backends.
STORAGE_MANAGERS = (
    *("AsyncSimpleStorageManager", "MooncakeStorageManager", "YuanrongStorageManager", "RayStorageManager"),
    *("SimpleStorage", "MooncakeStore", "Yuanrong", "RayStore"),
)


class ControllerInfo(Protocol):
    """What knows where a queue is; ``ZMQServerInfo`` of ``_server_info``."""

    def connect(self) -> Connection:
        """Open a connection."""


class _UnknownManagerError(InvalidArgumentError, AssertionError):
    """No manager of this name; the peer raises AssertionError."""


def _check_info(info: Any) -> None:
    if info is None:
        raise InvalidArgumentError(
            "controller_info: None given; give the ZMQServerInfo of the queue, or call get_client"
        )
    if isinstance(info, type) or not hasattr(info, "connect"):
        raise InvalidTypeError(f"controller_info: {info!r:.80} is a {type(info).__name__}; give a ZMQServerInfo")


def _empty_columns() -> TensorDict:
    from tensordict import TensorDict

    return TensorDict({}, batch_size=0)


def _put_operation(
    data: Any,
    metadata: BatchMeta | None,
    partition_id: str | None,
    data_parser: Callable[[Any], Any] | None,
    allow_pickle: bool,
    is_stored: bool,
) -> Operation[BatchMeta]:
    from tensordict import TensorDictBase

    if not isinstance(data, TensorDictBase):
        raise InvalidTypeError(f"put: data is a {type(data).__name__}; give a TensorDict")
    rows = data.batch_size[0] if data.batch_size else 0
    if metadata is None:
        if partition_id is None:
            raise InvalidArgumentError("put: neither metadata nor partition_id given; name the rows or the partition")
        columns = _operations.parsed_fields(data, data_parser)
        if is_stored:
            return _stored_put(columns, rows, _operations.check_name(partition_id, "partition_id"))
        return _operations.insert(columns, partition_id, rows, allow_pickle=allow_pickle)
    metadata = _operations.check_meta(metadata, "put")
    if metadata.size == 0:
        raise InvalidArgumentError(
            "put: metadata cannot be none or empty: it has 0 rows; get one by get_meta or an earlier put"
        )
    if rows != metadata.size:
        raise InvalidArgumentError(f"put: data has {rows} rows and metadata {metadata.size}; give as many")
    columns = _operations.parsed_fields(data, data_parser)
    if is_stored:
        return _stored_put(columns, rows, metadata)
    return _operations.put(columns, metadata, allow_pickle=allow_pickle)


def _stored_put(columns: Any, rows: int, target: BatchMeta | str) -> Operation[BatchMeta]:
    """A put to a user's store: into rows that there are, or new ones of a partition."""
    from transferqueue.storage.stored import NewRows, StoredPut

    put = StoredPut(columns, rows, NewRows(target) if isinstance(target, str) else target)
    return cast("Operation[BatchMeta]", put)


def _meta_operation(
    data_fields: Sequence[str],
    batch_size: int | None,
    partition_id: str,
    mode: str,
    task_name: str | None,
    sampling_config: Mapping[str, Any] | None,
    wait_s: float | None,
) -> Operation[BatchMeta]:
    return _operations.get_meta(data_fields, batch_size, partition_id, mode, task_name, sampling_config, wait_s)


class AsyncTransferQueueClient(AsyncCheckpoints):
    """The operations as coroutines.

    Usually made by ``init`` and handed out by ``get_client``. Made by hand it connects at its first call.

    Parameters
    ----------
    client_id : str
        A name for it. In the package an open connection stands here, which the client closes with itself.
    controller_info : ZMQServerInfo
        Where the queue is, as ``process_zmq_server_info`` or the configuration's ``controller.zmq_info`` tells.
    timeout_s : float, default 30
        Seconds that a call waits for its answer; DeadlineExceededError when 2 s more are over.
    fetch_timeout_s : float, default 30
        Seconds that `get_meta` waits for rows; NotReadyError after that.
    allow_pickle : bool, default True
        Whether objects that no typed codec covers are pickled, and read back.

    Attributes
    ----------
    client_id : str
        The name.
    allow_pickle : bool
        As given.
    storage_manager : StorageManager
        Of the user's store that the queue was started with; None: the columns are where `controller_info` says.

    Raises
    ------
    InvalidArgumentError
        No `controller_info`.
    InvalidTypeError
        An argument of a wrong type.
    """

    def __init__(
        self,
        client_id: str | Connection,
        controller_info: ControllerInfo | None = None,
        *,
        timeout_s: float = 30.0,
        fetch_timeout_s: float = FETCH_TIMEOUT_S,
        allow_pickle: bool = True,
    ) -> None:
        self._lock = threading.Lock()
        self._opened: Connection | None = None
        self._controller = controller_info
        if isinstance(client_id, str):
            _check_info(controller_info)
            self.client_id = client_id
        elif hasattr(client_id, "acall"):
            self._opened = client_id
            self.client_id = f"TransferQueueClient {os.getpid()}"
        else:
            raise InvalidTypeError(f"client_id: {client_id!r:.80} is a {type(client_id).__name__}; give a str")
        self._timeout_s = timeout_s
        self._fetch_timeout_s = fetch_timeout_s
        self.allow_pickle = allow_pickle
        self.storage_manager: Any = None
        self._store_loop: Any = None
        self._listings = Listings()

    @property
    def _connection(self) -> Connection:
        opened = self._opened
        if opened is not None:
            return opened
        with self._lock:
            if self._opened is None:
                assert self._controller is not None
                self._opened = self._controller.connect()
            return self._opened

    def initialize_storage_manager(self, manager_type: str, config: Any = None) -> None:
        """Let the columns be in a registered store. For the peer's own names nothing is done: the rows are in the sidecar.

        Parameters
        ----------
        manager_type : str
            The name under which a manager or a key-value client was registered. ``AsyncSimpleStorageManager`` and
            ``SimpleStorage`` are the sidecar; for the names of the peer's other managers a warning says that it is that all
            the same.
        config : dict, optional
            What the store's classes are made with.

        Raises
        ------
        AssertionError
            No manager has this name.
        """
        if _backends.is_registered(manager_type):
            self._use_store(manager_type, config or {})
            return
        if manager_type not in STORAGE_MANAGERS:
            raise _UnknownManagerError(
                f"initialize_storage_manager: {manager_type!r} is none of {', '.join(STORAGE_MANAGERS)}, and not registered in "
                "this process; import the module that registers it"
            )
        if "Simple" not in manager_type:
            logger.warning(
                "initialize_storage_manager: %r is not served here; rows are held by the sidecar", manager_type
            )

    def _use_store(self, name: str, config: Mapping[str, Any]) -> None:
        """Let the columns be in a store; AssertionError if this process has not registered it."""
        from transferqueue.storage import StorageManagerFactory
        from transferqueue.storage.loop import StoreLoop

        self._store_loop = StoreLoop()
        self.storage_manager = StorageManagerFactory.create(name, self._controller, config)

    @property
    def _is_stored(self) -> bool:
        """Whether the columns lie in a user's store."""
        return self.storage_manager is not None

    def _call(self, operation: Operation[T], timeout_s: float | None = None) -> T:
        """Ask the core."""
        wait = self._timeout_s if timeout_s is None else timeout_s
        return operation.read(self._connection.call(operation.type, operation.header, operation.frames, wait))

    def _run_stored(self, operation: Operation[T], timeout_s: float | None) -> T:
        from transferqueue.storage import stored

        return cast("T", stored.run(self, operation, timeout_s))

    async def _send_async(self, operation: Operation[T], timeout_s: float | None = None) -> T:
        if not self._is_stored:
            return await self._call_async(operation, timeout_s)
        from transferqueue.storage import stored

        return cast("T", await stored.run_async(self, operation, timeout_s))

    async def _call_async(self, operation: Operation[T], timeout_s: float | None = None) -> T:
        """Ask the core."""
        wait = self._timeout_s if timeout_s is None else timeout_s
        reply = await self._connection.acall(operation.type, operation.header, operation.frames, wait, operation.keep)
        return operation.read(reply)

    async def async_put(
        self,
        data: TensorDict,
        metadata: BatchMeta | None = None,
        partition_id: str | None = None,
        data_parser: Callable[[Any], Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> BatchMeta:
        """Like `TransferQueueClient.put`."""
        made = await _operations.make_async(
            lambda: _put_operation(data, metadata, partition_id, data_parser, self.allow_pickle, self._is_stored),
            data_parser,
        )
        return await self._send_async(made, timeout_s)

    async def async_get_meta(
        self,
        data_fields: Sequence[str],
        batch_size: int | None,
        partition_id: str,
        mode: str = "fetch",
        task_name: str | None = None,
        sampling_config: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        *,
        wait_s: float | None = None,
    ) -> BatchMeta:
        """Like `TransferQueueClient.get_meta`."""
        operation = _meta_operation(data_fields, batch_size, partition_id, mode, task_name, sampling_config, wait_s)
        return await self._send_async(operation, self._fetch_timeout_s if timeout_s is None else timeout_s)

    async def async_get_data(
        self,
        metadata: BatchMeta,
        *,
        layout: str = "jagged",
        copy: bool | None = None,
        timeout_s: float | None = None,
    ) -> TensorDict:
        """Like `TransferQueueClient.get_data`."""
        if _operations.check_meta(metadata, "get_data").size == 0 or not metadata.field_names:
            return _empty_columns()
        return await self._send_async(
            _operations.get(metadata, layout=layout, copy=copy, allow_pickle=self.allow_pickle), timeout_s
        )

    async def async_set_custom_meta(self, metadata: BatchMeta, *, timeout_s: float | None = None) -> None:
        """Like `TransferQueueClient.set_custom_meta`."""
        if _operations.check_meta(metadata, "set_custom_meta").size:
            await self._send_async(_operations.set_tags(metadata), timeout_s)

    async def async_clear_partition(self, partition_id: str, *, timeout_s: float | None = None) -> None:
        """Like `TransferQueueClient.clear_partition`."""
        await self._send_async(_operations.clear_partition(partition_id), timeout_s)

    async def async_clear_samples(self, metadata: BatchMeta, *, timeout_s: float | None = None) -> None:
        """Like `TransferQueueClient.clear_samples`."""
        if _operations.check_meta(metadata, "clear_samples").size:
            await self._send_async(_operations.clear_rows(metadata), timeout_s)

    async def async_get_production_status(
        self, data_fields: Sequence[str], partition_id: str, *, timeout_s: float | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Like `TransferQueueClient.get_production_status`."""
        if not data_fields:
            return None, None
        return await self._send_async(_operations.production_status(data_fields, partition_id), timeout_s)

    async def async_get_consumption_status(
        self, task_name: str, partition_id: str, *, timeout_s: float | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Like `TransferQueueClient.get_consumption_status`."""
        return await self._send_async(_operations.consumption_status(task_name, partition_id), timeout_s)

    async def async_check_production_status(
        self, data_fields: Sequence[str], partition_id: str, *, timeout_s: float | None = None
    ) -> bool:
        """Like `TransferQueueClient.check_production_status`."""
        if not data_fields:
            return False
        return await self._send_async(_operations.is_produced(data_fields, partition_id), timeout_s)

    async def async_check_consumption_status(
        self, task_name: str, partition_id: str, *, timeout_s: float | None = None
    ) -> bool:
        """Like `TransferQueueClient.check_consumption_status`."""
        return await self._send_async(_operations.is_consumed(task_name, partition_id), timeout_s)

    async def async_reset_consumption(
        self, partition_id: str, task_name: str | None = None, *, timeout_s: float | None = None
    ) -> bool:
        """Like `TransferQueueClient.reset_consumption`."""
        return await self._send_async(_operations.reset_consumption(partition_id, task_name), timeout_s)

    async def async_get_partition_list(self, *, timeout_s: float | None = None) -> list[str]:
        """Like `TransferQueueClient.get_partition_list`."""
        return await self._send_async(_operations.partitions(), timeout_s)

    async def async_kv_retrieve_meta(
        self, keys: list[str] | str, partition_id: str, create: bool = False, *, timeout_s: float | None = None
    ) -> BatchMeta:
        """Like `TransferQueueClient.kv_retrieve_meta`."""
        rows = _operations.check_keys(keys, unique=create)
        return await self._send_async(_operations.retrieve_meta(rows, partition_id, create=create), timeout_s)

    async def async_kv_retrieve_keys(
        self, global_indexes: list[int] | int, partition_id: str, *, timeout_s: float | None = None
    ) -> list[str | None]:
        """Like `TransferQueueClient.kv_retrieve_keys`."""
        return await self._send_async(_operations.retrieve_keys(global_indexes, partition_id), timeout_s)

    async def async_kv_list(
        self, partition_id: str | None = None, *, timeout_s: float | None = None
    ) -> dict[str, dict[str, Any]]:
        """Like `transferqueue.kv_list`."""
        return await self._send_async(self._listings.operation(partition_id), timeout_s)

    async def async_stats(self, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Like `TransferQueueClient.stats`."""
        return await self._send_async(_operations.stats(), timeout_s)

    def close(self) -> None:
        """Close the connection to the core, and the storage manager; a second call does nothing."""
        self._close_store()
        if self._opened is not None:
            self._opened.close()

    def _close_store(self) -> None:
        manager, loop = self.storage_manager, self._store_loop
        if manager is None or loop is None:
            return
        self._store_loop = None  # the manager stays: columns must not come to lie elsewhere
        try:
            loop.run(manager.close)
        except Exception:
            logger.exception("storage manager: %s.close failed", type(manager).__name__)
        loop.close()


class TransferQueueClient(Checkpoints, AsyncTransferQueueClient):
    """The operations as plain calls, beside the coroutines; made by ``init`` and handed out by ``get_client``."""

    def _send(self, operation: Operation[T], timeout_s: float | None = None) -> T:
        return self._run_stored(operation, timeout_s) if self._is_stored else self._call(operation, timeout_s)

    def _reserve(self, lengths: list[int], timeout_s: float | None = None) -> list[Frame]:
        """Room in shared memory, a frame for each length; none where it isn't shared with the core."""
        if not self._connection.shares_memory:
            return []
        return self._connection.reserve(lengths, self._timeout_s if timeout_s is None else timeout_s)

    def put(
        self,
        data: TensorDict,
        metadata: BatchMeta | None = None,
        partition_id: str | None = None,
        data_parser: Callable[[Any], Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> BatchMeta:
        """Write columns: into the rows of `metadata`, else into new rows of `partition_id`.

        Parameters
        ----------
        data : TensorDict
            One column per entry, batch size [B].
        metadata : BatchMeta, optional
            B rows. It is updated with the new fields and returned.
        partition_id : str, optional
            Where new rows are made if there is no `metadata`.
        data_parser : callable, optional
            ``dict -> dict`` of the columns, run here before they are copied; it keeps the names and the number of rows.
        timeout_s : float, optional
            Seconds to wait; default that of the client.

        Returns
        -------
        BatchMeta
            The rows, ready in the fields put.

        Raises
        ------
        InvalidArgumentError, InvalidTypeError
            The arguments contradict each other; nothing was written.
        SchemaMismatchError
            A column's dtype differs from what the field holds; nothing was written.
        StaleBatchError
            Rows of `metadata` were cleared since; nothing was written.
        StorageFullError
            No room; nothing was written.
        """
        operation = _put_operation(data, metadata, partition_id, data_parser, self.allow_pickle, self._is_stored)
        return self._send(operation, timeout_s)

    def get_meta(
        self,
        data_fields: Sequence[str],
        batch_size: int | None,
        partition_id: str,
        mode: str = "fetch",
        task_name: str | None = None,
        sampling_config: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        *,
        wait_s: float | None = None,
    ) -> BatchMeta:
        """Allocate rows (``insert``), take ready ones for a task (``fetch``), or see a whole partition (``force_fetch``).

        Parameters
        ----------
        data_fields : list of str
            The fields that must be ready, or will be put.
        batch_size : int
            Rows wanted, at least 1; ignored by ``force_fetch``.
        partition_id : str
            The partition; ``insert`` makes it.
        mode : {"fetch", "insert", "force_fetch"}, default "fetch"
            ``fetch`` marks the rows consumed by the task at once.
        task_name : str
            Who consumes; needed by ``fetch``.
        sampling_config : dict, optional
            Passed to the sampler.
        timeout_s : float, optional
            Seconds that a fetch waits for rows; default that of the client, 30. With ``polling_mode`` it never waits and returns an
            empty BatchMeta.
        wait_s : float, optional
            Seconds that a fetch waits for rows, with or without ``polling_mode``; 0: an empty BatchMeta at once, or as soon as a
            sampler of your own has no batch. Better than a short `timeout_s`, at which rows may be consumed whose answer
            comes too late.

        Raises
        ------
        NotReadyError
            Too few ready rows by the deadline; the message says what is missing.
        """
        operation = _meta_operation(data_fields, batch_size, partition_id, mode, task_name, sampling_config, wait_s)
        return self._send(operation, self._fetch_timeout_s if timeout_s is None else timeout_s)

    def get_data(
        self,
        metadata: BatchMeta,
        *,
        layout: str = "jagged",
        copy: bool | None = None,
        timeout_s: float | None = None,
    ) -> TensorDict:
        """Read the fields that `metadata` names, row by row in its order; `layout` and `copy` as in `kv_batch_get`.

        Raises
        ------
        StaleBatchError
            A row was cleared since `metadata` was made.
        StorageKeyNotFoundError
            A (row, field) was never written.
        """
        if _operations.check_meta(metadata, "get_data").size == 0 or not metadata.field_names:
            return _empty_columns()
        return self._send(
            _operations.get(metadata, layout=layout, copy=copy, allow_pickle=self.allow_pickle), timeout_s
        )

    def set_custom_meta(self, metadata: BatchMeta, *, timeout_s: float | None = None) -> None:
        """Replace the tags of the rows by those that `metadata` carries; rows of a partition that is gone are ignored.

        Raises
        ------
        StaleBatchError
            A row was cleared since, and its partition is still there; no tag was changed.
        """
        if _operations.check_meta(metadata, "set_custom_meta").size:
            self._send(_operations.set_tags(metadata), timeout_s)

    def clear_partition(self, partition_id: str, *, timeout_s: float | None = None) -> None:
        """Remove a partition with its rows; one that is not there is ignored."""
        self._send(_operations.clear_partition(partition_id), timeout_s)

    def clear_samples(self, metadata: BatchMeta, *, timeout_s: float | None = None) -> None:
        """Remove the rows of `metadata`; those that are gone are ignored, the partition stays."""
        if _operations.check_meta(metadata, "clear_samples").size:
            self._send(_operations.clear_rows(metadata), timeout_s)

    def get_production_status(
        self, data_fields: Sequence[str], partition_id: str, *, timeout_s: float | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return (global indexes int64 [N], status int8 [N, F]); (None, None) for an unknown partition or field."""
        if not data_fields:
            return None, None
        return self._send(_operations.production_status(data_fields, partition_id), timeout_s)

    def get_consumption_status(
        self, task_name: str, partition_id: str, *, timeout_s: float | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return (global indexes int64 [N], status int8 [N]); (None, None) for an unknown partition."""
        return self._send(_operations.consumption_status(task_name, partition_id), timeout_s)

    def check_production_status(
        self, data_fields: Sequence[str], partition_id: str, *, timeout_s: float | None = None
    ) -> bool:
        """Whether every row of the partition is ready in all of the fields."""
        if not data_fields:
            return False
        return self._send(_operations.is_produced(data_fields, partition_id), timeout_s)

    def check_consumption_status(self, task_name: str, partition_id: str, *, timeout_s: float | None = None) -> bool:
        """Whether the task has consumed every row of the partition."""
        return self._send(_operations.is_consumed(task_name, partition_id), timeout_s)

    def reset_consumption(
        self, partition_id: str, task_name: str | None = None, *, timeout_s: float | None = None
    ) -> bool:
        """Let a task (None: every task) fetch the rows again; True, also where the partition is not there."""
        return self._send(_operations.reset_consumption(partition_id, task_name), timeout_s)

    def get_partition_list(self, *, timeout_s: float | None = None) -> list[str]:
        """Return the partitions in the order in which they were made."""
        return self._send(_operations.partitions(), timeout_s)

    def kv_retrieve_meta(
        self, keys: list[str] | str, partition_id: str, create: bool = False, *, timeout_s: float | None = None
    ) -> BatchMeta:
        """Return the BatchMeta of rows named by keys; unknown keys are dropped, or made with `create`."""
        rows = _operations.check_keys(keys, unique=create)
        return self._send(_operations.retrieve_meta(rows, partition_id, create=create), timeout_s)

    def kv_retrieve_keys(
        self, global_indexes: list[int] | int, partition_id: str, *, timeout_s: float | None = None
    ) -> list[str | None]:
        """Return the keys of rows named by global index, None where a row has none; RuntimeError without the partition."""
        return self._send(_operations.retrieve_keys(global_indexes, partition_id), timeout_s)

    def kv_list(self, partition_id: str | None = None, *, timeout_s: float | None = None) -> dict[str, dict[str, Any]]:
        """Like `transferqueue.kv_list`."""
        return self._send(self._listings.operation(partition_id), timeout_s)

    def stats(self, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Return the core's counters: requests, rows, bytes, extents, connections."""
        return self._send(_operations.stats(), timeout_s)
