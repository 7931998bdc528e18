"""Build hook: publish the C# core into the package, unless what is there is up to date.

Runs for wheels, editable installs and sdists. ``python hatch_build.py`` does the same by hand, ``--check`` only tells
"current" or "stale". The .NET SDK is needed only when the sources differ from those that the published files were made
of, so an sdist, which carries both, needs none.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, before anything is installed
    BuildHookInterface = object  # type: ignore[assignment,misc]

ROOT = Path(__file__).resolve().parent
PROJECT = ROOT / "dotnet" / "TransferQueue.Core"
PUBLISHED = ROOT / "python" / "transferqueue" / "_dotnet"
STAMP = PUBLISHED / "sources.sha256"
VERSION = "python/transferqueue/_version.py"
RULES = ("Directory.Build.props", "Directory.Packages.props", "global.json", "hatch_build.py", VERSION)
SOURCES = (".cs", ".csproj", ".json")
# Code compiled ahead of time starts faster; the same files run on every other platform by JIT.
READY_TO_RUN = ("-r", "linux-x64", "--self-contained", "false", "-p:PublishReadyToRun=true")


class PublishCore(BuildHookInterface):
    """Hatchling's entry: makes sure that the published core is current before files are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Publish if needed; `version` ("standard", "editable") and `build_data` don't matter here."""
        del version, build_data
        publish_if_stale()


def publish_if_stale() -> None:
    """Publish the core when its sources changed since the last time."""
    digest = hash_sources()
    if is_current(digest):
        return
    with tempfile.TemporaryDirectory(prefix="transferqueue-publish-") as folder:
        publish(Path(folder))
        replace_published(Path(folder), digest)


def is_current(digest: str) -> bool:
    """Tell whether the published files were made of the sources with this digest."""
    return STAMP.is_file() and STAMP.read_text(encoding="ascii").strip() == digest


def hash_sources() -> str:
    """SHA-256, in hex, over the names and contents of all that the published files are made of."""
    files = [ROOT / name for name in RULES]
    for folder, names, leaves in os.walk(PROJECT):
        names[:] = sorted(name for name in names if name not in ("bin", "obj"))
        files += [Path(folder, leaf) for leaf in sorted(leaves) if leaf.endswith(SOURCES)]
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(ROOT).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def read_release() -> str:
    """The numbers of the version, e.g. "0.2.0" of "0.2.0rc1": what an assembly's version can say."""
    match = re.search(r'__version__ = "(\d+\.\d+\.\d+)', (ROOT / VERSION).read_text(encoding="utf-8"))
    if match is None:
        raise SystemExit(f"transferqueue build: {VERSION}: no version like 1.2.3 in it")
    return match.group(1)


def publish(folder: Path) -> None:
    """Run ``dotnet publish`` into `folder`, compiled ahead of time where the compiler for that can be had."""
    if shutil.which("dotnet") is None:
        raise SystemExit("transferqueue build: no .NET SDK: install the .NET 10 SDK and put `dotnet` on PATH")
    command = ["dotnet", "publish", str(PROJECT), "-c", "Release", "-o", str(folder)]
    command += ["-v", "quiet", "--nologo", f"-p:Version={read_release()}"]
    first = subprocess.run([*command, *READY_TO_RUN], capture_output=True, text=True, check=False)
    if first.returncode == 0:
        return
    # The ahead-of-time compiler is a package of its own, which a feed without it can't restore (NU1101 and the like).
    second = first
    if "NU1" in first.stdout + first.stderr:
        print(
            "transferqueue build: no ahead-of-time compiler on the package feed: the core will start slower",
            file=sys.stderr,
        )
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    if second.returncode != 0:
        raise SystemExit(f"transferqueue build: `dotnet publish` failed:\n{second.stdout}{second.stderr}")


def replace_published(folder: Path, digest: str) -> None:
    """Put the dlls and their json files in place of the old ones; the stamp comes last."""
    shutil.rmtree(PUBLISHED, ignore_errors=True)
    PUBLISHED.mkdir(parents=True)
    for file in sorted(folder.iterdir()):
        if file.suffix in (".dll", ".json"):
            shutil.copyfile(file, PUBLISHED / file.name)
    STAMP.write_text(digest + "\n", encoding="ascii")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        print("current" if is_current(hash_sources()) else "stale")
    else:
        publish_if_stale()
