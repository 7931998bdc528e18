"""When the sidecar's time is over: who is attached, who started it."""

from __future__ import annotations

from transferqueue._meeting import GROUP, OWNER

#: Seconds that siblings have to attach when the one that started a group's sidecar has died before it attached.
GRACE_S = 5.0


class Lifetime:
    """Decides from attachments and the starter's death whether the sidecar is still needed. One thread; no clock.

    Parameters
    ----------
    mode
        OWNER: until the starter has ended. GROUP: until the last attached process has ended or detached.
        SERVICE: for ever.
    """

    def __init__(self, mode: str) -> None:
        self._mode = mode
        #: Ids of the attachments that hold a group's sidecar.
        self._attached: set[int] = set()
        self._had_any = False
        #: When the starter ended, on the caller's clock; None while it lives.
        self._starter_ended: float | None = None

    @property
    def attached(self) -> int:
        """Number of attachments."""
        return len(self._attached)

    def attach(self, attachment: int) -> None:
        """Count an attachment in."""
        self._attached.add(attachment)
        self._had_any = True

    def leave(self, attachment: int) -> None:
        """Count an attachment out; an unknown one is none."""
        self._attached.discard(attachment)

    def end_starter(self, now: float) -> None:
        """The process that started the sidecar has ended."""
        if self._starter_ended is None:
            self._starter_ended = now

    def deadline(self) -> float | None:
        """When to ask again though nothing has happened; None: never."""
        waits = self._mode == GROUP and not self._had_any and self._starter_ended is not None
        return self._starter_ended + GRACE_S if waits and self._starter_ended is not None else None

    def why_over(self, now: float) -> str | None:
        """Why the sidecar should end; None while it is needed."""
        if self._mode == OWNER and self._starter_ended is not None:
            return "the process that it belongs to has ended"
        if self._mode == GROUP and self._had_any and not self._attached:
            return "the last attached process has ended or detached"
        deadline = self.deadline()
        if deadline is not None and now >= deadline:
            return "the process that started it has ended and no other one attached"
        return None
