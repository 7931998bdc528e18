"""Examples in docstrings are run, and show what they say."""

from __future__ import annotations

import ast
import doctest
from pathlib import Path

import pytest
import torch

import transferqueue

PACKAGE = Path(transferqueue.__file__).parent
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings() -> dict[str, str]:
    """Docstrings of the package that have examples, by module and name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, _DOCUMENTED) else None
            if text and (">>>" in text or "\nExample" in text or "\n.. code" in text):
                found[f"{path.relative_to(PACKAGE)}:{getattr(node, 'name', '')}"] = text
    return found


EXAMPLES = docstrings()


def test_there_are_examples() -> None:
    assert "_loan.py:loan" in EXAMPLES


@pytest.mark.parametrize("place", EXAMPLES)
def test_an_example_runs_and_gives_what_it_shows(place: str, tq) -> None:
    names = {name: getattr(transferqueue, name) for name in transferqueue.__all__ if name != "batch"}
    names |= {"tq": transferqueue, "torch": torch}
    test = doctest.DocTestParser().get_doctest(EXAMPLES[place], names, place, place, 0)
    assert test.examples, f"{place}: examples that can't be run; write them with >>>"
    told: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
    assert not failed, "".join(told)
