"""Everything that a queue holds comes back, in the same queue and in a new one."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties.columns_drawn import FIELDS, columns_of_type
from tensordict import TensorDict

from support.asking_samplers import expect
from support.columns import rows_of, same_value
from support.filled_queues import clear, fill, look, same, settled
from transferqueue.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    DeadlineExceededError,
    InvalidArgumentError,
    InvalidTypeError,
    NotReadyError,
    StaleBatchError,
)

_numbers = itertools.count()


def test_everything_comes_back_into_the_queue_in_use(tq, tmp_path):
    before = fill(tq)
    tq.save_checkpoint(tmp_path / "ck", metadata={"global_steps": 7})
    clear(tq)
    tq.kv_put("new", "other", {"o": torch.ones(100_000)})
    tq.load_checkpoint(str(tmp_path / "ck"))
    assert same(before, look(tq))


def test_the_folder_has_the_layout_that_users_know(tq, tmp_path):
    fill(tq)
    tq.save_checkpoint(tmp_path / "a" / "b" / "ck", metadata={"global_steps": 7})
    folder = tmp_path / "a" / "b" / "ck"
    assert json.loads((folder / "metadata.json").read_text()) == {
        "storage_saved": True,
        "user_metadata": {"global_steps": 7},
    }
    units = json.loads((folder / "simple_storage" / "storage_unit_info.json").read_text())
    assert [unit["position"] for unit in units] == [0, 1]
    files = {path.name for path in (folder / "simple_storage").iterdir()}
    assert files == {"storage_unit_info.json"} | {f"su_{u['position']}_{u['storage_unit_id']}.tqc" for u in units}
    assert [path.name for path in folder.glob("controller_state.*")] == ["controller_state.tqc"]
    assert list((tmp_path / "a" / "b").iterdir()) == [folder]


def test_no_file_holds_a_pickle_of_a_tensor_or_a_tag(tq, tmp_path):
    fill(tq)
    tq.save_checkpoint(tmp_path / "ck")
    octets = b"".join(path.read_bytes() for path in (tmp_path / "ck").rglob("*") if path.is_file())
    assert "é".encode() * 50 in octets  # as raw bytes
    assert b"torch" not in octets
    assert b"\x80\x05\x95" not in octets


def test_a_relative_path_is_meant_from_the_callers_folder(tq, tmp_path, monkeypatch):
    fill(tq)
    monkeypatch.chdir(tmp_path)
    tq.save_checkpoint("ck")
    assert (tmp_path / "ck" / "metadata.json").exists()
    tq.load_checkpoint(Path("ck"))


def test_a_link_to_a_checkpoint_stays_a_link(tq, tmp_path):
    fill(tq)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    tq.save_checkpoint(tmp_path / "link")
    tq.save_checkpoint(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "metadata.json").exists()


def test_include_storage_false_is_taken_as_true_with_a_warning(tq, tmp_path, caplog):
    before = fill(tq)
    with caplog.at_level(logging.WARNING, "transferqueue"):
        tq.save_checkpoint(tmp_path / "ck", include_storage=False)
    assert "include_storage" in caplog.text
    clear(tq)
    tq.load_checkpoint(tmp_path / "ck")
    assert same(before, look(tq))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((5,), InvalidTypeError),
        (("",), InvalidArgumentError),
        (("a\0b",), InvalidArgumentError),
        (("ck", {"metadata": {"x": object()}}), TypeError),
        (("ck", {"metadata": [1]}), TypeError),
    ],
)
def test_arguments_that_cant_be_right(tq, tmp_path, monkeypatch, arguments, error):
    monkeypatch.chdir(tmp_path)
    path, keywords = arguments[0], (arguments[1] if len(arguments) > 1 else {})
    with pytest.raises(error):
        tq.save_checkpoint(path, **keywords)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_a_file_not_found_error(tq, tmp_path):
    before = fill(tq)
    with pytest.raises(FileNotFoundError) as error:
        tq.load_checkpoint(tmp_path / "nowhere")
    assert isinstance(error.value, CheckpointNotFoundError)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"metadata\.json"):
        tq.load_checkpoint(tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        tq.get_client().load_controller_checkpoint(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        tq.get_client().load_storage_checkpoint(tmp_path / "nowhere")
    assert same(before, look(tq))


def test_where_nothing_can_be_written_the_error_says_so(tq, tmp_path):
    with pytest.raises(CheckpointError, match="could not be written"):
        tq.save_checkpoint("/proc/nothing/here")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidArgumentError, match="is no checkpoint"):
        tq.save_checkpoint(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    with pytest.raises(InvalidArgumentError, match="is no checkpoint"):
        tq.save_checkpoint(tmp_path / "folder")
    assert (tmp_path / "folder" / "thesis.tex").read_text() == "mine"


def test_a_batch_of_rows_put_after_the_save_is_stale_and_one_from_before_is_not(tq, tmp_path):
    clear(tq)
    client = tq.get_client()
    kept = client.put(TensorDict({"x": torch.arange(3)}, batch_size=3), partition_id="p")
    tq.save_checkpoint(tmp_path / "ck")
    lost = client.put(TensorDict({"x": torch.arange(3) + 10}, batch_size=3), partition_id="p")
    tq.load_checkpoint(tmp_path / "ck")
    assert client.get_data(kept)["x"].tolist() == [0, 1, 2]
    anew = client.put(TensorDict({"x": torch.arange(3) + 20}, batch_size=3), partition_id="p")
    assert anew.global_indexes == lost.global_indexes
    with pytest.raises(StaleBatchError):
        client.get_data(lost)
    assert client.get_data(anew)["x"].tolist() == [20, 21, 22]


def test_a_fetched_tensor_outlives_the_load(tq, tmp_path):
    clear(tq)
    tq.kv_batch_put(["a", "b"], "p", TensorDict({"x": torch.arange(200_000.0).reshape(2, -1)}, batch_size=2))
    tq.save_checkpoint(tmp_path / "ck")
    tq.kv_batch_put(["a", "b"], "p", TensorDict({"x": torch.ones(2, 100_000)}, batch_size=2))
    view = tq.kv_batch_get(["a", "b"], "p")["x"]
    tq.load_checkpoint(tmp_path / "ck")
    for i in range(20):
        tq.kv_put(f"n{i}", "q", {"y": torch.zeros(100_000)})
    assert all(bool((row == 1).all()) for row in view.unbind())
    assert tq.kv_batch_get(["b"], "p")["x"][0][0] == 100_000


def test_a_waiting_fetch_is_served_by_the_load(tq, tmp_path):
    clear(tq)
    client = tq.get_client()
    client.put(TensorDict({"x": torch.arange(4)}, batch_size=4), partition_id="p")
    tq.save_checkpoint(tmp_path / "ck")
    client.clear_partition("p")
    waiting_before = client.stats()["fetches_waiting"]
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(client.get_meta(["x"], 4, "p", task_name="t", timeout_s=60)))
    thread.start()
    expect(lambda: client.stats()["fetches_waiting"] > waiting_before)
    tq.load_checkpoint(tmp_path / "ck")
    thread.join(60)
    assert sorted(client.get_data(result[0])["x"].tolist()) == [0, 1, 2, 3]


def test_puts_clears_and_fetches_go_on_while_it_is_written_and_are_in_it_whole_or_not_at_all(tq, tmp_path):
    clear(tq)
    client = tq.get_client()
    size = 64
    ending = threading.Event()
    rounds = [0, 0]

    def write(which: int) -> None:
        while not ending.is_set():
            number = rounds[which]
            keys = [f"{which}-{number}-{i}" for i in range(size)]
            td = TensorDict({"x": torch.full((size, 300), number), "y": torch.full((size,), number)}, batch_size=size)
            tq.kv_batch_put(keys, f"w{which}", td, [{"round": number}] * size)
            if number >= 3:
                tq.kv_clear([f"{which}-{number - 3}-{i}" for i in range(size)], f"w{which}")
            rounds[which] += 1

    writers = [threading.Thread(target=write, args=(which,)) for which in range(2)]
    for writer in writers:
        writer.start()
    saved = []
    for number in range(4):
        wanted = 5 * (number + 1)
        expect(lambda wanted=wanted: min(rounds) >= wanted)
        tq.save_checkpoint(tmp_path / f"ck{number}")
        saved.append(tmp_path / f"ck{number}")
    ending.set()
    for writer in writers:
        writer.join()
    for folder in saved:
        tq.load_checkpoint(folder)
        for which in range(2):
            tags = tq.kv_list(f"w{which}")[f"w{which}"]
            by_round: dict[int, int] = {}
            for key, tag in tags.items():
                assert int(key.split("-")[1]) == tag["round"]
                by_round[tag["round"]] = by_round.get(tag["round"], 0) + 1
            assert set(by_round.values()) == {size}, by_round
            assert 3 <= len(by_round) <= 4
            got = tq.kv_batch_get(list(tags), f"w{which}")
            for row, number, tag in zip(got["x"].unbind(), got["y"].tolist(), tags.values(), strict=True):
                assert number == tag["round"]
                assert bool((row == number).all())
    clear(tq)
    assert client.stats()["bytes_held"] == 0
    assert client.stats()["faults"] == 0


def test_no_memory_is_lost_by_saves_and_loads(tq, tmp_path):
    fill(tq)
    client = tq.get_client()
    tq.save_checkpoint(tmp_path / "ck")
    tq.load_checkpoint(tmp_path / "ck")
    used = settled(client)
    for _ in range(5):
        tq.save_checkpoint(tmp_path / "ck")
        tq.load_checkpoint(tmp_path / "ck")
    assert settled(client) == used
    clear(tq)
    assert settled(client) == 0


def test_the_coroutines_of_the_halves_and_their_order(tq, tmp_path):
    before = fill(tq)
    client = tq.get_client()

    async def save() -> None:
        await client.async_save_controller_checkpoint(str(tmp_path / "controller_state.pkl"))
        await client.async_save_storage_checkpoint(str(tmp_path))

    async def load() -> None:
        await client.async_load_storage_checkpoint(str(tmp_path))
        await client.async_load_controller_checkpoint(str(tmp_path / "controller_state.pkl"))

    assert asyncio.run(save()) is None
    clear(tq)
    with pytest.raises(CheckpointError, match="load_storage_checkpoint"):
        client.load_controller_checkpoint(tmp_path / "controller_state.pkl")
    assert client.get_partition_list() == []
    asyncio.run(load())
    assert same(before, look(tq))
    client.load_storage_checkpoint(tmp_path)
    client.load_storage_checkpoint(tmp_path)
    client.load_controller_checkpoint(tmp_path / "controller_state.pkl")
    assert same(before, look(tq))
    clear(tq)
    assert settled(client) == 0


def test_a_controller_half_of_a_queue_without_columns_needs_no_storage_half(tq, tmp_path):
    clear(tq)
    tq.kv_batch_put(["a", "b"], "p", tags=[{"n": 1}, {"n": 2}])
    assert tq.get_client().save_controller_checkpoint(tmp_path / "state") is None
    clear(tq)
    assert tq.get_client().load_controller_checkpoint(tmp_path / "state") is None
    assert tq.kv_list() == {"p": {"a": {"n": 1}, "b": {"n": 2}}}


def test_halves_of_a_whole_checkpoint_can_be_loaded_too(tq, tmp_path):
    before = fill(tq)
    tq.save_checkpoint(tmp_path / "ck")
    clear(tq)
    tq.get_client().load_storage_checkpoint(tmp_path / "ck")
    tq.get_client().load_controller_checkpoint(tmp_path / "ck" / "controller_state.tqc")
    assert same(before, look(tq))


def test_progress_is_told_and_an_error_in_its_callback_ends_the_work(tq, tmp_path):
    clear(tq)
    tq.kv_batch_put(["a"], "p", TensorDict({"x": torch.zeros(1, 16 << 20)}, batch_size=1))
    told: list[tuple[int, int]] = []
    tq.save_checkpoint(tmp_path / "ck", progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] >= told[-1][1] >= 64 << 20
    assert [done for done, _ in told] == sorted(done for done, _ in told)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tq.save_checkpoint(tmp_path / "other", progress=stop)
    tq.save_checkpoint(tmp_path / "ck")  # comes behind it
    assert not (tmp_path / "other.tmp").exists()
    told.clear()
    tq.load_checkpoint(tmp_path / "ck", progress=lambda done, total: told.append((done, total)))
    assert told[-1][1] >= 64 << 20


def test_a_deadline_ends_the_work(tq, tmp_path):
    fill(tq)
    with pytest.raises(DeadlineExceededError):
        tq.save_checkpoint(tmp_path / "ck", timeout_s=-1)
    tq.save_checkpoint(tmp_path / "ck")


def test_a_listing_that_was_kept_is_not_continued_after_a_load(tq, tmp_path):
    clear(tq)
    tq.kv_batch_put(["a", "b"], "p", tags=[{"n": 1}, {"n": 2}])
    tq.save_checkpoint(tmp_path / "ck")
    assert tq.kv_list("p") == {"p": {"a": {"n": 1}, "b": {"n": 2}}}
    tq.kv_batch_put(["c"], "p", tags=[{"n": 3}])
    assert len(tq.kv_list("p")["p"]) == 3
    tq.load_checkpoint(tmp_path / "ck")
    assert tq.kv_list("p") == {"p": {"a": {"n": 1}, "b": {"n": 2}}}


def test_a_closed_over_timeout_still_says_what_is_missing(tq, tmp_path):
    clear(tq)
    tq.kv_put("a", "p", {"x": torch.zeros(2)})
    tq.save_checkpoint(tmp_path / "ck")
    tq.load_checkpoint(tmp_path / "ck")
    with pytest.raises(NotReadyError, match="1 of 2 rows ready"):
        tq.get_client().get_meta(["x"], 2, "p", task_name="t", timeout_s=0.05)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_whatever_was_put_comes_back(tq, tmp_path, data):
    clear(tq)
    kind = data.draw(st.sampled_from(FIELDS))
    rows: dict[str, Any] = {}
    for _ in range(data.draw(st.integers(1, 4))):
        keys = data.draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True))
        drawn = data.draw(columns_of_type(kind, len(keys)))
        tq.kv_batch_put(keys, "p", TensorDict({"x": drawn.column}, batch_size=len(keys)))
        rows |= dict(zip(keys, drawn.rows, strict=True))
    gone = data.draw(st.sets(st.sampled_from(sorted(rows)), max_size=len(rows) - 1))
    if gone:
        tq.kv_clear(sorted(gone), "p")
    left = [key for key in rows if key not in gone]
    folder = tmp_path / f"ck{next(_numbers)}"
    before = tq.get_client().get_meta(["x"], None, "p", mode="force_fetch")
    tq.save_checkpoint(folder)
    clear(tq)
    tq.load_checkpoint(folder)
    after = tq.get_client().get_meta(["x"], None, "p", mode="force_fetch")
    assert after.global_indexes == before.global_indexes
    assert after.field_schema == before.field_schema
    got = rows_of(tq.kv_batch_get(left, "p").get("x"))
    assert len(got) == len(left)
    assert all(map(same_value, got, [rows[key] for key in left]))
