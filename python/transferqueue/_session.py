"""The session of this process: to which sidecar it is attached, and its connection to the core.

There is at most one per process. Threads share it. A forked child has none, whatever its parent had; it attaches anew
when it needs one.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferqueue import _operations, _ray_job, _runtime, _starter, _variables
from transferqueue._backends import ChosenBackend
from transferqueue._chosen_sampler import ChosenSampler
from transferqueue._job_folder import JobFolder
from transferqueue._meeting import ADDRESS_VARIABLE, OWNER, find_address, find_job
from transferqueue._starter import Meeting
from transferqueue._version import __version__
from transferqueue.errors import AuthenticationError, InvalidArgumentError, NotRunningError
from transferqueue.options import Options, SidecarOptions

if TYPE_CHECKING:
    from transferqueue._core import Connection
    from transferqueue.client import TransferQueueClient

logger = logging.getLogger("transferqueue.session")

UNIX = "unix://"
TOKEN_VARIABLE = "TRANSFERQUEUE_TOKEN"  # noqa: S105 - a variable's name


class Session:
    """An attachment to a sidecar.

    Attributes
    ----------
    options : Options
        What ``init`` was told, or the defaults.
    address : str
        Of the core: ``unix:///path`` or ``tcp://host:port``.
    log_path : Path or None
        The sidecar's log; None where it is on another host or the sidecar was started by hand.
    started : bool
        This process started the sidecar.
    """

    def __init__(
        self, options: Options, address: str, meeting: Meeting | None, ray: _ray_job.RayMeeting | None = None
    ) -> None:
        self.options = options
        self.address = address
        ready: dict[str, Any] = meeting.ready if meeting is not None else {}
        if meeting is None and ray is not None:
            ready = {"metrics": ray.metrics}
        self.log_path = Path(ready["log"]) if ready.get("log") else None
        self._ray = ray
        self._owns_actor = ray is not None and ray.made is not None
        self.started = self._owns_actor or (meeting is not None and meeting.keeper is not None)
        self.ready = ready
        self._meeting = meeting
        self._connection: Connection | None = None
        self._client: TransferQueueClient | None = None
        self._lock = threading.RLock()
        told = {ADDRESS_VARIABLE: address} if meeting is not None or ray is not None else {}
        if ray is not None and ray.token is not None:
            told[TOKEN_VARIABLE] = ray.token
        #: What child processes find the sidecar by, and what these variables were before.
        self._told = {name: (value, os.environ.get(name)) for name, value in told.items()}
        os.environ.update(told)

    @property
    def allow_pickle(self) -> bool:
        """Whether objects may be pickled: this process and the sidecar's starter allow it."""
        return self.options.sidecar.allow_pickle and bool(self.ready.get("allow_pickle", True))

    @property
    def client(self) -> TransferQueueClient:
        """The client; its connection is opened, and .NET started, at the first use, and again after ``client.close()``."""
        client, connection = self._client, self._connection
        if client is not None and connection is not None and connection.is_open:
            return client
        with self._lock:
            if self._client is None or self._connection is None or not self._connection.is_open:
                from transferqueue.client import TransferQueueClient

                self._connection = self.connect()
                client = TransferQueueClient(
                    self._connection,
                    timeout_s=self.options.sidecar.timeout_s,
                    fetch_timeout_s=self.options.sidecar.fetch_timeout_s,
                    allow_pickle=self.allow_pickle,
                )
                if self.backend is not None:
                    client._use_store(self.backend.name, self.backend.config)
                self._client = client
            return self._client

    @property
    def backend(self) -> ChosenBackend | None:
        """The user's store that the sidecar was started with; None: it holds the columns itself."""
        told = self.ready.get("backend") if self.ready else None
        return ChosenBackend(told["name"], told["config"]) if told else (None if self.ready else self.options.backend)

    def connect(self) -> Connection:
        """Open a connection of its own to the core; the caller closes it."""
        from transferqueue._core import Connection

        options = self.options.sidecar
        if self._ray is not None:
            token = None if self._ray.token is None else bytes.fromhex(self._ray.token)
        else:
            token = None if self.address.startswith(UNIX) else read_token(options)
        return Connection.open(self.address, token, options.connect_timeout_s, options.shared_memory)

    def register_sampler(self, sampler: ChosenSampler) -> None:
        """Let another sampler pick from now on; see `transferqueue.register_sampler`."""
        if self._meeting is None:
            raise InvalidArgumentError(
                f"register_sampler: this process came to {self.address} over TCP; call it on the sidecar's host, or, in a Ray "
                "job, as a method of the actor TransferQueueController"
            )
        _starter.choose_sampler(self._meeting, sampler, self.options)
        if sampler.own is None:
            self.client._send(_operations.set_sampler(sampler.name, sampler.arguments))

    def publish(self, conf: Any) -> None:
        """Tell `conf`, the whole configuration, to whoever asks for it; the process that started the sidecar calls it."""
        if self._ray is not None and self._owns_actor:
            self._ray.publish(conf, self.options.sidecar.start_timeout_s)

    def is_alive(self) -> bool:
        """Tell whether the sidecar is there, as far as this host can see."""
        if self._ray is not None and not self._ray.is_current():
            return False
        return self._meeting is None or self._meeting.attachment.is_alive()

    def close(self) -> None:
        """Detach; the process that started the sidecar ends it. Raises nothing."""
        self._let_go()
        meeting, self._meeting = self._meeting, None
        if meeting is not None and meeting.keeper is None:
            meeting.attachment.detach()
        if self._ray is not None and self._owns_actor:
            self._ray.end()
        if meeting is None or meeting.keeper is None:
            return
        meeting.attachment.end()
        _starter.stop_backend()
        if not meeting.keeper.wait():
            logger.warning("the keeper in %s did not end by itself: killed", meeting.folder.path)
            remove_after_kill(meeting.folder)

    def close_at_exit(self) -> None:
        """End what this process owns; leave a group's sidecar to those that are still attached."""
        meeting = self._meeting
        if meeting is not None and meeting.keeper is not None and meeting.ready["mode"] != OWNER:
            self._let_go()
            self._meeting = None
            meeting.attachment.detach()
            meeting.keeper.forget()
        else:
            self.close()

    def abandon(self) -> None:
        """Drop, in a forked child, what belongs to the parent."""
        if self._meeting is not None:
            self._meeting.attachment.abandon()
            if self._meeting.keeper is not None:
                self._meeting.keeper.forget()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        client, self._client = self._client, None
        if client is not None:
            client._close_store()
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()
        for name, (value, before) in self._told.items():
            if os.environ.get(name) != value:
                continue
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
        self._told = {}


_session: Session | None = None
#: The process that this one was forked from had a session.
_parent_had_session = False
#: Taken to make or end a session; new in a forked child, where the old one may be held by a thread that is not there.
_lock = threading.RLock()


def find() -> Session | None:
    """The session of this process; None if it has none."""
    return _session


def find_or_renew() -> Session | None:
    """The session of this process; a forked child whose parent had one attaches anew; else None."""
    return session() if _session is None and _parent_had_session else _session


def session() -> Session:
    """The session of this process; without one, attach to the sidecar of its job.

    Raises
    ------
    NotRunningError
        There is nothing to attach to.
    """
    return _session or open_session(Options.read(), start=False)


def client() -> TransferQueueClient:
    """The client of this process's session; without a session, attach first.

    Raises
    ------
    NotRunningError
        There is nothing to attach to.
    """
    return session().client


def open_session(options: Options, *, start: bool, conf: Callable[[], Any] = dict) -> Session:
    """Attach to the sidecar of this process's job; the session that is there already wins.

    Parameters
    ----------
    options
        What the sidecar is started with, if it is.
    start
        Start one if there is none.
    conf
        Makes the whole configuration, to be told to whoever asks for it.
    """
    global _session
    with _lock:
        if _session is not None and (not start or _session.is_alive()):
            return _session
        if _session is not None:
            logger.warning("the sidecar at %s has ended, its rows are lost; looking for another one", _session.address)
            close_session()
        _session = make_session(options, start=start, conf=conf)
        watch_process()
        _variables.warn_once()
        logger.info(
            "%s job %s at %s; its log: %s",
            "started the sidecar of" if _session.started else "attached to",
            _session.ready.get("job"),
            _session.address,
            _session.log_path,
        )
        return _session


def make_session(options: Options, *, start: bool, conf: Callable[[], Any]) -> Session:
    """A new session, as ``_meeting`` says whom to meet."""
    address = find_address(options.sidecar, os.environ)
    if address is not None:
        return open_address(address, options)
    ray = _ray_job.find_ray()
    if ray is not None:
        return open_address_of_actor(_ray_job.meet(ray, options, conf, start=start), options)
    job = find_job(options.sidecar, os.environ)
    if start:
        meeting = _starter.attach_or_start(job, os.environ, options)
    else:
        meeting = _starter.attach(job.folder(os.environ), f"this process (job {job.name})", options)
    return make_met_session(options, meeting)


def open_address_of_actor(met: _ray_job.RayMeeting, options: Options) -> Session:
    """A session with the sidecar of a Ray job."""
    if met.token is None:
        folder = JobFolder(Path(met.address.removeprefix(UNIX)).parent)
        return make_met_session(options, _starter.attach(folder, f"Ray job {met.job}", options), met)
    session = Session(options, met.address, None, met)
    try:
        _ = session.client
    except BaseException:
        session.close()
        raise
    return session


def make_met_session(options: Options, meeting: Meeting, ray: _ray_job.RayMeeting | None = None) -> Session:
    """A session with the sidecar that was met."""
    if meeting.ready["version"] != __version__:
        logger.warning(
            "the sidecar in %s is transferqueue-net %s, this process %s",
            meeting.folder.path,
            meeting.ready["version"],
            __version__,
        )
    return Session(options, meeting.ready["address"], meeting, ray)


def open_address(address: str, options: Options) -> Session:
    """A session with an explicit address."""
    if not address.startswith(UNIX):
        session = Session(options, address, None)
        # Nothing else tells whether somebody is there.
        _ = session.client
        return session
    path = Path(address.removeprefix(UNIX))
    folder = JobFolder(path.parent)
    if path == folder.core_socket and folder.keeper_socket.exists():
        return make_met_session(options, _starter.attach(folder, f"the address {address}", options))
    if not path.exists():
        raise NotRunningError(
            f"transferqueue: nothing serves at {address}; if {ADDRESS_VARIABLE} is left from an ended job, unset it"
        )
    return Session(options, address, None)


def read_token(options: SidecarOptions) -> bytes:
    """The job's token, for TCP.

    Raises
    ------
    AuthenticationError
        There is none.
    """
    text = os.environ.get(TOKEN_VARIABLE, "")
    if options.token_file:
        text = Path(options.token_file).read_text(encoding="ascii").strip()
    if not text:
        raise AuthenticationError(
            "transferqueue: a TCP address needs the job's token: set transferqueue.token_file, or the variable "
            "TRANSFERQUEUE_TOKEN to the 64 hex digits in the file `token` of the sidecar's folder"
        )
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InvalidArgumentError("transferqueue: the token is not in hex") from None


def remove_after_kill(folder: JobFolder) -> None:
    """Remove the folder of a keeper that had to be killed."""
    with contextlib.suppress(OSError):
        deadline = time.monotonic() + 1.0
        while not folder.remove_if_stale() and folder.path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)


def register_sampler(sampler: ChosenSampler) -> None:
    """Let another sampler pick from now on; one caller at a time."""
    with _lock:
        session().register_sampler(sampler)


def close_session() -> None:
    """End this process's session; without one nothing happens."""
    global _session, _parent_had_session
    with _lock:
        session, _session = _session, None
        _parent_had_session = False
        if session is not None:
            session.close()


_watched = False


def watch_process() -> None:
    """Close at exit, and forget in forked children; registered once."""
    global _watched
    if not _watched:
        _watched = True
        atexit.register(_close_at_exit)
        _runtime.watch_forks()  # first: a session that a child drops would call .NET from there
        os.register_at_fork(after_in_child=_forget)


def _close_at_exit() -> None:
    global _session
    session, _session = _session, None
    if session is not None:
        with contextlib.suppress(Exception):
            session.close_at_exit()


def _forget() -> None:
    global _session, _lock, _parent_had_session
    _lock = threading.RLock()
    session, _session = _session, None
    _parent_had_session = _parent_had_session or session is not None
    if session is not None:
        session.abandon()
