"""Where the peer's names are said to live, they do."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import transferqueue
from transferqueue.migrate import homes

ALIAS = Path(transferqueue.__file__).parents[1] / "transfer_queue_alias" / "transfer_queue"


def names_of_the_alias() -> list[tuple[str, str]]:
    """Module and name of all that the alias's modules import from public modules of transferqueue."""
    found = []
    for path in sorted(ALIAS.rglob("*.py")):
        parts = ["transfer_queue", *path.relative_to(ALIAS).with_suffix("").parts]
        module = ".".join(part for part in parts if part != "__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and re.fullmatch(r"transferqueue(\.[a-z]\w*)*", node.module or ""):
                found += [(module, alias.name) for alias in node.names if not alias.name.startswith("_")]
    return found


@pytest.mark.parametrize("module", sorted(set(homes.MODULES.values())))
def test_a_module_that_takes_the_place_of_one_can_be_imported(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize(("module", "name"), names_of_the_alias())
def test_a_name_of_the_alias_is_rewritten_to_the_same_object(module: str, name: str) -> None:
    home = homes.new_name(module, name)
    assert home is not None, f"{module}.{name}: give it a home"
    source = ALIAS.joinpath(*module.split(".")[1:])
    text = (source / "__init__.py" if source.is_dir() else source.with_suffix(".py")).read_text(encoding="utf-8")
    imported = next(
        node.module
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names)
    )
    assert imported is not None
    theirs = getattr(importlib.import_module(imported), name)
    assert getattr(importlib.import_module(home), name) is theirs


def test_a_module_of_the_same_name_is_looked_into() -> None:
    assert homes.new_name("transfer_queue.meta.anywhere", "extract_field_schema") == "transferqueue.meta"
    assert homes.new_name("transfer_queue.meta.anywhere", "_positions") is None
    assert homes.new_name("transfer_queue.no_such_module", "BatchMeta") is None


def test_paths_are_followed_to_attributes() -> None:
    assert homes.new_path("transfer_queue") == "transferqueue"
    assert homes.new_path("transfer_queue.metadata.BatchMeta.concat") == "transferqueue.BatchMeta.concat"
    assert homes.new_path("transfer_queue.metadata.SampleMeta") == "transferqueue.legacy.SampleMeta"
    assert homes.new_path("transfer_queue.interface._TQ_CLIENT") is None
    assert homes.new_path("transfer_queue.nothing") is None
