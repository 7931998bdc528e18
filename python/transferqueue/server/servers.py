"""The keeper's children: the core; where they are wanted a gateway, a sampler host and a metrics server."""

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
from transferqueue.server.renewed import RenewedChild

STOP_TIMEOUT_S = 5.0
#: A port may be taken for long; fetches wait for a sampler host.
GATEWAY_BACKOFF_S, SAMPLER_BACKOFF_S, METRICS_BACKOFF_S = 30.0, 2.0, 30.0

logger = logging.getLogger("transferqueue.keeper")


class Servers:
    """Starts the core, then the others; starts one of those that died again.

    Parameters
    ----------
    folder, config
        The job's folder, and what the keeper was told.
    loop
        The keeper's loop.
    became_ready
        Called once, when all that is wanted serves.
    failed
        Called with the reason when the core, or the first of another, can't serve.
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
        self._gateway = self._renewed("gateway", "gateway", GATEWAY_BACKOFF_S) if config["listen"] else None
        #: Who wants to be told how the gateway's start went.
        self._listeners: list[Callable[[dict[str, Any]], None]] = []
        self._sampler = self._renewed("sampler host", "sampler", SAMPLER_BACKOFF_S) if config["sampler"] else None
        self._metrics = self._renewed("metrics server", "metrics", METRICS_BACKOFF_S) if config["metrics"] else None
        self._others = [other for other in (self._gateway, self._sampler, self._metrics) if other is not None]
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
        self._loop.watch(self._core.control, MESSAGES, self._hear_core)
        self._loop.watch(self._core.pidfd, ENDS, self._core_ended)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids, by name."""
        children = [self._core, *(other.child for other in self._others)]
        return {child.name: child.pid for child in children if child is not None}

    @property
    def tcp_address(self) -> str | None:
        """The gateway's address; None without one."""
        gateway = self._gateway.child if self._gateway is not None else None
        return gateway.answer.get("address") if gateway is not None else None

    @property
    def metrics_endpoint(self) -> str | None:
        """``host:port`` of the metrics; None without them."""
        metrics = self._metrics.child if self._metrics is not None else None
        return metrics.answer.get("address") if metrics is not None else None

    def listen(self, address: str, answer: Callable[[dict[str, Any]], None]) -> None:
        """Start a gateway, if there is none, in a sidecar that serves.

        Parameters
        ----------
        address
            Where, ``tcp://host:port``; not looked at if there is a gateway.
        answer
            Called with ``{"listening": {"tcp_address": …}}`` or ``{"error": text}``; maybe later.
        """
        if self._start_deadline is not None:
            answer({"error": "the sidecar is not ready yet"})
            return
        self._listeners.append(answer)
        if self._gateway is None:
            self._config["listen"] = address
            self._folder.write_config(self._config)
            self._gateway = RenewedChild(
                "gateway",
                self._config["commands"]["gateway"],
                self._folder.path,
                self._loop,
                self._gateway_serves,
                self._gateway_failed,
                GATEWAY_BACKOFF_S,
            )
            self._others.append(self._gateway)
            self._gateway.start()
        elif self._gateway.serves:
            self._tell_listeners()

    def _gateway_serves(self) -> None:
        # Clients know the port that this one took, so the next one takes it again.
        self._config["listen"] = self.tcp_address
        self._folder.write_config(self._config)
        self._tell_listeners()

    def _gateway_failed(self, reason: str) -> None:
        if self._gateway is not None:
            logger.error("%s", reason)
            self._others.remove(self._gateway)
            self._gateway = None
        listeners, self._listeners = self._listeners, []
        for answer in listeners:
            answer({"error": reason})

    def _tell_listeners(self) -> None:
        listeners, self._listeners = self._listeners, []
        for answer in listeners:
            answer({"listening": {"tcp_address": self.tcp_address}})

    def choose_sampler(self, sampler: dict[str, Any] | None, answer: Callable[[dict[str, Any]], None]) -> None:
        """Let a sampler host run another sampler, in a sidecar that serves; or none.

        Parameters
        ----------
        sampler
            What ``pack_sampler`` made; None: no host is needed any more.
        answer
            Called with ``{"chosen": {}}`` or ``{"error": text}``; maybe later. After an error the one before goes on, anew.
        """
        if self._start_deadline is not None:
            answer({"error": "the sidecar is not ready yet"})
            return
        before = self._config["sampler"]

        def go_back(reason: str) -> None:
            self._replace_sampler(before, lambda: None, lambda again: logger.error("%s", again))
            answer({"error": reason})

        self._replace_sampler(sampler, lambda: answer({"chosen": {}}), go_back)
        if sampler is None:
            answer({"chosen": {}})

    def _replace_sampler(
        self, sampler: dict[str, Any] | None, serves: Callable[[], None], failed: Callable[[str], None]
    ) -> None:
        if self._sampler is not None:
            self._others.remove(self._sampler)
            self._sampler.retire()
            self._sampler = None
        self._config["sampler"] = sampler
        self._folder.write_config(self._config)
        if sampler is None:
            return
        told: list[bool] = []

        def once(tell: Callable[[], None]) -> None:
            if not told:
                told.append(True)
                tell()

        self._sampler = RenewedChild(
            "sampler host",
            self._config["commands"]["sampler"],
            self._folder.path,
            self._loop,
            lambda: once(serves),
            lambda reason: once(lambda: failed(reason)),
            SAMPLER_BACKOFF_S,
        )
        self._others.append(self._sampler)
        self._sampler.start()

    def deadline(self) -> float | None:
        """When `check` has something to do, on the clock ``time.monotonic()``; None: never."""
        times = [
            moment for moment in (self._start_deadline, *(other.due for other in self._others)) if moment is not None
        ]
        return min(times, default=None)

    def check(self, now: float) -> None:
        """Do what is due."""
        if self._start_deadline is not None and now > self._start_deadline:
            core_serves = self._core is not None and self._core.state == READY
            missing = [other.name for other in self._others if not other.serves] if core_serves else ["core"]
            self._failed(f"the {missing[0]} is not ready after {self._config['start_timeout_s']:g} s")
        for other in self._others:
            other.check(now)

    def end(self) -> None:
        """End all: SIGTERM, after `STOP_TIMEOUT_S` SIGKILL."""
        children = [child for child in (*(other.child for other in self._others), self._core) if child is not None]
        for child in children:
            child.ask_to_end()
        for child in children:
            if not child.end(STOP_TIMEOUT_S):
                logger.warning("%s %d did not end in %g s: killed", child.name, child.pid, STOP_TIMEOUT_S)

    def _renewed(self, name: str, command: str, longest_backoff_s: float) -> RenewedChild:
        return RenewedChild(
            name,
            self._config["commands"][command],
            self._folder.path,
            self._loop,
            self._check_ready,
            self._failed,
            longest_backoff_s,
        )

    def _keep(self, memory: socket.socket) -> None:
        if not self._memory.take(memory):
            self._loop.forget(memory)
            memory.close()

    def _hear_core(self) -> None:
        core = self._core
        assert core is not None
        before = core.state
        if not core.read_answer():
            self._loop.forget(core.control)
        if before != STARTING or core.state == STARTING:
            return
        logger.info("core %d: %s", core.pid, core.answer or core.error)
        if core.state == FAILED:
            self._failed(f"the core could not start: {core.error}")
            return
        for other in self._others:
            other.start()
        self._check_ready()

    def _check_ready(self) -> None:
        endpoint = self.metrics_endpoint
        if endpoint is not None and self._config["metrics"]["port"] == 0:
            # Others know the port that this one took, so the next one takes it again.
            self._config["metrics"]["port"] = int(endpoint.rpartition(":")[2])
            self._folder.write_config(self._config)
        if self._start_deadline is not None and all(other.serves for other in self._others):
            self._start_deadline = None
            self._became_ready()

    def _core_ended(self) -> None:
        # A keeper that starts the core again does it here: the socket and the memory are still in its hands.
        assert self._core is not None
        self._failed(self._core.describe_end())
