"""The examples, run as a reader would."""

import re
from collections.abc import Callable

import pytest

from support.programs import LIMIT_S, ROOT, Started

EXAMPLES = ROOT / "examples"


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S + 20)
def test_the_grpo_example_learns_and_leaves_nothing_running(start: Callable[..., Started]):
    run = start(str(EXAMPLES / "grpo_addition.py"))
    output = run.wait()
    assert run.process.returncode == 0, output
    shares = [int(share) for share in re.findall(r": (\d+)%", output)]
    assert len(shares) == 5
    assert shares[-1] - shares[0] >= 5, output
    assert run.left_running() == []


def test_the_grpo_example_is_short():
    assert len((EXAMPLES / "grpo_addition.py").read_text().splitlines()) < 150


def test_both_sides_of_the_migration_print_the_same(start: Callable[..., Started]):
    lines = {}
    for side in ("before", "after"):
        run = start("-W", "always::DeprecationWarning", str(EXAMPLES / f"migration_{side}.py"))
        output = run.wait()
        assert run.process.returncode == 0, output
        lines[side] = output.splitlines()
    results = {side: [line for line in text if line.startswith(("rows", "[["))] for side, text in lines.items()}
    assert results["after"] == [
        "rows 2, partitions ['train'], ready True, responses torch.int64",
        "[[0, 1], [0, 1, 2]]",
    ]
    assert results["before"] == results["after"]
    warned = [line for line in lines["before"] if "LegacyBatchMeta.samples" in line]
    assert len(warned) == 5  # once for each place that reads it
    assert not any("LegacyBatchMeta.samples" in line for line in lines["after"])
