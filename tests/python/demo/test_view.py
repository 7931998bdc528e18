"""What a run shows of itself."""

import csv
import io

import pytest
from rich.console import Console

from transferqueue.demo import curve, run
from transferqueue.demo.settings import Settings
from transferqueue.demo.snapshot import Point, Snapshot, in_flight
from transferqueue.demo.view import LiveView, PlainView, choose_view, sparkline

WARM = [Point(phase="warm start", step=step, accuracy=0.1 * (4 + step), time=0.0) for step in range(-3, 1)]
EXAMS = [
    Point(phase="GRPO", step=0, accuracy=0.4, time=10.0, questions=100),
    Point(phase="GRPO", step=20, accuracy=0.7, time=15.0, questions=100, reward=0.6, kl=0.1),
]
SNAPSHOT = Snapshot(
    phase="GRPO",
    step=20,
    accuracy=0.7,
    done={"rollout-0": 128, "rollout-1": 128, "reward": 128, "reference": 256, "trainer": 0},
    waiting={"rollout": 0, "reward": 131, "reference": 0, "trainer": 128},
    rows=1234,
    transferred_bytes=5_600_000,
    rows_per_s=77.0,
    bytes_per_s=1_250_000.0,
    example="3+4=8",
    points=(*WARM, *EXAMS),
)


def test_rows_in_flight_are_through_the_stage_before_and_not_yet_through_this_one():
    done = {"rollout-0": 100, "rollout-1": 80, "reward": 150, "reference": 120, "trainer": 0}
    assert in_flight(256, done) == {"rollout": 76, "reward": 30, "reference": 60, "trainer": 120}


def test_a_late_report_makes_no_negative_count():
    done = {"rollout-0": 100, "rollout-1": 100, "reward": 50, "reference": 60, "trainer": 60}
    assert in_flight(200, done)["trainer"] == 0


def test_the_live_view_shows_step_accuracy_stages_and_traffic():
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(LiveView(Settings())._draw(SNAPSHOT))
    shown = console.export_text()
    for wanted in (
        "20 of 240",
        "70.0%",
        "rollout",
        "131",
        "reference",
        "trainer",
        "1234 rows (77/s)",
        "5.6 MB (1.25 MB/s)",
        "3+4=8",
    ):
        assert wanted in shown
    assert "shuffled" not in shown


def test_the_plain_view_writes_each_evaluation_once(capsys: pytest.CaptureFixture[str]):
    with PlainView() as view:
        view.show(Snapshot(phase="warm start"))
        view.show(SNAPSHOT)
        view.show(SNAPSHOT)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" |")[0] for line in lines] == ["warm start ...", "GRPO ...", "step    0", "step   20"]
    assert "accuracy  70.0% | reward 0.60 | KL 0.100" in lines[-1]


def test_without_a_terminal_there_are_lines(capsys: pytest.CaptureFixture[str]):
    assert isinstance(choose_view(Settings(), quiet=False, plain=False), PlainView)
    with choose_view(Settings(), quiet=True, plain=False) as view:
        view.show(SNAPSHOT)
    assert capsys.readouterr().out == ""


def test_the_sparkline_parts_warm_start_and_grpo():
    assert sparkline((*WARM, *EXAMS)) == "▁▂▃▄|▄▆"
    assert sparkline(()) == ""


def test_the_curve_is_a_picture_and_numbers(tmp_path):
    assert curve.draw(SNAPSHOT.points, "title", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    curve.write_numbers(SNAPSHOT.points, tmp_path / "curve.csv")
    rows = list(csv.reader((tmp_path / "curve.csv").read_text().splitlines()))
    assert rows[0] == ["phase", "step", "accuracy"]
    assert rows[-1] == ["GRPO", "20", "0.7000"]
    assert len(rows) == 1 + len(SNAPSHOT.points)


def test_the_run_passes_when_accuracy_rose_enough():
    lines, passed = run.verdict(Settings(), SNAPSHOT, wanted_rise=30.0)
    assert passed
    assert "40.0% after the warm start, 70.0% after 20 steps of GRPO in 5 s (+30.0 points)" in lines[0]
    lines, passed = run.verdict(Settings(), SNAPSHOT, wanted_rise=31.0)
    assert not passed
    assert "at least 31 points" in lines[-1]


def test_the_control_passes_when_accuracy_did_not_rise():
    control = Settings(shuffle_advantages=True)
    assert not run.verdict(control, SNAPSHOT, wanted_rise=0.0)[1]
    fallen = Snapshot(points=(EXAMS[1], EXAMS[0]))
    assert run.verdict(control, fallen, wanted_rise=0.0)[1]


@pytest.mark.parametrize("wrong", [["--steps", "0"], ["--seconds", "-1"], ["--digits", "3"], ["--steps", "many"]])
def test_a_senseless_option_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        run.main(wrong)
    assert wrong[0] in capsys.readouterr().err


def test_two_digits_get_more_steps_unless_told_otherwise():
    def steps(*arguments: str) -> int:
        return run.settings_of(run.parser().parse_args(arguments)).steps

    assert steps() == 240
    assert steps("--digits", "2") == 600
    assert steps("--digits", "2", "--steps", "7") == 7
