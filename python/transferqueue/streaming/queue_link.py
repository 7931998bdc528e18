"""How a process that got a dataset finds the queue: a worker of a loader has no session, and may have no environment."""

from __future__ import annotations

import multiprocessing.context
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferqueue import _session
from transferqueue._arguments import require_mapping
from transferqueue.options import Options, SidecarOptions, read_section

if TYPE_CHECKING:
    from transferqueue.client import TransferQueueClient


@dataclass(frozen=True)
class QueueLink:
    """The address of a queue, or the rules by which it is found.

    Parameters
    ----------
    sidecar
        The section ``transferqueue`` of a configuration.
    token
        What ``TRANSFERQUEUE_TOKEN`` is for a worker that attaches over TCP; None: what it is anyway.
    """

    sidecar: SidecarOptions
    token: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, config: Any) -> QueueLink:
        """Read it from None, a dict or a DictConfig; ``controller.zmq_info`` may hold the address, too."""
        config = require_mapping("config", config)
        sidecar: SidecarOptions = read_section(SidecarOptions, "transferqueue", config.get("transferqueue"))
        info = (config.get("controller") or {}).get("zmq_info")
        address = getattr(info, "address", info)
        if sidecar.address is None and isinstance(address, str) and is_reachable(address):
            sidecar = replace(sidecar, address=address)
        return cls(sidecar)

    def client(self) -> TransferQueueClient:
        """The client of this process; it attaches first if it is not attached.

        Raises
        ------
        NotRunningError
            There is no such queue.
        """
        if self.token is not None:
            os.environ[_session.TOKEN_VARIABLE] = self.token  # for what the worker starts, too
        return _session.open_session(Options(sidecar=self.sidecar), start=False).client

    def with_address(self) -> QueueLink:
        """The same, with the address to which this process is attached, if it is.

        For a process that is being started it has the token, too: that may come from a fork server that is older. A pickle
        of any other kind may end in a file or elsewhere.
        """
        session = _session.find()
        if session is None:
            return self
        is_for_child = multiprocessing.context.get_spawning_popen() is not None
        needs_token = is_for_child and not session.address.startswith(_session.UNIX)
        token = os.environ.get(_session.TOKEN_VARIABLE) if needs_token else None
        return QueueLink(replace(session.options.sidecar, address=session.address), token)


def is_reachable(address: str) -> bool:
    """Whether an address can mean something here: a socket's path in a configuration may be that of another host."""
    return not address.startswith(_session.UNIX) or Path(address.removeprefix(_session.UNIX)).exists()
