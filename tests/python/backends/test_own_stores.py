"""A store written in Python holds the columns; the sidecar knows the rest. By keys and by metadata, from several processes."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
import torch
from queue_fixtures import rows_of, running_queue
from tensordict import NonTensorStack, TensorDict

from support.own_stores import FileStore, Refused
from support.sidecars import OBEY, ROOT, Program
from transferqueue import errors

KEYS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def tq(folder: Path) -> Iterator[ModuleType]:
    with running_queue({"backend": {"storage_backend": "FileStore", "FileStore": {"path": str(folder)}}}) as package:
        yield package
        assert package.get_client().stats()["faults"] == 0


@pytest.fixture
def names(tq, folder: Path) -> Iterator:
    """The keys in the store; at the end of a test there must be none once its partitions are cleared."""
    store = FileStore({"path": str(folder)})
    yield store.names
    (folder / "refuse").unlink(missing_ok=True)
    for name in tq.get_client().get_partition_list():
        tq.get_client().clear_partition(name)
    assert store.names() == []


def columns() -> TensorDict:
    return TensorDict(
        {
            "x": torch.arange(6.0).reshape(3, 2),
            "reward": torch.tensor([1, 2, 3], dtype=torch.int8),
            "ragged": torch.nested.as_nested_tensor([torch.rand(n) for n in (1, 3, 2)], layout=torch.jagged),
            "text": NonTensorStack("one", {"two": 2}, None),
        },
        batch_size=3,
    )


def test_columns_go_to_the_store_and_come_back_as_the_sidecar_gives_them(tq, names, partition):
    given = columns()
    put = tq.kv_batch_put(KEYS, partition, given, tags=[{"n": 1}, {}, {}])
    assert put.fields == ["ragged", "reward", "text", "x"]
    assert put.tags == [{"n": 1}, {}, {}]
    assert len(names()) == 12
    got = tq.kv_batch_get(["c", "a", "unknown"], partition)
    assert got["x"].is_nested
    assert torch.equal(got["x"].values(), given["x"][[2, 0]].flatten())
    assert got["reward"].dtype == torch.int8
    assert got["reward"].tolist() == [3, 1]
    assert [row.tolist() for row in rows_of(got["ragged"])] == [
        rows_of(given["ragged"])[row].tolist() for row in (2, 0)
    ]
    assert list(got["text"]) == [None, "one"]
    assert torch.equal(tq.kv_batch_get(KEYS, partition, ["x"], layout="dense")["x"], given["x"])
    assert tq.get_client().stats()["bytes_used"] < 64 << 10


def test_single_rows_tags_and_later_fields(tq, names, partition):
    tq.kv_put("a", partition, {"x": torch.ones(2), "note": ("t", 1)}, tag={"state": "new"})
    tq.kv_put("a", partition, tag={"more": 1})
    tq.kv_put("a", partition, {"y": torch.tensor(5)})
    assert tq.kv_list(partition) == {partition: {"a": {"state": "new", "more": 1}}}
    got = tq.kv_batch_get("a", partition)
    assert (got["note"][0], got["y"].tolist()) == (("t", 1), [5])
    tq.kv_put("a", partition, {"x": torch.zeros(3)})
    assert tq.kv_batch_get("a", partition, "x", layout="dense")["x"].tolist() == [[0, 0, 0]]


def test_rows_without_keys_and_a_fetch_by_task(tq, names, partition):
    client = tq.get_client()
    meta = client.put(columns(), partition_id=partition)
    assert meta.is_ready
    assert meta.field_schema["x"]["shape"] == (2,)
    assert meta._custom_backend_meta[0]["x"] == {"length": len(f"{meta.global_indexes[0]}@x")}
    returned = client.put(TensorDict({"z": torch.rand(3)}, batch_size=3), metadata=meta)
    assert returned is meta
    fetched = client.get_meta(["x", "z"], 2, partition, task_name="train")
    assert fetched.global_indexes == sorted(meta.global_indexes)[:2]
    assert fetched.field_schema["x"]["dtype"] == torch.float32
    assert fetched._custom_backend_meta[1].keys() == {"x", "z"}
    rows = [meta.global_indexes.index(index) for index in fetched.global_indexes]
    assert torch.equal(client.get_data(fetched, layout="dense")["x"], columns()["x"][rows])
    assert client.check_consumption_status("train", partition) is False
    assert client.check_production_status(["x", "z"], partition)


def test_what_a_row_of_rows_was_given_is_ready_only_for_these(tq, names, partition):
    client = tq.get_client()
    meta = client.get_meta(["x", "y"], 4, partition, mode="insert")
    client.put(TensorDict({"x": torch.rand(2)}, batch_size=2), metadata=meta.select_samples([0, 2]))
    _, status = client.get_production_status(["x"], partition)
    assert status.flatten().tolist() == [1, 0, 1, 0]
    client.clear_samples(meta.select_samples([0, 1]))
    assert names() == [f"{meta.global_indexes[2]}@x"]


def test_an_exception_of_the_store_reaches_the_caller_and_nothing_is_ready(tq, names, folder, partition):
    client = tq.get_client()
    tq.kv_put("a", partition, {"x": torch.ones(2)})
    (folder / "refuse").touch()
    with pytest.raises(Refused, match="12 keys refused"):
        tq.kv_batch_put(["b", "c", "d"], partition, columns(), tags=[{"n": 1}] * 3)
    with pytest.raises(Refused, match="12 keys refused"):
        asyncio.run(tq.async_kv_batch_put(["b", "c", "d"], partition, columns()))
    with pytest.raises(Refused):
        client.put(columns(), partition_id=f"{partition}-new")
    with pytest.raises(Refused, match="cleared nothing"):
        tq.kv_clear(["a"], partition)
    (folder / "refuse").unlink()
    assert tq.kv_list(partition)[partition]["b"] == {}
    with pytest.raises(errors.InvalidArgumentError, match="not ready"):
        tq.kv_batch_get(["a", "b"], partition, ["x"])
    assert client.get_meta([], None, f"{partition}-new", mode="force_fetch").size == 0
    assert tq.kv_batch_get("a", partition, layout="dense")["x"].tolist() == [[1, 1]]


def test_wrong_arguments_are_refused_before_the_store_is_told(tq, names, partition):
    with pytest.raises(errors.InvalidTypeError):
        tq.kv_batch_put(KEYS, partition, columns(), tags=[{"n": object()}] * 3)
    with pytest.raises(errors.InvalidArgumentError, match="batch size"):
        tq.kv_batch_put(KEYS[:2], partition, columns())
    assert names() == []
    assert tq.kv_list(partition) == {}


def test_metadata_that_outlived_a_clear_touches_nothing_in_the_store(tq, names, partition):
    client = tq.get_client()
    stale = client.put(columns(), partition_id=partition)
    client.clear_samples(stale)
    fresh = client.put(columns(), partition_id=f"{partition}-next")
    before = names()
    with pytest.raises(errors.StaleBatchError):
        client.put(TensorDict({"x": torch.zeros(3, 2)}, batch_size=3), metadata=stale)
    with pytest.raises(errors.StaleBatchError):
        client.get_data(stale)
    client.clear_samples(stale)
    assert names() == before
    assert torch.equal(client.get_data(fresh, layout="dense")["x"], columns()["x"])


def test_other_processes_put_and_get_without_a_configuration_of_their_own(tq, names, partition):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT / 'tests' / 'python'}"}
    with closing(Program(OBEY, environment, forked=True)) as other:
        other.say("import torch; from tensordict import TensorDict; import support.own_stores")
        other.hear()
        other.say(
            f"tq.kv_batch_put({KEYS!r}, {partition!r}, TensorDict({{'x': torch.arange(3)}}, batch_size=3)).fields"
        )
        assert other.hear() == "['x']"
        assert tq.kv_batch_get(KEYS, partition)["x"].tolist() == [0, 1, 2]
        tq.kv_put("d", partition, {"x": torch.tensor(9)})
        other.say(f"tq.kv_batch_get(['d', 'a'], {partition!r})['x'].tolist()")
        assert other.hear() == "[9, 0]"
        other.say(f"tq.kv_clear(['a'], {partition!r})")
        other.hear()
    assert tq.kv_batch_get([*KEYS, "d"], partition)["x"].tolist() == [1, 2, 9]


def test_a_process_that_has_not_registered_the_store_is_told_what_to_do(tq):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    with closing(Program(OBEY, environment)) as other:
        for _ in range(2):
            other.say("tq.kv_list()")
            answer = other.hear()
            assert "AssertionError" in answer or "UnknownManager" in answer
            assert "'FileStore'; registered in this process: none; import the module that registers it" in answer


def test_many_threads_and_loops_at_once(tq, names, partition):
    def work(number: int) -> None:
        async def both() -> None:
            await asyncio.gather(
                *(
                    tq.async_kv_put(f"{number}-{i}", partition, {"x": torch.full((3,), number * 10 + i)})
                    for i in range(5)
                )
            )

        asyncio.run(both())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [f"{number}-{i}" for number in range(4) for i in range(5)]
    got = tq.kv_batch_get(keys, partition, layout="dense")["x"]
    assert got[:, 0].tolist() == [number * 10 + i for number in range(4) for i in range(5)]


def test_fetches_that_wait_keep_out_no_put(tq, names, partition):
    client = tq.get_client()

    async def all_at_once() -> list:
        waits = [
            asyncio.ensure_future(client.async_get_meta(["x"], 1, partition, task_name=f"task {number}", timeout_s=30))
            for number in range(64)
        ]
        await asyncio.sleep(0)
        await tq.async_kv_batch_put(KEYS, partition, columns())
        return await asyncio.wait_for(asyncio.gather(*waits), 30)

    assert [meta.field_schema["x"]["shape"] for meta in asyncio.run(all_at_once())] == [(2,)] * 64


def test_values_put_past_the_store_are_named(tq, names, partition):
    session = tq._session.session()
    with closing(type(tq.get_client())(session.connect())) as by_hand:
        meta = by_hand.put(columns(), partition_id=partition)
        with pytest.raises(errors.InvalidArgumentError, match="needs initialize_storage_manager"):
            tq.get_client().get_data(meta)
        by_hand.clear_samples(meta)


def test_a_data_parser_runs_before_the_store(tq, names, partition):
    tq.kv_batch_put(KEYS, partition, columns(), data_parser=lambda fields: {**fields, "reward": fields["reward"] * 2})
    assert tq.kv_batch_get(KEYS, partition, ["reward"])["reward"].tolist() == [2, 4, 6]


def test_a_loan_is_refused_since_its_memory_is_the_sidecars(tq, names, partition):
    with (
        pytest.raises(errors.InvalidArgumentError, match="a storage backend is set"),
        tq.loan(partition, KEYS, {"x": (torch.float32, (50_000,))}) as room,
    ):
        room["x"].zero_()


def test_a_checkpoint_says_that_the_stores_values_are_not_in_it(tq, names, partition, tmp_path, caplog):
    given = columns()
    tq.kv_batch_put(KEYS, partition, given, tags=[{"n": 1}, {}, {}])
    tq.save_checkpoint(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "metadata.json").read_text())["storage_saved"] is False
    assert "columns that KVStorageManager holds are not saved" in caplog.text
    tq.kv_put("a", partition, tag={"n": 2})
    tq.load_checkpoint(tmp_path / "saved")
    assert tq.kv_list(partition)[partition]["a"] == {"n": 1}
    assert torch.equal(tq.kv_batch_get(KEYS, partition, ["x"], layout="dense")["x"], given["x"])
