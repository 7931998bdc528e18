"""The short ways over torch's internals: checked once, and left where they don't hold."""

from __future__ import annotations

import sys

import pytest

from support.fork_server import Forked
from transferqueue import _tensors
from transferqueue._tensors import construct, shortcuts


@pytest.fixture(autouse=True)
def restored() -> object:
    yield
    construct.use_internals(True)


def test_the_short_ways_hold_with_the_torch_that_is_installed() -> None:
    construct.use_internals(True)
    assert _tensors.internals() == {"jagged": True, "stack_of": True, "tensordict": True}


def test_the_short_ways_can_be_turned_off() -> None:
    construct.use_internals(False)
    assert _tensors.internals() == {"jagged": False, "stack_of": False, "tensordict": False}


@pytest.mark.parametrize("way", ["jagged", "stack_of", "tensordict"])
def test_a_short_way_that_fails_or_gives_something_else_is_left(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*_: object) -> object:
        return object()

    monkeypatch.setattr(shortcuts, way, other)
    construct.use_internals(True)
    assert _tensors.internals()[way] is False
    assert sum(_tensors.internals().values()) == 2


def test_the_environment_turns_them_off_for_a_process() -> None:
    program = Forked(
        "import warnings; warnings.simplefilter('ignore')\nfrom transferqueue import _tensors; print(_tensors.internals())",
        {"TRANSFERQUEUE_TORCH_INTERNALS": "0", "PYTHONPATH": ":".join(sys.path)},
    )
    printed, errors = program.communicate()
    assert program.returncode == 0, errors
    assert printed.strip() == str({"jagged": False, "stack_of": False, "tensordict": False})
