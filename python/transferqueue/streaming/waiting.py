"""How long a stream waits where no rows are ready, and that a worker does not outlive whom it works for."""

from __future__ import annotations

import functools
import multiprocessing
import os
import threading
import time
from typing import Any

from transferqueue.errors import InvalidArgumentError

VARIABLE = "TQ_STREAMING_DATASET_EMPTY_BATCH_SLEEP_INTERVAL"
#: Seconds between two questions where the variable says nothing.
_LONGEST_S = 0.1
_SHORTEST_S = 0.002
#: Seconds that a fetch waits in the core at a time: so long a consumer may take to notice that it shall stop.
PARKED_S = 0.5


class Pause:
    """Pauses that grow from 2 ms up to the variable's seconds, 0.1 by default; a batch makes them short again."""

    def __init__(self) -> None:
        self._longest_s = read_longest()
        self.start_again()

    def start_again(self) -> None:
        """A batch came."""
        self._next_s = min(_SHORTEST_S, self._longest_s)
        self.since = time.monotonic()

    @property
    def waited_s(self) -> float:
        """Seconds since the last batch."""
        return time.monotonic() - self.since

    def take(self, spent_s: float) -> None:
        """Sleep for what the last question has left of the pause."""
        if spent_s < self._next_s:
            time.sleep(self._next_s - spent_s)
        self._next_s = min(2 * self._next_s, self._longest_s)


def read_longest() -> float:
    """Seconds, from the environment."""
    text = os.environ.get(VARIABLE, str(_LONGEST_S))
    try:
        longest_s = float(text)
    except ValueError:
        longest_s = -1.0
    if not 0 < longest_s < float("inf"):
        raise InvalidArgumentError(f"{VARIABLE}: {text!r} given; it must be seconds > 0")
    return longest_s


@functools.cache
def end_with_consumer() -> None:
    """Let this worker process end when the process that it works for has, however that was.

    Nobody tells a worker that its consumer was killed, and torch only looks whether the worker's own parent lives: the
    fork server, which lives as long as it has workers.
    """
    consumer = multiprocessing.parent_process()
    if consumer is not None:
        threading.Thread(target=_wait_and_end, args=(consumer,), name="end with consumer", daemon=True).start()


def _wait_and_end(consumer: Any) -> None:
    consumer.join()
    os._exit(1)
