"""Checks of what callers pass in: each returns the value in the form that is used, or says what is wrong with it."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

from transferqueue.errors import InvalidArgumentError, InvalidTypeError

__all__ = ["require_iterable", "require_mapping", "require_names", "require_number", "require_sized"]

LARGEST = 2**63 - 1


def require_iterable(what: str, value: Any) -> Any:
    """`value`, which can be walked over and is no text."""
    if isinstance(value, str | bytes) or not (isinstance(value, Iterable) or hasattr(value, "__array__")):
        raise InvalidTypeError(f"{what}: {value!r:.80} is a {type(value).__name__}; give a list")
    return value


def require_sized(what: str, value: Any) -> Any:
    """`value`, whose elements can be counted and walked over, and which is no text."""
    if not hasattr(require_iterable(what, value), "__len__"):
        raise InvalidTypeError(f"{what}: {value!r:.80} is a {type(value).__name__}, which has no length; give a list")
    return value


def require_mapping(what: str, value: Any) -> Mapping[str, Any]:
    """`value`, which is a dict or like one; None becomes an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"{what}: {value!r:.80} is a {type(value).__name__}; give a dict")
    return value


def require_names(what: str, values: Any) -> list[str]:
    """A list of str; one str stands for a list of itself."""
    names = [values] if isinstance(values, str) else list(require_iterable(what, values))
    for name in names:
        if not isinstance(name, str):
            raise InvalidTypeError(f"{what}: {name!r:.80} is a {type(name).__name__}; give str")
    return names


def require_number(what: str, value: Any, lowest: int, highest: int = LARGEST) -> int:
    """A whole number, also one of NumPy's or a tensor of one, but no truth value."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidTypeError(f"{what}: {value!r:.80} is a {type(value).__name__}; give an int of at least {lowest}")
    try:
        number = operator.index(value)
    except TypeError as error:  # a tensor of several numbers, or of no whole one
        raise InvalidTypeError(f"{what}: {value!r:.80} is not one whole number; give an int") from error
    if not lowest <= number <= highest:
        bounds = f"at least {lowest}" if highest == LARGEST else f"{lowest} to {highest}"
        raise InvalidArgumentError(f"{what}: {number} given; give {bounds}")
    return number
