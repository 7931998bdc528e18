"""Starting a sidecar, or attaching to the one that a sibling started: all under the job's lock."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import site
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from transferqueue import _chosen_sampler
from transferqueue._attachment import Attachment, KeeperEnding, is_readable
from transferqueue._job_folder import JobFolder, sweep
from transferqueue._meeting import ADDRESS_VARIABLE, SERVICE, Job
from transferqueue.errors import DeadlineExceededError, InvalidArgumentError, NotRunningError, TransferQueueError
from transferqueue.options import METRICS_TOKEN_VARIABLE, MetricsOptions, Options, is_loopback

logger = logging.getLogger("transferqueue.starter")

_PAUSE_S = 0.02
_REPORT_SLICE_S = 0.5
# The keeper knows better what is missing, so it is given the time to say it.
_REPORT_MARGIN_S = 2.0
_EXIT_TIMEOUT_S = 15.0


def command(*module: str) -> list[str]:
    """The command line of a process of the sidecar: this interpreter, without the working folder on its path."""
    return [sys.executable, "-P", "-m", *module]


#: Programs of the sidecar, by name.
COMMANDS = {
    "keeper": command("transferqueue", "serve"),
    "core": command("transferqueue.server.core"),
    "gateway": command("transferqueue.server.gateway"),
    "sampler": command("transferqueue.server.sampler_host"),
    "metrics": command("transferqueue.server.metrics"),
}


class KeeperProcess:
    """The keeper as a child of this process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def has_ended(self) -> bool:
        """Tell whether it has ended; then it is no zombie any more."""
        return self._process.poll() is not None

    def wait(self, timeout_s: float = _EXIT_TIMEOUT_S) -> bool:
        """Wait for its end; kill it after `timeout_s` seconds (the core dies with it). Tell whether it had ended."""
        try:
            self._process.wait(timeout_s)
            return True
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def forget(self) -> None:
        """Leave it running, or to the parent if this is a forked child; Popen would warn that nobody waits for it."""
        if self._process.poll() is None:
            self._process.returncode = 0


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """What came of looking for a sidecar.

    Parameters
    ----------
    folder
        Where it was met.
    attachment
        This process's attachment.
    ready
        What the keeper told, see `Attachment.attach`.
    keeper
        The keeper, if this process started it.
    """

    folder: JobFolder
    attachment: Attachment
    ready: dict[str, Any]
    keeper: KeeperProcess | None


def attach(folder: JobFolder, asked: str, options: Options) -> Meeting:
    """Attach to the sidecar in `folder`; one that is being started is waited for.

    Parameters
    ----------
    folder
        Where to look.
    asked
        How the folder was found, for the message.
    options
        For ``start_timeout_s``.

    Raises
    ------
    NotRunningError
        There is none.
    """
    deadline = time.monotonic() + options.sidecar.start_timeout_s
    while True:
        meeting = try_attach(folder, deadline)
        if meeting is not None:
            return meeting
        if not folder.is_being_started() and not folder.has_keeper():
            raise NotRunningError(
                f"transferqueue: no sidecar is running for {asked} (looked in {folder.path}); call "
                "transferqueue.init() first, in this process or in one that starts it, or run `transferqueue serve` "
                "and set TRANSFERQUEUE_ADDRESS; processes that share a sidecar need the same TRANSFERQUEUE_JOB"
            )
        wait_a_little(folder, deadline)


def attach_or_start(job: Job, environment: Mapping[str, str], options: Options) -> Meeting:
    """Attach to the job's sidecar; if there is none, start one.

    Raises
    ------
    DeadlineExceededError, AuthenticationError, TransferQueueError
        It is not ready in time; the folder is not ours; it can't start.
    """
    folder = job.folder(environment)
    deadline = time.monotonic() + options.sidecar.start_timeout_s + _REPORT_MARGIN_S
    while True:
        meeting = try_attach(folder, deadline)
        if meeting is not None:
            return meeting
        keeper = None
        try:
            with folder.locked(deadline):
                # A keeper that is here but does not answer is ending, and needs the lock for that.
                if not folder.has_keeper():
                    keeper, report = start_keeper(folder, job, options)
                    wait_for_report(report, keeper, folder, deadline)
            if keeper is not None:
                return attach_to_own(folder, keeper, deadline)
        except BaseException:
            if keeper is not None:
                keeper.terminate()
                keeper.wait()
            raise
        wait_a_little(folder, deadline)


def try_attach(folder: JobFolder, deadline: float) -> Meeting | None:
    """Attach if a keeper answers; None if none does."""
    try:
        attachment = Attachment.connect(folder)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return None
    try:
        ready = attachment.attach(deadline)
    except KeeperEnding:
        attachment.abandon()
        return None
    except BaseException:
        attachment.detach()
        raise
    return Meeting(folder=folder, attachment=attachment, ready=ready, keeper=None)


def attach_to_own(folder: JobFolder, keeper: KeeperProcess, deadline: float) -> Meeting:
    """Attach to the keeper that this process has just started."""
    meeting = try_attach(folder, deadline)
    if meeting is None:
        raise TransferQueueError(f"sidecar in {folder.path}: it ended while it started; {folder.read_log_end()}")
    return Meeting(folder=folder, attachment=meeting.attachment, ready=meeting.ready, keeper=keeper)


def wait_a_little(folder: JobFolder, deadline: float) -> None:
    """Pause before looking again, up to `deadline`."""
    if time.monotonic() > deadline:
        raise DeadlineExceededError(
            f"sidecar in {folder.path}: one is there, but neither answers nor ends; its process id is in "
            f"{folder.keeper_pid}; its log ends with:\n{folder.read_log_end()}"
        )
    time.sleep(_PAUSE_S)


def prepare(folder: JobFolder, job: Job, options: Options) -> None:
    """Make the folder ready for a keeper; the caller holds the lock, and no keeper lives here."""
    folder.clear()
    for stale in sweep(folder.path.parent, folder.path):
        logger.info("removed %s: its keeper was killed", stale)
    folder.write_config(describe(folder, job, options))


def describe(folder: JobFolder, job: Job, options: Options) -> dict[str, Any]:
    """What the keeper is told."""
    sidecar, storage, controller = options.sidecar, options.storage, options.controller
    return {
        "job": job.name,
        "mode": job.mode,
        # A service logs where whoever runs it sends its standard error.
        "log": None if job.mode == SERVICE else str(log_path(folder, options)),
        "listen": sidecar.listen,
        "start_timeout_s": sidecar.start_timeout_s,
        "allow_pickle": sidecar.allow_pickle,
        "backend": _described_backend(options),
        "commands": COMMANDS,
        "sampler": None if controller.own_sampler is None else _chosen_sampler.pack_sampler(controller.own_sampler),
        "metrics": describe_metrics(options.metrics),
        "core": {
            "job": job.name,
            "capacity_bytes": sidecar.capacity_bytes,
            "offload_path": storage.ssd_offload.folder(),
            "offload_bytes": storage.ssd_offload.threshold_bytes,
            "total_rows": storage.total_storage_size,
            "units": storage.num_data_storage_units,
            "polling_mode": controller.polling_mode,
            "sampler": controller.sampler,
            "sampler_arguments": dict(controller.sampler_arguments) if controller.own_sampler is None else {},
            "sampler_hosted": controller.own_sampler is not None,
            "sampler_timeout_s": sidecar.sampler_timeout_s,
            "sampler_trace": str(folder.sampler_trace),
            "pre_allocate": options.pre_allocated_rows,
        },
    }


def choose_sampler(meeting: Meeting, sampler: _chosen_sampler.ChosenSampler, options: Options) -> None:
    """Let the sidecar's sampler host run `sampler`, or, if that is one of the core's, end it.

    Raises
    ------
    InvalidArgumentError, TransferQueueError
        It can't be pickled, or may not be; it can't be made, and the one before goes on.
    """
    packed = None
    if sampler.own is not None:
        if not (options.sidecar.allow_pickle and meeting.ready["allow_pickle"]):
            raise InvalidArgumentError(
                f"register_sampler: {sampler.name} is code of your own, which would have to be pickled; "
                "transferqueue.allow_pickle is false: take one of the core's samplers"
            )
        packed = _chosen_sampler.pack_sampler(sampler)
    deadline = time.monotonic() + options.sidecar.start_timeout_s
    try:
        meeting.attachment.choose_sampler(packed, deadline)
    except KeeperEnding:
        raise NotRunningError(f"register_sampler: the sidecar in {meeting.folder.path} is ending") from None


def describe_metrics(metrics: MetricsOptions) -> dict[str, Any] | None:
    """What the keeper is told of metrics; None: there are none.

    Raises
    ------
    InvalidArgumentError
        They are wanted, but can't be served as things are.
    """
    if not metrics.enabled:
        return None
    if importlib.util.find_spec("prometheus_client") is None:
        raise InvalidArgumentError(
            "metrics.enabled: true, but the package prometheus_client is not installed; "
            "`pip install 'transferqueue-net[metrics]'`, or leave metrics off"
        )
    if not is_loopback(metrics.host) and not os.environ.get(METRICS_TOKEN_VARIABLE):
        raise InvalidArgumentError(
            f"metrics.host: {metrics.host} can be reached from other hosts; set the variable {METRICS_TOKEN_VARIABLE} to a "
            "token that Prometheus sends (authorization: credentials: …), or take 127.0.0.1, the default"
        )
    return {"host": metrics.host, "port": metrics.port}


def _described_backend(options: Options) -> dict[str, Any] | None:
    """What all processes are told of a user's store; what it needs is started first."""
    if options.backend is None:
        return None
    from transferqueue.storage import bootstrap

    return {"name": options.backend.name, "config": bootstrap.start(options.backend)}


def stop_backend() -> None:
    """End what this process has started for a user's store."""
    bootstrap = sys.modules.get("transferqueue.storage.bootstrap")
    if bootstrap is not None:
        bootstrap.stop()


def log_path(folder: JobFolder, options: Options) -> Path:
    """Where the sidecar's log is."""
    return Path(options.sidecar.log_file).absolute() if options.sidecar.log_file else folder.log


def start_keeper(folder: JobFolder, job: Job, options: Options) -> tuple[KeeperProcess, int]:
    """Start a keeper; it, and a pipe for its report. The caller holds the lock."""
    prepare(folder, job, options)
    report, theirs = os.pipe()
    try:
        with open_log(log_path(folder, options)) as log:
            process = subprocess.Popen(
                [
                    *COMMANDS["keeper"],
                    *("--folder", str(folder.path)),
                    *("--starter", str(os.getpid())),
                    *("--report-fd", str(theirs)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=child_environment(os.environ, options),
                pass_fds=(theirs,),
                # Ctrl-C in the trainer's terminal is the trainer's affair.
                start_new_session=True,
            )
    except BaseException:
        os.close(report)
        raise
    finally:
        os.close(theirs)
    return KeeperProcess(process), report


def wait_for_report(report: int, keeper: KeeperProcess, folder: JobFolder, deadline: float) -> None:
    """Wait for the keeper's "listening" on the pipe `report`, and close that.

    Raises
    ------
    TransferQueueError, DeadlineExceededError
        It failed; it said nothing in time.
    """
    with os.fdopen(report, "rb", buffering=0) as pipe:
        while True:
            readable = is_readable(pipe, _REPORT_SLICE_S)
            # A child that another thread forked may hold the pipe open, so its end alone would not tell of the
            # keeper's.
            if readable or keeper.has_ended():
                text = pipe.read(65536).decode() if readable else ""
                if text == "listening":
                    return
                raise TransferQueueError(
                    f"sidecar in {folder.path}: the keeper could not start: {text or folder.read_log_end()}"
                )
            if time.monotonic() > deadline:
                raise DeadlineExceededError(
                    f"sidecar in {folder.path}: the keeper said nothing; {folder.read_log_end()}"
                )


def open_log(path: Path) -> IO[bytes]:
    """Open the log for appending, readable by this user only."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")


def child_environment(environment: Mapping[str, str], options: Options) -> dict[str, str]:
    """The sidecar's environment: ours, with a path on which it finds this package."""
    child = dict(environment)
    child.pop(ADDRESS_VARIABLE, None)
    if options.sidecar.token_file:
        child["TRANSFERQUEUE_TOKEN"] = Path(options.sidecar.token_file).read_text(encoding="ascii").strip()
    path = [str(Path(entry).absolute()) for entry in child.get("PYTHONPATH", "").split(os.pathsep) if entry]
    home = str(Path(__file__).absolute().parent.parent)
    # Installed packages are found anyway, and must not come before the standard library.
    if home not in path and home not in site_folders():
        path.insert(0, home)
    if path:
        child["PYTHONPATH"] = os.pathsep.join(path)
    return child


def site_folders() -> list[str]:
    """Folders of installed packages."""
    folders = list(site.getsitepackages())
    with contextlib.suppress(OSError, RuntimeError):
        folders.append(site.getusersitepackages())
    return folders
