"""The functions of the package's root, under the peer's path, and what of its state is read and set from outside."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import transferqueue
from transferqueue import _handles, _session


class _Interface(ModuleType):
    """A module with attributes that tell about the process's session."""

    _set: dict[str, Any]

    @property
    def _TQ_CLIENT(self) -> Any:  # noqa: N802 - the peer's name
        """The client of this process; None before ``init``. Setting it to None detaches a process that only attached."""
        session = _session.find()
        return self._set.get("_TQ_CLIENT", None if session is None else session.client)

    @_TQ_CLIENT.setter
    def _TQ_CLIENT(self, client: Any) -> None:  # noqa: N802
        self._set.pop("_TQ_CLIENT", None)
        session = _session.find()
        if client is None and session is not None and not session.started:
            _session.close_session()
        elif client is not None and (session is None or client is not session.client):
            self._set["_TQ_CLIENT"] = client

    @property
    def _TQ_CONTROLLER(self) -> Any:  # noqa: N802
        """A handle of the controller; None before ``init``."""
        return None if _session.find() is None else _handles.find_controller()

    @_TQ_CONTROLLER.setter
    def _TQ_CONTROLLER(self, controller: Any) -> None:  # noqa: N802
        """Nothing to do: the handle is looked up at each use."""

    @property
    def _TQ_STORAGE(self) -> None:  # noqa: N802
        """None: the sidecar holds the rows."""

    @_TQ_STORAGE.setter
    def _TQ_STORAGE(self, storage: Any) -> None:  # noqa: N802
        """Nothing to do."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in __all__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(transferqueue, name)
        setattr(self, name, value)
        return value


__all__ = [name for name in transferqueue.__all__ if name[0].islower()]

_module = sys.modules[__name__]
_module.__class__ = _Interface
_module.__dict__["_set"] = {}
