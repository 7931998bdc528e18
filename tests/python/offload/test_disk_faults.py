"""A full disk, a folder that is none, a sidecar that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest
import torch
from offload.disks import KEYS, MIB, ROWS, THRESHOLD, batch, conf, random
from queue_fixtures import running_queue

from support.sidecars import expect
from transferqueue import errors


def get(tq: ModuleType, partition: str) -> torch.Tensor:
    return tq.kv_batch_get(KEYS, partition, ["x"], layout="dense")["x"]


def used(disk: Path) -> int:
    return psutil.disk_usage(str(disk)).used


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB of its own."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(tmp_path)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small file system needs root: {mounted.stderr.strip()}")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_the_folder_stays_empty_and_the_room_goes_back_when_the_sidecar_is_killed(small_disk):
    with running_queue(conf(small_disk)) as tq:
        core = tq.get_client()._connection.hello["core_pid"]
        tq.kv_batch_put(KEYS, "p", batch(x=random(8 * MIB // ROWS)))
        assert list(small_disk.iterdir()) == []
        assert used(small_disk) > 8 * MIB
        keeper = psutil.Process(core).ppid()
        os.kill(keeper, signal.SIGKILL)
        os.kill(core, signal.SIGKILL)
        expect(lambda: not psutil.pid_exists(core) or psutil.Process(core).status() == psutil.STATUS_ZOMBIE)
    expect(lambda: used(small_disk) == 0, lambda: "the room was not given back")
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("path", ["/there/is/no/such/folder", "/proc/self/status"])
def test_a_path_that_is_no_folder_is_refused_by_init(path):
    with (
        pytest.raises(errors.InvalidArgumentError, match=r"ssd_offload\.path: /.* make the folder"),
        running_queue(conf(Path(path))),
    ):
        pass


def test_a_folder_in_which_no_file_can_be_made_is_refused_by_init():
    with (
        pytest.raises(errors.TransferQueueError, match="no file can be made in '/proc'"),
        running_queue(conf(Path("/proc"))),
    ):
        pass


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "inline"])
def test_a_full_disk_is_an_error_with_sizes_and_nothing_is_written(small_disk, shared):
    with running_queue(conf(small_disk, shared=shared)) as tq:
        first = random(12 * MIB // ROWS)
        tq.kv_batch_put(KEYS, "p", batch(x=first))
        with pytest.raises(errors.StorageFullError, match=r"\d+ bytes asked, in files.* its file system can spare \d+"):
            tq.kv_batch_put(KEYS, "q", batch(x=random(8 * MIB // ROWS), y=torch.rand(ROWS)), timeout_s=1.0)
        with pytest.raises(errors.StorageFullError, match="the file system has"):
            tq.kv_batch_put(KEYS, "q", batch(x=random(20 * MIB // ROWS)), timeout_s=1.0)
        assert tq.kv_list("q") == {}
        tq.kv_batch_put(KEYS, "q", batch(y=torch.rand(ROWS)))  # memory has room
        assert torch.equal(get(tq, "p"), first)
        tq.kv_clear(KEYS, "p")
        second = random(12 * MIB // ROWS, 1)
        tq.kv_batch_put(KEYS, "q", batch(x=second))
        assert torch.equal(get(tq, "q"), second)
        assert tq.get_client().stats()["faults"] == 0


def test_a_put_that_waits_for_the_disk_holds_up_no_put_to_memory(small_disk):
    with running_queue(conf(small_disk)) as tq:
        tq.kv_batch_put(KEYS, "p", batch(x=random(12 * MIB // ROWS)))
        waits = threading.Thread(target=tq.kv_batch_put, args=(KEYS, "q", batch(x=random(8 * MIB // ROWS))))
        waits.start()
        expect(lambda: tq.get_client().stats()["room_waiting"] == 1)
        many = {f"y{number}": random(THRESHOLD // ROWS - 64, number) for number in range(16)}
        tq.kv_batch_put(KEYS, "r", batch(**many), timeout_s=10.0)
        assert tq.get_client().stats()["room_waiting"] == 1
        tq.kv_clear(KEYS, "p")
        waits.join(30)
        assert torch.equal(get(tq, "q"), random(8 * MIB // ROWS))
