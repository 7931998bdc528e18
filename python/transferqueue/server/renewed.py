"""A child of the keeper that is started again whenever it has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from transferqueue.server.child import FAILED, READY, STARTING, Child
from transferqueue.server.loop import ENDS, MESSAGES, Loop

FIRST_BACKOFF_S = 0.5
#: After one that served as long as this, the next one starts with the first backoff again.
CALM_S = 60.0

logger = logging.getLogger("transferqueue.keeper")


class RenewedChild:
    """A gateway or a sampler host.

    Parameters
    ----------
    name
        What it is.
    command
        Program and arguments.
    folder
        The job's folder.
    loop
        The keeper's loop.
    became_ready
        Called whenever one serves.
    failed
        Called with the reason when the first one can't serve.
    longest_backoff_s
        Seconds between an end and the next start; they double from `FIRST_BACKOFF_S` up to this.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        loop: Loop,
        became_ready: Callable[[], None],
        failed: Callable[[str], None],
        longest_backoff_s: float,
    ) -> None:
        self.name = name
        self.child: Child | None = None
        self._command = command
        self._folder = folder
        self._loop = loop
        self._became_ready = became_ready
        self._failed = failed
        self._started = 0.0
        #: One has served; from then on an end is no failure of the start.
        self._has_served = False
        #: When to start it again, on the clock ``time.monotonic()``; None: not planned.
        self.due: float | None = None
        self._backoff_s = FIRST_BACKOFF_S
        self._longest_backoff_s = longest_backoff_s

    @property
    def serves(self) -> bool:
        """Whether it does now."""
        return self.child is not None and self.child.state == READY

    def start(self) -> None:
        """Start it."""
        self.due = None
        self._started = time.monotonic()
        self.child = child = Child.start(self.name, self._command, self._folder, {})
        self._loop.watch(child.control, MESSAGES, lambda: self._hear(child))
        self._loop.watch(child.pidfd, ENDS, lambda: self._ended(child))

    def check(self, now: float) -> None:
        """Start it again if that is due."""
        if self.due is not None and now >= self.due:
            self.start()

    def retire(self) -> None:
        """Kill it and never start it again."""
        self.due = None
        child, self.child = self.child, None
        if child is not None:
            self._loop.forget(child.pidfd)
            self._loop.forget(child.control)
            child.end(0)

    def _hear(self, child: Child) -> None:
        before = child.state
        if not child.read_answer():
            self._loop.forget(child.control)
        if before != STARTING or child.state == STARTING:
            return
        logger.info("%s %d: %s", child.name, child.pid, child.answer or child.error)
        if child.state == FAILED and not self._has_served:
            self._failed(f"the {child.name} could not start: {child.error}")
        elif child.state != FAILED:
            self._has_served = True
            self._became_ready()

    def _ended(self, child: Child) -> None:
        self.child = None
        end = child.describe_end()
        self._loop.forget(child.pidfd)
        self._loop.forget(child.control)
        child.end(0)
        if not self._has_served:
            self._failed(end)
            return
        now = time.monotonic()
        if now - self._started > CALM_S:
            self._backoff_s = FIRST_BACKOFF_S
        logger.error("%s; starting it again in %g s", end, self._backoff_s)
        self.due = now + self._backoff_s
        self._backoff_s = min(2 * self._backoff_s, self._longest_backoff_s)
