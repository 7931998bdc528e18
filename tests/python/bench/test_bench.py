"""``transferqueue bench``: every workload runs, and its results have the documented form. Nothing about how fast."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from transferqueue.bench import comparison, run, series, targets
from transferqueue.bench.catalogue import GROUPS, IDS

STATISTICS = {"unit", "n", "first", "min", "median", "p99", "max"}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "transferqueue", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Results of the quickest workload."""
    file = tmp_path_factory.mktemp("bench") / "results.json"
    done = bench("--quick", "--workload", "P4", "--json", str(file))
    assert done.returncode == 0, done.stderr
    return {"file": file, "shown": done.stdout, **json.loads(file.read_text())}


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: "+".join(group.ids))
def test_each_workload_runs_and_gives_statistics_and_what_targets_are_about(group):
    found = run.run_group(group, quick=True)
    assert tuple(found) == group.ids
    for name, workload in found.items():
        assert "error" not in workload, workload["error"]
        assert workload["figures"], name
        assert [pace > 0 for pace in workload["pace_ms"]] == [True, True]
        aimed = {target.partition("/")[2] for target in targets.targets() if target.startswith(f"{name}/")}
        assert aimed <= workload["figures"].keys()
        for figure in workload["figures"].values():
            assert figure.keys() >= STATISTICS
            assert figure["n"] >= 1
            assert figure["min"] <= figure["median"] <= figure["max"]
            if "yardstick" in figure:
                assert figure["ratio"] == pytest.approx(figure["median"] / figure["yardstick"]["median"])


def test_every_target_is_one_of_a_workload_that_there_is():
    assert {name.partition("/")[0] for name in targets.targets()} < set(IDS)


def test_results_tell_the_machine_the_commit_and_the_command(results):
    assert results["schema"] == 1
    assert results["quick"] is True
    assert results["command"].startswith("transferqueue bench --quick")
    assert results["machine"].keys() >= {"cpu", "cores", "memory_gib", "kernel", "python", "torch", "dotnet"}
    assert results["source"].keys() == {"version", "commit", "changed", "build", "shared_memory"}
    assert "put" in results["shown"]


def test_results_can_be_shown_and_compared_without_measuring(results, tmp_path: Path):
    file = results["file"]
    drawn = ["--plot", str(tmp_path / "picture.png"), "--markdown", str(tmp_path / "tables.md")]
    done = bench("--from", str(file), "--compare", str(file), *drawn)
    assert done.returncode == 0, done.stderr
    assert "+0%" in done.stdout
    assert (tmp_path / "picture.png").stat().st_size > 1000
    assert "| P4 | put |" in (tmp_path / "tables.md").read_text()


def test_a_comparison_tells_the_change_of_medians_and_ratios():
    def found(median: float, ratio: float) -> dict[str, Any]:
        return {"workloads": {"P1": {"figures": {"put": {"unit": "ms", "median": median, "ratio": ratio}}}}}

    [line] = comparison.compared(found(100, 2.0), found(50, 3.0))
    assert line == ["P1", "put", "100 ms", "50 ms", "-50%", "2.00", "3.00", "+50%"]


def test_the_first_repetition_is_no_warm_sample():
    times = iter([5, 1, 1, 1])
    made = series.timed(lambda: sum(range(next(times) * 100_000)), 3)
    assert len(made.samples) == 3
    assert made.first not in made.samples


def test_calls_that_are_timed_in_turn_alternate():
    order: list[str] = []
    found = series.in_turn(lambda: order.append("a"), lambda: order.append("b"), repetitions=2)
    assert "".join(order) == "ababab"
    assert [len(each.samples) for each in found] == [2, 2]


def test_warm_samples_begin_after_the_warm_up_and_go_on_as_long(monkeypatch: pytest.MonkeyPatch):
    clock, calls = itertools.count(), itertools.count(1)  # a second passes whenever somebody looks
    monkeypatch.setattr(series.time, "perf_counter", lambda: next(clock))
    made = series.timed(lambda: next(calls), 3, phase_s=10.5)
    begins = range(1, 100, 2)
    warm_up = sum(begin < 10.5 for begin in begins)
    warm = sum(10.5 <= begin < 21 for begin in begins) + 1
    assert warm > 3
    assert next(calls) - 1 == warm_up + warm
    assert (made.first, made.samples) == (1e3, [1e3] * warm)


def test_repetitions_are_made_however_short_the_phase_is(monkeypatch: pytest.MonkeyPatch):
    clock, calls = itertools.count(), itertools.count(1)
    monkeypatch.setattr(series.time, "perf_counter", lambda: next(clock))
    made = series.timed(lambda: next(calls), 30, phase_s=1.5)
    assert next(calls) - 1 == 31
    assert len(made.samples) == 30


@pytest.mark.parametrize(("part", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_a_sample(part, expected):
    assert series.percentile(range(1, 101), part) == expected


@pytest.mark.parametrize(
    ("figure", "target", "expected"),
    [
        ({"median": 5}, {"reach": {"median": 6}, "dream": {"median": 4}}, "reach"),
        ({"median": 3}, {"reach": {"median": 6}, "dream": {"median": 4}}, "dream"),
        ({"median": 7}, {"reach": {"median": 6}, "dream": {"median": 4}}, "no"),
        ({"median": 7}, {"better": "more", "reach": {"median": 6}, "dream": {"median": 9}}, "reach"),
        ({"median": 7, "ratio": 1.25}, {"reach": {"share": 0.6}, "dream": {"share": 0.85}}, "reach"),
        ({"median": 7}, {}, ""),
    ],
)
def test_a_verdict_says_which_bound_is_met(figure, target, expected):
    assert targets.verdict(figure, target) == expected


def test_an_unknown_workload_is_refused_with_the_names_that_there_are():
    done = bench("--workload", "P99")
    assert done.returncode == 2
    assert "P99" in done.stderr
    assert "P3s" in done.stderr


def test_a_workload_that_fails_is_told_and_the_others_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    found = {"P4": {"error": "it broke"}}
    monkeypatch.setattr(run, "run_group", lambda group, quick: found)
    file = tmp_path / "results.json"
    assert run.main(["--workload", "P4", "--json", str(file)]) == run.EXIT_FAILED
    assert json.loads(file.read_text())["workloads"] == found
