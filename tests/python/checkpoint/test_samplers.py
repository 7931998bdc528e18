"""What samplers remember is in a checkpoint: the core's own, and those of the user's in their process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from queue_fixtures import running_queue
from tensordict import TensorDict

from support.asking_samplers import PATIENCE_S, children, configuration, expect, fetch, put
from support.checkpoint_samplers import Dawdling, Drawing, Forgetful, Unpackable
from support.own_samplers import Counting, LastRows
from transferqueue.errors import SamplerError


def test_batches_that_were_fixed_are_given_again(tmp_path):
    conf = {
        "controller": {
            "sampler": "SeqlenBalancedSampler",
            "sampler_arguments": {"n_samples_per_prompt": 2, "dp_size": 2},
            "polling_mode": True,
        }
    }
    told = {"batch_index": 0, "task_name": "train", "partition_id": "p"}
    with running_queue(conf) as tq:
        put(tq, "p", 8, [{"total_lengths": n} for n in (1, 1, 9, 9, 5, 5, 5, 5)])
        first = fetch(tq, "p", 2, dp_rank=0, **told)
        tq.save_checkpoint(tmp_path / "ck")
        second = fetch(tq, "p", 2, dp_rank=1, **told)
    with running_queue(conf) as tq:
        tq.load_checkpoint(tmp_path / "ck")
        assert fetch(tq, "p", 2, dp_rank=1, **told) == second
        assert fetch(tq, "p", 2, dp_rank=0, **told) == first
        assert set(first).isdisjoint(second)


def test_another_sampler_starts_anew_and_a_warning_says_so(tmp_path, caplog):
    with running_queue({"controller": {"sampler": "RankAwareSampler", "polling_mode": True}}) as tq:
        put(tq, "p", 4)
        told = {"dp_rank": 0, "batch_index": 0, "task_name": "train", "partition_id": "p"}
        first = fetch(tq, "p", 2, **told)
        tq.save_checkpoint(tmp_path / "ck")
    with running_queue({"controller": {"polling_mode": True}}) as tq:
        tq.load_checkpoint(tmp_path / "ck")
        assert "RankAwareSampler" in caplog.text
        assert set(fetch(tq, "p", 2)).isdisjoint(first)  # what was consumed stays consumed
        assert fetch(tq, "p", 2) == []


def test_a_checkpoint_names_the_sampler_that_was_registered_last(tmp_path, caplog):
    with running_queue({"controller": {"sampler": "RankAwareSampler", "polling_mode": True}}) as tq:
        tq.register_sampler("GRPOGroupNSampler", {"n_samples_per_prompt": 2})
        tq.register_sampler("RankAwareSampler")
        put(tq, "p", 4)
        asked = {"dp_rank": 0, "batch_index": 0}
        picked = tq.get_client().get_meta(["x"], 2, "p", task_name="t", sampling_config=asked).global_indexes
        tq.save_checkpoint(tmp_path / "c")
        tq.register_sampler("GRPOGroupNSampler", {"n_samples_per_prompt": 2})
        tq.load_checkpoint(tmp_path / "c")
        assert (
            "saved with the sampler RankAwareSampler(), this queue has GRPOGroupNSampler(n_samples_per_prompt=2)"
            in caplog.text
        )
        caplog.clear()
        tq.register_sampler("RankAwareSampler")
        tq.load_checkpoint(tmp_path / "c")
        assert caplog.text == ""
        again = tq.get_client().get_meta(["x"], 2, "p", task_name="t", sampling_config=asked).global_indexes
        assert again == picked


def test_a_sampler_of_ones_own_goes_on_where_it_was(tmp_path):
    with running_queue(configuration(Counting())) as tq:
        rows = put(tq, "p", 6)
        assert [len(fetch(tq, "p", 1)) for _ in range(3)] == [1, 2, 3]
        tq.save_checkpoint(tmp_path / "ck")
        assert fetch(tq, "p", 1) == [rows[3]] * 4
        tq.load_checkpoint(tmp_path / "ck")
        assert fetch(tq, "p", 1) == [rows[3]] * 4
    with running_queue(configuration(Counting())) as tq:
        put(tq, "p", 1)
        fetch(tq, "p", 1)
        tq.load_checkpoint(tmp_path / "ck")
        assert fetch(tq, "p", 1) == [rows[3]] * 4


def test_random_generators_arrays_tensors_and_odd_keys_come_back(tmp_path):
    with running_queue(configuration(Drawing(seed=5), polling=True)) as tq:
        put(tq, "p", 60)
        for _ in range(3):
            fetch(tq, "p", 4)
        tq.save_checkpoint(tmp_path / "ck")
        wanted = [fetch(tq, "p", 4) for _ in range(5)]
    with running_queue(configuration(Drawing(seed=99), polling=True)) as tq:
        tq.load_checkpoint(tmp_path / "ck")
        assert [fetch(tq, "p", 4) for _ in range(5)] == wanted


def test_a_state_that_cant_be_packed_is_named_and_the_old_checkpoint_stays(tmp_path):
    with running_queue(configuration(Unpackable())) as tq:
        put(tq, "p", 2)
        with pytest.raises(SamplerError, match=r"_lock.*override save_checkpoint"):
            tq.save_checkpoint(tmp_path / "ck")
        assert not (tmp_path / "ck").exists()
        assert len(fetch(tq, "p", 2)) == 2  # it goes on
        tq.kv_put("more", "p", {"x": torch.tensor(1)})  # and so does the queue


def test_a_sampler_that_refuses_its_state_keeps_the_one_it_had(tmp_path):
    with running_queue(configuration(Forgetful())) as tq:
        put(tq, "p", 4)
        tq.save_checkpoint(tmp_path / "ck")
        put(tq, "q", 1)
        with pytest.raises(SamplerError, match=r"could not be loaded(.|\n)*no such thing"):
            tq.load_checkpoint(tmp_path / "ck")
        assert tq.get_client().get_partition_list() == ["p", "q"]
        assert len(fetch(tq, "p", 2)) == 2


def test_a_sampler_forgets_a_partition_that_was_replaced_by_a_load_without_its_state(tmp_path):
    with running_queue() as tq:
        put(tq, "p", 4)
        tq.save_checkpoint(tmp_path / "ck")
    with running_queue(configuration(Counting())) as tq:
        put(tq, "p", 3)
        fetch(tq, "p", 1)
        assert len(fetch(tq, "p", 1)) == 2
        tq.load_checkpoint(tmp_path / "ck")
        assert len(fetch(tq, "p", 1)) == 1


def test_a_sampler_that_just_crashed_is_waited_for(tmp_path):
    with running_queue(configuration(LastRows)) as tq:
        put(tq, "p", 4)
        (host,) = children("sampler_host")
        host.kill()
        expect(lambda: not host.is_running() or host.status() == "zombie")
        tq.save_checkpoint(tmp_path / "ck")
        tq.load_checkpoint(tmp_path / "ck")
        assert len(fetch(tq, "p", 2)) == 2


def test_a_fetch_that_waits_for_the_users_sampler_is_served_after_the_load(tmp_path):
    with running_queue(configuration(Counting(), polling=True)) as tq:
        td = TensorDict({"x": torch.arange(2)}, batch_size=2)
        tq.kv_batch_put(["a", "b"], "p", td)
        tq.save_checkpoint(tmp_path / "ck")
        assert fetch(tq, "p", 1)
        assert fetch(tq, "p", 1)
        assert fetch(tq, "p", 1) == []
        tq.load_checkpoint(tmp_path / "ck")
        assert len(fetch(tq, "p", 1)) == 1


def test_fetches_of_a_users_sampler_go_on_while_checkpoints_are_written(tmp_path):
    with running_queue(configuration(LastRows)) as tq:
        client = tq.get_client()
        put(tq, "p", 400)
        got: list[int] = []

        def consume() -> None:
            while len(got) < 400:
                got.extend(fetch(tq, "p", 4))

        consumer = threading.Thread(target=consume)
        consumer.start()
        while len(got) < 400:
            client.save_storage_checkpoint(tmp_path / "half")
            tq.save_checkpoint(tmp_path / "ck")
        consumer.join()
        assert sorted(got) == sorted(set(got))
        assert client.stats()["faults"] == 0


@pytest.mark.parametrize("other", ["SequentialSampler", Counting])
def test_a_save_ends_when_the_sampler_that_it_waits_for_is_replaced(tmp_path: Path, caplog: Any, other: Any):
    with running_queue(configuration(Dawdling(str(tmp_path)))) as tq, ThreadPoolExecutor(1) as pool:
        put(tq, "p", 2)
        saving = pool.submit(tq.save_checkpoint, tmp_path / "ck")
        expect((tmp_path / "offered").exists)
        tq.register_sampler(other)
        with pytest.raises(SamplerError, match="another one was registered"):
            saving.result(PATIENCE_S)
        assert not (tmp_path / "ck").exists()
        tq.save_checkpoint(tmp_path / "ck")
        tq.load_checkpoint(tmp_path / "ck")
        assert caplog.text == ""  # it names the one that is there now


@pytest.mark.parametrize("other", ["SequentialSampler", Counting])
def test_a_load_ends_when_the_sampler_that_it_waits_for_is_replaced(tmp_path: Path, caplog: Any, other: Any):
    with running_queue(configuration(Dawdling(str(tmp_path)))) as tq, ThreadPoolExecutor(1) as pool:
        put(tq, "p", 2)
        (tmp_path / "go").touch()
        tq.save_checkpoint(tmp_path / "ck")
        (tmp_path / "go").unlink()
        (tmp_path / "offered").unlink()
        put(tq, "later", 1)
        loading = pool.submit(tq.load_checkpoint, tmp_path / "ck")
        expect((tmp_path / "offered").exists)
        tq.register_sampler(other)
        with pytest.raises(SamplerError, match="another one was registered"):
            loading.result(PATIENCE_S)
        assert tq.get_client().get_partition_list() == ["p", "later"]
        tq.load_checkpoint(tmp_path / "ck")
        assert tq.get_client().get_partition_list() == ["p"]
        assert "saved with the sampler Dawdling" in caplog.text
        assert len(fetch(tq, "p", 1)) == 1


@pytest.mark.parametrize("other", ["SequentialSampler", LastRows])
def test_a_save_that_waits_while_a_replaced_sampler_picks_is_refused_or_names_the_new_one(
    tmp_path: Path, caplog: Any, other: Any
):
    with running_queue(configuration(LastRows)) as tq, ThreadPoolExecutor(2) as pool:
        put(tq, "p", 2)
        picking = pool.submit(fetch, tq, "p", 1, mishap="wait", folder=str(tmp_path))
        expect((tmp_path / "offered").exists)
        asked = threading.Event()
        saving = pool.submit(tq.save_checkpoint, tmp_path / "ck", progress=lambda done, total: asked.set())
        assert asked.wait(PATIENCE_S)
        tq.register_sampler(other)
        assert isinstance(picking.exception(PATIENCE_S), SamplerError | None)
        refused = saving.exception(PATIENCE_S)
        if refused is None:
            tq.load_checkpoint(tmp_path / "ck")
            assert caplog.text == ""
        else:
            assert isinstance(refused, SamplerError)
            assert "another one was registered" in str(refused)
            assert not (tmp_path / "ck").exists()
        assert len(fetch(tq, "p", 1)) == 1
