"""The demo as a user runs it: it learns, its control doesn't, and nothing of it stays."""

import re
from collections.abc import Callable

import pytest

from support.programs import LIMIT_S, Started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LIMIT_S + 20)]

#: Shortened: a quarter of the steps; the full run wants 20 points.
SHORT = ["--steps", "60", "--min-rise", "8"]


def accuracies_of(output: str) -> tuple[float, float]:
    found = re.search(r"([\d.]+)% after the warm start, ([\d.]+)% after \d+ steps", output)
    assert found, output
    return float(found[1]), float(found[2])


@pytest.mark.parametrize("seed", [0, 1])
def test_it_learns_to_add_and_leaves_nothing_running(demo: Callable[..., Started], seed: int):
    run = demo(*SHORT, "--seed", str(seed))
    output = run.wait()
    assert run.process.returncode == 0, output
    before, after = accuracies_of(output)
    assert 30 <= before <= 50
    assert after - before >= 8
    assert run.left_running() == []
    assert list(run.temporary.iterdir()) == []
    assert {path.name for path in (run.folder / "demo-output").iterdir()} == {"curve.csv", "curve.png"}


def test_with_shuffled_advantages_it_does_not(demo: Callable[..., Started]):
    run = demo("--steps", "40", "--shuffle-advantages", "--quiet")
    output = run.wait()
    assert run.process.returncode == 0, output
    before, after = accuracies_of(output)
    assert after <= before
    assert "step " not in output
    assert run.left_running() == []
