"""Key-value stores: the smallest thing a user can write to have columns elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from transferqueue import _backends
from transferqueue.errors import InvalidArgumentError

C = TypeVar("C", bound=type)


class StorageKVClient(ABC):
    """Puts, gets and clears values by key: a value per row and field, the key ``"{global_index}@{field}"``.

    Derive from it and register the class by `StorageClientFactory.register`. Every process of the job makes one. Its methods may
    block, and run in threads, several at a time; what they raise reaches the caller of the queue.

    Parameters
    ----------
    config : dict
        The section ``backend.NAME`` of the configuration that the queue was started with.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    @abstractmethod
    def put(self, keys: list[str], values: list[Any]) -> list[Any] | None:
        """Store values, tensors (without the row dimension) or any objects; an exception leaves all of their rows not ready.

        Returns
        -------
        list or None
            Something per key that is to be kept with the row and given to `get` and `clear` again; plain values or picklable.
        """

    @abstractmethod
    def get(
        self,
        keys: list[str],
        shapes: list[Any] | None = None,
        dtypes: list[Any] | None = None,
        custom_backend_meta: list[Any] | None = None,
    ) -> list[Any]:
        """Return the values, in the order of the keys.

        Parameters
        ----------
        keys
            What was put before.
        shapes, dtypes
            Of each value: ``torch.Size`` and ``torch.dtype``, None for what is no tensor.
        custom_backend_meta
            What `put` returned for each; None where that was None.
        """

    @abstractmethod
    def clear(self, keys: list[str], custom_backend_meta: list[Any] | None = None) -> None:
        """Forget values; keys that are not there are ignored."""

    def close(self) -> None:  # noqa: B027 - may be left as it is
        """End what the client has open; called once, by the process's ``close``."""


class StorageClientFactory:
    """The key-value stores that are registered in this process."""

    @classmethod
    def register(cls, client_type: str) -> Callable[[C], C]:
        """Register the decorated class, which derives from `StorageKVClient`, under a name.

        Raises
        ------
        TypeError
            It doesn't.
        """
        return _backends.register(_backends.CLIENTS, client_type, lambda: StorageKVClient)

    @classmethod
    def create(cls, client_type: str, config: Mapping[str, Any]) -> StorageKVClient:
        """Make the client of that name.

        Raises
        ------
        ValueError
            There is none.
        """
        found = _backends.CLIENTS.get(client_type)
        if found is None:
            raise InvalidArgumentError(_backends.say_unknown("StorageClient", client_type, _backends.CLIENTS))
        made: StorageKVClient = found(dict(config))
        return made
