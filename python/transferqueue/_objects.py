"""Object values as bytes and back, equal and of the same types.

The first byte of a row names its codec: 0 MessagePack, 1 pickle. MessagePack carries None, bool, int, float, str,
bytes, list, dict and, as extension types, what else occurs in samples; no code is ever run to read it. Pickle
(protocol 5) is the last resort, for a row that holds anything else; ``allow_pickle=False`` turns it into an error, in
both directions.

Extension types: 1 tuple · 2 integer beyond 64 bits · 3 set · 4 frozenset · 5 complex · 6 bytearray · 7 NumPy array ·
8 NumPy scalar · 9 torch tensor. Tags (``_tags``) use 1 and 2 only.
"""

from __future__ import annotations

import pickle
import re
import struct
import sys
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from typing import Any, NoReturn

import msgpack
import numpy as np

from transferqueue.errors import InvalidTypeError, ProtocolError

__all__ = ["decode_row", "decode_rows", "encode_row", "encode_rows", "find_bytes", "holds_buffer"]

MESSAGEPACK = b"\0"
PICKLE = b"\1"

TUPLE, BIG_INT, SET, FROZENSET, COMPLEX, BYTEARRAY, ARRAY, SCALAR, TENSOR = range(1, 10)

BUFFERS = frozenset({bytearray, memoryview})
CONTAINERS = frozenset({dict, list})
#: Finds where a byte string may begin in what msgpack wrote; without a match there is none.
find_bytes = re.compile(rb"[\xc4-\xc6]").search
_ARRAY_KINDS = frozenset("biufcUSMm")
_SHAPE_LENGTH = struct.Struct("<I")


class _NotPackableError(TypeError):
    """A value that MessagePack and our extension types don't carry."""


def encode_rows(rows: Sequence[Any], allow_pickle: bool = True) -> tuple[np.ndarray[Any, Any], bytes]:
    """Bytes per row, int64 [B], and the rows' bytes side by side, each with its codec byte first.

    Parameters
    ----------
    rows
        Any objects.
    allow_pickle
        Whether a row that MessagePack can't carry is pickled; if not, it is an error.

    Raises
    ------
    InvalidTypeError
        A row needs pickle and must not have it, or can't be pickled either.
    """
    try:
        packed = list(map(_packer().pack, rows))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _encode_each(rows, allow_pickle)
    if any_row_holds_buffer(rows, packed):
        return _encode_each(rows, allow_pickle)
    # The codec byte is what stands before and between the rows.
    blob = MESSAGEPACK + MESSAGEPACK.join(packed) if packed else b""
    lengths = np.fromiter(map(len, packed), np.int64, len(packed))
    lengths += 1
    return lengths, blob


def _encode_each(rows: Sequence[Any], allow_pickle: bool) -> tuple[np.ndarray[Any, Any], bytes]:
    encoded = [encode_row(row, allow_pickle) for row in rows]
    return np.fromiter(map(len, encoded), np.int64, len(encoded)), b"".join(encoded)


def encode_row(row: Any, allow_pickle: bool = True) -> bytes:
    """One row's bytes, codec byte first; as `encode_rows`."""
    try:
        return MESSAGEPACK + _pack(row)
    except (TypeError, ValueError, OverflowError, RecursionError) as cause:
        if not allow_pickle:
            raise InvalidTypeError(
                f"a value of type {_type_name(row)}: {cause}; it needs pickle, which "
                "transferqueue.allow_pickle=false forbids: put tensors, arrays or plain Python values"
            ) from cause
    try:
        return PICKLE + pickle.dumps(row, protocol=5)
    except Exception as cause:
        raise InvalidTypeError(f"a value of type {_type_name(row)} can't be pickled: {cause}") from cause


def decode_rows(blob: Any, offsets: np.ndarray[Any, Any], allow_pickle: bool = True) -> list[Any]:
    """The rows of an object column.

    Parameters
    ----------
    blob
        The rows' bytes side by side: anything with the buffer protocol. It is not kept.
    offsets
        int64 [B + 1], where each row begins.
    allow_pickle
        Whether a pickled row may be read: never from a peer that did not authenticate.

    Raises
    ------
    InvalidTypeError
        A row is pickled and must not be read.
    ProtocolError
        The bytes are not what `encode_rows` writes.
    """
    octets = np.frombuffer(blob, np.uint8)
    starts = offsets[:-1]
    if len(starts) == 0:
        return []
    if not np.all(offsets[1:] > starts):
        raise ProtocolError("an object column: a row without a codec byte")
    view = octets.data
    if octets[starts].any():
        bounds = offsets.tolist()
        return [decode_row(view[start:end], allow_pickle) for start, end in pairwise(bounds)]
    return _unpack_all(view, len(starts))


def decode_row(octets: Any, allow_pickle: bool = True) -> Any:
    """One row from its bytes, codec byte first; as `decode_rows`."""
    view = memoryview(octets)
    codec = view[:1].tobytes()
    if codec == MESSAGEPACK:
        return _unpack(view[1:])
    if codec != PICKLE:
        raise ProtocolError(
            f"an object value with codec {codec.hex() or 'none'}: 0 (MessagePack) and 1 (pickle) are known"
        )
    if not allow_pickle:
        raise InvalidTypeError("a pickled value: transferqueue.allow_pickle=false, or the peer did not authenticate")
    return pickle.loads(view[1:])  # noqa: S301 (allowed by the caller, who knows the peer)


# --- MessagePack, writing -------------------------------------------------------------------------------------------


def _packer() -> msgpack.Packer:
    return msgpack.Packer(default=_extension, strict_types=True, unicode_errors="surrogatepass")


def _pack(value: Any) -> bytes:
    packed: bytes = _packer().pack(value)
    if find_bytes(packed) and holds_buffer(value):
        packed = _packer().pack(_without_buffers(value))
    return packed


def any_row_holds_buffer(rows: Iterable[Any], packed: Iterable[bytes]) -> bool:
    """Whether msgpack wrote a bytearray or memoryview of one of the rows as bytes, given what it wrote."""
    return any(holds_buffer(row) for row, octets in zip(rows, packed, strict=True) if find_bytes(octets))


def holds_buffer(value: Any) -> bool:
    """Whether msgpack would write a bytearray or memoryview in this value as bytes."""
    kind = type(value)
    if kind is dict:
        value = value.values()
    elif kind is not list:
        return kind in BUFFERS
    types = set(map(type, value))
    if types.isdisjoint(CONTAINERS):
        return not types.isdisjoint(BUFFERS)
    return any(map(holds_buffer, value))


def _without_buffers(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _without_buffers(entry) for key, entry in value.items()}
    if kind is list:
        return [_without_buffers(entry) for entry in value]
    if kind is bytearray:
        return msgpack.ExtType(BYTEARRAY, bytes(value))
    if kind is memoryview:
        raise _NotPackableError("memoryview: it is a view of memory, no value; put its bytes")
    return value


def _extension(value: Any) -> msgpack.ExtType:
    kind = type(value)
    if kind is tuple:
        return msgpack.ExtType(TUPLE, _pack(list(value)))
    if kind is int:  # msgpack asks for those beyond 64 bits
        return msgpack.ExtType(BIG_INT, b"%d" % value)
    if kind is set:
        return msgpack.ExtType(SET, _pack(list(value)))
    if kind is frozenset:
        return msgpack.ExtType(FROZENSET, _pack(list(value)))
    if kind is complex:
        return msgpack.ExtType(COMPLEX, struct.pack("<dd", value.real, value.imag))
    if kind is np.ndarray:
        return _array(value)
    if isinstance(value, np.generic) and value.dtype.kind in _ARRAY_KINDS:
        return msgpack.ExtType(SCALAR, _framed([value.dtype.str], value.tobytes()))
    torch = sys.modules.get("torch")
    if torch is not None and kind is torch.Tensor:
        return _tensor(value)
    return _refuse(value)


def _refuse(value: Any) -> NoReturn:
    raise _NotPackableError(f"{_type_name(value)} is no plain value")


def _array(array: np.ndarray[Any, Any]) -> msgpack.ExtType:
    if array.dtype.kind == "O":
        return msgpack.ExtType(ARRAY, _framed(["O", array.shape], _pack(array.ravel().tolist())))
    if array.dtype.kind not in _ARRAY_KINDS:
        _refuse(array)
    return msgpack.ExtType(ARRAY, _framed([array.dtype.str, array.shape], array.tobytes()))


def _tensor(tensor: Any) -> msgpack.ExtType:
    import torch

    from transferqueue._tensors.dtypes import CODES

    if (
        tensor.dtype not in CODES
        or tensor.is_nested
        or tensor.layout is not torch.strided
        or tensor.device.type == "meta"
    ):
        _refuse(tensor)
    plain = tensor.detach().cpu().resolve_neg().resolve_conj().reshape(-1)
    octets = plain.view(torch.uint8).numpy() if plain.numel() else b""
    return msgpack.ExtType(TENSOR, _framed([CODES[tensor.dtype], tuple(tensor.shape)], octets))


def _framed(head: Sequence[Any], payload: Any) -> bytes:
    packed = msgpack.packb(head)
    return b"".join((_SHAPE_LENGTH.pack(len(packed)), packed, payload))


# --- MessagePack, reading -------------------------------------------------------------------------------------------


def _unpack(octets: Any) -> Any:
    try:
        return msgpack.unpackb(octets, ext_hook=_value, strict_map_key=False, unicode_errors="surrogatepass")
    except (ValueError, TypeError) as cause:
        raise ProtocolError(f"an object value that is not MessagePack: {cause}") from cause


def _unpack_all(view: memoryview, count: int) -> list[Any]:
    """Rows that are all MessagePack: their codec bytes read as the number 0, so one pass reads the whole column."""
    unpacker = msgpack.Unpacker(
        ext_hook=_value, strict_map_key=False, unicode_errors="surrogatepass", max_buffer_size=max(len(view), 1)
    )
    try:
        unpacker.feed(view)
        values = list(islice(unpacker, 2 * count))
    except (ValueError, TypeError) as cause:
        raise ProtocolError(f"an object column that is not MessagePack: {cause}") from cause
    if len(values) != 2 * count or unpacker.tell() != len(view):
        raise ProtocolError(f"an object column: {count} rows announced, {len(values) // 2} there")
    return values[1::2]


def _value(code: int, octets: bytes) -> Any:
    if code == TUPLE:
        return tuple(_unpack(octets))
    if code == BIG_INT:
        return int(octets)
    if code == SET:
        return set(_unpack(octets))
    if code == FROZENSET:
        return frozenset(_unpack(octets))
    if code == COMPLEX:
        return complex(*struct.unpack("<dd", octets))
    if code == BYTEARRAY:
        return bytearray(octets)
    if code in (ARRAY, SCALAR, TENSOR):
        (length,) = _SHAPE_LENGTH.unpack_from(octets)
        head = msgpack.unpackb(memoryview(octets)[4 : 4 + length])
        return _READERS[code](head, memoryview(octets)[4 + length :])
    return msgpack.ExtType(code, octets)


def _read_array(head: list[Any], payload: memoryview) -> np.ndarray[Any, Any]:
    dtype, shape = head
    if dtype == "O":
        array = np.empty(shape, object)
        array.ravel()[:] = _sequence(_unpack(payload))
        return array
    return np.frombuffer(bytearray(payload), np.dtype(dtype)).reshape(shape)


def _sequence(values: list[Any]) -> np.ndarray[Any, Any]:
    flat = np.empty(len(values), object)
    for place, value in enumerate(values):  # an assignment of the list would look into its elements
        flat[place] = value
    return flat


def _read_scalar(head: list[Any], payload: memoryview) -> Any:
    dtype = np.dtype(head[0])
    return np.zeros((), dtype)[()] if dtype.itemsize == 0 else np.frombuffer(payload, dtype)[0]


def _read_tensor(head: list[Any], payload: memoryview) -> Any:
    import torch

    from transferqueue._tensors.dtypes import DTYPES

    code, shape = head
    if not payload:
        return torch.empty(shape, dtype=DTYPES[code])
    return torch.frombuffer(bytearray(payload), dtype=DTYPES[code]).reshape(shape)


_READERS = {ARRAY: _read_array, SCALAR: _read_scalar, TENSOR: _read_tensor}


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
