"""The peer's environment variables, ``TQ_*``.

Those that mean something here set options; of the others a warning says what there is instead.
"""

from __future__ import annotations

import functools
import logging
import math
import os
from collections.abc import Mapping

from transferqueue.errors import InvalidArgumentError

__all__ = ["PRE_ALLOCATED_ROWS", "read_seconds", "read_whole_number", "unused", "warn_once"]

logger = logging.getLogger("transferqueue.options")

PRE_ALLOCATED_ROWS = "TQ_PRE_ALLOC_SAMPLE_NUM"

#: Variable -> the option of the section ``transferqueue`` whose default, in seconds, it sets.
SECONDS = {
    "TQ_CONTROLLER_GET_METADATA_TIMEOUT": "fetch_timeout_s",
    "TQ_SIMPLE_STORAGE_SEND_RECV_TIMEOUT": "timeout_s",
    "TQ_STORAGE_HANDSHAKE_TIMEOUT": "connect_timeout_s",
}

_ANSWERS = (
    "a call waits for its answer for transferqueue.timeout_s and is repeated with the same id when it was cut off"
)
_CONNECTS = "init tries for transferqueue.connect_timeout_s"
_METRICS = "counters are read when they are asked for: metrics.enabled"

#: Variable -> what there is instead.
REPLACED = {
    "TQ_CONTROLLER_GET_METADATA_CHECK_INTERVAL": "nothing is polled: the put that completes a fetch wakes it",
    "TQ_DATA_UPDATE_RESPONSE_TIMEOUT": "a put's rows are ready when it returns; " + _ANSWERS,
    "TQ_METRICS_COLLECT_INTERVAL": _METRICS,
    "TQ_METRICS_STORAGE_TIMEOUT": _METRICS,
    "TQ_NUM_THREADS": "torch's number of threads is left alone; set OMP_NUM_THREADS or torch.set_num_threads",
    "TQ_PERF_LOG_FLUSH_INTERVAL": "no log of times; " + _METRICS,
    "TQ_SIMPLE_STORAGE_DUMP_TIMEOUT": _ANSWERS,
    "TQ_SIMPLE_STORAGE_MAX_ATTEMPTS": _ANSWERS,
    "TQ_STORAGE_HANDSHAKE_MAX_RETRIES": _CONNECTS,
    "TQ_STORAGE_HANDSHAKE_RETRY_INTERVAL": _CONNECTS,
    "TQ_STORAGE_POLLER_TIMEOUT": _ANSWERS,
    "TQ_ZERO_COPY_SERIALIZATION": "columns are not serialized; transferqueue.shared_memory, on by default, spares the copies",
}


def read_seconds(environment: Mapping[str, str]) -> dict[str, float]:
    """Options of the section ``transferqueue`` that variables set.

    Raises
    ------
    InvalidArgumentError
        A variable is no number of seconds > 0.
    """
    found = {}
    for variable, option in SECONDS.items():
        text = environment.get(variable, "").strip()
        if not text:
            continue
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise InvalidArgumentError(f"{variable}: {text!r} given; it must be a number of seconds > 0")
        found[option] = seconds
    return found


def read_whole_number(environment: Mapping[str, str], variable: str, default: int, highest: int) -> int:
    """A whole number from 0 to `highest`; `default` where the variable is not set."""
    text = environment.get(variable, "").strip() or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= highest):
        raise InvalidArgumentError(f"{variable}: {text!r} given; it must be a whole number from 0 to {highest}")
    return int(text)


def unused(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that are set and mean nothing here, with what there is instead."""
    return {name: instead for name, instead in REPLACED.items() if environment.get(name)}


@functools.cache
def warn_once() -> None:
    """Warn of each variable that is set and means nothing here; the first call of the process does."""
    for name, instead in unused(os.environ).items():
        logger.warning("%s is not used: %s (docs/configuration.md)", name, instead)
