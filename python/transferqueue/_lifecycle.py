"""``init``, ``close``, ``get_client``."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from transferqueue import _logging, _session, options
from transferqueue._alias_check import check_alias
from transferqueue._chosen_sampler import choose_sampler
from transferqueue._enums import Role
from transferqueue._server_info import ZMQServerInfo
from transferqueue.errors import NotRunningError, TransferQueueError

if TYPE_CHECKING:
    from transferqueue.client import TransferQueueClient


C = TypeVar("C")


@overload
def init(conf: None = None) -> None: ...


@overload
def init(conf: C) -> C: ...


def init(conf: Any = None) -> Any:
    """Attach this process to its job's queue; the first process of the job starts it.

    Which processes belong together, ``transferqueue._meeting`` tells. Child processes find the queue by the environment
    variable ``TRANSFERQUEUE_ADDRESS``, which is set here. A repeated call does nothing. Safe from any thread.

    Parameters
    ----------
    conf
        None, a dict or a DictConfig: sections ``controller``, ``backend``, ``metrics``, ``transferqueue``, see
        ``options``. Other keys are tolerated. Not used when the queue is there already.

    Returns
    -------
    None, dict or DictConfig
        If this call started the queue: the configuration with the defaults filled in, of the type of `conf` (DictConfig
        for None); ``controller.zmq_info`` tells where the queue is. Else `conf`, as it was passed.

    Raises
    ------
    InvalidTypeError, InvalidArgumentError
        A value in `conf` is wrong.
    DeadlineExceededError
        The queue was not ready in ``transferqueue.start_timeout_s``; the message says what is missing.
    AuthenticationError
        The folder where processes meet is not this user's own.
    NotRunningError
        An explicit address at which nothing serves.
    TransferQueueError
        The queue can't start; the message holds the end of its log.
    """
    require_linux()
    _logging.configure_once()
    warn_of_damaged_alias()
    before = _session.find()
    session = _session.open_session(options.Options.read(conf), start=True, conf=lambda: options.merge(conf))
    if not session.started or session is before:
        return conf
    whole = merged(conf, session)
    session.publish(whole)
    return whole


def merged(conf: Any, session: _session.Session) -> Any:
    """The configuration with the defaults filled in, and where the queue is."""
    whole = options.merge(conf)
    if whole["controller"] is None:
        whole["controller"] = dict(options.DEFAULTS["controller"])
    whole["controller"]["zmq_info"] = ZMQServerInfo.of_address(Role.CONTROLLER, session.address)
    return whole


def close() -> None:
    """Detach this process from the queue; the process that started the queue ends it, and its rows are gone.

    Without a queue nothing happens. ``init`` can be called again. Raises nothing; waits up to 15 s for the sidecar's
    end.
    """
    _session.close_session()


def get_client() -> TransferQueueClient:
    """The client of this process; the same one at each call until ``close``.

    Raises
    ------
    AssertionError
        ``init`` was not called in this process.
    """
    session = _session.find_or_renew()
    if session is None:
        raise AssertionError(
            "transferqueue: get_client() before init(): call transferqueue.init() in this process first"
        )
    return session.client


def register_sampler(sampler: Any, sampler_arguments: Mapping[str, Any] | None = None) -> None:
    """Let another sampler pick the rows of fetches from now on, for all processes, also for fetches that wait.

    Batches that ``RankAwareSampler`` and the like have fixed stay fixed. A fetch that a sampler of your own is just picking for when
    it is replaced ends with SamplerError. Safe from any thread.

    Parameters
    ----------
    sampler
        As ``controller.sampler``: a name, a class or an instance.
    sampler_arguments
        Constructor arguments of a name or a class.

    Raises
    ------
    InvalidTypeError, InvalidArgumentError
        It is no sampler, or takes no such arguments; it would have to be pickled and can't be, or may not be; this process came over
        TCP.
    TransferQueueError
        It can't be made in its process; the one before goes on.
    NotRunningError
        There is no queue.
    """
    _session.register_sampler(choose_sampler(sampler, sampler_arguments or {}))


def get_metrics_endpoint() -> str | None:
    """Where the queue's numbers are served for Prometheus: ``"host:port"``, on the sidecar's host; None without them.

    None, too, where there is no queue, and in a process that came over TCP without Ray. Safe from any thread.
    """
    try:
        endpoint: str | None = _session.session().ready.get("metrics")
    except NotRunningError:
        return None
    return endpoint


def require_linux() -> None:
    """Refuse other systems in one sentence."""
    if not sys.platform.startswith("linux"):
        raise TransferQueueError(
            f"transferqueue: it runs on Linux (tested on x86-64), this is {sys.platform}; use a Linux host or container"
        )


@functools.cache
def warn_of_damaged_alias() -> None:
    """Say once how to repair an alias that another distribution has overwritten."""
    damage = check_alias()
    if damage is not None:
        _logging.get_logger("lifecycle").warning("%s", damage)
