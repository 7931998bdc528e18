"""The demo as a user runs it: it learns, its control doesn't, and nothing of it stays."""

import os
import re
import signal
from collections.abc import Callable

import pytest

from support.programs import LIMIT_S, Started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LIMIT_S + 20)]

#: Shortened: a quarter of the steps; the full run wants 20 points.
SHORT = ["--steps", "60", "--min-rise", "8"]


@pytest.fixture
def demo(start: Callable[..., Started]) -> Callable[..., Started]:
    return lambda *options: start("-m", "transferqueue", "demo", *options)


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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_stopped_in_the_middle_nothing_stays(demo: Callable[..., Started], number: signal.Signals, code: int):
    run = demo("--plain")
    run.wait_for_line("warm start")
    assert {"tq-trainer", "tq-rollout-1"} <= {process.name() for process in run.relatives()}
    if number == signal.SIGINT:
        os.killpg(run.process.pid, number)  # a terminal sends it to all of them
    else:
        run.process.send_signal(number)
    output = run.wait()
    assert run.process.returncode == code, output
    assert "Traceback" not in output
    assert run.left_running() == []
    assert list(run.temporary.glob("transferqueue-demo-*")) == []


def test_the_death_of_a_worker_ends_the_run_and_says_whose(demo: Callable[..., Started]):
    run = demo("--plain")
    run.wait_for_line("step    0")
    [victim] = [process for process in run.relatives() if process.name() == "tq-reward"]
    victim.kill()
    output = run.wait()
    assert run.process.returncode == 1, output
    assert "the reward process was killed by SIGKILL" in output
    assert run.left_running() == []
