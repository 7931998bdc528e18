"""The keeper: plain Python, no .NET. It owns what must outlive the core.

That is: the listening socket, duplicates of the memfds, the knowledge of who is attached. It starts the core, and a
gateway where TCP is wanted; it starts a gateway that died again. When nobody needs the sidecar any more it ends the
others and removes every file. One thread, one selector.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import secrets
import selectors
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transferqueue import _logging
from transferqueue._job_folder import JobFolder
from transferqueue._meeting import SERVICE
from transferqueue._version import __version__
from transferqueue.errors import AuthenticationError, ProtocolError, TransferQueueError
from transferqueue.server.attached import AttachedProcess
from transferqueue.server.child import FAILED, READY, STARTING, Child
from transferqueue.server.lifetime import Lifetime

BACKLOG = 4096
TOKEN_BYTES = 32
STOP_TIMEOUT_S = 5.0
LOCK_TIMEOUT_S = 5.0
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
#: A gateway that served as long as this starts with the first backoff again.
CALM_S = 60.0
#: Ends of processes are looked at before new connections: who comes after the last one left finds the sidecar ending.
ENDS, MESSAGES, CONNECTIONS = range(3)
_MOST_FDS_IN_A_MESSAGE = 64


class Keeper:
    """One sidecar's keeper.

    Parameters
    ----------
    folder
        The job's folder; it exists, with ``config`` in it.
    starter_pid
        The process that started the sidecar, None for a service.
    report
        Called once: with "listening" when processes can attach, or with what went wrong before.
    """

    def __init__(self, folder: JobFolder, starter_pid: int | None, report: Callable[[str], None]) -> None:
        self._folder = folder
        self._config = folder.read_config()
        self._report: Callable[[str], None] | None = report
        self._log = _logging.get_logger("keeper")
        self._lifetime = Lifetime(self._config["mode"])
        self._starter_pid = starter_pid
        self._starter_fd: int | None = None
        self._selector = selectors.DefaultSelector()
        self._attached: dict[int, AttachedProcess] = {}
        self._core: Child | None = None
        self._gateway: Child | None = None
        self._gateway_due: float | None = None
        self._gateway_started = 0.0
        self._backoff_s = FIRST_BACKOFF_S
        self._start_deadline: float | None = None
        #: Duplicates of the core's memfds, by the name that the core gave them.
        self._memory: dict[str, int] = {}
        #: What attaching processes are told; None until core and gateway serve.
        self._ready: dict[str, Any] | None = None
        self._reason: str | None = None
        self._failure: str | None = None

    def run(self) -> int:
        """Serve until the sidecar's time is over; the exit status."""
        try:
            self._open()
            while self._reason is None:
                self._step()
        except Exception as error:
            self._log.exception("keeper failed")
            self._fail(f"the keeper failed: {type(error).__name__}: {error}")
        self._close()
        return 0 if self._failure is None else 1

    def end(self, reason: str) -> None:
        """End in good order at the next step."""
        if self._reason is None:
            self._reason = reason

    def _fail(self, failure: str) -> None:
        if self._failure is None:
            self._failure = failure
            self._log.error("%s", failure)
            self._tell_starter(failure)
        self.end(failure)

    def _tell_starter(self, text: str) -> None:
        report, self._report = self._report, None
        if report is not None:
            report(text)

    # -- opening

    def _open(self) -> None:
        raise_descriptor_limit()
        self._hold_pid_file()
        token = os.environ.get("TRANSFERQUEUE_TOKEN") or secrets.token_hex(TOKEN_BYTES)
        self._folder.write_private(self._folder.token, token)
        self._core_listener = listen(self._folder.core_socket)
        self._keeper_listener = listen(self._folder.keeper_socket)
        self._watch_starter()
        self._watch_signals()
        self._watch(self._keeper_listener, CONNECTIONS, self._accept)
        self._tell_starter("listening")
        self._start_deadline = time.monotonic() + self._config["start_timeout_s"]
        self._start_core()
        self._log.info(
            "keeper %s of job %s (%s) in %s", __version__, self._config["job"], self._config["mode"], self._folder.path
        )

    def _hold_pid_file(self) -> None:
        pid_file = os.open(self._folder.keeper_pid, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # someone looks whether a keeper lives
                if time.monotonic() > deadline:
                    raise TransferQueueError(f"{self._folder.keeper_pid}: another keeper holds it") from None
                time.sleep(0.005)
        os.write(pid_file, f"{os.getpid()}\n".encode())
        self._pid_file = pid_file

    def _watch_starter(self) -> None:
        if self._starter_pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._starter_fd = os.pidfd_open(self._starter_pid)
        if self._starter_fd is None or os.getppid() != self._starter_pid:
            self._lifetime.end_starter(time.monotonic())
        else:
            self._watch(self._starter_fd, ENDS, self._end_starter)

    def _watch_signals(self) -> None:
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
        ended_by = (signal.SIGTERM, signal.SIGINT) if self._config["mode"] == SERVICE else (signal.SIGTERM,)
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for number in ended_by:
            signal.signal(number, lambda signum, _: self.end(signal.Signals(signum).name))
        self._watch(receiver, ENDS, lambda: receiver.recv(4096))

    def _watch(self, file: int | socket.socket, turn: int, act: Callable[[], object]) -> None:
        self._selector.register(file, selectors.EVENT_READ, (turn, act))

    # -- the loop

    def _step(self) -> None:
        events = self._selector.select(self._seconds_to_wait())
        for key, _ in sorted(events, key=lambda event: event[0].data[0]):
            # An earlier event of this round may have closed it.
            if self._reason is None and self._selector.get_map().get(key.fd) is key:
                key.data[1]()
        now = time.monotonic()
        if self._start_deadline is not None and now > self._start_deadline:
            self._fail(f"{self._describe_missing()} not ready after {self._config['start_timeout_s']:g} s")
        if self._gateway_due is not None and now >= self._gateway_due:
            self._start_gateway()
        over = self._lifetime.why_over(now)
        if over is not None:
            self.end(over)

    def _seconds_to_wait(self) -> float | None:
        times = [t for t in (self._start_deadline, self._gateway_due, self._lifetime.deadline()) if t is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    # -- attached processes

    def _accept(self) -> None:
        connection, _ = self._keeper_listener.accept()
        try:
            process = AttachedProcess(connection)
        except (AuthenticationError, OSError) as error:
            connection.close()
            self._log.warning("%s", error)
            return
        self._attached[connection.fileno()] = process
        self._watch(connection, MESSAGES, lambda: self._read(process))
        self._watch(process.pidfd, ENDS, lambda: self._drop(process, "ended"))

    def _read(self, process: AttachedProcess) -> None:
        try:
            messages = process.read()
        except ProtocolError as error:
            self._log.warning("%s", error)
            messages = None
        if messages is None:
            self._drop(process, "closed its end")
            return
        for message in messages:
            self._obey(process, message)

    def _obey(self, process: AttachedProcess, message: dict[str, Any]) -> None:
        if "attach" in message:
            self._lifetime.attach(process.connection.fileno())
            self._log.info("process %d attached (%d)", process.pid, self._lifetime.attached)
            process.waits = True
            self._answer_waiting()
        elif "end" in message and process.pid == self._starter_pid:
            self.end("the process that started it closed it")
        elif "detach" in message or "end" in message:
            self._drop(process, "detached")
        else:
            self._log.warning("process %d sent %r; ignored", process.pid, list(message)[:1])

    def _drop(self, process: AttachedProcess, reason: str) -> None:
        number = process.connection.fileno()
        if self._attached.pop(number, None) is None:
            return
        self._selector.unregister(process.connection)
        self._selector.unregister(process.pidfd)
        process.close()
        self._lifetime.leave(number)
        self._log.info("process %d %s (%d)", process.pid, reason, self._lifetime.attached)

    def _answer_waiting(self) -> None:
        answer = {"error": self._failure} if self._failure else {"ready": self._ready} if self._ready else None
        if answer is None:
            return
        for process in self._attached.values():
            if process.waits:
                process.waits = False
                process.tell(answer)

    def _end_starter(self) -> None:
        assert self._starter_fd is not None
        self._selector.unregister(self._starter_fd)
        self._lifetime.end_starter(time.monotonic())

    # -- core and gateway

    def _start_core(self) -> None:
        memory, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memory.setblocking(False)
        with theirs:
            passed = {"--listen-fd": self._core_listener.fileno(), "--memory-fd": theirs.fileno()}
            self._core = Child.start("core", self._config["commands"]["core"], self._folder.path, passed)
        self._watch(memory, MESSAGES, lambda: self._keep_memory(memory))
        self._watch_child(self._core, self._core_ended)

    def _start_gateway(self) -> None:
        self._gateway_due = None
        self._gateway_started = time.monotonic()
        self._gateway = Child.start("gateway", self._config["commands"]["gateway"], self._folder.path, {})
        self._watch_child(self._gateway, self._gateway_ended)

    def _watch_child(self, child: Child, ended: Callable[[], None]) -> None:
        self._watch(child.control, MESSAGES, lambda: self._hear(child))
        self._watch(child.pidfd, ENDS, ended)

    def _hear(self, child: Child) -> None:
        before = child.state
        if not child.read_answer():
            self._selector.unregister(child.control)
        if before != STARTING or child.state == STARTING:
            return
        self._log.info("%s %d: %s", child.name, child.pid, child.answer or child.error)
        if child.state == FAILED and self._ready is None:
            self._fail(f"the {child.name} could not start: {child.error}")
        elif child is self._core and self._config["listen"]:
            self._start_gateway()
        elif child.state == READY and self._ready is None:
            self._become_ready()

    def _become_ready(self) -> None:
        assert self._core is not None
        self._start_deadline = None
        self._ready = {
            "address": self._folder.address,
            "tcp_address": self._gateway.answer.get("address") if self._gateway else None,
            "job": self._config["job"],
            "mode": self._config["mode"],
            "log": self._config["log"],
            "version": __version__,
            "keeper_pid": os.getpid(),
            "core_pid": self._core.pid,
            "allow_pickle": self._config["allow_pickle"],
        }
        self._answer_waiting()

    def _core_ended(self) -> None:
        # A keeper that starts the core again does it here: the socket and the memory are still in its hands.
        assert self._core is not None
        self._core.read_answer()
        error = f": {self._core.error}" if self._core.error else ""
        self._fail(f"{self._core.describe_end()}{error}")

    def _gateway_ended(self) -> None:
        gateway, self._gateway = self._gateway, None
        assert gateway is not None
        gateway.read_answer()
        end = f"{gateway.describe_end()}{': ' + gateway.error if gateway.error else ''}"
        self._selector.unregister(gateway.pidfd)
        with contextlib.suppress(KeyError):
            self._selector.unregister(gateway.control)
        gateway.end(0)
        if self._ready is None:
            self._fail(end)
            return
        now = time.monotonic()
        if now - self._gateway_started > CALM_S:
            self._backoff_s = FIRST_BACKOFF_S
        self._log.error("%s; starting it again in %g s", end, self._backoff_s)
        self._gateway_due = now + self._backoff_s
        self._backoff_s = min(2 * self._backoff_s, LONGEST_BACKOFF_S)

    def _keep_memory(self, memory: socket.socket) -> None:
        """Take a message of the core: ``+name`` with a memfd to keep, ``-name`` for one to let go."""
        message, files, _, _ = socket.recv_fds(memory, 4096, _MOST_FDS_IN_A_MESSAGE)
        if not message and not files:
            self._selector.unregister(memory)
            memory.close()
            return
        name = message[1:].decode("utf-8", "replace")
        stale = self._memory.pop(name, None)
        if stale is not None:
            os.close(stale)
        if message[:1] == b"+" and len(files) == 1:
            self._memory[name] = files[0]
            return
        for file in files:
            os.close(file)

    def _describe_missing(self) -> str:
        core_is_ready = self._core is not None and self._core.state == READY
        return "the gateway is" if core_is_ready else "the core is"

    # -- closing

    def _close(self) -> None:
        self._log.info("ends: %s", self._reason)
        self._answer_waiting()
        with contextlib.suppress(AttributeError):
            self._keeper_listener.close()
        children = [child for child in (self._gateway, self._core) if child is not None]
        for child in children:
            child.ask_to_end()
        for child in children:
            if not child.end(STOP_TIMEOUT_S):
                self._log.warning("%s %d did not end in %g s: killed", child.name, child.pid, STOP_TIMEOUT_S)
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._failure is not None:
            with contextlib.suppress(OSError):
                shutil.copyfile(self._folder.log, self._folder.crash_log)
        try:
            # Waits for a starter that is just looking who is here.
            with self._folder.locked(time.monotonic() + LOCK_TIMEOUT_S):
                self._folder.remove()
        except (TransferQueueError, OSError) as error:
            self._log.warning("%s is left behind: %s", self._folder.path, error)


def listen(path: Path) -> socket.socket:
    """A listening Unix socket at `path`."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(BACKLOG)
    return listener


def raise_descriptor_limit() -> None:
    """Allow as many descriptors as the system does: an attached process takes two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
