"""The checks. All sessions run in the one ``.venv`` that ``./dev setup`` makes: torch is not installed per session."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "dotnet", "python", "wheel", "sizes"]
nox.options.error_on_missing_interpreters = True

ROOT = Path(__file__).parent
REPORTS = ROOT / ".nox" / "reports"
CORE_TESTS = "tests/dotnet/TransferQueue.Core.Tests"
CORE_TESTS_LIMIT = "15m"  # a hang ends as a failure, long before CI's own limit
LARGEST = 10
# Files are shared out, not tests: a file's tests share a sidecar. More processes than four would only need memory.
# In the order of tests/python/conftest.py, the slow ones first; loadfile's own has files of few tests last, however slow.
PARALLEL = ["-n", "logical", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder"]


def run_python(session: nox.Session, *args: str) -> None:
    session.run(sys.executable, "-m", *args, external=True)


def run_pytest(session: nox.Session, name: str, folder: str, *args: str) -> None:
    """Run a folder's tests, or the files that were named after ``--``."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    report = REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    names_files = any((ROOT / arg.partition("::")[0]).exists() for arg in session.posargs)
    args = args if names_files else (folder, *args)
    run_python(session, "pytest", f"--junitxml={report}", *args, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Form and habits: ruff for Python, dotnet format for C#."""
    run_python(session, "ruff", "check", ".")
    run_python(session, "ruff", "format", "--check", ".")
    session.run("dotnet", "format", "TransferQueue.sln", "--verify-no-changes", external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Types of the package, strictly."""
    run_python(session, "mypy")


@nox.session
def dotnet(session: nox.Session) -> None:
    """Tests of the core in C#."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / "dotnet.xml").unlink(missing_ok=True)
    session.run("dotnet", "build", "TransferQueue.sln", "-v", "quiet", "--nologo", external=True)
    options = ["--timeout", CORE_TESTS_LIMIT, "--results-directory", str(REPORTS)]
    options += ["--report-xunit-junit", "--report-xunit-junit-filename", "dotnet.xml"]
    session.run("dotnet", "test", "--project", CORE_TESTS, "--no-build", *options, *session.posargs, external=True)


@nox.session
def python(session: nox.Session) -> None:
    """Tests of the Python face and of real processes; those of the wheels are a session of their own."""
    run_pytest(session, "python", "tests/python", *PARALLEL, "--ignore=tests/python/distribution")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build both wheels without a network, install them elsewhere, use them."""
    run_pytest(session, "wheel", "tests/python/distribution")


@nox.session
def sizes(session: nox.Session) -> None:
    """Print the largest source files; nothing is stopped by it."""
    names = session.run("git", "ls-files", "*.cs", "*.py", external=True, silent=True)
    lines = {name: len((ROOT / name).read_bytes().splitlines()) for name in str(names).split()}
    for name in sorted(lines, key=lambda file: -lines[file])[:LARGEST]:
        session.log(f"{lines[name]:5d}  {name}")
