"""Tags as bytes: types kept, scalars of other libraries made plain, everything else refused."""

from __future__ import annotations

import enum
from collections import OrderedDict
from typing import Any

import msgpack
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.columns import same_value
from transferqueue import _tags
from transferqueue.errors import InvalidTypeError, ProtocolError


class State(str, enum.Enum):  # noqa: UP042 (a str, as users write it)
    DONE = "done"


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=9)
keys = st.text(max_size=5) | st.integers() | st.tuples(st.integers(), st.text(max_size=2)) | st.none() | st.binary()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.dictionaries(st.text(st.characters(), max_size=5), values, max_size=4), max_size=5))
def test_tags_come_back_equal_and_of_the_same_types(tags: list[dict[str, Any]]) -> None:
    assert same_value(_tags.decode(_tags.encode(tags), len(tags)), tags)


def test_the_bytes_are_one_plain_map_per_row() -> None:
    tags = [{"a": 1, "b": "x"}, {}, {"c": [1.5, None, True, b"y"]}]
    assert _tags.encode(tags) == b"".join(map(msgpack.packb, tags))


def test_tuples_and_integers_beyond_64_bits_are_extension_types_1_and_2() -> None:
    unpacked = msgpack.unpackb(_tags.encode([{"t": (1, "x"), "i": 2**64, "n": -(2**63) - 1}]))
    assert unpacked["t"] == msgpack.ExtType(1, msgpack.packb([1, "x"]))
    assert unpacked["i"] == msgpack.ExtType(2, b"18446744073709551616")
    assert unpacked["n"] == msgpack.ExtType(2, b"-9223372036854775809")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(1.5), 1.5),
        (np.float64(1.5), 1.5),
        (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("s"), "s"),
        (np.bytes_(b"b"), b"b"),
        (np.array(7), 7),
        (torch.tensor(7), 7),
        (torch.tensor(1.5, dtype=torch.bfloat16), 1.5),
        (torch.tensor(True), True),
        (torch.tensor(2.0, requires_grad=True), 2.0),
        (bytearray(b"x"), b"x"),
        pytest.param(memoryview(b"x"), b"x", id="memoryview"),
    ],
    ids=lambda value: f"{type(value).__name__} {value!r}"[:40],
)
def test_scalars_of_numpy_and_torch_and_buffers_become_pythons_at_any_depth(value: Any, plain: Any) -> None:
    tags = [{"top": value, "list": [value], "tuple": ({"deep": (value,)},)}]
    expected = [{"top": plain, "list": [plain], "tuple": ({"deep": (plain,)},)}]
    assert same_value(_tags.decode(_tags.encode(tags), 1), expected)


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        object(),
        State.DONE,
        1j,
        np.arange(2),
        torch.ones(1),
        torch.tensor(1j),
        np.datetime64("2020-01-01"),
        np.longdouble(1),
        OrderedDict(a=1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_other_value_is_a_type_error_that_names_row_and_entry(value: Any) -> None:
    for wrapped in (value, [value], ({"deep": value},)):
        with pytest.raises(InvalidTypeError, match=r"row 1, entry 'bad'"):
            _tags.encode([{"fine": 1}, {"fine": 2, "bad": wrapped}])


@pytest.mark.parametrize("tag", [{1: 2}, {b"k": 1}, {None: 1}, {("a",): 1}, [("a", 1)], "a", None])
def test_a_tag_that_is_no_dict_with_str_keys_is_a_type_error(tag: Any) -> None:
    with pytest.raises(InvalidTypeError, match=r"row 1"):
        _tags.encode([{}, tag])


def test_another_mapping_and_numpys_str_are_taken_as_a_dict_with_str_keys() -> None:
    tags = [OrderedDict(z=1, a=2), {np.str_("k"): 1}]
    assert same_value(_tags.decode(_tags.encode(tags), 2), [{"z": 1, "a": 2}, {"k": 1}])


def test_a_tag_that_holds_itself_is_a_type_error() -> None:
    endless: dict[str, Any] = {}
    endless["me"] = endless
    with pytest.raises(InvalidTypeError, match=r"entry 'me'"):
        _tags.encode([endless])


@pytest.mark.parametrize("octets", [b"", b"\x80\x80", b"\x81", b"\x01", b"\xc1", b"\x81\xa1a\xd4\x07x", b"\x80\x81"])
def test_bytes_that_are_not_that_many_maps_are_a_protocol_error(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        _tags.decode(octets, 1)


def test_many_tags_come_back_as_few_do() -> None:
    rows = [
        {
            "text": f"row {row}",
            "number": row,
            "share": row / 7,
            "flags": [True, None, b"x"],
            "pair": (row, {"deep": (2**70,)}),
        }
        for row in range(700)
    ]
    assert same_value(_tags.decode(_tags.encode(rows), 700), rows)
    rows[699]["half"] = "\ud800"
    assert same_value(_tags.decode(_tags.encode(rows), 700), rows)
    with pytest.raises(ProtocolError, match="700 maps announced"):
        _tags.decode(_tags.encode(rows)[:-1], 700)
    with pytest.raises(ProtocolError, match="extension type 7"):
        _tags.decode(b"\x80" * 699 + b"\x81\xa1k\xc7\x01\x07x", 700)
