"""What a store needs to have running before the first process uses it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from transferqueue import _backends

C = TypeVar("C", bound=type)

logger = logging.getLogger("transferqueue.storage")


class StorageBootstrapProvider(ABC):
    """Starts and ends what belongs to a store, in the process that starts the queue. Optional: a store without one is just used.

    Registered under the name of the backend, in any case of its letters; made without arguments.
    """

    @classmethod
    def register_provider(cls, name: str) -> Callable[[C], C]:
        """Register the decorated class, which derives from `StorageBootstrapProvider`; TypeError if it doesn't."""
        return _backends.register(_backends.PROVIDERS, name.lower(), lambda: StorageBootstrapProvider)

    @classmethod
    def get_provider(cls, name: str) -> type[StorageBootstrapProvider] | None:
        """The class of that name; None if there is none."""
        return _backends.PROVIDERS.get(name.lower())

    @abstractmethod
    def start(self, config: dict[str, Any]) -> dict[str, Any] | None:
        """Start what is needed; what it raises ends ``init``.

        Parameters
        ----------
        config
            The section ``backend.NAME``.

        Returns
        -------
        dict or None
            The section as all processes get it, with addresses and the like, of values that JSON has; None: as it is.
        """

    def stop(self) -> None:  # noqa: B027 - may be left as it is
        """End it; called by ``close`` in the same process."""


#: Providers that this process has started.
_started: list[StorageBootstrapProvider] = []


def start(backend: _backends.ChosenBackend) -> dict[str, Any]:
    """Start what a backend needs, if it has a provider; the section that all processes get."""
    config = dict(backend.config)
    found = StorageBootstrapProvider.get_provider(backend.name)
    if found is None:
        return config
    provider = found()
    changed = provider.start(config)
    _started.append(provider)
    return config if changed is None else _backends.plain_section(backend.name, changed)


def stop() -> None:
    """Stop, in the reverse order, what this process has started; an exception is logged."""
    while _started:
        provider = _started.pop()
        try:
            provider.stop()
        except Exception:
            logger.exception("backend: %s.stop failed", type(provider).__name__)
