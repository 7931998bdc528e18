"""Files that are not as they were written, and processes that end in the middle."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from queue_fixtures import running_queue
from tensordict import TensorDict

from support.asking_samplers import expect
from transferqueue import _session
from transferqueue.errors import CheckpointError, NotRunningError


def put(tq: ModuleType, number: int, columns: int = 8, width: int = 1000) -> None:
    fields = {f"f{i}": torch.full((4, width), float(number)) for i in range(columns)}
    tq.kv_batch_put(list("abcd"), "p", TensorDict(fields, batch_size=4), tags=[{"number": number}] * 4)


def number_in(tq: ModuleType) -> int:
    """Which put is there; all of it must be."""
    numbers = {tag["number"] for tag in tq.kv_list("p")["p"].values()}
    (number,) = numbers
    for column in tq.kv_batch_get(list("abcd"), "p").values():
        assert all(bool((row == number).all()) for row in column.unbind())
    return int(number)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "ck"
    with running_queue() as tq:
        put(tq, 1)
        tq.get_client().get_meta(["f0"], 2, "p", task_name="train")
        tq.save_checkpoint(folder)
    return folder


def damage_flip(path: Path, chance: random.Random) -> None:
    octets = bytearray(path.read_bytes())
    octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    path.write_bytes(octets)


def damage_cut(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size))


def damage_zero(path: Path, chance: random.Random) -> None:
    octets = bytearray(path.read_bytes())
    start = chance.randrange(len(octets))
    count = max(1, len(octets) // 10)
    if not any(octets[start : start + count]):
        start = 0
    octets[start : start + count] = bytes(len(octets[start : start + count]))
    path.write_bytes(octets)


def damage_grow(path: Path, chance: random.Random) -> None:
    with path.open("ab") as file:
        file.write(chance.randbytes(chance.randrange(1, 100)))


@pytest.mark.parametrize("damage", [damage_flip, damage_cut, damage_zero, damage_grow])
def test_a_damaged_file_is_refused_by_name_and_nothing_changes(saved, tmp_path, damage: Callable):
    chance = random.Random(damage.__name__)
    with running_queue() as tq:
        put(tq, 2)
        files = sorted(path.relative_to(saved) for path in saved.rglob("*") if path.is_file())
        for file in files * 10:
            copy = tmp_path / "copy"
            shutil.copytree(saved, copy)
            damage(copy / file, chance)
            assert (copy / file).read_bytes() != (saved / file).read_bytes()
            with pytest.raises(CheckpointError, match=str(copy)):
                tq.load_checkpoint(copy)
            shutil.rmtree(copy)
        assert number_in(tq) == 2
        tq.load_checkpoint(saved)
        assert number_in(tq) == 1


def test_a_missing_file_is_refused_by_name(saved, tmp_path):
    with running_queue() as tq:
        put(tq, 2)
        for file in [path.relative_to(saved) for path in saved.rglob("*") if path.is_file()]:
            copy = tmp_path / "copy"
            shutil.copytree(saved, copy)
            (copy / file).unlink()
            with pytest.raises(FileNotFoundError, match=file.name):
                tq.load_checkpoint(copy)
            shutil.rmtree(copy)
        assert number_in(tq) == 2


def test_the_peers_pickled_checkpoint_is_told_from_ours(tmp_path):
    (tmp_path / "metadata.json").write_text('{"storage_saved": true, "user_metadata": {}}')
    (tmp_path / "controller_state.pkl").write_bytes(b"\x80\x05N.")
    with running_queue() as tq, pytest.raises(CheckpointError, match="pickle"):
        tq.load_checkpoint(tmp_path)


@pytest.mark.parametrize("moment", ["simple_storage/su_0_*", "simple_storage/su_1_*", "controller_state.*", "*.json"])
def test_after_a_kill_in_the_middle_of_a_save_the_old_checkpoint_is_whole(tmp_path, moment):
    folder = tmp_path / "ck"
    with running_queue() as tq:
        put(tq, 1)
        tq.save_checkpoint(folder)
        put(tq, 2, width=1_000_000)

        saving = threading.Thread(target=_try, args=(tq, folder))
        core = _session.session().ready["core_pid"]
        saving.start()
        beside = tmp_path / "ck.tmp"
        expect(lambda: not saving.is_alive() or any(beside.glob(moment)))
        os.kill(core, signal.SIGKILL)
        saving.join(60)
    with running_queue() as tq:
        tq.load_checkpoint(folder)
        assert number_in(tq) in (1, 2)
        put(tq, 3)
        tq.save_checkpoint(folder)
        assert not beside.exists()
        tq.load_checkpoint(folder)
        assert number_in(tq) == 3


def test_after_a_kill_in_the_middle_of_the_first_save_there_is_nothing(tmp_path):
    folder = tmp_path / "ck"
    with running_queue() as tq:
        put(tq, 2, width=1_000_000)
        core = _session.session().ready["core_pid"]
        saving = threading.Thread(target=_try, args=(tq, folder))
        saving.start()
        expect(lambda: any((tmp_path / "ck.tmp").glob("simple_storage/su_0_*")))
        os.kill(core, signal.SIGKILL)
        saving.join(60)
    if folder.exists():  # it was faster than the kill: then it is whole
        with running_queue() as tq:
            tq.load_checkpoint(folder)
            assert number_in(tq) == 2


def _try(tq: ModuleType, folder: Path) -> None:
    with contextlib.suppress(Exception):
        tq.save_checkpoint(folder)


def test_a_client_that_is_killed_in_the_middle_leaves_a_whole_checkpoint_or_none(tmp_path):
    folder = tmp_path / "ck"
    with running_queue() as tq:
        put(tq, 1, width=500_000)
        code = f"import transferqueue as tq; print('saving', flush=True); tq.save_checkpoint({str(folder)!r})"
        client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert client.stdout is not None
        client.stdout.readline()
        expect(lambda: (tmp_path / "ck.tmp").exists() or folder.exists())
        client.kill()
        client.wait()
        client.stdout.close()
        tq.save_checkpoint(tmp_path / "behind it")
        assert not (tmp_path / "ck.tmp").exists()
        put(tq, 2)
        tq.load_checkpoint(folder)
        assert number_in(tq) == 1


def test_a_sidecar_that_ends_in_the_middle_ends(tmp_path):
    with running_queue() as tq:
        put(tq, 1, width=1_000_000)
        saving = threading.Thread(target=_try, args=(tq, tmp_path / "ck"))
        saving.start()
        expect(lambda: (tmp_path / "ck.tmp").exists() or (tmp_path / "ck").exists())
        keeper = _session.session().ready["keeper_pid"]
        tq.close()
        saving.join(60)
        assert not Path(f"/proc/{keeper}").exists() or "Z" in Path(f"/proc/{keeper}/stat").read_text()


def test_a_full_disk_is_an_error_and_the_old_checkpoint_stays(tmp_path):
    """RLIMIT_FSIZE stands for it: a file can't grow beyond."""
    folder = tmp_path / "ck"
    with running_queue() as tq:
        put(tq, 1)
        tq.save_checkpoint(folder)
        put(tq, 2, width=500_000)
        core = _session.session().ready["core_pid"]
        import resource

        resource.prlimit(core, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        with pytest.raises(CheckpointError, match="could not be written"):
            tq.save_checkpoint(folder)
        assert not (tmp_path / "ck.tmp").exists()
        assert number_in(tq) == 2
        tq.load_checkpoint(folder)
        assert number_in(tq) == 1


def test_a_checkpoint_without_a_queue_says_how_to_start_one(tmp_path, monkeypatch):
    import transferqueue

    monkeypatch.setenv("TRANSFERQUEUE_JOB", f"nobody-{os.getpid()}")
    for call in (transferqueue.save_checkpoint, transferqueue.load_checkpoint):
        with pytest.raises(RuntimeError, match="not initialized") as error:
            call(tmp_path / "ck")
        assert isinstance(error.value, NotRunningError)
