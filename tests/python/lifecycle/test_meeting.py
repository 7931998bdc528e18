"""Who meets whom."""

import os
import re
from pathlib import Path

import pytest

from transferqueue._meeting import GROUP, OWNER, Process, find_address, find_job, find_launched_job, find_launcher
from transferqueue.options import SidecarOptions

OWN = os.getpid()


def family(*names: str):
    """Processes from this one upwards, by their names; the last one's parent is the init system."""
    found = {}
    for number, name in enumerate(names):
        pid = OWN if number == 0 else 10_000_000 + number
        parent = 10_000_001 + number if number + 1 < len(names) else 1
        found[pid] = Process(pid=pid, parent_pid=parent, name=name, start_time=number)
    found[1] = Process(pid=1, parent_pid=0, name="anything", start_time=0)

    def read(pid: int) -> Process:
        if pid not in found:
            raise ProcessLookupError(pid)
        return found[pid]

    return found[OWN], read


@pytest.mark.parametrize(
    "parent", ["bash", "sh", "zsh", "tmux: server", "sshd", "systemd", "node", "make", "jupyter-lab"]
)
def test_below_a_shell_and_the_like_a_process_is_its_own_launcher(parent: str):
    own, read = family("python", parent)
    assert find_launcher(own, {}, read) == own
    assert find_launched_job({}, read).mode == OWNER


@pytest.mark.parametrize("parent", ["python", "python3.11", "launch", "torchrun", "pytest"])
def test_siblings_of_another_program_share_its_job(parent: str):
    own, read = family("python", parent)
    assert find_launcher(own, {}, read).name == parent
    assert find_launched_job({}, read).mode == GROUP


def test_below_the_first_process_of_a_container_a_process_is_its_own_launcher():
    own, read = family("python")
    assert find_launcher(own, {}, read) == own


def test_ranks_make_siblings_also_below_a_shell():
    own, read = family("python", "bash")
    assert find_launcher(own, {"RANK": "3", "WORLD_SIZE": "8"}, read).name == "bash"
    assert find_launcher(own, {"RANK": "3"}, read) == own


def test_wrappers_are_looked_through():
    own, read = family("python", "timeout", "uv", "launch", "bash")
    assert find_launcher(own, {}, read).name == "launch"
    own, read = family("python", "timeout", "bash")
    assert find_launcher(own, {}, read) == own


def test_a_notebook_servers_kernels_are_independent():
    own = Process(pid=OWN, parent_pid=7, name="python", start_time=1)
    server = Process(pid=7, parent_pid=1, name="python3", start_time=0, arguments=("python3", "/opt/bin/jupyter-lab"))
    assert find_launcher(own, {}, {7: server}.__getitem__) == own


def test_a_hidden_parent_is_no_launcher():
    own = Process(pid=OWN, parent_pid=0, name="python", start_time=1)
    assert find_launcher(own, {}, family("python")[1]) == own


def test_a_launcher_and_its_child_have_the_same_job():
    child, read_child = family("python", "python", "bash")
    launcher = read_child(child.parent_pid)
    as_launcher = Process(pid=OWN, parent_pid=launcher.parent_pid, name="python", start_time=launcher.start_time)
    _, read = family("python", "bash")
    own_key = find_launched_job({}, lambda pid: as_launcher if pid == OWN else read(pid)).key
    assert own_key.replace(str(OWN), str(launcher.pid)) == find_launched_job({}, read_child).key


def test_a_reused_process_id_is_another_job():
    def started_at(time: int) -> str:
        return find_launched_job({}, lambda pid: Process(pid=pid, parent_pid=0, name="python", start_time=time)).key

    assert started_at(1) != started_at(2)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"TRANSFERQUEUE_JOB": "a", "TORCHELASTIC_RUN_ID": "b"}, "TRANSFERQUEUE_JOB=a"),
        ({"TORCHELASTIC_RUN_ID": "b", "SLURM_JOB_ID": "1", "SLURM_STEP_ID": "2"}, "TORCHELASTIC_RUN_ID=b"),
        ({"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "2"}, "SLURM_STEP=1.2"),
        ({"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "2", "SLURM_STEP_NUM_TASKS": "8"}, "SLURM_STEP=1.2"),
    ],
)
def test_a_name_wins_over_the_launcher_in_this_order(environment: dict[str, str], name: str):
    job = find_job(SidecarOptions(), environment)
    assert (job.name, job.mode) == (name, GROUP)


@pytest.mark.parametrize(
    "environment",
    [
        {"TORCHELASTIC_RUN_ID": "none"},
        {"SLURM_JOB_ID": "1"},
        {"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"},
    ],
)
def test_what_names_no_siblings_is_left_to_the_launcher(environment: dict[str, str]):
    assert find_job(SidecarOptions(), environment).name.startswith("launcher ")


def test_the_configuration_wins_over_the_environment():
    assert find_job(SidecarOptions(job="a"), {"TRANSFERQUEUE_JOB": "b"}).name == "TRANSFERQUEUE_JOB=a"
    options = SidecarOptions(address="unix:///a")
    assert find_address(options, {"TRANSFERQUEUE_ADDRESS": "unix:///b"}) == "unix:///a"
    assert find_address(SidecarOptions(), {"TRANSFERQUEUE_ADDRESS": "unix:///b"}) == "unix:///b"
    assert find_address(SidecarOptions(), {}) is None


def test_a_folders_name_is_plain_whatever_the_job_is_called():
    environment = {"XDG_RUNTIME_DIR": "/nowhere"}
    names = set()
    for job in ("../../etc", "a b\n", "ä" * 200, "x" * 300, "a/b", "a_b", "."):
        folder = find_job(SidecarOptions(job=job), environment).folder(environment).path
        assert folder.parent == Path(f"/tmp/transferqueue-{os.geteuid()}")
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,35}", folder.name)
        names.add(folder.name)
    assert len(names) == 7


def test_a_runtime_folder_that_is_not_ours_is_not_used(tmp_path):
    default = f"/tmp/transferqueue-{os.geteuid()}"
    for runtime in ("", "relative", str(tmp_path / "missing")):
        folder = find_job(SidecarOptions(job="a"), {}).folder({"XDG_RUNTIME_DIR": runtime})
        assert str(folder.path.parent) == default
