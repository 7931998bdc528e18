"""Who meets whom: which job this process belongs to.

Looked for in this order:

1. an explicit address: ``transferqueue.address`` of the configuration;
2. ``TRANSFERQUEUE_ADDRESS``, which ``init`` sets for child processes and ``close`` removes;
3. in a process that is connected to a Ray cluster: the job's named actor (``_ray_job``);
4. the job's name: ``transferqueue.job``, ``TRANSFERQUEUE_JOB``, ``TORCHELASTIC_RUN_ID`` (unless it is torchrun's
   default "none"), ``SLURM_JOB_ID`` with ``SLURM_STEP_ID`` (if the step has several tasks);
5. the launcher: a process, told by its id and start time.

Processes that have the same name, or the same launcher, share one sidecar per user and host. The launcher is

- where the variables of a rank are set (``RANK`` and ``WORLD_SIZE``, or Open MPI's or PMI's): the parent;
- in a child made by ``multiprocessing``: the process that made it;
- where the parent is a program of the user's, Python or another, that may have started siblings: the parent;
- else the process itself. That is so below a shell, a terminal, an editor, a notebook server, an init system: from
  there independent programs are started, and two trainings in one shell must not see each other's rows. Programs that
  belong together and are started by a shell script have to be given a name: ``export TRANSFERQUEUE_JOB=…``.

Wrappers like ``timeout`` or ``uv run`` are looked through. A sidecar of a process that is its own launcher lives as
long as that process ("owner"); else it lives until the last attached process has ended ("group").
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from transferqueue._job_folder import JobFolder, root_folder
from transferqueue.options import SidecarOptions

OWNER = "owner"
GROUP = "group"
#: Run by hand: until it is told to end.
SERVICE = "service"

ADDRESS_VARIABLE = "TRANSFERQUEUE_ADDRESS"
RANK_VARIABLES = (("RANK", "WORLD_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"))
#: Names (proc_pid_comm(5): the first 15 bytes) of programs from which independent programs are started.
NO_LAUNCHERS = frozenset(
    {
        # shells, and what runs a list of commands
        *("sh", "bash", "dash", "ash", "zsh", "fish", "ksh", "mksh", "csh", "tcsh", "nu", "pwsh", "busybox"),
        *("xargs", "make", "ninja", "parallel", "watch", "entr"),
        # terminals and logins
        *("tmux", "screen", "sshd", "sshd-session", "login", "su", "sudo", "script", "xterm", "alacritty", "kitty"),
        *("konsole", "wezterm-gui", "gnome-terminal-"),
        # init systems, containers, schedulers
        *("systemd", "init", "tini", "dumb-init", "docker-init", "catatonit", "containerd-shim", "runc", "conmon"),
        *("crond", "cron", "atd", "supervisord", "slurmstepd", "raylet"),
        # editors and notebook servers
        *("node", "code", "code-server", "java", "pycharm", "electron", "jupyter", "jupyter-lab", "jupyter-noteboo"),
    }
)
#: Names of programs that run one other program.
WRAPPERS = frozenset(
    {
        *("timeout", "time", "env", "nohup", "nice", "ionice", "chrt", "taskset", "numactl", "stdbuf", "setsid"),
        *("unshare", "strace", "perf", "gdb", "nsys", "uv", "uvx", "pixi", "conda", "micromamba", "hatch"),
    }
)
_SLUG_LENGTH = 20


@dataclass(frozen=True, kw_only=True)
class Job:
    """What processes have in common that share a sidecar.

    Parameters
    ----------
    name
        Kind and value, for people: ``TRANSFERQUEUE_JOB=a`` or ``launcher 4711``.
    key
        What makes it unique for this user and host.
    mode
        How long the sidecar lives: OWNER, GROUP or SERVICE.
    """

    name: str
    key: str
    mode: str

    def folder(self, environment: Mapping[str, str]) -> JobFolder:
        """The folder where the job's processes meet; it need not exist."""
        slug = re.sub(r"[^A-Za-z0-9.-]+", "_", self.name.rpartition("=")[2])[:_SLUG_LENGTH].strip("._-") or "job"
        digest = hashlib.sha256(self.key.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        return JobFolder(root_folder(environment) / f"{slug}-{digest}")


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process as ``/proc`` shows it: ids, name, start time in clock ticks since boot, arguments."""

    pid: int
    parent_pid: int
    name: str
    start_time: int
    arguments: tuple[str, ...] = ()


def find_address(options: SidecarOptions, environment: Mapping[str, str]) -> str | None:
    """The explicit address, if there is one."""
    return options.address or environment.get(ADDRESS_VARIABLE)


def find_job(options: SidecarOptions, environment: Mapping[str, str]) -> Job:
    """The job of this process."""
    return find_named_job(options, environment) or find_launched_job(environment)


def find_named_job(options: SidecarOptions, environment: Mapping[str, str]) -> Job | None:
    """The job that the configuration or the environment names."""
    if options.job:
        return name_job("TRANSFERQUEUE_JOB", options.job)
    if environment.get("TRANSFERQUEUE_JOB"):
        return name_job("TRANSFERQUEUE_JOB", environment["TRANSFERQUEUE_JOB"])
    run = environment.get("TORCHELASTIC_RUN_ID", "none")
    if run not in ("", "none"):
        return name_job("TORCHELASTIC_RUN_ID", run)
    job, step = environment.get("SLURM_JOB_ID"), environment.get("SLURM_STEP_ID", environment.get("SLURM_STEPID"))
    if job and step and has_several_tasks(environment):
        return name_job("SLURM_STEP", f"{job}.{step}")
    return None


def has_several_tasks(environment: Mapping[str, str]) -> bool:
    """Tell whether a Slurm step has siblings; an interactive shell's step has one task and many programs."""
    return environment.get("SLURM_STEP_NUM_TASKS", environment.get("SLURM_NTASKS")) != "1"


def name_job(kind: str, value: str) -> Job:
    """A job with a name."""
    return Job(name=f"{kind}={value}", key=f"{kind}={value}", mode=GROUP)


def find_launched_job(environment: Mapping[str, str], read: Callable[[int], Process] | None = None) -> Job:
    """The job told by its launcher.

    Parameters
    ----------
    environment
        Variables of this process.
    read
        Reads a process by its id; default None: from ``/proc``.
    """
    read = read or read_process
    own = read(os.getpid())
    launcher = find_launcher(own, environment, read)
    mode = OWNER if launcher.pid == own.pid else GROUP
    # Ids are unique in a pid namespace only; containers may share a rendezvous folder.
    key = f"launcher {read_pid_namespace()} {launcher.pid} {launcher.start_time}"
    return Job(name=f"launcher {launcher.pid}", key=key, mode=mode)


def find_launcher(own: Process, environment: Mapping[str, str], read: Callable[[int], Process]) -> Process:
    """The process that started this one and its siblings, or this one."""
    maker = read_multiprocessing_parent()
    if maker is not None:
        return read_or(own, maker, read)
    parent = read_or(own, own.parent_pid, read)
    if any(rank in environment and size in environment for rank, size in RANK_VARIABLES):
        return parent
    while parent.name in WRAPPERS and parent.pid != own.pid:
        parent = read_or(own, parent.parent_pid, read)
    return parent if may_launch(parent) and not is_notebook() else own


def read_or(fallback: Process, pid: int, read: Callable[[int], Process]) -> Process:
    """The process `pid`, or `fallback` where there is none that we may see."""
    if pid <= 0:
        return fallback
    try:
        return read(pid)
    except OSError:
        return fallback


def may_launch(process: Process) -> bool:
    """Tell whether a process may have started this one together with siblings of the same job."""
    if process.pid == 1 or process.name.partition(":")[0] in NO_LAUNCHERS:
        return False
    return not any(Path(argument).name.startswith("jupyter") for argument in process.arguments[:3])


def is_notebook() -> bool:
    """Tell whether this process is a notebook's kernel; kernels of one server are independent."""
    return "ipykernel" in sys.modules


def read_multiprocessing_parent() -> int | None:
    """The process that made this one by ``multiprocessing``, if one did."""
    module = sys.modules.get("multiprocessing.process")
    parent = module.parent_process() if module is not None else None
    return parent.pid if parent is not None else None


def read_process(pid: int) -> Process:
    """Read a process from ``/proc``.

    Raises
    ------
    OSError
        There is no such process, or it is hidden from us.
    """
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="surrogateescape")
    # proc_pid_stat(5): the name is in parentheses and may hold any character; fields 4 and 22 follow it.
    name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    arguments = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="surrogateescape").split("\0")
    return Process(
        pid=pid, parent_pid=int(rest[1]), name=name, start_time=int(rest[19]), arguments=tuple(arguments[:-1])
    )


def read_pid_namespace() -> str:
    """The name of this process's pid namespace."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "?"
