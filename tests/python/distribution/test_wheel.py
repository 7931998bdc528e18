"""The built distributions: what they carry, and that they work without the source tree and without an SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import transferqueue
from support.environments import ROOT, Environment, build, make_failing_dotnet

ROUND_TRIP = """
import torch
from tensordict import TensorDict
import transferqueue as tq

tq.init()
try:
    sent = TensorDict({"x": torch.arange(12, dtype=torch.float32).reshape(4, 3), "y": torch.arange(4)}, batch_size=4)
    keys = ["a", "b", "c", "d"]
    tq.kv_batch_put(keys=keys, partition_id="train", fields=sent)
    got = tq.kv_batch_get(keys=keys[::-1], partition_id="train")
    assert torch.equal(torch.stack(list(got["x"].unbind())), sent["x"].flip(0)), got["x"]
    assert torch.equal(got["y"], sent["y"].flip(0)), got["y"]
finally:
    tq.close()
print(tq.__file__)
"""


def test_wheel_fits_every_platform_and_carries_the_published_core(package_wheel: Path) -> None:
    assert package_wheel.name == f"transferqueue_net-{transferqueue.__version__}-py3-none-any.whl"
    names = zipfile.ZipFile(package_wheel).namelist()
    core = {Path(name).name for name in names if name.startswith("transferqueue/_dotnet/")}
    parts = {f"TransferQueue.Core.{end}" for end in ("dll", "deps.json", "runtimeconfig.json")}
    assert parts | {"NetMQ.dll", "MessagePack.dll", "AsyncIO.dll", "NaCl.dll"} <= core
    assert not [
        name for name in names if name.endswith((".cs", ".pdb")) or name.startswith(("tests/", "transfer_queue/"))
    ]


def test_wheel_carries_every_assembly_that_the_deps_file_names(package_wheel: Path) -> None:
    with zipfile.ZipFile(package_wheel) as wheel:
        deps = json.loads(wheel.read("transferqueue/_dotnet/TransferQueue.Core.deps.json"))
        present = {Path(name).name for name in wheel.namelist()}
    targets = deps["targets"].values()
    named = {
        Path(file).name for target in targets for package in target.values() for file in package.get("runtime", {})
    }
    assert named
    assert named <= present


def test_runtime_configuration_makes_the_core_a_modest_guest(package_wheel: Path) -> None:
    with zipfile.ZipFile(package_wheel) as wheel:
        text = wheel.read("transferqueue/_dotnet/TransferQueue.Core.runtimeconfig.json")
    options = json.loads(text)["runtimeOptions"]
    assert options["framework"] == {"name": "Microsoft.NETCore.App", "version": "10.0.0"}
    settings = options["configProperties"]
    switched_off = (
        "System.GC.Concurrent",
        "System.GC.Server",
        "System.Runtime.EnableWriteXorExecute",
        "System.Runtime.TieredPGO",
    )
    assert {name: settings[name] for name in switched_off} == dict.fromkeys(switched_off, False)
    assert settings["System.Globalization.Invariant"] is True
    assert settings["System.Threading.ThreadPool.MinThreads"] == 8
    assert 2**30 <= settings["System.GC.HeapHardLimit"] <= 2**31


def test_alias_wheel_carries_only_the_alias(alias_wheel: Path) -> None:
    names = zipfile.ZipFile(alias_wheel).namelist()
    assert "transfer_queue/__init__.py" in names
    assert {name.split("/")[0] for name in names} == {
        "transfer_queue",
        f"transferqueue_net_alias-{transferqueue.__version__}.dist-info",
    }


def test_sdist_turns_into_the_same_wheel_without_an_sdk(package_wheel: Path, tmp_path: Path) -> None:
    archive = build(ROOT, tmp_path / "sdist", "--sdist")
    with tarfile.open(archive) as sdist:
        sdist.extractall(tmp_path, filter="data")
    [source] = tmp_path.glob("transferqueue_net-*")
    calls = make_failing_dotnet(tmp_path / "shim")
    variables = os.environ | {"PATH": f"{calls.parent}:{os.environ['PATH']}"}
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--wheel",
        "--outdir",
        str(tmp_path / "wheel"),
        str(source),
    ]
    subprocess.run(command, check=True, timeout=60, env=variables, stdout=subprocess.DEVNULL)
    assert not calls.exists()
    [rebuilt] = (tmp_path / "wheel").iterdir()
    assert read_contents(rebuilt) == read_contents(package_wheel)


def test_round_trip_from_the_installed_wheel_calls_no_sdk(package_wheel: Path, environment: Environment) -> None:
    environment.install(package_wheel)
    module = Path(environment.run(ROUND_TRIP))
    assert module.is_relative_to(environment.folder)
    assert not environment.dotnet_calls.exists(), environment.dotnet_calls.read_text(encoding="utf-8")


def test_console_script_is_installed(package_wheel: Path, environment: Environment) -> None:
    environment.install(package_wheel)
    script = environment.folder / "bin" / "transferqueue"
    done = subprocess.run([str(script), "--version"], capture_output=True, text=True, timeout=30, check=True)
    assert transferqueue.__version__ in done.stdout


def read_contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_assembly_in_the_wheel_is_in_the_notices(package_wheel: Path) -> None:
    with zipfile.ZipFile(package_wheel) as wheel:
        [notices] = [name for name in wheel.namelist() if name.endswith("licenses/THIRD_PARTY_NOTICES.md")]
        text = wheel.read(notices).decode()
        foreign = [Path(name).stem for name in wheel.namelist() if name.endswith(".dll")]
    foreign.remove("TransferQueue.Core")
    assert [name for name in foreign if name not in text] == []
