"""What is deprecated: since when, until when, and what to use instead. One list, for people and for tools."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

__all__ = ["DEPRECATIONS", "Deprecation", "deprecate"]


@dataclass(frozen=True, kw_only=True)
class Deprecation:
    """One deprecated name.

    Attributes
    ----------
    name
        The public name, with its class.
    since, removed_in
        The version that deprecated it, and the one that will not have it any more.
    use
        The replacement, as code.
    """

    name: str
    since: str
    removed_in: str
    use: str

    def warn(
        self, stacklevel: int = 1, instead_of: Callable[[FrameType], tuple[str, str] | None] | None = None
    ) -> None:
        """Emit a DeprecationWarning for the caller's caller, once per place in the code.

        Parameters
        ----------
        stacklevel
            Frames above the one that calls this: 1 is the function that used the deprecated name.
        instead_of
            Finds, in the frame that used the name, its expression and the code that replaces it; None: ``use`` tells.
        """
        frame = sys._getframe(stacklevel + 1)
        site = (self.name, frame.f_code.co_filename, frame.f_lineno)
        if site in _warned:
            return
        _warned.add(site)
        found = instead_of(frame) if instead_of is not None else None
        use = self.use if found is None else f"`{found[1]}` instead of `{found[0]}`"
        warnings.warn(f"{self._head}; use {use}", DeprecationWarning, stacklevel=stacklevel + 2)

    @property
    def _head(self) -> str:
        return f"{self.name} is deprecated since {self.since} and will be removed in {self.removed_in}"

    def __str__(self) -> str:
        return f"{self._head}; use {self.use}"


#: Every deprecation, by name.
DEPRECATIONS: dict[str, Deprecation] = {}

_warned: set[tuple[str, str, int]] = set()


def deprecate(name: str, *, since: str, removed_in: str, use: str) -> Deprecation:
    """Enter a deprecation into the list."""
    return DEPRECATIONS.setdefault(name, Deprecation(name=name, since=since, removed_in=removed_in, use=use))
