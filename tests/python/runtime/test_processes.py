"""What only a process of its own can show: imports, boot, fork, Ctrl-C, exit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from runtime.conftest import PACKAGE_PARENT
from runtime.stub_core import GET, PING, Reply, StubCore

Run = Callable[..., "subprocess.CompletedProcess[str]"]

OPEN = "import sys; from transferqueue import _core; c = _core.Connection.open(sys.argv[1]);"


def check(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_neither_torch_nor_dotnet(run_python: Run) -> None:
    program = (
        "import sys, transferqueue, transferqueue._core;"
        "print([m for m in ('torch', 'tensordict', 'pythonnet', 'clr_loader', 'clr', 'ray') if m in sys.modules])"
    )
    assert check(run_python(program)).strip() == "[]"


def test_boot_leaves_the_process_as_it_was(run_python: Run, tmp_path: Path) -> None:
    program = """
import atexit, faulthandler, os, signal, sys, tempfile
before = dict(os.environ), signal.getsignal(signal.SIGINT)
from transferqueue import _core
_core.diagnose()
assert (dict(os.environ), signal.getsignal(signal.SIGINT)) == before
assert faulthandler.is_enabled()
assert not [f for f in sys.meta_path if type(f).__name__ == "DotNetFinder"]
maps = open("/proc/self/maps").read()
assert "doublemapper" not in maps, "write-xor-execute is on: fork would endanger this process"
assert "libcoreclr.so" in maps
print(os.listdir(os.environ["TMPDIR"]))
"""
    assert check(run_python(program, TMPDIR=str(tmp_path))).strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def output_after_ctrl_c(core: StubCore, program: str) -> str:
    """What a program prints that waits for a GET, which is never answered, and is interrupted there."""
    core.on(GET, lambda request: None)
    environment = os.environ | {"PYTHONPATH": PACKAGE_PARENT}
    with subprocess.Popen(
        [sys.executable, "-c", program, core.address], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        while not core.of_type(GET):
            time.sleep(0.01)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    return output.strip()


def test_ctrl_c_ends_a_wait(core: StubCore) -> None:
    program = OPEN + (
        "\ntry: c.call(11, b'\\x80', timeout_s=50)\n"
        "except KeyboardInterrupt:\n"
        "    c.call(2, b'\\x80'); print('interrupted, and still usable', _core.diagnose()['handles'])"
    )
    assert output_after_ctrl_c(core, program) == "interrupted, and still usable 1"


def test_ctrl_c_ends_a_wait_also_when_another_thread_has_started_dotnet(core: StubCore) -> None:
    program = (
        "import sys, threading; from transferqueue import _core\n"
        "t = threading.Thread(target=_core.diagnose); t.start(); t.join()\n"
        "c = _core.Connection.open(sys.argv[1])\n"
        "try: c.call(11, b'\\x80', timeout_s=50)\n"
        "except KeyboardInterrupt: print('interrupted')"
    )
    assert output_after_ctrl_c(core, program) == "interrupted"


def test_forked_child_is_told_and_the_parent_goes_on(core: StubCore, run_python: Run) -> None:
    core.on(GET, lambda request: Reply({}, [b"z" * 200_000]))
    program = (
        OPEN
        + """
import gc, os
from transferqueue import errors
frame = c.call(11, b"\\x80").frames[0]
codes = []
for _ in range(10):
    child = os.fork()
    if child == 0:
        told = 0
        for attempt in (lambda: c.call(2, b"\\x80"), _core.diagnose, lambda: _core.Connection.open(sys.argv[1])):
            try: attempt()
            except errors.ForkedProcessError as error: told += "forkserver" in str(error)
        try: import no_such_module
        except ImportError: pass
        frame = None
        c.close()
        del c
        gc.collect()
        sys.exit(told)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert bytes(frame.buffer()) == b"z" * 200_000
c.call(2, b"\\x80")
print(codes)
"""
    )
    assert check(run_python(program, core.address)).strip() == str([3] * 10)


def test_child_that_is_forked_before_the_first_call_is_free(core: StubCore, run_python: Run) -> None:
    program = """
import os, sys
from transferqueue import _core
child = os.fork()
_core.Connection.open(sys.argv[1]).call(2, b"\\x80")
if child: sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    check(run_python(program, core.address))
    assert len({hello.header["pid"] for hello in core.of_type(1)}) == 2
    assert len(core.of_type(PING)) == 2


def test_spawned_workers_connect_by_themselves(core: StubCore, run_python: Run) -> None:
    program = (
        OPEN
        + """
import subprocess
c.call(2, b"\\x80")
again = "import sys; from transferqueue import _core; _core.Connection.open(sys.argv[1]).call(2, b'\\\\x80')"
for _ in range(2):
    subprocess.run([sys.executable, "-c", again, sys.argv[1]], check=True)
"""
    )
    check(run_python(program, core.address))
    assert len(core.of_type(PING)) == 3


def test_exit_with_many_live_frames_is_clean(core: StubCore, run_python: Run) -> None:
    core.on(GET, lambda request: Reply({}, [b"f" * 100] * 50))
    program = (
        OPEN
        + """
import threading, asyncio
alive = [c.call(11, b"\\x80") for _ in range(200)]
views = [frame.buffer() for reply in alive for frame in reply.frames]
cycle = [views]; cycle.append(cycle)
asyncio.run(c.acall(2, b"\\x80"))
threading.Thread(target=c.call, args=(24, b"\\x80", (), 60), daemon=True).start()
print(len(views), flush=True)
"""
    )
    core.on(24, lambda request: None)
    done = run_python(program, core.address)
    assert check(done).strip() == "10000"
    assert done.stderr == ""


def test_pythonnet_that_was_loaded_before_is_used_with_a_warning(core: StubCore, run_python: Run) -> None:
    program = """
import sys, warnings
import clr_loader, pythonnet
from transferqueue import _core, _runtime
config = _runtime.find_core_folder() / "TransferQueue.Core.runtimeconfig.json"
pythonnet.load(clr_loader.get_coreclr(runtime_config=str(config), dotnet_root=str(_runtime.find_dotnet_root())))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        _core.Connection.open(sys.argv[1]).call(2, b"\\x80")
print([str(w.message).split(":")[0] for w in caught])
"""
    output = check(run_python(program, core.address))
    assert output.strip() == "['pythonnet was loaded before TransferQueue']"


def test_many_threads_start_dotnet_once(core: StubCore, run_python: Run) -> None:
    program = """
import sys, threading
from transferqueue import _core, _runtime
tables = []
threads = [threading.Thread(target=lambda: tables.append(_runtime.get_table())) for _ in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(len(tables), len(set(tables)))
"""
    assert check(run_python(program)).strip() == "8 1"


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"TRANSFERQUEUE_DOTNET_ROOT": "/nowhere"}, "TRANSFERQUEUE_DOTNET_ROOT=/nowhere: no .NET 10 there"),
        ({"TRANSFERQUEUE_CORE_DIR": "/nowhere"}, "/nowhere: no TransferQueue.Core.dll there"),
    ],
)
def test_what_is_missing_is_told_in_one_sentence(run_python: Run, variables: dict[str, str], told: str) -> None:
    program = (
        "from transferqueue import _core, errors\n"
        "for _ in range(2):\n"
        "    try: _core.diagnose()\n"
        "    except ImportError as error: assert type(error) is errors.RuntimeNotFoundError; print(error)"
    )
    lines = check(run_python(program, **variables)).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(told) for line in lines)
