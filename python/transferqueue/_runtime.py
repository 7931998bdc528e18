"""Start .NET inside this process, once and on first need. No other module does.

The order of the steps in `_boot` is not free; each comment says what breaks without it.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import importlib.util
import os
import platform
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from transferqueue.errors import ForkedProcessError, RuntimeNotFoundError

ASSEMBLY = "TransferQueue.Core"
DOTNET_MAJOR = 10
FRAMEWORK = "shared/Microsoft.NETCore.App"
RUNTIME_WHEEL = "transferqueue_dotnet_runtime"
USUAL_ROOTS = ("/usr/share/dotnet", "/usr/lib/dotnet", "/usr/lib64/dotnet", "/usr/local/share/dotnet", "~/.dotnet")
# Without the first, sockets of the debugger stay behind in the temp folder of a killed process. With write-xor-execute
# on, executable memory is a shared mapping, and a forked child that runs managed code can kill its parent.
LOAD_ENVIRONMENT = {"DOTNET_EnableDiagnostics": "0", "DOTNET_EnableWriteXorExecute": "0"}
# Objects that live for one request: 2 MiB of them (hexadecimal) stay in a processor's cache. Left alone, .NET takes as
# much as the whole last-level cache, 16 MiB and more in each process, and fills it once before it collects anything.
# No key of runtimeconfig.json says this.
DEFAULT_ENVIRONMENT = {"DOTNET_GCgen0size": "200000"}

_lock = threading.Lock()
_table: int | None = None
_starting = False
_forked = False
_sigint_is_ours = False
_hook_registered = False
_after_fork: list[Callable[[], None]] = []


def get_table() -> int:
    """Return the address of the core's function table; the first call starts .NET (0.3-0.6 s).

    Any thread may call it.

    Raises
    ------
    ForkedProcessError
        The process was forked from one in which .NET had started.
    RuntimeNotFoundError
        No .NET 10, no files of the core, or another platform than Linux x86-64.
    """
    check_process()
    if _table is None:
        with _lock:
            if _table is None:
                _start()
    _restore_sigint()
    assert _table is not None
    return _table


def is_started() -> bool:
    """Tell whether .NET runs in this process."""
    return _table is not None


def check_process() -> None:
    """Raise ForkedProcessError in a process that was forked after .NET had started."""
    if _forked:
        raise ForkedProcessError(
            f"process {os.getpid()}: it was forked from one in which TransferQueue had started .NET, which does not"
            " survive a fork; start processes with the method 'spawn' or 'forkserver' (DataLoader:"
            " multiprocessing_context='forkserver'), or fork before the first call"
        )


def call_after_fork(poison: Callable[[], None]) -> None:
    """Have `poison` called in every child that is forked after .NET has started; it must not touch .NET."""
    _after_fork.append(poison)


def watch_forks() -> None:
    """Have every child that is forked after .NET has started keep away from it; registered once.

    The hooks of a child run in the order in which they were registered: this one comes before any that may drop what calls .NET.
    """
    global _hook_registered
    if not _hook_registered:
        _hook_registered = True
        os.register_at_fork(after_in_child=_poison)


def find_dotnet_root() -> Path:
    """Return the folder of the .NET installation to use.

    The order: ``TRANSFERQUEUE_DOTNET_ROOT``, the runtime wheel, ``DOTNET_ROOT``, ``dotnet`` on ``PATH``, the usual
    folders.

    Raises
    ------
    RuntimeNotFoundError
        None of them has .NET 10, or the first is set and has not.
    """
    explicit = os.environ.get("TRANSFERQUEUE_DOTNET_ROOT")
    if explicit:
        if _has_framework(Path(explicit)):
            return Path(explicit)
        raise RuntimeNotFoundError(
            f"TRANSFERQUEUE_DOTNET_ROOT={explicit}: no .NET {DOTNET_MAJOR} there ({FRAMEWORK}/{DOTNET_MAJOR}.*);"
            " name the folder of a .NET 10 runtime or unset the variable"
        )
    for root in _candidate_roots():
        if _has_framework(root):
            return root
    raise RuntimeNotFoundError(
        f"no .NET {DOTNET_MAJOR} runtime found (looked at DOTNET_ROOT, dotnet on PATH and {', '.join(USUAL_ROOTS)});"
        " install the package dotnet-runtime-10.0 or set TRANSFERQUEUE_DOTNET_ROOT to its folder"
    )


def find_core_folder() -> Path:
    """Return the folder with the core's dll: ``TRANSFERQUEUE_CORE_DIR``, else the package's own."""
    explicit = os.environ.get("TRANSFERQUEUE_CORE_DIR")
    folder = Path(explicit) if explicit else Path(__file__).parent / "_dotnet"
    for suffix in (".dll", ".runtimeconfig.json"):
        if not (folder / f"{ASSEMBLY}{suffix}").is_file():
            raise RuntimeNotFoundError(
                f"{folder}: no {ASSEMBLY}{suffix} there; install a wheel of transferqueue-net, build from a source tree"
                " with `python hatch_build.py`, or point TRANSFERQUEUE_CORE_DIR at the output of `dotnet publish`"
            )
    return folder


def _candidate_roots() -> Iterator[Path]:
    spec = importlib.util.find_spec(RUNTIME_WHEEL)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(location) / "dotnet"
    if os.environ.get("DOTNET_ROOT"):
        yield Path(os.environ["DOTNET_ROOT"])
    command = shutil.which("dotnet")
    if command:
        yield Path(command).resolve().parent
    for folder in USUAL_ROOTS:
        yield Path(folder).expanduser()


def _has_framework(root: Path) -> bool:
    return any((root / FRAMEWORK).glob(f"{DOTNET_MAJOR}.*"))


def _check_platform() -> None:
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        raise RuntimeNotFoundError(f"TransferQueue runs on Linux x86-64; this is {system} {machine}")


def _start() -> None:
    global _starting, _table
    _check_platform()
    folder = find_core_folder()
    watch_forks()
    _starting = True
    try:
        _table = _boot(folder)
    finally:
        _starting = False


def _boot(folder: Path) -> int:
    # Enabled after .NET, faulthandler would turn a null reference in C# into an abort. It needs a usable stderr.
    if not faulthandler.is_enabled():
        with contextlib.suppress(Exception):
            faulthandler.enable()
    pythonnet = _load_pythonnet(folder)
    # It would run 80 full collections of Python's heap at exit, and can crash.
    atexit.unregister(pythonnet.unload)
    table = _export_table(folder)
    _restore_sigint(force=True)
    return table


def _load_pythonnet(folder: Path) -> Any:
    import pythonnet

    if pythonnet.get_runtime_info() is not None:
        _attach(pythonnet)
        return pythonnet
    import clr_loader

    root = find_dotnet_root()
    with _environment(_load_environment()):
        runtime = clr_loader.get_coreclr(
            runtime_config=str(folder / f"{ASSEMBLY}.runtimeconfig.json"), dotnet_root=str(root)
        )
        pythonnet.load(runtime)
    return pythonnet


def _attach(pythonnet: Any) -> None:
    """Use the runtime that somebody else has chosen, if it will do."""
    kind = pythonnet.get_runtime_info().kind
    if kind != "CoreCLR":
        raise RuntimeNotFoundError(
            f"pythonnet runs on {kind} in this process; TransferQueue needs CoreCLR {DOTNET_MAJOR} or newer:"
            " call transferqueue.init() before other code loads pythonnet, or pythonnet.load('coreclr') first"
        )
    with _environment(_load_environment()):
        pythonnet.load()
    import clr  # noqa: F401  (makes `System` importable)
    from System import Environment  # type: ignore[import-not-found]

    version = Environment.Version
    if version.Major < DOTNET_MAJOR:
        raise RuntimeNotFoundError(
            f"pythonnet has loaded .NET {version} in this process; TransferQueue needs {DOTNET_MAJOR} or newer:"
            " call transferqueue.init() before other code loads pythonnet"
        )
    warnings.warn(
        "pythonnet was loaded before TransferQueue: its settings stay, and forking this process may crash it;"
        " call transferqueue.init() first, or don't fork",
        RuntimeWarning,
        stacklevel=2,
    )


def _export_table(folder: Path) -> int:
    import clr

    # pythonnet puts it into the load context whose statics its callers see; another context would be a second core.
    assembly = clr.AddReference(str(folder / f"{ASSEMBLY}.dll"))
    export = assembly.GetType("TransferQueue.Interop.Table").GetMethod("Export")
    address = int(export.Invoke(None, None))
    # It runs managed code on every import that fails, also in forked children.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "DotNetFinder"]
    return address


def _load_environment() -> dict[str, str]:
    """What .NET is told; a user's own settings of the defaults stay."""
    return {
        **LOAD_ENVIRONMENT,
        **{name: value for name, value in DEFAULT_ENVIRONMENT.items() if name not in os.environ},
    }


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set `variables` in the environment for the time of the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _restore_sigint(*, force: bool = False) -> None:
    """Put Python's SIGINT handler back over .NET's, else the first Ctrl-C is lost in a blocking read.

    Only the main thread may; where another one started .NET, the main thread's next use does it.
    """
    global _sigint_is_ours
    if _sigint_is_ours and not force:
        return
    if threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGINT)
    if handler is not None:
        signal.signal(signal.SIGINT, handler)
    _sigint_is_ours = True


def _poison() -> None:
    """Runs in a forked child: if .NET had started, this process must never call it."""
    global _forked, _lock, _table
    if _table is None and not _starting:
        _lock = threading.Lock()
        return
    _forked = True
    _table = None
    for poison in _after_fork:
        poison()
