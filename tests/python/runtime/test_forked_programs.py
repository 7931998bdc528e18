"""Programs of the fork server that tests use: processes as others, with torch and without .NET."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from support.fork_server import Forked


def test_a_forked_program_has_torch_and_neither_the_package_nor_dotnet():
    code = "import sys; print(*sorted({'torch', 'tensordict', 'transferqueue', 'pythonnet', 'clr_loader'} & {*sys.modules}))"
    assert Forked(code, {}).communicate() == ("tensordict torch\n", "")


def test_it_has_streams_variables_and_a_name_of_its_own():
    code = "import os, sys; print(__name__, dict(os.environ), input(), os.getpid()); print('b', file=sys.stderr)"
    program = Forked(code, {"A": "1"})
    program.stdin.write("said\n")
    assert program.communicate() == (f"__main__ {{'A': '1'}} said {program.pid}\n", "b\n")
    assert program.pid != os.getpid()


@pytest.mark.parametrize(("code", "status"), [("", 0), ("import sys; sys.exit(3)", 3), ("1 / 0", 1)])
def test_it_ends_as_python_ends(code: str, status: int):
    program = Forked(f"import atexit; atexit.register(print, 'at exit')\n{code}", {})
    printed, errors = program.communicate()
    assert program.returncode == status
    assert printed == "at exit\n"
    assert ("ZeroDivisionError" in errors) == (status == 1)


def test_it_can_be_stopped_and_killed():
    program, other = (Forked("print(input(), flush=True)", {}) for _ in range(2))
    program.send_signal(signal.SIGSTOP)
    assert program.poll() is None
    program.kill()
    assert program.wait(60) == -signal.SIGKILL
    with pytest.raises(subprocess.TimeoutExpired):
        other.wait(0.01)
    other.stdin.write("goes on\n")
    assert other.communicate() == ("goes on\n", "")
    program.communicate()
