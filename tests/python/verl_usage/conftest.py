"""Trainers' code as it is written for the peer: by the peer's import name."""

from __future__ import annotations

import sys
from pathlib import Path

from queue_fixtures import partition, tq  # noqa: F401

ALIAS = Path(__file__).parents[3] / "python" / "transfer_queue_alias"

if str(ALIAS) not in sys.path:
    sys.path.insert(0, str(ALIAS))
