"""A process's end of the connection to the keeper; what is said on it is told in ``server/attached.py``."""

from __future__ import annotations

import json
import select
import socket
import time
from typing import IO, Any

from transferqueue._job_folder import JobFolder
from transferqueue._version import __version__
from transferqueue.errors import DeadlineExceededError, TransferQueueError

_LONGEST_LINE = 64 * 1024


def is_readable(file: IO[bytes] | socket.socket, timeout_s: float) -> bool:
    """Tell whether there is something to read, or the end, within `timeout_s` seconds; for any descriptor's number."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


class KeeperEnding(Exception):
    """The keeper closed the connection without an answer: it is about to end, so look again."""


class Attachment:
    """A connection to the keeper; as long as it is open, this process counts as attached. Made by `connect`.

    Parameters
    ----------
    connection
        The connected socket; owned.
    folder
        Where the keeper was met.
    """

    def __init__(self, connection: socket.socket, folder: JobFolder) -> None:
        self._connection = connection
        self._folder = folder

    @classmethod
    def connect(cls, folder: JobFolder) -> Attachment:
        """Connect to the keeper in `folder`.

        Raises
        ------
        FileNotFoundError, ConnectionRefusedError
            There is none, or not yet, or not any more.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(folder.keeper_socket))
        except BaseException:
            connection.close()
            raise
        return cls(connection, folder)

    def attach(self, deadline: float) -> dict[str, Any]:
        """Attach, and wait until the core serves.

        Parameters
        ----------
        deadline
            Up to when to wait, on the clock ``time.monotonic()``.

        Returns
        -------
        dict
            What the keeper tells: address, tcp_address, job, mode, log, version, keeper_pid, core_pid, allow_pickle.

        Raises
        ------
        KeeperEnding
            It is about to end: look again.
        DeadlineExceededError, TransferQueueError
            The core is not ready in time; it can't start.
        """
        answer = self._ask({"attach": {"package": __version__}}, deadline)
        if "error" in answer:
            raise TransferQueueError(
                f"sidecar in {self._folder.path}: {answer['error']}; its log, kept in "
                f"{self._folder.crash_log}, ends with:\n{self._folder.read_log_end()}"
            )
        ready: dict[str, Any] = answer["ready"]
        return ready

    def listen(self, address: str, deadline: float) -> str:
        """Open the sidecar, which this process started, to other hosts.

        Parameters
        ----------
        address
            Where: ``tcp://host:port``, port 0 takes a free one.
        deadline
            As for `attach`.

        Returns
        -------
        str
            Where it listens now; maybe elsewhere, if it did already.

        Raises
        ------
        KeeperEnding, DeadlineExceededError, TransferQueueError
            It is ending; no answer in time; the gateway can't start.
        """
        answer = self._ask({"listen": {"address": address}}, deadline)
        if "error" in answer:
            raise TransferQueueError(f"sidecar in {self._folder.path}: {answer['error']}; its log: {self._folder.log}")
        return str(answer["listening"]["tcp_address"])

    def choose_sampler(self, sampler: dict[str, Any] | None, deadline: float) -> None:
        """Let the sidecar run another sampler of the user's own.

        Parameters
        ----------
        sampler
            What ``pack_sampler`` made; None: none is needed any more.
        deadline
            As for `attach`.

        Raises
        ------
        KeeperEnding, DeadlineExceededError, TransferQueueError
            It is ending; no answer in time; the sampler can't be made, and the one before goes on.
        """
        if sampler is not None:
            self._folder.write_private(self._folder.new_sampler, json.dumps(sampler))
        answer = self._ask({"sampler": {"name": None if sampler is None else sampler["name"]}}, deadline)
        if "error" in answer:
            raise TransferQueueError(f"sidecar in {self._folder.path}: {answer['error']}; its log: {self._folder.log}")

    def _ask(self, message: dict[str, Any], deadline: float) -> dict[str, Any]:
        received = b""
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
            while b"\n" not in received:
                self._connection.settimeout(max(0.001, deadline - time.monotonic()))
                more = self._connection.recv(_LONGEST_LINE)
                if not more:
                    raise KeeperEnding
                received += more
        except TimeoutError:
            raise DeadlineExceededError(
                f"sidecar in {self._folder.path}: it is starting, but not ready in time; its log ends with:\n"
                f"{self._folder.read_log_end()}"
            ) from None
        except (ConnectionResetError, BrokenPipeError) as error:
            raise KeeperEnding from error
        answer: dict[str, Any] = json.loads(received.partition(b"\n")[0])
        return answer

    def is_alive(self) -> bool:
        """Tell whether the keeper still has its end open."""
        # The keeper says nothing unasked, so whatever can be read is the end of the connection.
        return not is_readable(self._connection, 0.0)

    def detach(self) -> None:
        """Tell the keeper that this process is no longer attached, and close."""
        self._say("detach")

    def end(self) -> None:
        """Ask the keeper, which this process started, to end the sidecar, and close."""
        self._say("end")

    def _say(self, word: str) -> None:
        try:
            self._connection.send(json.dumps({word: {}}).encode() + b"\n", socket.MSG_NOSIGNAL)
        except OSError:
            pass
        finally:
            self._connection.close()

    def abandon(self) -> None:
        """Close a forked child's copy of the socket; the parent's attachment goes on."""
        self._connection.close()
