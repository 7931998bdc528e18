"""Loggers, under the peer's path."""

from __future__ import annotations

import logging
import os

from transferqueue import _logging


def get_logger(name: str, default_level: str | int = "WARNING") -> logging.Logger:
    """Return the logger `name`, whose lines go to standard error where the program has set up no logging of its own.

    Parameters
    ----------
    name
        Its name.
    default_level
        Its level where neither ``TRANSFERQUEUE_LOGGING_LEVEL`` nor ``TQ_LOGGING_LEVEL`` names one.
    """
    logger = logging.getLogger(name)
    level = _logging.read_level(os.environ)
    logger.setLevel(default_level if level is None else level)
    if not logger.hasHandlers():
        logger.addHandler(_logging.make_handler())
    return logger


__all__ = ["get_logger"]
