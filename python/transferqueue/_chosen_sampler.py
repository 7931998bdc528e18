"""What ``controller.sampler`` of a configuration means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transferqueue import sampler as samplers
from transferqueue.errors import InvalidArgumentError, InvalidTypeError

#: The samplers that the core has itself.
NAMES = ("SequentialSampler", "GRPOGroupNSampler", "RankAwareSampler", "SeqlenBalancedSampler")


def describe_sampler(sampler: Any, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the constructor arguments of a sampler that the core has.

    Parameters
    ----------
    sampler
        A name, one of our classes, or an instance of one.
    given
        Constructor arguments of a name or a class; an instance has its own.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        There is no such sampler, or it takes no such arguments.
    """
    name = sampler if isinstance(sampler, str) else (sampler if isinstance(sampler, type) else type(sampler)).__name__
    known = getattr(samplers, name) if name in NAMES else None
    if known is not None and (isinstance(sampler, str) or sampler is known):
        sampler = make(known, given)
    elif given:
        raise InvalidArgumentError(
            f"controller.sampler_arguments: {sorted(given)} given for an instance of {name}, which has its arguments"
        )
    if known is None or type(sampler) is not known:
        raise InvalidArgumentError(
            f"controller.sampler: Could not find sampler {name!r} among those of the core; there are "
            f"{', '.join(NAMES)}; samplers written in Python are not served by this version"
        )
    return name, {key: value for key, value in vars(sampler).items() if not key.startswith("_")}


def make(kind: type[Any], arguments: Mapping[str, Any]) -> Any:
    """An instance of one of our classes."""
    try:
        return kind(**arguments)
    except TypeError as error:
        raise InvalidTypeError(f"controller.sampler_arguments: {kind.__name__}: {error}") from error
