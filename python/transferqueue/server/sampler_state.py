"""What a sampler of the user's own remembers, as bytes for a checkpoint: typed values only, so that files hold no code."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Mapping
from typing import Any

from transferqueue import _objects
from transferqueue.errors import InvalidArgumentError, InvalidTypeError

_MOST_BYTES = 60 << 20
#: A dict with this key alone stands for a generator of random numbers.
_GENERATOR = "\0transferqueue generator"


def pack(sampler: Any) -> bytes:
    """The state that ``sampler.save_checkpoint()`` gives, packed.

    Raises
    ------
    InvalidTypeError
        It is no dict, or holds a value that can't be packed.
    InvalidArgumentError
        It is too large for a message.
    """
    state = sampler.save_checkpoint()
    name = type(sampler).__name__
    if not isinstance(state, Mapping):
        raise InvalidTypeError(f"{name}.save_checkpoint() returned a {type(state).__name__}; it must return a dict")
    for key, value in state.items():
        try:
            _objects.encode_row(_plain(value), allow_pickle=False)
        except InvalidTypeError as error:
            raise InvalidTypeError(
                f"{name}.save_checkpoint(): {key!r} can't be packed: {error.__cause__}; a checkpoint holds plain values, arrays, tensors "
                "and random generators, and no code: override save_checkpoint and load_checkpoint to give and take such values"
            ) from None
    packed = _objects.encode_row(_plain(dict(state)), allow_pickle=False)
    if len(packed) > _MOST_BYTES:
        raise InvalidArgumentError(f"{name}.save_checkpoint(): {len(packed)} bytes; {_MOST_BYTES} is the most")
    return packed


def restore(sampler: Any, packed: bytes) -> None:
    """Give a sampler the state that `pack` packed; if it raises, it has the one that it had."""
    before = sampler.save_checkpoint()
    try:
        sampler.load_checkpoint(_live(_objects.decode_row(packed, allow_pickle=False)))
    except BaseException:
        with contextlib.suppress(Exception):
            sampler.load_checkpoint(before)
        raise


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _plain(entry) for key, entry in value.items()}
    if kind in (list, tuple):
        return kind(map(_plain, value))
    if kind is random.Random:
        return {_GENERATOR: ["random", value.getstate()]}
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind is numpy.random.Generator:
        return {_GENERATOR: ["numpy", value.bit_generator.state]}
    return value


def _live(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return _generator(*value[_GENERATOR]) if set(value) == {_GENERATOR} else {k: _live(v) for k, v in value.items()}
    if kind in (list, tuple):
        return kind(map(_live, value))
    return value


def _generator(library: str, state: Any) -> Any:
    if library == "random":
        generator = random.Random()  # noqa: S311 - the user's own choice
        generator.setstate(state)
        return generator
    import numpy as np

    bits = getattr(np.random, state["bit_generator"])()
    if not isinstance(bits, np.random.BitGenerator):
        raise InvalidTypeError(f"a random generator of the unknown kind {state['bit_generator']!r}")
    bits.state = state
    return np.random.Generator(bits)
