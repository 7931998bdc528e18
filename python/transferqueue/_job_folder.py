"""The folder where the processes of one job meet: a lock, two sockets, a token, the log.

It lies in ``$XDG_RUNTIME_DIR/transferqueue`` or, where there is no such variable, in ``/tmp/transferqueue-<uid>``. Both
are of mode 0700; a folder that is someone else's, open to others or a symbolic link is refused. The keeper removes the
folder when the job ends. A keeper that was killed leaves it behind; the next starter, of whatever job, sweeps it away.

============== ============================================================================
``lock``       flock: held by the one process that starts or removes
``keeper.pid`` flock: held by the living keeper; its process id
``keeper.sock``attach and detach
``core.sock``  requests; the keeper owns the listening socket and hands it to the core
``config``     JSON: what the keeper was told
``token``      32 random bytes in hex, for TCP
``log``        what keeper, core, gateway and sampler host say
``new-sampler``a sampler of the user's own on its way to the sampler host
``sampler``    where a sampler of the user's own was when its process ended
============== ============================================================================
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transferqueue.errors import AuthenticationError, DeadlineExceededError, InvalidArgumentError

CRASH_LOG_NAME = "last-crash.log"
# sun_path of unix(7) holds 108 bytes, the last one NUL.
_LONGEST_SOCKET_PATH = 107
_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.05


def root_folder(environment: Mapping[str, str]) -> Path:
    """The folder of all jobs of this user."""
    runtime = Path(environment.get("XDG_RUNTIME_DIR", ""))
    # The variable outlives `su` and `sudo`; then the folder is another user's, or is not there.
    if runtime.is_absolute() and runtime.is_dir() and runtime.stat().st_uid == os.geteuid():
        return runtime / "transferqueue"
    return Path(f"/tmp/transferqueue-{os.geteuid()}")  # noqa: S108 - checked by make_private


def make_private(folder: Path) -> None:
    """Make `folder` for this user alone, or check that it is so.

    Raises
    ------
    AuthenticationError
        It is someone else's, others may enter it, or it is not a plain folder.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        refuse(folder, "it is a symbolic link or a file, not a folder")
    if found.st_uid != os.geteuid():
        refuse(folder, f"it belongs to uid {found.st_uid}, this process runs as uid {os.geteuid()}")
    if found.st_mode & 0o077:
        refuse(folder, f"its mode is {stat.S_IMODE(found.st_mode):04o}, it must be 0700")


def refuse(folder: Path, reason: str) -> None:
    """Raise the error of a folder that can't be trusted."""
    raise AuthenticationError(
        f"rendezvous folder {folder}: {reason}; remove it, or let XDG_RUNTIME_DIR name a folder of your own"
    )


class JobFolder:
    """The folder of one job.

    Parameters
    ----------
    path
        Where it is, or will be: a direct child of the root folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path / "lock"
        self.keeper_pid = path / "keeper.pid"
        self.keeper_socket = path / "keeper.sock"
        self.core_socket = path / "core.sock"
        self.config = path / "config"
        self.token = path / "token"
        self.log = path / "log"
        self.sampler_trace = path / "sampler"
        self.new_sampler = path / "new-sampler"
        self.crash_log = path.parent / CRASH_LOG_NAME
        if len(os.fsencode(self.keeper_socket)) > _LONGEST_SOCKET_PATH:
            raise InvalidArgumentError(
                f"rendezvous folder {path}: its name has {len(os.fsencode(path))} bytes, a socket in it may have "
                f"{_LONGEST_SOCKET_PATH} in all; let XDG_RUNTIME_DIR name a shorter folder, or unset it"
            )

    @property
    def address(self) -> str:
        """The address of the core's socket."""
        return f"unix://{self.core_socket}"

    @contextlib.contextmanager
    def locked(self, deadline: float) -> Iterator[None]:
        """Hold the lock, on a folder that exists; both are made if need be.

        Parameters
        ----------
        deadline
            Up to when to wait, on the clock ``time.monotonic()``.

        Raises
        ------
        DeadlineExceededError
            Another process held the lock all the time.
        """
        lock = self._wait_for_lock(deadline)
        try:
            yield
        finally:
            # Not left to close(): a child that was forked meanwhile has the same open file.
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)

    def _wait_for_lock(self, deadline: float) -> int:
        pause_s = _FIRST_PAUSE_S
        while True:
            with contextlib.suppress(FileNotFoundError):  # removed between two of our steps
                make_private(self.path.parent)
                make_private(self.path)
                lock = self.try_lock(create=True)
                if lock is not None:
                    return lock
            if time.monotonic() > deadline:
                raise DeadlineExceededError(
                    f"{self.lock}: another process holds it and neither finished starting the sidecar nor gave up; "
                    f"`fuser {self.lock}` names it"
                )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def try_lock(self, *, create: bool = False) -> int | None:
        """Take the lock if it is free; its descriptor, or None. The caller closes it.

        Raises
        ------
        FileNotFoundError
            There is no lock file, and with `create` no folder either.
        """
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        lock = os.open(self.lock, flags, 0o600)
        if try_flock(lock) and is_same_file(lock, self.lock):
            return lock
        os.close(lock)
        return None

    def has_keeper(self) -> bool:
        """Tell whether a keeper lives here, be it starting, serving or ending."""
        try:
            pid_file = os.open(self.keeper_pid, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            return not try_flock(pid_file, fcntl.LOCK_SH)
        finally:
            os.close(pid_file)

    def is_being_started(self) -> bool:
        """Tell whether someone holds the lock."""
        try:
            lock = self.try_lock()
        except FileNotFoundError:
            return False
        if lock is None:
            return True
        os.close(lock)
        return False

    def write_private(self, path: Path, text: str) -> None:
        """Write a file that only this user can read, in one step."""
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write what the keeper is told."""
        self.write_private(self.config, json.dumps(config))

    def read_config(self) -> dict[str, Any]:
        """Read what the keeper was told."""
        config: dict[str, Any] = json.loads(self.config.read_text(encoding="utf-8"))
        return config

    def clear(self) -> None:
        """Remove everything but the lock, which the caller holds."""
        for path in (
            self.keeper_socket,
            self.core_socket,
            self.token,
            self.config,
            self.log,
            self.sampler_trace,
            self.new_sampler,
            self.keeper_pid,
        ):
            path.unlink(missing_ok=True)
            path.with_name(path.name + ".new").unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder, and the root folder if this was the last one; the caller holds the lock."""
        self.clear()
        self.lock.unlink(missing_ok=True)
        for folder in (self.path, self.path.parent):
            try:
                folder.rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.ENOENT, errno.EEXIST, errno.EACCES, errno.EBUSY):
                    raise

    def remove_if_stale(self) -> bool:
        """Remove the folder if neither a starter nor a keeper is in it; tell whether that was done."""
        try:
            lock = self.try_lock()
        except FileNotFoundError:
            # Half made or half removed. A starter that loses its empty folder here makes it again.
            with contextlib.suppress(OSError):
                self.path.rmdir()
            return False
        if lock is None:
            return False
        try:
            if self.has_keeper():
                return False
            self.remove()
            return True
        finally:
            os.close(lock)

    def read_log_end(self, lines: int = 15) -> str:
        """The last lines of the log; where it has just gone, of the log of the last crash."""
        for path in (self.log, self.crash_log):
            with contextlib.suppress(OSError):
                return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        return "(no log)"


def sweep(root: Path, spared: Path) -> list[Path]:
    """Remove the folders of jobs whose keeper was killed, but not `spared`; the ones removed."""
    removed = []
    for path in sorted(root.iterdir()):
        if path != spared and path.is_dir() and not path.is_symlink() and JobFolder(path).remove_if_stale():
            removed.append(path)
    return removed


def try_flock(file: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file if that needs no waiting; tell whether it is locked."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_same_file(file: int, path: Path) -> bool:
    """Tell whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False
