"""Logging: everything goes through the loggers below ``transferqueue``; nothing prints.

``TRANSFERQUEUE_LOGGING_LEVEL``, or else the peer's ``TQ_LOGGING_LEVEL``, sets the level of these loggers. Who sets it
wants to see lines, so they go to standard error where the program has set up no logging of its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

ROOT_NAME = "transferqueue"
LEVEL_VARIABLES = ("TRANSFERQUEUE_LOGGING_LEVEL", "TQ_LOGGING_LEVEL")
LINE_FORMAT = "%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s"

_configured = False


def get_logger(name: str) -> logging.Logger:
    """The logger ``transferqueue.<name>``; the first call reads the level from the environment."""
    configure_once()
    return logging.getLogger(f"{ROOT_NAME}.{name}")


def configure_once() -> None:
    """Apply the level that the environment names, once per process."""
    global _configured
    if _configured:
        return
    _configured = True
    level = read_level(os.environ)
    if level is None:
        return
    root = logging.getLogger(ROOT_NAME)
    root.setLevel(level)
    if not root.handlers and not logging.getLogger().handlers:
        root.addHandler(make_handler())


def read_level(environment: Mapping[str, str]) -> int | None:
    """The level that `environment` names, by name or number; None if it names none, or none that exists."""
    for variable in LEVEL_VARIABLES:
        text = environment.get(variable, "").strip()
        if not text:
            continue
        level = int(text) if text.isdigit() else logging.getLevelNamesMapping().get(text.upper())
        if level is not None:
            return level
        logging.getLogger(ROOT_NAME).warning("%s=%s is no logging level; it is ignored", variable, text)
    return None


def make_handler() -> logging.Handler:
    """A handler that writes lines with time, level, logger and process id to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LINE_FORMAT))
    return handler


def configure_sidecar() -> None:
    """Set up logging in a process of the sidecar: lines from INFO on, to its standard error, which is the log file."""
    global _configured
    _configured = True
    root = logging.getLogger(ROOT_NAME)
    root.setLevel(read_level(os.environ) or logging.INFO)
    root.propagate = False
    root.handlers[:] = [make_handler()]
