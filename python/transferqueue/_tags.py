"""Tags as bytes and back: one MessagePack map per row, back to back (docs/wire.md, section 4).

A tag is a dict with str keys. Its values are str, int, float, bool, None, bytes, and lists, tuples and dicts of these;
they come back as the same types. At any depth, NumPy scalars and 0-dim tensors become Python scalars, and bytearray and
memoryview become bytes. Anything else is an error before anything is sent.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgpack
import numpy as np

from transferqueue._objects import BIG_INT, TUPLE
from transferqueue.errors import InvalidTypeError, ProtocolError

__all__ = ["decode", "encode"]

_DICT = {dict}
_STR = {str}
_ARRAY_HEAD = struct.Struct(">BI")
_SCALAR_KINDS = frozenset("biufSU")
#: From so many rows on it pays to have a second decoder.
_MANY_ROWS = 512


class _NoTagValueError(TypeError):
    """A value that a tag can't hold."""


def encode(tags: Sequence[Mapping[str, Any]]) -> bytes:
    """The tags of some rows, one map after the other.

    Raises
    ------
    InvalidTypeError
        A tag is no dict, has a key that is no str, or holds a value that a tag can't; the message names the row.
    """
    if set(map(type, tags)) - _DICT:
        tags = [_as_dict(row, tag) for row, tag in enumerate(tags)]
    # A key that equals a str of another tag and is none itself goes through `_extension`.
    if set(map(type, set(chain.from_iterable(tags)))) - _STR:
        tags = [_with_plain_keys(row, tag) for row, tag in enumerate(tags)]
    try:
        try:
            return _pack(tags, None)
        except UnicodeEncodeError:
            return _pack(tags, "surrogatepass")
    except (TypeError, ValueError, OverflowError, RecursionError) as cause:
        raise _first_error(tags) from cause


def _pack(tags: Sequence[Mapping[str, Any]], unicode_errors: str | None) -> bytes:
    """The maps; any error handler but None makes msgpack take almost twice as long."""
    one = len(tags) == 1
    packed: bytes = _packer(unicode_errors).pack(tags[0] if one else [*tags])
    return packed if one else packed[_array_head(len(tags)) :]


def _array_head(count: int) -> int:
    """Bytes that MessagePack writes before the elements of an array."""
    return 1 if count < 16 else 3 if count < 1 << 16 else 5


def decode(packed: bytes | memoryview, rows: int) -> list[dict[str, Any]]:
    """The tags of ``rows`` rows.

    Raises
    ------
    ProtocolError
        The bytes are not that many maps.
    """
    array = _ARRAY_HEAD.pack(0xDD, rows) + packed
    try:
        tags: list[dict[str, Any]] | None = _decode_quickly(array) if rows >= _MANY_ROWS else None
        if tags is None:
            tags = msgpack.unpackb(array, ext_hook=_value, strict_map_key=False, unicode_errors="surrogatepass")
    except (ValueError, TypeError) as cause:
        raise ProtocolError(
            f"tags: {rows} maps announced, but the {len(packed)} bytes are not so many values of MessagePack: {cause}"
        ) from cause
    if set(map(type, tags)) - _DICT:
        raise ProtocolError(f"tags: {rows} maps announced, and something else is among the values there")
    return tags


def _decode_quickly(array: bytes) -> Any:
    """What msgpack makes of it in twice the time; None: msgpack must say, since this takes no half surrogate pairs."""
    import msgspec  # importing it takes 50 ms

    try:
        return msgspec.msgpack.Decoder(ext_hook=_value).decode(array)
    except (ValueError, TypeError, RecursionError):
        return None


def _packer(unicode_errors: str | None = "surrogatepass") -> msgpack.Packer:
    return msgpack.Packer(default=_extension, strict_types=True, unicode_errors=unicode_errors)


def _extension(value: Any) -> Any:
    kind = type(value)
    if kind is tuple:
        return msgpack.ExtType(TUPLE, _packer().pack(list(value)))
    if kind is int:  # msgpack asks for those beyond 64 bits
        return msgpack.ExtType(BIG_INT, b"%d" % value)
    if isinstance(value, (np.generic, np.ndarray)):
        if value.ndim == 0 and value.dtype.kind in _SCALAR_KINDS and value.dtype != np.longdouble:
            return value.item()
    elif (torch := sys.modules.get("torch")) is not None and isinstance(value, torch.Tensor) and value.dim() == 0:
        return _scalar_of(value)
    raise _NoTagValueError(f"{value!r:.80}, a {kind.__module__}.{kind.__qualname__}")


def _scalar_of(tensor: Any) -> Any:
    scalar = tensor.item()
    if isinstance(scalar, complex):
        raise _NoTagValueError(f"the complex number {scalar}")
    return scalar


def _value(code: int, octets: bytes | memoryview) -> Any:
    if code == TUPLE:
        return tuple(msgpack.unpackb(octets, ext_hook=_value, strict_map_key=False, unicode_errors="surrogatepass"))
    if code == BIG_INT:
        return int(octets)
    raise ValueError(f"extension type {code}")


def _as_dict(row: int, tag: Any) -> dict[str, Any]:
    if not isinstance(tag, Mapping):
        raise InvalidTypeError(f"the tag of row {row}: got {tag!r:.80}, a {type(tag).__name__}; a tag is a dict")
    return dict(tag)


def _with_plain_keys(row: int, tag: Mapping[str, Any]) -> dict[str, Any]:
    for key in tag:
        if type(key) is not str and type(key) is not np.str_:
            raise InvalidTypeError(
                f"the tag of row {row}: got the key {key!r:.80}, a {type(key).__name__}; keys are str"
            )
    return {str(key): value for key, value in tag.items()}


def _first_error(tags: Sequence[Mapping[str, Any]]) -> InvalidTypeError:
    for row, tag in enumerate(tags):
        for key, value in tag.items():
            reason = _reason_against(value)
            if reason is not None:
                return InvalidTypeError(
                    f"the tag of row {row}, entry {key!r}: got {reason}; "
                    "a tag holds str, int, float, bool, None, bytes, and lists, tuples and dicts of these"
                )
    return InvalidTypeError("tags: a key or a value that can't be encoded")


def _reason_against(value: Any) -> str | None:
    try:
        _packer().pack(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as cause:
        return str(cause)
    return None
