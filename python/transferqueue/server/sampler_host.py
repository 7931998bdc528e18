"""The sampler's process: it runs a sampler of the user's own, so that nothing that does can hurt the core.

It asks the core for a question, picks, answers, and so on. Whatever the sampler raises is the answer; if it takes too
long, or crashes, this process ends with its stack in a file that the core reads, and the keeper starts it again.
"""

from __future__ import annotations

import faulthandler
import operator
import os
import signal
import socket
import sys
import traceback
from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from transferqueue import _chosen_sampler, _logging, _tags
from transferqueue._job_folder import JobFolder
from transferqueue.errors import ConnectionLostError
from transferqueue.server import hosted, sampler_state
from transferqueue.server.partition_view import PartitionView
from transferqueue.server.plain_wire import SAMPLER_TURN, SET_SAMPLER, PlainWire

_MOST_ERROR_BYTES = 60_000


class SamplerHost:
    """Answers the core's questions with a sampler.

    Parameters
    ----------
    sampler
        The user's.
    wire
        To the core.
    token
        The job's.
    timeout_s
        Seconds that the sampler may take for one answer; then this process ends.
    trace
        A file for the stack at that moment, or in a crash; owned by the caller.
    """

    def __init__(self, sampler: Any, wire: PlainWire, token: bytes, timeout_s: float, trace: int) -> None:
        self._sampler = sampler
        self._wire = wire
        self._token = token
        self._timeout_s = timeout_s
        self._trace = trace

    def serve(self) -> None:
        """Answer until the core has gone."""
        number = 0
        answer: dict[str, Any] = {}
        while True:
            try:
                question = self._wire.call(SAMPLER_TURN, token=self._token, number=number, **answer)
            except ConnectionLostError:
                return
            number, answer = question["number"], self._answer_in_time(question)

    def _answer_in_time(self, question: dict[str, Any]) -> dict[str, Any]:
        os.ftruncate(self._trace, 0)
        # A thread in C that needs no GIL: it ends this process also out of an endless loop in an extension.
        faulthandler.dump_traceback_later(self._timeout_s, exit=True, file=self._trace)
        try:
            return self._answer(question)
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            if question.get("action") == "save":
                return {"state": sampler_state.pack(self._sampler)}
            if question.get("action") == "load":
                sampler_state.restore(self._sampler, question["state"])
                return {}
            if question.get("task") is None:
                self._sampler.clear_cache(question["partition"])
                return {}
            sampled, consumed = self._pick(question)
            return {"sampled": pack_rows(sampled), "consumed": pack_rows(consumed)}
        except BaseException as error:  # SystemExit, too: it is the caller's to know
            return {"error": describe(error)}

    def _pick(self, question: dict[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
        partition, task, rows = question["partition"], question["task"], question["batch_size"]
        config = _tags.decode(question["sampling"], 1)[0] if question.get("sampling") else {}
        ready = array("q", question["ready"]).tolist()
        if len(ready) < rows and not self._sampler.has_cached_result(partition, task, config):
            return [], []
        picked = self._sampler(ready, rows, partition=PartitionView(self._wire, partition), **config)
        if not isinstance(picked, tuple | list) or len(picked) != 2:
            raise TypeError(f"sample() returned {picked!r:.200}; it must return (sampled, consumed), two lists of rows")
        return picked[0], picked[1]


def pack_rows(rows: Sequence[int]) -> bytes:
    """Global indexes as they travel."""
    return array("q", map(operator.index, rows)).tobytes()


def describe(error: BaseException) -> str:
    """An exception with its traceback, without the frames of this module."""
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    return text.encode("utf-8", "backslashreplace")[-_MOST_ERROR_BYTES:].decode("utf-8", "replace")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the process; its exit status.

    Parameters
    ----------
    argv
        Arguments without the program's name; None takes those of the process.
    """
    arguments = hosted.parse_arguments(argv)
    _logging.configure_sidecar()
    logger = _logging.get_logger("sampler")
    control = socket.socket(fileno=arguments.control_fd)
    hosted.die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        folder = JobFolder(Path(arguments.folder))
        config = folder.read_config()
        sampler = _chosen_sampler.unpack_sampler(config["sampler"])
        wire = PlainWire(folder.core_socket)
        token = bytes.fromhex(folder.token.read_text(encoding="ascii"))
        wire.call(SET_SAMPLER, name=config["sampler"]["name"], arguments={}, token=token)
    except BaseException as error:
        logger.exception("could not start")
        hosted.tell(control, {"error": f"{type(error).__name__}: {error}"})
        return 1
    trace = os.open(folder.sampler_trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    faulthandler.enable(trace)
    host = SamplerHost(sampler, wire, token, config["core"]["sampler_timeout_s"], trace)
    hosted.tell(control, {"ready": {"pid": os.getpid(), "sampler": config["sampler"]["name"]}})
    host.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
