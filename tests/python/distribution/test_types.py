"""What a type checker sees of the installed packages."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from support.environments import ROOT

PROGRAM = Path(__file__).with_name("typed_program.py")


def write_configuration(path: Path) -> None:
    """That of the package's own check, so that its cache of torch's types serves here, too: they take half a minute."""
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    lines = ["[mypy]", "strict = True", f"python_version = {ours['python_version']}"]
    for override in ours["overrides"]:
        lines += [
            line for module in override["module"] for line in (f"[mypy-{module}]", "ignore_missing_imports = True")
        ]
    path.write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def installed(package_wheel: Path, alias_wheel: Path, tmp_path: Path) -> Path:
    """A folder on Python's path with what the wheels carry."""
    folder = tmp_path / "installed"
    for wheel in (package_wheel, alias_wheel):
        zipfile.ZipFile(wheel).extractall(folder)
    # Not in the source tree: who finds it looks here.
    (folder / "transferqueue" / "only_installed.py").write_text("WHERE: int = 1\n", encoding="utf-8")
    return folder


@pytest.mark.slow
def test_a_users_program_is_checked_strictly_under_both_names(installed: Path, tmp_path: Path) -> None:
    old = tmp_path / "by_the_old_name.py"
    text = PROGRAM.read_text(encoding="utf-8").replace("import transferqueue as tq", "import transfer_queue as tq")
    old.write_text(
        text.replace("from transferqueue import", "from transfer_queue import")
        + "\n\nassert_type(tq.interface.kv_batch_get('a', 'p'), TensorDict)\n"
        + "assert_type(tq.metadata.BatchMeta(), BatchMeta)\n"
        + "from transferqueue.only_installed import WHERE\n\nassert_type(WHERE, int)\n",
        encoding="utf-8",
    )
    write_configuration(tmp_path / "mypy.ini")
    options = ["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(ROOT / ".mypy_cache")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(PROGRAM), str(old)],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "MYPYPATH"} | {"PYTHONPATH": str(installed)},
        timeout=115,
    )
    assert done.stdout.strip() == "Success: no issues found in 2 source files", done.stdout + done.stderr
