"""The keeper: plain Python, no .NET. It owns what must outlive the core.

That is: the listening socket, duplicates of the memfds, the knowledge of who is attached. It starts the core, and a
gateway where TCP is wanted; it starts a gateway that died again. When nobody needs the sidecar any more it ends the
others and removes every file. One thread, one selector.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import secrets
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
from transferqueue.server.lifetime import Lifetime
from transferqueue.server.loop import CONNECTIONS, ENDS, MESSAGES, Loop
from transferqueue.server.servers import Servers

BACKLOG = 4096
TOKEN_BYTES = 32
LOCK_TIMEOUT_S = 5.0


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
        self._loop = Loop()
        self._lifetime = Lifetime(self._config["mode"])
        self._servers = Servers(folder, self._config, self._loop, self._become_ready, self._fail)
        self._starter_pid = starter_pid
        self._attached: dict[int, AttachedProcess] = {}
        self._sockets = contextlib.ExitStack()
        #: What attaching processes are told; None until all servers serve.
        self._ready: dict[str, Any] | None = None
        #: Why it ends; None while it serves.
        self._reason: str | None = None
        #: What went wrong, if that is why.
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
        if self._failure is None and self._reason is None:
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
        core_listener = self._sockets.enter_context(listen(self._folder.core_socket))
        keeper_listener = self._sockets.enter_context(listen(self._folder.keeper_socket))
        self._watch_starter()
        self._watch_signals()
        self._loop.watch(keeper_listener, CONNECTIONS, lambda: self._accept(keeper_listener))
        self._tell_starter("listening")
        self._servers.start(core_listener)
        self._log.info(
            "keeper %s of job %s (%s) in %s", __version__, self._config["job"], self._config["mode"], self._folder.path
        )

    def _hold_pid_file(self) -> None:
        # Not closed: the kernel unlocks it when this process ends.
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

    def _watch_starter(self) -> None:
        if self._starter_pid is None:
            return
        starter = None
        with contextlib.suppress(ProcessLookupError):
            starter = os.pidfd_open(self._starter_pid)
        if starter is None or os.getppid() != self._starter_pid:
            self._lifetime.end_starter(time.monotonic())
            return

        def end_starter() -> None:
            self._loop.forget(starter)
            self._lifetime.end_starter(time.monotonic())

        self._loop.watch(starter, ENDS, end_starter)

    def _watch_signals(self) -> None:
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        ended_by = (signal.SIGTERM, signal.SIGINT) if self._config["mode"] == SERVICE else (signal.SIGTERM,)
        for number in ended_by:
            signal.signal(number, lambda number, _: self.end(signal.Signals(number).name))
        self._loop.watch(receiver, ENDS, lambda: receiver.recv(4096))

    # -- the loop

    def _step(self) -> None:
        times = [moment for moment in (self._servers.deadline(), self._lifetime.deadline()) if moment is not None]
        timeout_s = max(0.0, min(times) - time.monotonic()) if times else None
        self._loop.step(timeout_s, lambda: self._reason is None)
        now = time.monotonic()
        self._servers.check(now)
        over = self._lifetime.why_over(now)
        if over is not None:
            self.end(over)

    def _become_ready(self) -> None:
        pids = self._servers.pids
        self._ready = {
            "address": self._folder.address,
            "tcp_address": self._servers.tcp_address,
            "metrics": self._servers.metrics_endpoint,
            "job": self._config["job"],
            "mode": self._config["mode"],
            "log": self._config["log"],
            "version": __version__,
            "keeper_pid": os.getpid(),
            "core_pid": pids["core"],
            "allow_pickle": self._config["allow_pickle"],
            "backend": self._config.get("backend"),
        }
        self._answer_waiting()

    # -- attached processes

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        try:
            process = AttachedProcess(connection)
        except (AuthenticationError, OSError) as error:
            connection.close()
            self._log.warning("%s", error)
            return
        self._attached[connection.fileno()] = process
        self._loop.watch(connection, MESSAGES, lambda: self._read(process))
        self._loop.watch(process.pidfd, ENDS, lambda: self._drop(process, "ended"))

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
        elif "sampler" in message:
            self._choose_sampler(process, message["sampler"])
        elif "listen" in message and process.pid == self._starter_pid:
            self._servers.listen(str(message["listen"]["address"]), process.tell)
        elif "end" in message and process.pid == self._starter_pid:
            self.end("the process that started it closed it")
        elif "detach" in message or "end" in message:
            self._drop(process, "detached")
        else:
            self._log.warning("process %d sent %r; ignored", process.pid, list(message)[:1])

    def _choose_sampler(self, process: AttachedProcess, message: dict[str, Any]) -> None:
        sampler = None
        if message["name"] is not None:
            try:
                sampler = json.loads(self._folder.new_sampler.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                process.tell({"error": f"{self._folder.new_sampler}: {error}"})
                return
            finally:
                self._folder.new_sampler.unlink(missing_ok=True)
        self._log.info("process %d chose the sampler %s", process.pid, message["name"] or "of the core")
        self._servers.choose_sampler(sampler, process.tell)

    def _drop(self, process: AttachedProcess, reason: str) -> None:
        number = process.connection.fileno()
        if self._attached.pop(number, None) is None:
            return
        self._loop.forget(process.connection)
        self._loop.forget(process.pidfd)
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

    # -- closing

    def _close(self) -> None:
        self._log.info("ends: %s", self._reason)
        self._answer_waiting()
        self._sockets.close()
        self._servers.end()
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
