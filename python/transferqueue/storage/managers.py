"""Storage managers: what a client of the queue calls to put, get and clear columns that lie in a user's store."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from transferqueue import _backends
from transferqueue.errors import InvalidArgumentError
from transferqueue.storage.clients import StorageClientFactory
from transferqueue.storage.values import Cell, column_of, rows_of

if TYPE_CHECKING:
    from tensordict import TensorDict

    from transferqueue.meta import BatchMeta

C = TypeVar("C", bound=type)

#: What the put that is under way has been told to be ready: (fields, what the store noted, by global index and field).
Notice = tuple[list[str], dict[int, dict[str, Any]]]
NOTICES: ContextVar[list[Notice] | None] = ContextVar("transferqueue_notices", default=None)
#: The cells of the get that is under way, by field. A batch's schema gives scalars the shape (1,), and can't say all that cells can.
CELLS: ContextVar[Mapping[str, Sequence[Cell]] | None] = ContextVar("transferqueue_cells", default=None)


class _UnknownManagerError(InvalidArgumentError, AssertionError):
    """No manager of this name; the peer raises AssertionError."""


class StorageManager(ABC):
    """Where the columns of a client are. Every process of the job makes one, by its first call.

    The methods are coroutines, run on an event loop of the client's own, several at a time; plain methods that block are run in threads.
    What they raise reaches the caller, and nothing is ready, or cleared, then.

    Parameters
    ----------
    controller_info
        Where the queue is.
    config
        The section ``backend.NAME`` of the configuration that the queue was started with.
    """

    def __init__(self, controller_info: Any, config: dict[str, Any]) -> None:
        self.controller_info = controller_info
        self.config = config

    @abstractmethod
    async def put_data(self, data: TensorDict, metadata: BatchMeta) -> None:
        """Store columns of the rows of `metadata`, then call `notify_data_update`.

        One that never calls it and returns has stored all of `data`.
        """

    @abstractmethod
    async def get_data(self, metadata: BatchMeta) -> TensorDict:
        """Return the fields that `metadata` names, row by row in its order.

        Its ``field_schema`` is that of the values that were put, its ``_custom_backend_meta`` what was noted of them.
        """

    @abstractmethod
    async def clear_data(self, metadata: BatchMeta) -> None:
        """Forget the fields that `metadata` names of its rows; all of them were put."""

    async def notify_data_update(
        self,
        partition_id: str,  # noqa: ARG002 - the peer's signature
        global_indexes: Sequence[int],
        field_schema: Mapping[str, Any],
        custom_backend_meta: Any = None,
    ) -> None:
        """Say, inside `put_data`, which fields are stored. They become ready with the tags of the same put, in one step, when it returns.

        Parameters
        ----------
        partition_id, global_indexes
            The rows.
        field_schema
            The fields: a dict by name, or names.
        custom_backend_meta
            ``{global_index: {field: anything}}``, or a dict per row: kept with the rows.
        """
        notices = NOTICES.get()
        if notices is None:
            raise InvalidArgumentError(
                "notify_data_update: no put is under way here; call it in put_data, and await it there"
            )
        metas = custom_backend_meta or {}
        if not isinstance(metas, Mapping):
            metas = dict(zip(global_indexes, metas, strict=True))
        notices.append((list(field_schema), {int(index): dict(entry) for index, entry in metas.items()}))

    def close(self) -> None:  # noqa: B027 - may be left as it is
        """End what it has open; called once, by the process's ``close``."""


class KVStorageManager(StorageManager):
    """A manager over a key-value store: a value per row and field, fields in sorted order, each with its rows.

    Parameters
    ----------
    controller_info
        Where the queue is.
    config
        With ``client_name``, the name under which the store's client was registered.
    """

    def __init__(self, controller_info: Any, config: dict[str, Any]) -> None:
        super().__init__(controller_info, config)
        name = config.get("client_name")
        if name is None:
            raise InvalidArgumentError("Missing client_name in config: it names the key-value client to use")
        self.storage_client = StorageClientFactory.create(name, config)

    @staticmethod
    def keys_of(field_names: Sequence[str], global_indexes: Sequence[int]) -> list[str]:
        """``"{global_index}@{field}"``, field by field."""
        return [f"{index}@{field}" for field in sorted(field_names) for index in global_indexes]

    async def put_data(self, data: TensorDict, metadata: BatchMeta) -> None:
        """Put every value, then say so."""
        fields = sorted(str(name) for name in data.keys())  # noqa: SIM118 - a TensorDict iterates over rows
        indexes = metadata.global_indexes
        values = [value for field in fields for value in rows_of(data[field])]
        metas = await asyncio.to_thread(self.storage_client.put, self.keys_of(fields, indexes), values)
        noted: dict[int, dict[str, Any]] = {}
        if metas is not None:
            if len(metas) != len(values):
                raise InvalidArgumentError(
                    f"{type(self.storage_client).__name__}.put: returned {len(metas)} entries for {len(values)} keys; "
                    "return one each, or None"
                )
            for number, meta in enumerate(metas):
                noted.setdefault(indexes[number % len(indexes)], {})[fields[number // len(indexes)]] = meta
        await self.notify_data_update(metadata.partition_ids[0], indexes, dict.fromkeys(fields), noted)

    async def get_data(self, metadata: BatchMeta) -> TensorDict:
        """Get every value, and make columns of them."""
        from tensordict import TensorDict

        fields = sorted(metadata.field_names)
        rows = metadata.size
        shapes, dtypes = [], []
        for field in fields:
            shapes += _row_shapes(metadata, field)
            dtypes += _row_dtypes(metadata, field)
        keys = self.keys_of(fields, metadata.global_indexes)
        metas = _metas(metadata, fields)
        values = await asyncio.to_thread(self.storage_client.get, keys, shapes, dtypes, metas)
        if len(values) != len(keys):
            raise InvalidArgumentError(
                f"{type(self.storage_client).__name__}.get: returned {len(values)} values for {len(keys)} keys; return one each"
            )
        columns = {
            field: column_of(list(values[number * rows : (number + 1) * rows])) for number, field in enumerate(fields)
        }
        return TensorDict(columns, batch_size=[rows])

    async def clear_data(self, metadata: BatchMeta) -> None:
        """Clear every value."""
        fields = sorted(metadata.field_names)
        keys = self.keys_of(fields, metadata.global_indexes)
        await asyncio.to_thread(self.storage_client.clear, keys, _metas(metadata, fields))

    def close(self) -> None:
        """Close the store's client."""
        self.storage_client.close()


def _row_shapes(metadata: BatchMeta, field: str) -> list[Any]:
    import torch

    cells = (CELLS.get() or {}).get(field)
    if cells is not None:
        return [None if cell["shape"] is None else torch.Size(cell["shape"]) for cell in cells]
    schema = metadata.field_schema[field]
    if schema["is_non_tensor"]:
        return [None] * metadata.size
    shapes = schema["per_sample_shapes"] or [schema["shape"]] * metadata.size
    return [torch.Size(shape) for shape in shapes]


def _row_dtypes(metadata: BatchMeta, field: str) -> list[Any]:
    from transferqueue._tensors import DTYPES

    cells = (CELLS.get() or {}).get(field)
    if cells is not None:
        return [None if cell["dtype"] is None else DTYPES[cell["dtype"]] for cell in cells]
    return [metadata.field_schema[field]["dtype"]] * metadata.size


def _metas(metadata: BatchMeta, fields: Sequence[str]) -> list[Any]:
    return [entry.get(field) for field in fields for entry in metadata._custom_backend_meta]


class StorageManagerFactory:
    """The managers that are registered in this process."""

    @classmethod
    def register(cls, manager_type: str) -> Callable[[C], C]:
        """Register the decorated class, which derives from `StorageManager`, under a name.

        Raises
        ------
        TypeError
            It doesn't.
        """
        return _backends.register(_backends.MANAGERS, manager_type, lambda: StorageManager)

    @classmethod
    def create(cls, manager_type: str, controller_info: Any, config: Mapping[str, Any]) -> StorageManager:
        """Make the manager of that name; for a name that only a key-value client has, one over that client.

        Raises
        ------
        AssertionError
            There is none.
        """
        found = _backends.MANAGERS.get(manager_type)
        if found is not None:
            made: StorageManager = found(controller_info, dict(config))
            return made
        if manager_type in _backends.CLIENTS:
            return KVStorageManager(controller_info, {"client_name": manager_type, **config})
        raise _UnknownManagerError(
            _backends.say_unknown("StorageManager", manager_type, _backends.MANAGERS, _backends.CLIENTS)
        )
