"""Checkpoints that go from one sidecar to another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from queue_fixtures import running_queue
from tensordict import TensorDict

from support.columns import rows_of
from support.filled_queues import fill, look, same
from transferqueue import _session
from transferqueue.errors import StaleBatchError, StorageFullError


def test_everything_comes_back_in_a_new_sidecar(tmp_path):
    with running_queue() as tq:
        before = fill(tq)
        meta = tq.get_client().kv_retrieve_meta(["a", "b"], "p")
        indexes = tq.get_client().get_meta(["x"], 5, "next", mode="insert").global_indexes
        tq.get_client().clear_partition("next")
        tq.save_checkpoint(tmp_path / "ck")
    with running_queue() as tq:
        tq.load_checkpoint(tmp_path / "ck")
        assert same(before, look(tq))
        assert rows_of(tq.get_client().get_data(meta.select_fields(["dense"])).get("dense"))[0].tolist() == [6, 7, 8]
        again = tq.get_client().get_meta(["x"], 5, "next", mode="insert").global_indexes
        assert again == indexes, "indexes are given out in another order"


def test_another_number_of_units_is_a_value_error(tmp_path):
    with running_queue() as tq:
        fill(tq)
        tq.save_checkpoint(tmp_path / "ck")
    with running_queue({"backend": {"SimpleStorage": {"num_data_storage_units": 3}}}) as other:
        with pytest.raises(ValueError, match="count mismatch"):
            other.load_checkpoint(tmp_path / "ck")
        with pytest.raises(ValueError, match="count mismatch"):
            other.get_client().load_storage_checkpoint(tmp_path / "ck")
        assert other.kv_list() == {}


def test_a_batch_of_the_queue_that_was_replaced_is_stale(tmp_path):
    with running_queue() as tq:
        tq.get_client().put(TensorDict({"x": torch.arange(3)}, batch_size=3), partition_id="p")
        tq.save_checkpoint(tmp_path / "ck")
    with running_queue() as tq:
        replaced = tq.get_client().put(TensorDict({"x": torch.arange(3) + 5}, batch_size=3), partition_id="p")
        tq.load_checkpoint(tmp_path / "ck")
        with pytest.raises(StaleBatchError):
            tq.get_client().get_data(replaced)


def test_rows_given_out_but_not_finished_are_fetched_again_after_a_reset(tmp_path):
    """The way of verl: after a restart what was in work is given out again, what was finished is not."""
    with running_queue({"controller": {"polling_mode": True}}) as tq:
        client = tq.get_client()
        td = TensorDict({"prompt": torch.arange(6)}, batch_size=6)
        tq.kv_batch_put([f"k{i}" for i in range(6)], "train", td, [{"status": "pending"}] * 6)
        taken = client.get_meta(["prompt"], 4, "train", task_name="rollout")
        keys = client.kv_retrieve_keys(taken.global_indexes, "train")
        tq.kv_batch_put(keys, "train", tags=[{"status": "running"}] * 4)
        done = TensorDict({"response": torch.arange(2)}, batch_size=2)
        tq.kv_batch_put(keys[:2], "train", done, [{"status": "finished"}] * 2)
        tq.save_checkpoint(tmp_path / "step_3" / "transfer_queue", metadata={"global_steps": 3})
    with running_queue({"controller": {"polling_mode": True}}) as tq:
        tq.load_checkpoint(tmp_path / "step_3" / "transfer_queue")
        client = tq.get_client()
        status = {key: tag["status"] for key, tag in tq.kv_list("train")["train"].items()}
        assert sorted(status.values()) == ["finished"] * 2 + ["pending"] * 2 + ["running"] * 2
        assert client.get_meta(["prompt"], 4, "train", task_name="rollout").size == 0  # they count as given out
        again = [key for key, state in status.items() if state == "running"]
        tq.kv_batch_put(again, "train", tags=[{"status": "pending"}] * len(again))
        finished = [key for key, state in status.items() if state == "finished"]
        rows = tq.kv_batch_get(finished, "train")
        assert rows["response"].tolist() == [0, 1]
        tq.kv_clear(finished, "train")
        assert client.reset_consumption("train", "rollout")
        taken = client.get_meta(["prompt"], 4, "train", task_name="rollout")
        assert client.kv_retrieve_keys(taken.global_indexes, "train") == ["k2", "k3", "k4", "k5"]


def test_a_checkpoint_for_which_there_is_no_room_is_refused_and_nothing_changes(tmp_path):
    with running_queue({"transferqueue": {"capacity_bytes": 64 << 20}}) as tq:
        tq.kv_batch_put(["a"], "p", TensorDict({"x": torch.zeros(1, 8 << 20)}, batch_size=1))
        tq.save_checkpoint(tmp_path / "ck")
    small = {"transferqueue": {"capacity_bytes": 16 << 20}}
    with running_queue(small) as tq:
        tq.kv_put("mine", "p", {"x": 1})
        with pytest.raises(StorageFullError):
            tq.load_checkpoint(tmp_path / "ck")
        assert tq.kv_list() == {"p": {"mine": {}}}
    with running_queue({"backend": {"SimpleStorage": {"total_storage_size": 1}}}) as tq:
        tq.load_checkpoint(tmp_path / "ck")
        with pytest.raises(StorageFullError):
            tq.kv_put("b", "p", {"x": torch.zeros(2)})


def test_a_client_on_another_host_saves_and_loads_with_the_jobs_token(tmp_path):
    code = f"""
import transferqueue as tq
before = tq.kv_list()
tq.save_checkpoint({str(tmp_path / "ck")!r}, metadata={{"by": "remote"}})
tq.kv_clear(["a"], "p")
tq.load_checkpoint({str(tmp_path / "ck")!r})
assert tq.kv_list() == before
try:
    tq.load_checkpoint("/nowhere")
except FileNotFoundError:
    print("done")
"""
    with running_queue({"transferqueue": {"listen": "tcp://127.0.0.1:0"}}) as tq:
        fill(tq)
        ready = _session.session().ready
        token = (Path(ready["log"]).parent / "token").read_text().strip()
        remote = os.environ | {"TRANSFERQUEUE_ADDRESS": ready["tcp_address"], "TRANSFERQUEUE_TOKEN": token}
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=remote)
        assert done.stdout.strip() == "done", done.stderr
        assert "remote" in (tmp_path / "ck" / "metadata.json").read_text()


def test_columns_go_from_memory_to_files_and_back(tmp_path):
    (tmp_path / "ssd").mkdir()
    offload = {"enabled": True, "path": str(tmp_path / "ssd"), "threshold_bytes": 1 << 16}
    conf = {"backend": {"SimpleStorage": {"ssd_offload": offload}}}
    wide = torch.arange(400_000.0).reshape(4, -1)
    with running_queue() as tq:
        tq.kv_batch_put(list("abcd"), "p", TensorDict({"x": wide, "small": torch.arange(4)}, batch_size=4))
        tq.save_checkpoint(tmp_path / "ck")
    with running_queue(conf) as tq:
        tq.load_checkpoint(tmp_path / "ck")
        assert tq.get_client().stats()["bytes_used"] < wide.nbytes
        assert torch.stack(list(tq.kv_batch_get(list("abcd"), "p")["x"].unbind())).equal(wide)
        tq.save_checkpoint(tmp_path / "again")
    with running_queue() as tq:
        tq.load_checkpoint(tmp_path / "again")
        assert torch.stack(list(tq.kv_batch_get(list("abcd"), "p")["x"].unbind())).equal(wide)
