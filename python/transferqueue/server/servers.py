"""The keeper's children: the core, and a gateway where TCP is wanted."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from typing import Any

from transferqueue._job_folder import JobFolder
from transferqueue.server.child import FAILED, READY, STARTING, Child
from transferqueue.server.kept_memory import KeptMemory
from transferqueue.server.loop import ENDS, MESSAGES, Loop

STOP_TIMEOUT_S = 5.0
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
#: After a gateway that served as long as this, the next one starts with the first backoff again.
CALM_S = 60.0

logger = logging.getLogger("transferqueue.keeper")


class Servers:
    """Starts the core, then the gateway; starts a gateway that died again.

    Parameters
    ----------
    folder, config
        The job's folder, and what the keeper was told.
    loop
        The keeper's loop.
    became_ready
        Called once, when all that is wanted serves.
    failed
        Called with the reason when the core, or the first gateway, can't serve.
    """

    def __init__(
        self,
        folder: JobFolder,
        config: dict[str, Any],
        loop: Loop,
        became_ready: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._config = config
        self._loop = loop
        self._became_ready = became_ready
        self._failed = failed
        self._memory = KeptMemory()
        self._core: Child | None = None
        self._gateway: Child | None = None
        self._gateway_started = 0.0
        #: When to start the gateway again; None: not planned.
        self._gateway_due: float | None = None
        self._backoff_s = FIRST_BACKOFF_S
        #: Up to when all must serve; None: all do.
        self._start_deadline: float | None = None

    def start(self, listener: socket.socket) -> None:
        """Start the core on the keeper's listening socket."""
        self._start_deadline = time.monotonic() + self._config["start_timeout_s"]
        memory, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memory.setblocking(False)
        with theirs:
            passed = {"--listen-fd": listener.fileno(), "--memory-fd": theirs.fileno()}
            self._core = Child.start("core", self._config["commands"]["core"], self._folder.path, passed)
        self._loop.watch(memory, MESSAGES, lambda: self._keep(memory))
        self._watch(self._core, self._core_ended)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids, by name."""
        return {child.name: child.pid for child in (self._core, self._gateway) if child is not None}

    @property
    def tcp_address(self) -> str | None:
        """The gateway's address; None without one."""
        return self._gateway.answer.get("address") if self._gateway is not None else None

    def deadline(self) -> float | None:
        """When `check` has something to do, on the clock ``time.monotonic()``; None: never."""
        times = [moment for moment in (self._start_deadline, self._gateway_due) if moment is not None]
        return min(times, default=None)

    def check(self, now: float) -> None:
        """Do what is due."""
        if self._start_deadline is not None and now > self._start_deadline:
            core_serves = self._core is not None and self._core.state == READY
            missing = "gateway" if core_serves else "core"
            self._failed(f"the {missing} is not ready after {self._config['start_timeout_s']:g} s")
        if self._gateway_due is not None and now >= self._gateway_due:
            self._start_gateway()

    def end(self) -> None:
        """End all: SIGTERM, after `STOP_TIMEOUT_S` SIGKILL."""
        children = [child for child in (self._gateway, self._core) if child is not None]
        for child in children:
            child.ask_to_end()
        for child in children:
            if not child.end(STOP_TIMEOUT_S):
                logger.warning("%s %d did not end in %g s: killed", child.name, child.pid, STOP_TIMEOUT_S)

    def _keep(self, memory: socket.socket) -> None:
        if not self._memory.take(memory):
            self._loop.forget(memory)
            memory.close()

    def _start_gateway(self) -> None:
        self._gateway_due = None
        self._gateway_started = time.monotonic()
        self._gateway = Child.start("gateway", self._config["commands"]["gateway"], self._folder.path, {})
        self._watch(self._gateway, self._gateway_ended)

    def _watch(self, child: Child, ended: Callable[[], None]) -> None:
        self._loop.watch(child.control, MESSAGES, lambda: self._hear(child))
        self._loop.watch(child.pidfd, ENDS, ended)

    def _hear(self, child: Child) -> None:
        before = child.state
        if not child.read_answer():
            self._loop.forget(child.control)
        if before != STARTING or child.state == STARTING:
            return
        logger.info("%s %d: %s", child.name, child.pid, child.answer or child.error)
        if self._start_deadline is None:
            return
        if child.state == FAILED:
            self._failed(f"the {child.name} could not start: {child.error}")
        elif child is self._core and self._config["listen"]:
            self._start_gateway()
        else:
            self._start_deadline = None
            self._became_ready()

    def _core_ended(self) -> None:
        # A keeper that starts the core again does it here: the socket and the memory are still in its hands.
        assert self._core is not None
        self._failed(self._core.describe_end())

    def _gateway_ended(self) -> None:
        gateway, self._gateway = self._gateway, None
        assert gateway is not None
        end = gateway.describe_end()
        self._loop.forget(gateway.pidfd)
        self._loop.forget(gateway.control)
        gateway.end(0)
        if self._start_deadline is not None:
            self._failed(end)
            return
        now = time.monotonic()
        if now - self._gateway_started > CALM_S:
            self._backoff_s = FIRST_BACKOFF_S
        logger.error("%s; starting it again in %g s", end, self._backoff_s)
        self._gateway_due = now + self._backoff_s
        self._backoff_s = min(2 * self._backoff_s, LONGEST_BACKOFF_S)
