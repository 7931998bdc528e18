"""The demo stopped by a user, killed, or without one of its processes: all of it ends."""

import os
import signal
from collections.abc import Callable

import pytest

from support.programs import LIMIT_S, Started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LIMIT_S + 20)]


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
