"""A put and a get's reply are one header and one frame per field, however many rows: counted on the wire and by the core."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import NonTensorStack, TensorDict

from support import wire
from support.wire import CONSUMPTION_STATUS, GET, PRODUCTION_STATUS, PUT, Wire
from transferqueue import _session

FIELDS = ["dense", "jagged", "object", "ragged", "scalar", "text"]


@pytest.fixture
def connection(tq):
    with Wire(_session.session().address) as connection:
        yield connection


def keys(rows: int) -> list[str]:
    return [f"k{row}" for row in range(rows)]


def columns(rows: int) -> tuple[list[wire.Column], dict[str, list[bytes]]]:
    """One column of each layout, and the bytes of its rows."""
    rng = np.random.default_rng(rows)
    dense = rng.standard_normal((rows, 3, 2)).astype("f4")
    scalar = rng.integers(-9, 9, rows)
    jagged = [rng.integers(0, 99, (row % 5, 2)) for row in range(rows)]
    ragged = [rng.integers(0, 99, (1 + row % 2, row % 3)) for row in range(rows)]
    text = [f"row {row} ü" * (row % 4) for row in range(rows)]
    objects = [bytes([row % 256]) * (row % 7) for row in range(rows)]
    made = [
        wire.dense("dense", dense),
        wire.jagged("jagged", jagged),
        wire.objects("object", objects),
        wire.ragged("ragged", ragged),
        wire.dense("scalar", scalar),
        wire.text("text", text),
    ]
    octets = {
        "dense": [row.tobytes() for row in dense],
        "jagged": [row.tobytes() for row in jagged],
        "object": objects,
        "ragged": [row.tobytes() for row in ragged],
        "scalar": [row.tobytes() for row in scalar],
        "text": [row.encode() for row in text],
    }
    return made, octets


@pytest.mark.parametrize("rows", [1, 64, 1024])
def test_a_put_and_a_get_are_a_header_and_a_frame_per_field(connection, partition, rows):
    made, octets = columns(rows)
    before = connection.stats()
    put = connection.put(partition, keys(rows), made, want="kv").ok()
    assert put.frames == []
    assert put.header["fields"] == FIELDS
    between = connection.stats()
    assert between["requests"] - before["requests"] == 2  # the put and the question
    assert between["frames_received"] - before["frames_received"] == len(FIELDS)
    assert between["frames_sent"] == before["frames_sent"]

    got = connection.get(partition, keys(rows)).ok()
    assert len(got.frames) == len(FIELDS)
    assert [column[0] for column in got.header["columns"]] == FIELDS
    assert got.header["n"] == rows
    after = connection.stats()
    assert after["requests"] - between["requests"] == 2
    assert after["frames_sent"] - between["frames_sent"] == len(FIELDS)
    assert after["frames_received"] == between["frames_received"]
    for column, frame in zip(got.header["columns"], got.frames, strict=True):
        assert wire.values_of(column, frame) == octets[column[0]]


def test_a_check_is_answered_with_one_bit_however_many_rows_there_are(connection, partition):
    made, _ = columns(512)
    connection.put(partition, keys(512), made).ok()
    for fields, all_there in ((FIELDS, True), ([*FIELDS, "never"], False)):
        answer = connection.call(PRODUCTION_STATUS, {"partition": partition, "fields": fields, "check": True}).ok()
        assert answer.header == {"all": all_there}
    answer = connection.call(CONSUMPTION_STATUS, {"partition": partition, "task": "t", "check": True}).ok()
    assert answer.header == {"all": False}


@pytest.mark.parametrize("rows", [1, 64, 1024])
def test_a_shuffled_reply_and_one_of_some_fields_have_a_frame_per_field_too(connection, partition, rows):
    made, octets = columns(rows)
    connection.put(partition, keys(rows), made).ok()
    order = np.random.default_rng(7).permutation(rows)
    got = connection.get(partition, [f"k{row}" for row in order], ["text", "jagged", "dense"]).ok()
    assert [column[0] for column in got.header["columns"]] == ["dense", "jagged", "text"]
    assert len(got.frames) == 3
    for column, frame in zip(got.header["columns"], got.frames, strict=True):
        assert wire.values_of(column, frame) == [octets[column[0]][row] for row in order]


def test_rows_that_differ_in_their_first_dimension_are_one_jagged_piece(connection, partition):
    connection.put(partition, ["a", "b"], [wire.dense("x", np.arange(10).reshape(2, 5))]).ok()
    connection.put(partition, ["c"], [wire.dense("x", np.arange(7).reshape(1, 7))]).ok()
    connection.put(partition, ["d", "e"], [wire.jagged("x", [np.arange(2), np.arange(4)])]).ok()
    got = connection.get(partition, ["a", "b", "c", "d", "e"]).ok()
    assert len(got.frames) == 1
    assert [piece[0] for piece in got.header["columns"][0][2]] == [wire.JAGGED]
    rows = [np.frombuffer(row, "<i8").tolist() for row in wire.values_of(got.header["columns"][0], got.frames[0])]
    assert rows == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [0, 1, 2, 3, 4, 5, 6], [0, 1], [0, 1, 2, 3]]


def test_rows_of_layouts_that_do_not_lie_side_by_side_are_pieces_of_one_frame(connection, partition):
    rows = [np.arange(10).reshape(1, 5, 2), np.arange(15).reshape(1, 5, 3), np.arange(3).reshape(1, 3)]
    for key, row in zip("abc", rows, strict=True):
        connection.put(partition, [key], [wire.dense("x", row)]).ok()
    connection.put(partition, ["d", "e"], [wire.ragged("x", [np.ones((2, 1)), np.zeros((1, 3))])]).ok()
    got = connection.get(partition, [*"abcde"]).ok()
    assert len(got.frames) == 1
    assert [piece[0] for piece in got.header["columns"][0][2]] == [wire.DENSE, wire.DENSE, wire.DENSE, wire.RAGGED]
    octets = [row.tobytes() for row in rows] + [np.array(row, "<i8").tobytes() for row in ([1, 1], [0, 0, 0])]
    assert wire.values_of(got.header["columns"][0], got.frames[0]) == octets


def test_a_column_of_empty_rows_is_a_frame_too(connection, partition):
    connection.put(partition, ["a", "b"], [wire.text("t", ["", ""]), wire.dense("z", np.zeros((2, 0), "f4"))]).ok()
    got = connection.get(partition, ["a", "b"]).ok()
    assert len(got.frames) == 2
    assert [wire.values_of(*pair) for pair in zip(got.header["columns"], got.frames, strict=True)] == [[b"", b""]] * 2


def batch(rows: int) -> TensorDict:
    lengths = [1 + row % 6 for row in range(rows)]
    nested = torch.nested.nested_tensor([torch.ones(n, dtype=torch.int64) for n in lengths], layout=torch.jagged)
    return TensorDict(
        {
            "dense": torch.randn(rows, 8),
            "jagged": nested,
            "obj": NonTensorStack(*[{"row": row} for row in range(rows)]),
            "scalar": torch.arange(rows),
            "text": NonTensorStack(*[f"t{row}" for row in range(rows)]),
        },
        batch_size=rows,
    )


class Cost:
    """What calls cost the core: requests and frames, without those of the questions."""

    def __init__(self, client) -> None:
        self.client = client
        self.before = client.stats()

    def take(self) -> tuple[int, int, int]:
        now, before = self.client.stats(), self.before
        self.before = now
        return (
            now["requests"] - before["requests"] - 1,
            now["frames_received"] - before["frames_received"],
            now["frames_sent"] - before["frames_sent"],
        )


@pytest.mark.parametrize("rows", [1, 64, 1024])
def test_each_call_of_the_client_is_one_request(tq, partition, rows):
    client = tq.get_client()
    fields = batch(rows)
    client.stats()
    cost = Cost(client)
    meta = tq.kv_batch_put(keys(rows), partition, fields, tags=[{"n": 1}] * rows)
    assert cost.take() == (1, 5, 0)
    tq.kv_batch_get(keys(rows), partition)
    assert cost.take() == (1, 0, 5)
    tq.kv_batch_get(keys(rows)[::-1], partition, ["jagged", "text"])
    assert cost.take() == (1, 0, 2)
    tq.kv_batch_get_by_meta(meta)
    assert cost.take() == (1, 0, 5)
    tq.kv_batch_put(keys(rows), partition, tags=[{"n": 2}] * rows)
    assert cost.take() == (1, 0, 0)
    tq.kv_list(partition)
    assert cost.take() == (1, 0, 0)
    fetched = client.get_meta(["dense", "text"], rows, partition, task_name="t")
    assert cost.take() == (1, 0, 0)
    client.get_data(fetched)
    assert cost.take() == (1, 0, 2)
    inserted = client.get_meta(["dense"], rows, partition + "-2", mode="insert")
    assert cost.take() == (1, 0, 0)
    client.put(fields, metadata=inserted)
    assert cost.take() == (1, 5, 0)
    client.put(fields, partition_id=partition + "-2")
    assert cost.take() == (1, 5, 0)
    client.get_production_status(["dense"], partition)
    client.get_consumption_status("t", partition)
    client.get_partition_list()
    client.clear_samples(inserted)
    assert cost.take() == (4, 0, 0)
    client.set_custom_meta(fetched)
    assert cost.take() == (1, 0, 0)
    tq.kv_clear(keys(rows), partition)
    client.clear_partition(partition + "-2")
    assert cost.take() == (2, 0, 0)


def test_the_header_of_a_put_does_not_grow_with_the_bytes_of_its_rows(connection, partition):
    """What travels beside the frames is names, not data: the same keys with columns a thousand times larger."""
    small = wire.put_header(partition, keys(8), [wire.dense("x", np.zeros((8, 1), "f4"))])
    large = wire.put_header(partition, keys(8), [wire.dense("x", np.zeros((8, 1000), "f4"))])
    assert len(wire.message(PUT, large)) - len(wire.message(PUT, small)) == 2  # the extent's own bytes
    frame = np.zeros((8, 1000), "f4").tobytes()
    connection.call(PUT, large, [frame]).ok()
    got = connection.call(GET, {"partition": partition, "keys": wire.keys_of(keys(8)), "strict": False}).ok()
    assert got.frames == [frame]
