"""docs/peer_names.md: what it calls present is there, with the peer's parameters; what it calls absent is not."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "peer_names.md"
STATES = {"present", "differs", "absent", "not yet"}
#: Attributes of objects, not of classes: name -> how the class has it.
MADE_BY_INIT = {"client_id", "storage_manager", "_controller", "keys", "tags"}
MISSING = object()


def sections() -> dict[str, list[tuple[str, list[str], str, str]]]:
    """Per section: dotted path, parameters, state and note of each row."""
    found: dict[str, list[tuple[str, list[str], str, str]]] = {}
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, prefix = part.splitlines()[0], re.search(r"^`([\w.]+)\.…`", part, re.MULTILINE)
        assert prefix, title
        rows = re.findall(r"^\| `([\w.]+)(?:\(([^)]*)\))?` \| ([a-z ]+) \| (.*?) ?\|$", part, re.MULTILINE)
        assert len(rows) == part.count("\n| `"), title
        found[title] = [
            (f"{prefix[1]}.{name}", [word.strip() for word in parameters.split(",") if word.strip()], state, note)
            for name, parameters, state, note in rows
        ]
    return found


SECTIONS = sections()


def look_up(path: str) -> Any:
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if part in MADE_BY_INIT and inspect.isclass(found):
                return found
            found = getattr(found, part, MISSING)
            if found is MISSING:
                return MISSING
        return found
    return MISSING


def takes(function: Any, parameters: list[str]) -> bool:
    """Whether the parameters are those of a function, in this order, with others between at most by keyword."""
    has = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    return [name for name in has if name in parameters] == parameters


@pytest.mark.parametrize("title", SECTIONS)
def test_each_name_is_there_or_not_as_the_page_says(title: str) -> None:
    wrong = []
    for path, parameters, state, note in SECTIONS[title]:
        found = look_up(path)
        if state not in STATES or (state in ("differs", "absent") and not note):
            wrong.append(f"{path}: {state!r} without a reason")
        elif state in ("present", "differs") and found is MISSING:
            wrong.append(f"{path}: is not there")
        elif state == "absent" and found is not MISSING:
            wrong.append(f"{path}: is there")
        elif state in ("present", "differs") and parameters and not takes(found, parameters):
            wrong.append(f"{path}: takes {inspect.signature(found)}, not {parameters}")
    assert not wrong


def test_the_page_has_all_of_the_peers_surface() -> None:
    rows = [row for found in SECTIONS.values() for row in found]
    assert len(rows) > 280
    assert sum(state in ("present", "differs") for _, _, state, _ in rows) > 220
