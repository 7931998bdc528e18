"""Which stores of users' own are registered in this process, and which one a configuration names.

Nothing here imports torch: a store is made when the first client of this process is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from transferqueue._arguments import require_mapping
from transferqueue.errors import InvalidArgumentError

C = TypeVar("C", bound=type)

#: Managers, key-value clients and bootstrap providers by the names under which they were registered.
MANAGERS: dict[str, type] = {}
CLIENTS: dict[str, type] = {}
PROVIDERS: dict[str, type] = {}
#: Names under which the sidecar itself holds the rows.
OWN = ("SimpleStorage", "AsyncSimpleStorageManager")


@dataclass(frozen=True)
class ChosenBackend:
    """A store of a user's own that was asked for.

    Parameters
    ----------
    name
        Under which it was registered.
    config
        The section ``backend.NAME``: plain values that JSON has.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)


def is_registered(name: str) -> bool:
    """Whether a manager or a key-value client of this name was registered in this process."""
    return name in MANAGERS or name in CLIENTS


def register(table: dict[str, type], name: str, base: Callable[[], type]) -> Callable[[C], C]:
    """A decorator that registers a class derived from `base` under `name`."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"register: the name of a backend is a str, {name!r} given")

    def keep(cls: C) -> C:
        if not isinstance(cls, type) or not issubclass(cls, base()):
            raise TypeError(f"register: {cls!r} must be a subclass of {base().__name__}")
        table[name] = cls
        return cls

    return keep


def say_unknown(what: str, name: str, *tables: Mapping[str, type]) -> str:
    """The message about a `name` that none of `tables` has."""
    known = ", ".join(sorted(set[str]().union(*tables))) or "none"
    return (
        f"Unknown {what} {name!r}; registered in this process: {known}; "
        "import the module that registers it before the first call"
    )


def choose_backend(backend: Mapping[str, Any]) -> ChosenBackend | None:
    """The registered store that the section ``backend`` names; None: the sidecar holds the rows.

    Raises
    ------
    InvalidArgumentError
        Its section has values that can't be told to other processes.
    """
    name = backend.get("storage_backend")
    if not isinstance(name, str) or name in OWN or not is_registered(name):
        return None
    return ChosenBackend(name, plain_section(name, backend.get(name)))


def plain_section(name: str, section: Any) -> dict[str, Any]:
    """A store's section as plain values."""
    section = require_mapping(f"backend.{name}", section)
    try:
        config: dict[str, Any] = json.loads(json.dumps(_plain(section)))
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"backend.{name}: {error}; every process of the job gets it, so it may have only what JSON has"
        ) from None
    return config


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(entry) for entry in value]
    return value
