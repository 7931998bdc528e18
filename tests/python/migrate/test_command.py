"""``transferqueue migrate``: what it shows, what it writes, what it leaves, and its exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from transferqueue import cli
from transferqueue.migrate import run, sources

OLD = "import transfer_queue as tq\n\nids = [s.global_index for s in meta.samples]\n"
NEW = "import transferqueue as tq\n\nids = list(meta.global_indexes)\n"
LEFT = "import transfer_queue as tq\n\n\ndef f(meta):\n    return meta.samples\n"


def migrate(*arguments: object) -> int:
    return cli.main(["migrate", *map(str, arguments)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "old.py"
    path.write_text(OLD)
    return path


def test_a_diff_is_shown_and_nothing_written_by_default(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate(file) == run.TO_DO == migrate(file, "--diff")
    assert file.read_text() == OLD
    out, err = capsys.readouterr()
    assert "-import transfer_queue as tq\n+import transferqueue as tq\n" in out
    assert "1 file would change (--write does it), 0 places left to you" in err


def test_write_changes_the_file_and_a_second_time_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate(file, "--write") == run.DONE
    assert file.read_text() == NEW
    written = file.stat()
    assert migrate(file, "--write") == migrate(file) == run.DONE
    assert file.stat().st_ino == written.st_ino
    assert "1 file changed" in capsys.readouterr().err


def test_places_that_are_left_are_listed_by_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "left.py"
    path.write_text(LEFT)
    assert migrate(path) == run.LEFT
    assert f"{path}:5: [rows] rows leave this place" in capsys.readouterr().err
    for _ in range(2):  # also when the mark is there already
        assert migrate(path, "--write") == run.LEFT
        assert f"{path}:5: [rows] rows leave this place" in capsys.readouterr().err
    assert "    # TQ-MIGRATE[rows]: rows leave" in path.read_text().splitlines()[4]


def test_what_does_not_parse_is_left_and_the_others_are_done(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import transfer_queue\nif:\n")
    undecodable = tmp_path / "latin.py"
    undecodable.write_bytes(b"import transfer_queue  # \xe9\n")
    assert migrate(tmp_path, "--write") == run.LEFT
    assert broken.read_text() == "import transfer_queue\nif:\n"
    assert undecodable.read_bytes() == b"import transfer_queue  # \xe9\n"
    assert file.read_text() == NEW
    err = capsys.readouterr().err
    assert f"{broken}: left as it is: " in err
    assert f"{undecodable}: left as it is: " in err
    assert "1 file changed, 0 places left to you, 2 files could not be done" in err


def test_a_fault_of_a_rule_stops_no_other_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transferqueue.migrate import rewriting

    def faulty(text: str, dataproto: bool = False) -> rewriting.Rewritten:
        if "global_index" in text:
            raise KeyError("x")
        return rewriting.Rewritten(text.upper())

    monkeypatch.setattr(rewriting, "rewrite", faulty)
    other = tmp_path / "other.py"
    other.write_text("a = 1\n")
    assert migrate(tmp_path, "--write") == run.LEFT
    assert (file.read_text(), other.read_text()) == (OLD, "A = 1\n")
    assert "a fault of this tool: KeyError" in capsys.readouterr().err


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("declared", "encoding"), [("", "utf-8"), ("", "utf-8-sig"), ("# coding: latin-1{end}", "latin-1")]
)
def test_encoding_and_line_ends_are_kept(tmp_path: Path, end: str, declared: str, encoding: str) -> None:
    path = tmp_path / "old.py"
    comment = f"# Größe{end}{end}"
    text = declared.format(end=end) + comment + LEFT.replace("\n", end)
    path.write_bytes(text.encode(encoding))
    assert migrate(path, "--write") == run.LEFT
    made = path.read_bytes().decode(encoding)
    assert made.count("\n") == made.count(end) == text.count(end) + 1
    assert comment in made
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") == (encoding == "utf-8-sig")


def test_permissions_and_links_are_kept(file: Path, tmp_path: Path) -> None:
    file.chmod(0o750)
    link = tmp_path / "elsewhere" / "link.py"
    link.parent.mkdir()
    link.symlink_to(file)
    assert migrate(link, "--write") == run.DONE
    assert link.is_symlink()
    assert file.read_text() == NEW
    assert file.stat().st_mode & 0o777 == 0o750
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "old.py"]


def test_a_file_that_cannot_be_exchanged_is_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sources.shutil, "copymode", full)
    assert migrate(file, "--write") == run.LEFT
    assert file.read_text() == OLD
    assert [path.name for path in file.parent.iterdir()] == ["old.py"]
    assert "No space left on device" in capsys.readouterr().err


def test_folders_are_walked_except_hidden_ones_and_environments(tmp_path: Path) -> None:
    for name in ("a.py", "deep/er/b.py", "stub.pyi", "notes.txt", ".hidden/c.py", "env/lib/d.py", "x/__pycache__/e.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(OLD)
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "again").symlink_to(tmp_path / "deep")
    found = [path.relative_to(tmp_path).as_posix() for path in sources.find_sources([tmp_path])]
    assert found == ["a.py", "stub.pyi", "deep/er/b.py"]
    given = list(sources.find_sources([tmp_path / "notes.txt", tmp_path / ".hidden", tmp_path / "a.py", tmp_path]))
    assert [path.name for path in given] == ["notes.txt", "c.py", "a.py", "stub.pyi", "b.py"]


def test_a_path_that_is_not_there_is_wrong_use(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate(file, "nowhere", "--write") == run.WRONG_USE
    assert "no such path: nowhere" in capsys.readouterr().err
    assert file.read_text() == OLD
    for arguments in ([], [file, "--diff", "--write"]):
        with pytest.raises(SystemExit) as stopped:
            migrate(*arguments)
        assert stopped.value.code == run.WRONG_USE


def test_without_libcst_the_command_says_what_to_install(file: Path) -> None:
    code = "import sys; sys.modules['libcst'] = None; from transferqueue.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "migrate", str(file)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == run.WRONG_USE
    assert 'pip install "transferqueue-net[migrate]"' in done.stderr
    assert not done.stdout


def test_dataproto_is_counted_and_marked_on_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "old.py"
    path.write_text("from verl import DataProto\n\n\ndef f(data: DataProto):\n    return data.union(data)\n")
    assert migrate(path) == run.DONE
    assert "1 use of verl's DataProto; --dataproto marks each" in capsys.readouterr().err
    assert migrate(path, "--dataproto") == run.LEFT
    assert "[dataproto] kv_batch_put(" in capsys.readouterr().err


def test_the_diff_can_be_applied(file: Path, tmp_path: Path) -> None:
    file.write_text(LEFT.rstrip("\n"))
    done = subprocess.run(
        [sys.executable, "-m", "transferqueue", "migrate", "old.py"],
        check=False,
        capture_output=True,
        cwd=tmp_path,
        timeout=60,
    )
    applied = subprocess.run(["git", "apply", "-"], input=done.stdout, check=False, cwd=tmp_path, timeout=60)
    assert applied.returncode == 0
    assert migrate(file) == run.LEFT
    assert file.read_text().count("TQ-MIGRATE") == 1
    assert not file.read_text().endswith("\n")
