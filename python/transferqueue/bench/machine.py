"""What the figures were measured on and with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from transferqueue._runtime import DOTNET_MAJOR, FRAMEWORK, find_core_folder, find_dotnet_root
from transferqueue._version import __version__

PACKAGES = ("torch", "tensordict", "numpy", "pythonnet")


def describe_machine() -> dict[str, Any]:
    """Processor, memory, kernel, and the versions of what takes part."""
    return {
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "dotnet": dotnet_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def pace_ms() -> float:
    """How fast the processor is just now: milliseconds of a fixed piece of Python, the best of five."""
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        sum(number & 7 for number in range(50_000))
        times.append((time.perf_counter() - begin) * 1e3)
    return round(min(times), 3)


def describe_source() -> dict[str, Any]:
    """Version and commit of this package, and how its core was built."""
    folder = Path(__file__).parent
    status = git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "version": __version__,
        "commit": git(folder, "rev-parse", "HEAD"),
        "changed": None if status is None else status != "",
        "build": "Debug" if "Debug" in find_core_folder().parts else "Release",
        "shared_memory": os.environ.get("TRANSFERQUEUE_SHARED_MEMORY", "1") != "0",
    }


def processor() -> str:
    """The processor's name, as the kernel tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def dotnet_version() -> str:
    """The newest .NET runtime of the installation that is used."""
    found = [path.name for path in (find_dotnet_root() / FRAMEWORK).glob(f"{DOTNET_MAJOR}.*")]
    return max(found, key=lambda name: [int(part) for part in name.partition("-")[0].split(".")])


def git(folder: Path, *arguments: str) -> str | None:
    """What git says; None outside of a checkout."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
