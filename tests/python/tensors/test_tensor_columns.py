"""Tensors of every kind, packed and unpacked."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import NonTensorStack, TensorDict

from support.columns import DENSE, JAGGED, RAGGED, BytesFrame, frames_of, reply_of, round_trip, rows_of, same_bits
from transferqueue import _tensors
from transferqueue._table import address_of
from transferqueue._tensors.dtypes import DTYPES
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, ProtocolError

ALL = sorted(DTYPES.values(), key=str)
OFFSETS = torch.tensor([0, 2, 2, 5])


def random_bits(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    octets = torch.randint(0, 256, (*shape, dtype.itemsize), dtype=torch.uint8, generator=generator)
    return octets.view(dtype).squeeze(-1) if dtype != torch.bool else octets.squeeze(-1) > 127


def jagged(values: torch.Tensor, offsets: torch.Tensor = OFFSETS, **options: Any) -> torch.Tensor:
    return torch.nested.nested_tensor_from_jagged(values, offsets, **options)


def strided(*rows: torch.Tensor) -> torch.Tensor:
    return torch.nested.as_nested_tensor(list(rows), layout=torch.strided)


def rows_of_jagged(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The rows by hand: torch itself can't unbind a jagged tensor that doesn't use all its values."""
    starts = tensor.offsets()[:-1].tolist()
    lengths = (tensor.offsets().diff() if tensor.lengths() is None else tensor.lengths()).tolist()
    values, dim = tensor._values.detach(), tensor._ragged_idx - 1
    return [values.narrow(dim, start, length) for start, length in zip(starts, lengths, strict=True)]


def assert_same_rows(got: Any, put: list[torch.Tensor]) -> None:
    rows = rows_of(got)
    assert len(rows) == len(put)
    assert all(map(same_bits, rows, put))


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_a_tensor_of_any_dtype_comes_back_jagged_with_its_bits(dtype: torch.dtype) -> None:
    put = random_bits(dtype, 3, 4, 2)
    got = round_trip({"x": put}, 3)["x"]
    assert got.layout is torch.jagged
    assert_same_rows(got, list(put))


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_a_jagged_tensor_of_any_dtype_comes_back_jagged_with_its_bits(dtype: torch.dtype) -> None:
    put = jagged(random_bits(dtype, 5, 2))
    got = round_trip({"x": put}, 3)["x"]
    assert got.layout is torch.jagged
    assert torch.equal(got.offsets(), OFFSETS)
    assert same_bits(got.values(), put.values())


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_rows_of_any_dtype_that_differ_in_two_dimensions_come_back(dtype: torch.dtype) -> None:
    put = [random_bits(dtype, 2, 3), random_bits(dtype, 1, 4)]
    assert_same_rows(round_trip({"x": put}, 2).get("x"), put)


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_a_column_of_scalars_comes_back_dense(dtype: torch.dtype) -> None:
    put = random_bits(dtype, 5)
    got = round_trip({"x": put}, 5)["x"]
    assert not got.is_nested
    assert same_bits(got, put)


def test_a_contiguous_tensor_is_not_copied_to_be_packed() -> None:
    dense, values = torch.rand(3, 7), torch.rand(5, 2)
    packed = _tensors.pack({"dense": dense, "jagged": jagged(values)}, 3)
    addresses = [address for address, _, _ in packed.segments]
    assert dense.data_ptr() in addresses
    assert values.data_ptr() in addresses


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_a_put_has_one_frame_per_field_whatever_the_number_of_rows(rows: int) -> None:
    fields = {"a": torch.rand(rows, 3), "b": [torch.ones(1 + row % 3) for row in range(rows)], "c": ["x"] * rows}
    packed = _tensors.pack(fields, rows)
    assert [frame for _, _, frame in packed.segments] == sorted(frame for _, _, frame in packed.segments)
    assert {frame for _, _, frame in packed.segments} == {0, 1, 2}
    assert len(packed.segments) <= 2 * 3


def test_values_begin_at_a_multiple_of_64_bytes() -> None:
    for rows in (1, 6, 7, 8, 100):
        offsets = torch.arange(rows + 1)
        octets = frames_of(_tensors.pack({"x": jagged(torch.arange(rows), offsets)}, rows))[0]
        start = -(-(rows + 1) * 8 // 64) * 64
        assert np.frombuffer(octets, np.int64, rows + 1).tolist() == offsets.tolist()
        assert np.frombuffer(octets, np.int64, rows, start).tolist() == list(range(rows))


def test_every_segment_lies_in_memory_that_the_packed_batch_keeps_alive() -> None:
    packed = _tensors.pack({"t": torch.rand(4, 2).t(), "s": ["a", "ü"], "o": [1, None]}, 2)
    kept = {value.data_ptr() if isinstance(value, torch.Tensor) else address_of(value) for value in packed.keepalive}
    assert {address for address, _, _ in packed.segments} <= kept


VIEWS = {
    "transposed": torch.rand(4, 3).t(),
    "strided": torch.rand(3, 8)[:, ::2],
    "expanded": torch.rand(3, 1).expand(3, 4),
    "reversed rows": torch.rand(3, 4).flip(0),
    "offset": torch.rand(5, 4)[2:],
    "requires grad": torch.rand(3, 4, requires_grad=True),
    "result of an operation with grad": torch.rand(3, 4, requires_grad=True) * 2,
    "conjugated": torch.view_as_complex(torch.rand(3, 4, 2)).conj(),
    "negated": torch.view_as_complex(torch.rand(3, 4, 2)).conj().imag,
    "parameter": torch.nn.Parameter(torch.rand(3, 4)),
    "no elements": torch.rand(3, 0),
    "no elements inside": torch.rand(3, 4, 0, 2),
}


@pytest.mark.parametrize("put", VIEWS.values(), ids=VIEWS.keys())
def test_views_and_tensors_with_gradients_come_back_as_plain_values(put: torch.Tensor) -> None:
    got = round_trip({"x": put}, 3)["x"]
    assert not got.requires_grad
    assert_same_rows(got, list(put.detach()))


JAGGED_TENSORS = {
    "ragged first": jagged(torch.rand(5, 2)),
    "rows without a further dimension": jagged(torch.rand(5)),
    "three dimensions": jagged(torch.rand(5, 2, 3)),
    "ragged second": jagged(torch.rand(4, 5), jagged_dim=2),
    "ragged third": jagged(torch.rand(4, 2, 5), jagged_dim=3),
    "ragged in the middle": jagged(torch.rand(4, 5, 2), jagged_dim=2),
    "first offset not zero": jagged(torch.rand(9, 2), OFFSETS + 3),
    "values behind the last offset": jagged(torch.rand(9, 2)),
    "holes": jagged(torch.rand(6, 2), torch.tensor([0, 3, 4, 6]), lengths=torch.tensor([1, 0, 2])),
    "holes, ragged second": jagged(
        torch.rand(4, 6), torch.tensor([0, 3, 4, 6]), lengths=torch.tensor([3, 1, 1]), jagged_dim=2
    ),
    "holes in uint16": jagged(
        torch.arange(6).to(torch.uint16), torch.tensor([0, 3, 4, 6]), lengths=torch.tensor([1, 0, 2])
    ),
    "values not contiguous": jagged(torch.rand(2, 5).t()),
    "empty rows only": jagged(torch.rand(0, 2), torch.zeros(4, dtype=torch.int64)),
    "int32 offsets": jagged(torch.rand(5, 2), OFFSETS.to(torch.int32)),
    "requires grad": jagged(torch.rand(5, 2, requires_grad=True)),
    "as torch makes it of a list": torch.nested.nested_tensor(
        [torch.rand(n, 2) for n in (1, 0, 4)], layout=torch.jagged
    ),
    "rows of one length": torch.nested.nested_tensor([torch.rand(2, 2) for _ in range(3)], layout=torch.jagged),
}


@pytest.mark.parametrize("put", JAGGED_TENSORS.values(), ids=JAGGED_TENSORS.keys())
def test_jagged_tensors_come_back_jagged_along_the_same_dimension(put: torch.Tensor) -> None:
    got = round_trip({"x": put}, 3)["x"]
    assert got.layout is torch.jagged
    assert got._ragged_idx == put._ragged_idx
    assert not got.requires_grad
    assert_same_rows(got, rows_of_jagged(put))
    for row, expected in enumerate(rows_of_jagged(put)):
        assert same_bits(got[row], expected)


STRIDED_TENSORS = {
    "one ragged dimension": (strided(torch.rand(1, 2), torch.rand(3, 2), torch.rand(0, 2)), torch.jagged),
    "ragged second": (strided(torch.rand(4, 2), torch.rand(4, 3), torch.rand(4, 1)), torch.jagged),
    "rows of one shape": (strided(*torch.rand(3, 2, 2)), torch.jagged),
    "two ragged dimensions": (strided(torch.rand(1, 2), torch.rand(3, 4), torch.rand(2, 2)), torch.strided),
    "transposed": (strided(torch.rand(1, 2), torch.rand(3, 2), torch.rand(2, 2)).transpose(1, 2), torch.jagged),
    "requires grad": (strided(torch.rand(1), torch.rand(3), torch.rand(2)).requires_grad_(), torch.jagged),
}


@pytest.mark.parametrize(("put", "layout"), STRIDED_TENSORS.values(), ids=STRIDED_TENSORS.keys())
def test_strided_nested_tensors_come_back_jagged_where_torch_can_have_them(put: torch.Tensor, layout: Any) -> None:
    got = round_trip({"x": put}, 3)["x"]
    assert got.layout is layout
    assert got.is_nested
    assert_same_rows(got, list(put.detach().unbind()))


def test_rows_of_different_rank_come_back_as_a_stack_of_tensors() -> None:
    put = [torch.rand(2), torch.rand(2, 3), torch.tensor(4.0)]
    packed = _tensors.pack({"x": put}, 3)
    assert packed.columns[0][1:] == [RAGGED, 6, [-1, -1]]
    got = round_trip({"x": put}, 3).get("x")
    assert isinstance(got, NonTensorStack)
    assert_same_rows(got, put)


def test_a_stack_of_tensors_of_one_dtype_is_a_tensor_column() -> None:
    rows = [torch.rand(2), torch.rand(4)]
    got = round_trip(TensorDict({"x": NonTensorStack(*rows)}, [2]), 2)["x"]
    assert got.layout is torch.jagged
    assert_same_rows(got, rows)


def test_a_stack_of_tensors_of_different_dtypes_comes_back_as_values() -> None:
    rows = [torch.rand(2), torch.arange(2)]
    got = round_trip({"x": rows}, 2).get("x")
    assert isinstance(got, NonTensorStack)
    assert_same_rows(got, rows)


def test_rows_of_a_lazily_stacked_tensordict_may_differ_in_shape() -> None:
    rows = [TensorDict({"x": torch.rand(n), "y": torch.tensor(n), "z": f"row {n}"}) for n in (2, 5, 1)]
    got = round_trip(TensorDict.lazy_stack(rows), 3)
    assert_same_rows(got["x"], [row["x"] for row in rows])
    assert got["y"].tolist() == [2, 5, 1]
    assert got.get("z").tolist() == ["row 2", "row 5", "row 1"]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(3, 2),
        np.arange(6, dtype=">i4").reshape(3, 2),
        np.arange(6.0)[::-2],
        np.arange(6, dtype=np.uint32).reshape(2, 3).T,
    ],
    ids=["int16", "big endian", "negative stride", "Fortran order"],
)
def test_numeric_arrays_become_tensors(array: np.ndarray[Any, Any]) -> None:
    rows = [torch.from_numpy(np.array(row, dtype=row.dtype.newbyteorder("="))) for row in array]
    assert_same_rows(round_trip({"x": array}, 3)["x"], rows)


def test_an_array_that_must_not_be_written_is_packed_without_a_warning() -> None:
    array = np.arange(3.0)
    array.flags.writeable = False
    assert round_trip({"x": array}, 3)["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("put", [torch.rand(0, 3), torch.rand(0), [], jagged(torch.rand(0, 2), torch.zeros(1).long())])
def test_a_batch_without_rows_comes_back_without_rows(put: Any) -> None:
    got = round_trip({"x": put}, 0)
    assert got.batch_size == (0,)
    assert len(rows_of(got.get("x"))) == 0


# --- how it comes back ---


def test_columns_with_the_same_lengths_share_one_layout() -> None:
    fields = {
        "a": jagged(torch.rand(5, 2)),
        "b": jagged(torch.rand(5, 2), OFFSETS.clone()),
        "c": jagged(torch.rand(5), torch.tensor([0, 1, 2, 5])),
        "d": torch.rand(3, 4),
        "e": torch.rand(3, 4),
    }
    got = round_trip(fields, 3)
    assert got["a"].offsets() is got["b"].offsets()
    assert got["d"].offsets() is got["e"].offsets()
    assert len({id(got[name].offsets()) for name in "acd"}) == 3
    assert torch.equal((got["a"] + got["b"]).values(), fields["a"].values() + fields["b"].values())


def test_a_tensor_is_a_view_of_the_frame_with_a_storage_of_its_own_size() -> None:
    columns, frames = reply_of(_tensors.pack({"d": torch.ones(3, 4), "j": jagged(torch.ones(5, 2))}, 3), 3)
    got = _tensors.unpack(columns, frames, 3)
    for name, frame in zip("dj", frames, strict=True):
        values = got[name].values()
        assert values.untyped_storage().nbytes() == values.numel() * 4
        start = ctypes.addressof(frame.buffer())
        assert start <= values.data_ptr() < start + len(frame.buffer())
        values.fill_(7)
        assert frame.buffer().raw[-4:] == np.float32(7).tobytes()


def test_copy_true_gives_memory_of_its_own() -> None:
    columns, frames = reply_of(_tensors.pack({"d": torch.ones(3, 4)}, 3), 3)
    got = _tensors.unpack(columns, frames, 3, copy=True)["d"].values()
    got.fill_(7)
    assert frames[0].buffer().raw == torch.ones(3, 4).numpy().tobytes()


def test_copy_false_is_an_error_where_rows_must_be_brought_together() -> None:
    put = {"x": torch.ones(3, 4)}
    assert round_trip(put, 3, copy=False)["x"].size(0) == 3
    with pytest.raises(InvalidArgumentError, match=r"'x'.*copy=False"):
        round_trip(put, 3, cuts=[[0], [1, 2]], copy=False)


def test_layout_dense_gives_dense_tensors_where_the_rows_have_one_shape() -> None:
    fields = {"d": torch.rand(3, 4), "j": jagged(torch.rand(5, 2)), "s": torch.rand(3)}
    got = round_trip(fields, 3, layout="dense")
    assert same_bits(got["d"], fields["d"])
    assert got["j"].layout is torch.jagged
    assert same_bits(got["s"], fields["s"])


def test_an_unknown_layout_is_an_error() -> None:
    with pytest.raises(InvalidArgumentError, match=r"'flat'.*'jagged' and 'dense'"):
        round_trip({"x": torch.ones(1)}, 1, layout="flat")


def test_what_came_back_can_be_put_again() -> None:
    fields = {
        "d": torch.rand(3, 4),
        "m": jagged(torch.rand(4, 5), jagged_dim=2),
        "t": ["a", "b", "c"],
        "o": [1, None, ()],
    }
    once = round_trip(fields, 3)
    twice = round_trip(once, 3)
    for name in fields:
        assert list(map(repr, rows_of(twice.get(name)))) == list(map(repr, rows_of(once.get(name))))


PADDED = {str(dtype) for dtype in ALL} - {
    "torch.complex32",
    "torch.complex64",
    "torch.complex128",
    "torch.float8_e4m3fn",
    "torch.float8_e4m3fnuz",
    "torch.float8_e5m2",
    "torch.float8_e5m2fnuz",
    "torch.float8_e8m0fnu",
    "torch.uint16",
    "torch.uint32",
    "torch.uint64",
}


def test_columns_can_be_padded_to_their_longest_row_where_torch_implements_it() -> None:
    padded = set()
    for dtype in ALL:
        column = round_trip({"x": jagged(torch.zeros(5).to(dtype))}, 3)["x"]
        try:
            assert column.to_padded_tensor(0).shape == (3, 3)
            padded.add(str(dtype))
        except NotImplementedError:
            continue
    assert padded >= PADDED


def test_the_shape_of_a_field_with_scalars_in_every_row_is_the_batchs() -> None:
    assert _tensors.pack({"x": torch.rand(3)}, 3).columns == [["x", DENSE, 6, []]]
    assert _tensors.pack({"x": torch.rand(3, 1)}, 3).columns == [["x", DENSE, 6, [1]]]
    assert _tensors.pack({"x": jagged(torch.rand(4, 5), jagged_dim=2)}, 3).columns == [["x", JAGGED, 6, [4, -1]]]


# --- pieces ---


def test_pieces_of_different_lengths_are_joined_to_one_jagged_tensor() -> None:
    first, second = torch.rand(2, 5), torch.rand(3, 7)
    third = jagged(torch.rand(5), torch.tensor([0, 2, 5]))
    columns, octets = [], b""
    for put, rows in ((first, 2), (second, 3), (third, 2)):
        (_, kind, _, shape), frame = (packed := _tensors.pack({"x": put}, rows)).columns[0], frames_of(packed)[0]
        columns.append([kind, rows, shape, len(frame)])
        octets += bytes(-len(octets) % 64) + frame
    got = _tensors.unpack([["x", 6, columns]], [BytesFrame(octets)], 7)["x"]
    assert got.layout is torch.jagged
    assert_same_rows(got, [*first, *second, *third.unbind()])


# --- errors ---


def test_a_field_with_another_number_of_rows_is_an_error_that_tells_both() -> None:
    for put in (torch.ones(4, 2), torch.ones(4), ["a"] * 4, jagged(torch.ones(4), torch.arange(5)), torch.tensor(1.0)):
        with pytest.raises(InvalidArgumentError, match=r"Inconsistent batch dimension.*'x'.*(4 rows|scalar).*batch 3"):
            _tensors.pack({"x": put}, 3)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_values_that_have_no_column_are_an_error_that_names_the_field() -> None:
    sparse = torch.eye(3).to_sparse()
    quantized = torch.quantize_per_tensor(torch.ones(3, 2), 1.0, 0, torch.qint8)
    nested = TensorDict({"y": torch.ones(3)}, [3])
    for put in (sparse, quantized, nested, 3, "abc", {"a": 1}):
        with pytest.raises(InvalidTypeError, match=r"field 'x'"):
            _tensors.pack({"x": put}, 3)
    with pytest.raises(InvalidArgumentError, match=r"field .x..*meta"):
        _tensors.pack({"x": torch.ones(3, device="meta")}, 3)
    with pytest.raises(InvalidTypeError, match=r"names are str"):
        _tensors.pack({1: torch.ones(3)}, 3)


@pytest.mark.parametrize(
    "entry",
    [[DENSE, 3, [4], 44], [DENSE, 3, [5], 48], [DENSE, 2, [6], 48], [JAGGED, 3, [-1], 48], [7, 3, [4], 48]],
    ids=["too short", "other shape", "other rows", "no jagged column", "unknown kind"],
)
def test_a_reply_that_contradicts_itself_is_a_protocol_error(entry: list[Any]) -> None:
    _, frames = reply_of(_tensors.pack({"x": torch.zeros(3, 4)}, 3), 3)
    with pytest.raises(ProtocolError):
        _tensors.unpack([["x", 6, [entry]]], frames, 3)
    with pytest.raises(ProtocolError, match=r"number 99"):
        _tensors.unpack([["x", 99, [[DENSE, 3, [4], 48]]]], frames, 3)


def test_columns_over_one_offsets_tensor_share_their_head():
    offsets = torch.tensor([0, 2, 2, 5])
    other = torch.tensor([0, 1, 2, 5])
    fields = {
        "a": jagged(torch.rand(5), offsets),
        "b": jagged(torch.arange(5), offsets),
        "c": jagged(torch.rand(5), other),
    }
    packed = _tensors.pack(fields, 3)
    heads = [address for address, _, frame in packed.segments[::2]]
    assert (heads[0] == heads[1]) == _tensors.internals()["jagged"]
    assert heads[1] != heads[2]
    expected = [frames_of(_tensors.pack({name: value}, 3))[0] for name, value in fields.items()]
    assert frames_of(packed) == expected


def test_columns_over_one_offsets_tensor_may_be_cut_elsewhere():
    offsets = torch.tensor([0, 2, 3])
    fields = {"a": jagged(torch.rand(3), offsets), "b": jagged(torch.rand(4, 3), offsets, jagged_dim=2)}
    fields |= {"long": jagged(torch.rand(9), offsets), "again": jagged(torch.rand(3), offsets)}
    came = round_trip(fields, 2)
    for name, column in fields.items():
        assert all(map(same_bits, rows_of(came[name]), rows_of_jagged(column)))


def test_a_row_is_packed_from_its_own_memory():
    row = {"x": torch.rand(4), "s": "text", "n": torch.tensor(3), "o": {"a": 1}, "e": torch.rand(0, 2)}
    packed = _tensors.pack_row(row)
    batch = {name: value.unsqueeze(0) if isinstance(value, torch.Tensor) else [value] for name, value in row.items()}
    assert packed.columns == _tensors.pack(batch, 1).columns
    assert frames_of(packed) == frames_of(_tensors.pack(batch, 1))
    assert packed.segments[0][0] == row["x"].data_ptr()


@pytest.mark.parametrize(
    "value",
    [
        torch.rand(4, 2).t(),
        torch.complex(torch.rand(3), torch.rand(3)).conj(),
        torch.complex(torch.rand(3), torch.rand(3)).conj().imag,
        torch.rand(3, requires_grad=True),
        torch.nn.Parameter(torch.rand(3)),
    ],
    ids=["transposed", "conjugate", "negative", "gradient", "parameter"],
)
def test_a_row_that_has_to_be_prepared_is_packed_like_a_batch(value: torch.Tensor):
    assert frames_of(_tensors.pack_row({"x": value})) == frames_of(_tensors.pack({"x": value.unsqueeze(0)}, 1))


def test_a_row_is_no_batch():
    with pytest.raises(InvalidArgumentError, match="kv_batch_put for batch"):
        _tensors.pack_row({"x": jagged(torch.rand(5), torch.tensor([0, 2, 5]))})
    with pytest.raises(InvalidArgumentError, match="names nothing"):
        _tensors.pack_row({"": torch.rand(4)})
    with pytest.raises(InvalidTypeError, match="names are str"):
        _tensors.pack_row({1: torch.rand(4)})


#: The module; the package has a function of that name.
unpack: Any = sys.modules["transferqueue._tensors.unpack"]


def came(**options: Any) -> Any:
    return round_trip({"x": torch.zeros(3, 4)}, 3, **options)["x"]


def test_gets_of_rows_of_one_shape_share_their_offsets():
    first, second = came(), came()
    assert first.offsets() is second.offsets()
    assert torch.equal((first + second).values(), torch.zeros(12))
    assert came(copy=True).offsets() is not first.offsets()


def test_offsets_that_somebody_wrote_to_are_shared_no_more():
    spoilt = came()
    spoilt.offsets()[1] = 3
    assert came().offsets().tolist() == [0, 4, 8, 12]
    assert came().offsets() is came().offsets()


def test_a_get_in_inference_mode_leaves_nothing_that_a_later_graph_would_refuse():
    unpack._uniform_layouts.clear()
    with torch.inference_mode():
        assert came().offsets().is_inference()
    later = came()
    assert not later.offsets().is_inference()
    weight = torch.ones((), requires_grad=True)
    (later * weight).values().sum().backward()


def test_the_offsets_that_gets_share_are_bounded():
    for rows in range(1, 200):
        round_trip({"x": torch.zeros(rows, 2)}, rows)
    assert len(unpack._uniform_layouts) <= unpack._MOST_LAYOUTS
    round_trip({"x": torch.zeros(unpack._MOST_LAYOUT_ROWS + 1, 2)}, unpack._MOST_LAYOUT_ROWS + 1)
    assert (unpack._MOST_LAYOUT_ROWS + 1, 2) not in unpack._uniform_layouts
