from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runtime.stub_core import StubCore

import transferqueue

PACKAGE_PARENT = str(Path(transferqueue.__file__).parents[1])
TESTS = str(Path(__file__).parents[1])


@pytest.fixture
def core() -> Iterator[StubCore]:
    # Not tmp_path: its length may be over what a Unix socket's path can have.
    with tempfile.TemporaryDirectory(prefix="tq-") as folder, StubCore(Path(folder) / "core") as stub:
        yield stub


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program in a fresh interpreter that can import the package and these tests."""

    def run(program: str, *args: str, timeout: float = 60, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([PACKAGE_PARENT, TESTS])} | variables
        return subprocess.run(
            [sys.executable, "-c", program, *args],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
