"""Loggers, under the peer's path."""

from __future__ import annotations

import logging
import os


def get_logger(name: str, default_level: str = "WARNING") -> logging.Logger:
    """Return the logger `name`, at the level that ``TQ_LOGGING_LEVEL`` names, else at `default_level`."""
    logger = logging.getLogger(name)
    logger.setLevel(os.environ.get("TQ_LOGGING_LEVEL", default_level).upper())
    return logger


__all__ = ["get_logger"]
