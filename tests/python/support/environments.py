"""Clean virtual environments, and building without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
OURS = ("transferqueue", "transfer_queue", "_editable_impl_transferqueue", "_transferqueue")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A virtual environment with our dependencies and nothing of ours, and a `dotnet` on PATH that only fails."""

    folder: Path
    dotnet_calls: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, *wheels: Path) -> None:
        self.pip("install", "--no-index", "--no-deps", "--no-compile", "--force-reinstall", *map(str, wheels))

    def uninstall(self, name: str) -> None:
        self.pip("uninstall", "-y", name)

    def pip(self, *args: str) -> None:
        subprocess.run([sys.executable, "-m", "pip", "-q", "--python", str(self.python), *args], check=True, timeout=60)

    def run(self, code: str, timeout_s: float = 90) -> str:
        """Run `code` in a process that sees neither the source tree nor an SDK; its output."""
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "TRANSFERQUEUE"))}
        variables["PATH"] = f"{self.dotnet_calls.parent}:{variables['PATH']}"
        variables["DOTNET_ROOT"] = str(find_dotnet_root())
        command = [str(self.python), "-I", "-c", code]
        done = subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


def find_dotnet_root() -> Path:
    found = os.environ.get("DOTNET_ROOT") or shutil.which("dotnet")
    assert found, "no .NET on this machine"
    path = Path(found).resolve()
    return path if path.is_dir() else path.parent


def create_environment(folder: Path) -> Environment:
    """Make a virtual environment below `folder` that has our dependencies by links."""
    venv, packages = folder / "venv", folder / "packages"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=60)
    link_dependencies(packages)
    [site] = venv.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{packages}\n", encoding="utf-8")
    return Environment(folder=venv, dotnet_calls=make_failing_dotnet(folder / "shim"))


def build(project: Path, folder: Path, *kinds: str) -> Path:
    """Build without a network: the build's own requirements are those of this environment."""
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(folder), str(project)]
    subprocess.run(command, check=True, timeout=110, stdout=subprocess.DEVNULL)
    [built] = folder.iterdir()
    return built


def link_dependencies(folder: Path) -> None:
    """Links to all installed packages but ours: torch is not copied, the editable install is not seen."""
    folder.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.startswith(OURS) and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)


def make_failing_dotnet(folder: Path) -> Path:
    """A program `dotnet` that notes each call in the file returned, and fails."""
    folder.mkdir()
    calls = folder / "calls"
    program = folder / "dotnet"
    program.write_text(f'#!/bin/sh\necho "$@" >>{calls}\nexit 1\n', encoding="utf-8")
    program.chmod(0o755)
    return calls
