"""What each rule makes of code: fixtures/NAME/before.py becomes after.py, and both compute the same."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from transferqueue.legacy import FieldMeta, LegacyBatchMeta, ProductionStatus, SampleMeta
from transferqueue.migrate.rewriting import Rewritten, UnreadableError, rewrite

FIXTURES = sorted((Path(__file__).parent / "fixtures").iterdir())
#: Those that need neither what can't be imported here nor a running queue.
RUN = [path for path in FIXTURES if "RESULT = [" in (path / "before.py").read_text(encoding="utf-8")]


def rewritten(path: Path, name: str) -> Rewritten:
    return rewrite((path / name).read_text(encoding="utf-8"), dataproto=path.name == "dataproto")


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_a_rule_makes_of_a_file_what_its_fixture_says(path: Path) -> None:
    assert rewritten(path, "before.py").text == (path / "after.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_what_was_rewritten_stays_as_it_is(path: Path) -> None:
    again = rewritten(path, "after.py")
    assert again.text == (path / "after.py").read_text(encoding="utf-8")
    assert again.marks == rewritten(path, "before.py").marks


def old_package() -> dict[str, ModuleType]:
    """The peer as it was before columns, as far as the fixtures need it."""
    names = {
        "transfer_queue": {"BatchMeta": LegacyBatchMeta},
        "transfer_queue.metadata": {"BatchMeta": LegacyBatchMeta, "FieldMeta": FieldMeta, "SampleMeta": SampleMeta},
        "transfer_queue.utils": {},
        "transfer_queue.utils.enum_utils": {"ProductionStatus": ProductionStatus},
    }
    modules = {name: ModuleType(name) for name in names}
    for name, module in modules.items():
        vars(module).update(names[name])
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    return modules


def result_of(path: Path) -> Any:
    variables: dict[str, Any] = {"__name__": path.stem}
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), variables)
    return variables["RESULT"]


@pytest.mark.filterwarnings("ignore:LegacyBatchMeta:DeprecationWarning")
@pytest.mark.parametrize("path", RUN, ids=lambda path: path.name)
def test_the_columns_compute_what_the_rows_did(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in old_package().items():
        monkeypatch.setitem(sys.modules, name, module)
    expected = result_of(path / "before.py")
    for name in old_package():
        monkeypatch.delitem(sys.modules, name)
    assert result_of(path / "after.py") == expected
    assert expected


def test_most_rules_about_rows_are_run() -> None:
    assert len(RUN) >= 11


def test_a_file_that_has_nothing_to_do_with_it_is_not_even_parsed() -> None:
    assert rewrite("this is (no Python") == Rewritten("this is (no Python")


@pytest.mark.parametrize("text", ["import transfer_queue\nif:\n", "import transfer_queue\nx = \x00\n"])
def test_what_is_no_python_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError):
        rewrite(text)


def test_samples_of_others_are_left_alone_where_the_queue_is_not_imported() -> None:
    text = "def f(dataset):\n    return len(dataset.samples), [s.path for s in dataset.samples]\n"
    assert rewrite(text).text == text


def test_rows_are_found_by_what_is_read_of_them_where_nothing_is_imported() -> None:
    made = rewrite('def f(output):\n    return output.samples[0].fields["prompts"].shape[0]\n')
    assert made.text == 'def f(output):\n    return output.get_row_shape("prompts", 0)[0]\n'


def test_a_mark_goes_above_decorators_and_comes_once() -> None:
    text = "import transfer_queue\n\n\nclass A:\n    # why\n    @f(m.samples)\n    def g(self): ...\n"
    made = rewrite(text)
    assert [line for line, _, _ in made.marks] == [6]
    assert made.text.splitlines()[4].strip() == "# why"
    assert rewrite(made.text) == made


def test_tabs_and_windows_line_ends_are_kept() -> None:
    text = "from transfer_queue import *\r\ndef f(meta):\r\n\tif meta:\r\n\t\tuse(meta.samples)\r\n"
    made = rewrite(text).text
    assert made.count("\n") == made.count("\r\n") == 5
    assert "\r\n\t\t# TQ-MIGRATE[rows]: rows leave" in made


def test_uses_of_dataproto_are_counted_where_they_are_not_marked() -> None:
    text = "from verl import DataProto\n\n\ndef f(data: DataProto):\n    return data.union(data).batch\n"
    made = rewrite(text)
    assert (made.text, made.marks, made.dataproto_uses) == (text, [], 1)
    assert [rule for _, rule, _ in rewrite(text, dataproto=True).marks] == ["dataproto"]
