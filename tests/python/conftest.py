"""The order of the files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, then those with many: where files are shared out, none is left over at the end."""
    slow: Counter[Path] = Counter(item.path for item in items if item.get_closest_marker("slow"))
    tests: Counter[Path] = Counter(item.path for item in items)
    items.sort(key=lambda item: (-slow[item.path], -tests[item.path]))  # stable: a file's tests stay as they are
