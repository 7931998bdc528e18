"""Columns whose head and values come in frames of their own, and who owns the memory of what was made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tensordict import NonTensorStack

from support.columns import BytesFrame, frames_of, reply_of, rows_of, same_value
from transferqueue import _tensors
from transferqueue._tensors.pieces import values_start
from transferqueue.errors import InvalidArgumentError, ProtocolError

ROWS = 4
RAGGED_ROWS = [torch.full((1 + row % 2, row), row) for row in range(ROWS)]
COLUMNS: dict[str, Any] = {
    "jagged": torch.nested.nested_tensor(
        [torch.full((row, 3), float(row)) for row in range(ROWS)], layout=torch.jagged
    ),
    "turned": torch.nested.nested_tensor(
        [torch.rand(2 + row, 3) for row in range(ROWS)], layout=torch.jagged
    ).transpose(1, 2),
    "ragged": RAGGED_ROWS,
    "text": NonTensorStack("", "ü", "abc", "\ud800"),
    "objects": NonTensorStack({"a": torch.ones(2)}, b"", (1, 2), None),
}


def split_reply(fields: dict[str, Any]) -> tuple[list[list[Any]], list[BytesFrame]]:
    """A reply in which every column that has a head has two frames."""
    packed = _tensors.pack(fields, ROWS)
    columns, frames = [], []
    for (name, kind, dtype, shape), octets in zip(packed.columns, frames_of(packed), strict=True):
        entry = [name, dtype, [[kind, ROWS, shape, len(octets)]]]
        if kind == 0:
            columns.append(entry)
            frames.append(BytesFrame(octets))
            continue
        head = values_start(ROWS, ROWS * len(shape) * 4 if kind == 2 else 0)
        columns.append([*entry, 2])
        frames += [BytesFrame(octets[:head]), BytesFrame(octets[head:])]
    return columns, frames


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("copy", [None, True])
def test_a_column_in_two_frames_reads_as_in_one(name, copy):
    fields = {"before": torch.arange(ROWS), name: COLUMNS[name], "zz": torch.rand(ROWS, 2)}
    one = _tensors.unpack(*reply_of(_tensors.pack(fields, ROWS), ROWS), ROWS, copy=copy)
    two = _tensors.unpack(*split_reply(fields), ROWS, copy=copy)
    for field in fields:
        assert same_value(rows_of(two.get(field)), rows_of(one.get(field))), field


def address_of(frame: BytesFrame) -> int:
    return np.frombuffer(frame.buffer(), np.uint8).ctypes.data


def test_values_in_a_frame_of_their_own_are_viewed_there_and_have_exactly_their_bytes():
    columns, frames = split_reply({"x": COLUMNS["jagged"]})
    values = _tensors.unpack(columns, frames, ROWS, copy=False)["x"].values()
    assert values.data_ptr() == address_of(frames[1])
    assert values.untyped_storage().nbytes() == values.numel() * 4


@pytest.mark.parametrize("layout", ["jagged", "dense"])
def test_a_copy_has_memory_of_its_own(layout):
    columns, frames = split_reply({"d": torch.rand(ROWS, 5), "x": COLUMNS["jagged"], "t": COLUMNS["text"]})
    got = _tensors.unpack(columns, frames, ROWS, layout=layout, copy=True)
    before = [row.clone() for name in ("d", "x") for row in rows_of(got[name])]
    for frame in frames:
        memory = memoryview(frame.buffer()).cast("B")
        memory[:] = bytes(len(memory))
    assert same_value([row for name in ("d", "x") for row in rows_of(got[name])], before)
    assert got.get("t").tolist() == COLUMNS["text"].tolist()


def test_no_copy_is_refused_where_the_layouts_of_the_rows_need_one():
    (_, _, five), octets = split_reply({"x": torch.rand(ROWS, 5)})[0][0], bytes(ROWS * 5 * 4)
    seven = [[0, ROWS, [7], ROWS * 7 * 4]]
    frame = BytesFrame(octets + bytes(-len(octets) % 64) + bytes(ROWS * 7 * 4))
    with pytest.raises(InvalidArgumentError, match=r"field 'x'.*copy=False"):
        _tensors.unpack([["x", 6, [*five, *seven]]], [frame], 2 * ROWS, copy=False)
    assert len(_tensors.unpack([["x", 6, [*five, *seven]]], [frame], 2 * ROWS)["x"]) == 2 * ROWS


def test_a_reply_with_too_few_or_too_many_frames_is_a_protocol_error():
    columns, frames = split_reply({"x": COLUMNS["jagged"]})
    for wrong in ([], frames[:1], [*frames, frames[0]]):
        with pytest.raises(ProtocolError, match="frames"):
            _tensors.unpack(columns, wrong, ROWS)
    with pytest.raises(ProtocolError, match="3 frames"):
        _tensors.unpack([[*columns[0][:3], 3]], [*frames, frames[0]], ROWS)
