from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from queue_fixtures import tq  # noqa: F401

from support.programs import Started


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Starts Python with arguments in an empty folder; whatever is left of it ends with the test."""
    started: list[Started] = []

    def run(*arguments: str) -> Started:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Started(list(arguments), folder))
        return started[-1]

    yield run
    for one in started:
        one.clean()


@pytest.fixture
def demo(start: Callable[..., Started]) -> Callable[..., Started]:
    return lambda *options: start("-m", "transferqueue", "demo", *options)
