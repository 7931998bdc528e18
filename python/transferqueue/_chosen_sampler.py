"""What ``controller.sampler`` of a configuration means: one of the core's samplers, or code of the user's own."""

from __future__ import annotations

import base64
import importlib
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transferqueue import sampler as samplers
from transferqueue.errors import InvalidArgumentError, InvalidTypeError

#: The samplers that the core has itself.
NAMES = ("SequentialSampler", "GRPOGroupNSampler", "RankAwareSampler", "SeqlenBalancedSampler")


@dataclass(frozen=True)
class ChosenSampler:
    """A sampler that was asked for.

    Parameters
    ----------
    name
        The name of its class.
    arguments
        What its constructor gets; empty for an instance of the user's own.
    own
        A class or an instance of the user's own; None: it is one of the core's.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    own: Any = None


def choose_sampler(sampler: Any, given: Mapping[str, Any]) -> ChosenSampler:
    """Find out which sampler is meant.

    Parameters
    ----------
    sampler
        A name; ``"module:Class"`` for a class of the user's own; a class or an instance of one.
    given
        Constructor arguments of a name or a class; an instance has its own.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        There is no such sampler, it is none, or it takes no such arguments.
    """
    if isinstance(sampler, str):
        sampler = find_class(sampler)
    kind = sampler if isinstance(sampler, type) else type(sampler)
    if not issubclass(kind, samplers.BaseSampler):
        raise InvalidTypeError(f"controller.sampler: {kind.__name__} does not derive from BaseSampler; let it")
    if given and sampler is not kind:
        raise InvalidArgumentError(
            f"controller.sampler_arguments: {sorted(given)} given for an instance of {kind.__name__}, which has its arguments"
        )
    if kind.__name__ not in NAMES or kind is not getattr(samplers, kind.__name__):
        return ChosenSampler(kind.__name__, dict(given), sampler)
    made = make(kind, given) if sampler is kind else sampler
    return ChosenSampler(kind.__name__, {key: value for key, value in vars(made).items() if not key.startswith("_")})


def find_class(name: str) -> Any:
    """The class of a name."""
    if name in NAMES:
        return getattr(samplers, name)
    module, colon, attribute = name.partition(":")
    if not colon:
        raise InvalidArgumentError(
            f"controller.sampler: Could not find sampler {name!r}; there are {', '.join(NAMES)}, and a class of your own "
            "is given as 'module:Class', as the class or as an instance"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidArgumentError(f"controller.sampler: Could not find sampler {name!r}: {error}") from error


def make(kind: type[Any], arguments: Mapping[str, Any]) -> Any:
    """An instance of one of our classes."""
    try:
        return kind(**arguments)
    except TypeError as error:
        raise InvalidTypeError(f"controller.sampler_arguments: {kind.__name__}: {error}") from error


def pack_sampler(chosen: ChosenSampler) -> dict[str, Any]:
    """A sampler of the user's own as the sampler's process gets it: its pickle, and where its modules are found.

    Raises
    ------
    InvalidArgumentError
        It can't be pickled.
    """
    try:
        code = dumps((chosen.own, dict(chosen.arguments)))
    except Exception as error:
        raise InvalidArgumentError(
            f"controller.sampler: {chosen.name} runs in a process of its own and must be picklable: "
            f"{type(error).__name__}: {error}"
        ) from error
    path = [str(Path(entry).absolute()) for entry in sys.path]
    return {"name": chosen.name, "path": path, "code": base64.b64encode(code).decode("ascii")}


def unpack_sampler(packed: Mapping[str, Any]) -> Any:
    """The instance that `pack_sampler` packed; runs the user's code."""
    sys.path += [entry for entry in packed["path"] if entry not in sys.path]
    own, arguments = pickle.loads(base64.b64decode(packed["code"]))  # noqa: S301 - from the process that started us
    return own(**arguments) if isinstance(own, type) else own


def dumps(value: Any) -> bytes:
    """Pickle; classes of ``__main__`` and of notebooks by value where cloudpickle is installed."""
    try:
        import cloudpickle  # type: ignore[import-untyped]
    except ImportError:
        return pickle.dumps(value)
    data: bytes = cloudpickle.dumps(value)
    return data
