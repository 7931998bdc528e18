"""``./dev``: what it says when it can't do its work. That it can is what every run of the checks shows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.environments import ROOT

TOOLS = ("bash", "cat", "cut", "dirname", "env", "grep", "mkdir", "rm", "sha256sum")
FILES = (
    "dev",
    "pyproject.toml",
    "python/transfer_queue_alias/pyproject.toml",
    "python/transferqueue/_version.py",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the files that ``dev`` reads and, in ``bin``, the tools it needs, but neither .NET nor Python."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    return tmp_path


def test_without_arguments_it_tells_what_it_can_do(checkout: Path) -> None:
    done = run_dev(checkout)
    assert done.returncode == 0
    for command in ("setup", "demo", "test", "lint", "format", "bench", "wheel", "clean"):
        assert f"./dev {command}" in done.stdout


def test_unknown_command_is_named(checkout: Path) -> None:
    done = run_dev(checkout, "tset")
    assert done.returncode == 1
    assert "dev: no command 'tset'" in done.stderr


def test_without_an_sdk_it_says_which_to_install(checkout: Path) -> None:
    add_program(checkout, "dotnet", "echo '8.0.100 [/somewhere/sdk]'")
    done = run_dev(checkout, "setup")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "dotnet-sdk-10.0" in line


def test_without_a_fitting_python_it_says_which_to_install(checkout: Path) -> None:
    add_program(checkout, "dotnet", "echo '10.0.100 [/somewhere/sdk]'")
    add_program(checkout, "python3", "exit 1")
    done = run_dev(checkout, "setup")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "install python3.11" in line
    assert not (checkout / ".venv").exists()


def run_dev(checkout: Path, *args: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": str(checkout / "bin"), "HOME": str(checkout)}
    command = [str(checkout / "dev"), *args]
    return subprocess.run(
        command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
    )


def add_program(checkout: Path, name: str, script: str) -> None:
    program = checkout / "bin" / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
