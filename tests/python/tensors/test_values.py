"""Columns of text and of objects."""

from __future__ import annotations

import ctypes
import dataclasses
import datetime
import enum
import pickle
from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import NonTensorData, NonTensorStack, TensorDict

from support.columns import OBJECT, TEXT, frames_of, reply_of, round_trip, same_value
from transferqueue import _tensors
from transferqueue.errors import InvalidTypeError, ProtocolError


class Colour(enum.IntEnum):
    RED = 1


Point = namedtuple("Point", "x y")


@dataclasses.dataclass
class Answer:
    text: str
    logits: torch.Tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Answer) and self.text == other.text and torch.equal(self.logits, other.logits)


def values_of(rows: list[Any], **options: Any) -> list[Any]:
    return round_trip({"x": rows}, len(rows), **options).get("x").tolist()


@pytest.mark.parametrize(
    "rows", [["a", "", "long " * 50], ["ascii", "é", "漢字", "🙂"], ["half \ud800", "\udc00", "both \U00010000"], [""]]
)
def test_text_comes_back_equal(rows: list[str]) -> None:
    assert _tensors.pack({"x": rows}, len(rows)).columns == [["x", TEXT, -1, []]]
    assert values_of(rows) == rows


PLAIN = [
    None,
    True,
    0,
    -(2**63),
    2**64 - 1,
    2**64,
    -(2**200),
    1.5,
    float("nan"),
    float("-inf"),
    -0.0,
    "text",
    b"bytes",
    bytearray(b"array"),
    [],
    [1, [2.0, "3"], None],
    (),
    (1, (2, [3, (4,)])),
    {"a": 1, "b": [(), {}]},
    {1: "int key", (1, 2): "tuple key", None: "none key", b"k": 1.0, 2.5: ()},
    {"z": 1, "a": 2},
    {1, 2.5, (3,)},
    frozenset({(1, 2)}),
    1 - 2j,
    {"deep": [{"bytearray": bytearray(b"x"), "bytes": b"x"}]},
    np.arange(6, dtype=np.int16).reshape(2, 3),
    np.array(["a", "bc"]),
    np.array([b"a", b"bc"]),
    np.array([1, "x", None, (1, [2])], dtype=object),
    np.array(3.5),
    np.zeros((0, 3), dtype=bool),
    np.array(["2020-01-01"], dtype="datetime64[D]"),
    np.float32(1.5),
    np.int8(-3),
    np.str_("np"),
    np.bool_(True),
    np.datetime64("2020-01-01T12"),
    {
        "pixel_values": torch.linspace(0, 1, 6).reshape(2, 3),
        "grid": torch.tensor([[1, 2]]),
        "scalar": torch.tensor(3, dtype=torch.int8),
    },
    [torch.zeros(0, 4, dtype=torch.bfloat16), torch.ones(2).to(torch.float8_e4m3fn), torch.tensor(1 + 2j)],
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: f"{type(value).__name__}-{ascii(value)[:30]}")
def test_a_value_comes_back_equal_and_of_the_same_type_without_pickle(value: Any) -> None:
    rows = [value, None, [value]]
    packed = _tensors.pack({"x": rows}, 3, allow_pickle=False)
    assert packed.columns == [["x", OBJECT, -1, []]]
    got = _tensors.unpack(*reply_of(packed, 3), 3, allow_pickle=False).get("x").tolist()
    assert same_value(rows, got)


PICKLED = [
    Colour.RED,
    Point(1, 2),
    OrderedDict(a=1),
    Answer("yes", torch.ones(2)),
    datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    {"answer": Answer("no", torch.zeros(1)), "n": [1, (2,)]},
]


@pytest.mark.parametrize("value", PICKLED, ids=lambda value: type(value).__name__)
def test_any_other_value_is_pickled_unless_that_is_forbidden(value: Any) -> None:
    rows = [1, value]
    assert same_value(values_of(rows), rows)
    with pytest.raises(InvalidTypeError, match=r"allow_pickle"):
        _tensors.pack({"x": rows}, 2, allow_pickle=False)


def test_a_pickled_value_is_not_read_where_that_is_forbidden() -> None:
    columns, frames = reply_of(_tensors.pack({"x": [Colour.RED]}, 1), 1)
    with pytest.raises(InvalidTypeError, match=r"pickled value"):
        _tensors.unpack(columns, frames, 1, allow_pickle=False)


def test_a_value_that_can_not_be_pickled_is_an_error_that_names_its_type() -> None:
    with pytest.raises(InvalidTypeError, match=r"function"):
        _tensors.pack({"x": [lambda: 0]}, 1)


def test_a_list_that_holds_itself_comes_back() -> None:
    endless: list[Any] = []
    endless.append(endless)
    (got,) = values_of([endless])
    assert got[0] is got


def test_tensors_inside_a_dict_are_writable_and_plain() -> None:
    put = {"t": torch.rand(2, 2, requires_grad=True), "view": torch.rand(3, 2).t(), "conj": torch.tensor([1j]).conj()}
    (got,) = values_of([put])
    assert list(got) == list(put)
    for name in put:
        assert torch.equal(got[name], put[name].detach())
        got[name].fill_(0)
    assert not got["t"].requires_grad


def test_the_first_byte_of_a_row_names_its_codec() -> None:
    octets = frames_of(_tensors.pack({"x": [1, Colour.RED, "s"]}, 3))[0]
    offsets = np.frombuffer(octets, np.int64, 4)
    assert [octets[64 + start] for start in offsets[:-1]] == [0, 1, 0]
    assert pickle.loads(octets[64 + offsets[1] + 1 : 64 + offsets[2]]) is Colour.RED


SOURCES = {
    "stack of values": (NonTensorStack("a", 1, None), ["a", 1, None]),
    "stack of lists": (NonTensorStack(*[NonTensorData(data=value) for value in ([1], [2, 3], [])]), [[1], [2, 3], []]),
    "stack of one value for the batch": (NonTensorData(data={"k": (1,)}, batch_size=[3]), [{"k": (1,)}] * 3),
    "strings in an array": (np.array(["a", "b", "c"]), ["a", "b", "c"]),
    "bytes in an array": (np.array([b"a", b"b", b"c"]), [b"a", b"b", b"c"]),
    "objects in an array": (np.array(["a", 1, None], dtype=object), ["a", 1, None]),
    "list of dicts": ([{"a": 1}, {}, {"b": (2,)}], [{"a": 1}, {}, {"b": (2,)}]),
    "one str for the batch": (NonTensorData(data="z", batch_size=[3]), ["z"] * 3),
}


@pytest.mark.parametrize(("put", "rows"), SOURCES.values(), ids=SOURCES.keys())
def test_values_come_back_as_a_stack_with_one_per_row(put: Any, rows: list[Any]) -> None:
    fields = TensorDict({"x": put}, [3])
    got = round_trip(fields, 3)
    assert isinstance(got.get("x"), NonTensorStack)
    assert same_value(got.get("x").tolist(), rows)
    assert same_value(list(got["x"]), rows)
    assert [got[row]["x"] for row in range(3)] == rows


def test_a_linked_list_that_tensordict_gave_can_be_put_again() -> None:
    assert round_trip({"x": TensorDict({"x": NonTensorStack("a", "b")}, [2])["x"]}, 2)["x"] == ["a", "b"]


def test_numbers_and_arrays_in_a_list_keep_their_types() -> None:
    rows = [1, np.float64(2.0), np.arange(2), True]
    assert same_value(values_of(rows), rows)


# --- the stack that comes back ---


def test_a_stack_behaves_as_tensordicts_own() -> None:
    rows = [{"a": 1}, "text", (1, 2)]
    got = round_trip({"x": rows, "t": torch.arange(3)}, 3)
    assert got.pop("x", None).tolist() == rows
    got = round_trip({"x": rows, "t": torch.arange(3)}, 3)
    assert [got[row]["x"] for row in range(3)] == rows
    assert got[1:].get("x").tolist() == rows[1:]
    assert got[torch.tensor([2, 0])].get("x").tolist() == [rows[2], rows[0]]
    assert torch.cat([got, got]).get("x").tolist() == rows * 2
    assert got.clone().get("x").tolist() == rows
    assert got.select("x").get("x").tolist() == rows
    assert got.to_tensordict().get("x").tolist() == rows
    assert pickle.loads(pickle.dumps(got)).get("x").tolist() == rows
    got["x"][1] = "changed"
    assert got.get("x").tolist() == [rows[0], "changed", rows[2]]


def test_a_stack_whose_values_nobody_read_can_be_pickled_and_copied() -> None:
    rows = ["a", "b"]
    for copied in (pickle.loads(pickle.dumps(round_trip({"x": rows}, 2))), round_trip({"x": rows}, 2).clone()):
        assert type(copied.get("x")) is NonTensorStack
        assert copied.get("x").tolist() == rows


def test_reading_a_list_and_changing_it_does_not_change_the_stack() -> None:
    stack = round_trip({"x": ["a", "b"]}, 2).get("x")
    stack.tolist().clear()
    assert stack.tolist() == ["a", "b"]


def test_the_memory_of_text_lives_until_it_is_read() -> None:
    columns, frames = reply_of(_tensors.pack({"x": ["a", "b"]}, 2), 2)
    stack = _tensors.unpack(columns, frames, 2).get("x")
    del frames
    assert stack.tolist() == ["a", "b"]


def test_text_and_objects_of_one_field_are_joined() -> None:
    text, objects = _tensors.pack({"x": ["a", "b"]}, 2), _tensors.pack({"x": [1, None]}, 2)
    octets = [frames_of(packed)[0] for packed in (text, objects)]
    from support.columns import BytesFrame

    frame = BytesFrame(octets[0] + bytes(-len(octets[0]) % 64) + octets[1])
    pieces = [[TEXT, 2, [], len(octets[0])], [OBJECT, 2, [], len(octets[1])]]
    assert _tensors.unpack([["x", -1, pieces]], [frame], 4).get("x").tolist() == ["a", "b", 1, None]


@pytest.mark.parametrize("at", [64, 65])
def test_bytes_that_nobody_wrote_are_a_protocol_error(at: int) -> None:
    columns, frames = reply_of(_tensors.pack({"x": [{"a": 1}]}, 1), 1)
    ctypes.memset(ctypes.addressof(frames[0].buffer()) + at, 0xC1, 1)
    with pytest.raises(ProtocolError):
        _tensors.unpack(columns, frames, 1).get("x").tolist()
