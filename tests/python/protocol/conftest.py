from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from protocol.probe import Probe

ROOT = Path(__file__).parents[3]
PROJECT = ROOT / "tests" / "dotnet" / "TransferQueue.Core.Probe"


def _is_stale(program: Path) -> bool:
    if not program.exists():
        return True
    sources = [*(ROOT / "dotnet").rglob("*.cs"), *PROJECT.glob("*.cs")]
    newest = max(path.stat().st_mtime for path in sources if "obj" not in path.parts)
    return program.with_name("TransferQueue.Core.dll").stat().st_mtime < newest


@pytest.fixture(scope="session")
def probe() -> Iterator[Probe]:
    program = PROJECT / "bin" / "Debug" / "net10.0" / "TransferQueue.Core.Probe.dll"
    if _is_stale(program):
        assert shutil.which("dotnet"), "no .NET SDK on PATH"
        subprocess.run(["dotnet", "build", str(PROJECT), "-v", "q", "--nologo"], check=True, timeout=400)
    running = Probe(program)
    yield running
    running.close()
