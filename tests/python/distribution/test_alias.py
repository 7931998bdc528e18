"""The alias beside the package whose import name it takes: both install orders, and the uninstall."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

import transferqueue
from support.environments import Environment

CHECK = "from transferqueue._alias_check import check_alias; print(check_alias())"
WHO = "import transfer_queue; print(getattr(transfer_queue, 'PEER', False))"
REPAIR = f"install --force-reinstall --no-deps transferqueue-net-alias=={transferqueue.__version__}"
REPLACE = f"uninstall -y transferqueue && {{python}} -m pip {REPAIR}"


@pytest.fixture
def peer_wheel(tmp_path: Path) -> Path:
    """A distribution that is called as the peer is and carries a file of the alias's name."""
    return write_wheel(tmp_path, "transferqueue", "0.1.11", {"transfer_queue/__init__.py": b"PEER = True\n"})


def test_check_is_content_with_an_intact_alias(
    package_wheel: Path, alias_wheel: Path, environment: Environment
) -> None:
    environment.install(package_wheel, alias_wheel)
    assert environment.run(CHECK) == "None"
    assert environment.run(WHO) == "False"


def test_check_is_content_without_an_alias(package_wheel: Path, peer_wheel: Path, environment: Environment) -> None:
    environment.install(package_wheel)
    environment.install(peer_wheel)
    assert environment.run(CHECK) == "None"
    assert environment.run(WHO) == "True"


def test_peer_installed_after_the_alias_is_named_with_the_command_that_repairs_it(
    package_wheel: Path, alias_wheel: Path, peer_wheel: Path, environment: Environment
) -> None:
    environment.install(package_wheel, alias_wheel)
    environment.install(peer_wheel)
    assert environment.run(WHO) == "True"
    sentence = environment.run(CHECK)
    assert "by transferqueue 0.1.11" in sentence
    assert "(transfer_queue/__init__.py)" in sentence
    assert sentence.endswith(f"run: {environment.python} -m pip {REPLACE.format(python=environment.python)}")


def test_named_command_repairs_what_the_peer_overwrote(
    package_wheel: Path, alias_wheel: Path, peer_wheel: Path, environment: Environment
) -> None:
    environment.install(package_wheel, alias_wheel)
    environment.install(peer_wheel)
    environment.uninstall("transferqueue")
    assert environment.run(CHECK).endswith(f"run: {environment.python} -m pip {REPAIR}")
    environment.install(alias_wheel)
    assert environment.run(CHECK) == "None"
    assert environment.run(WHO) == "False"


def test_alias_installed_after_the_peer_takes_the_name(
    package_wheel: Path, alias_wheel: Path, peer_wheel: Path, environment: Environment
) -> None:
    environment.install(package_wheel)
    environment.install(peer_wheel)
    environment.install(alias_wheel)
    assert environment.run(CHECK) == "None"
    assert environment.run(WHO) == "False"


def test_uninstalling_a_peer_that_the_alias_overwrote_is_noticed(
    package_wheel: Path, alias_wheel: Path, peer_wheel: Path, environment: Environment
) -> None:
    environment.install(package_wheel)
    environment.install(peer_wheel)
    environment.install(alias_wheel)
    environment.uninstall("transferqueue")
    assert "(transfer_queue/__init__.py)" in environment.run(CHECK)


def test_uninstalling_the_alias_leaves_transferqueue_whole(
    package_wheel: Path, alias_wheel: Path, environment: Environment
) -> None:
    environment.install(package_wheel, alias_wheel)
    environment.uninstall("transferqueue-net-alias")
    found = "import importlib.util as u; print(u.find_spec('transfer_queue'), u.find_spec('transferqueue') is not None)"
    assert environment.run(found) == "None True"
    assert environment.run(CHECK) == "None"


def write_wheel(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Path:
    """A wheel by hand: `files`, its metadata and RECORD."""
    metadata = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{metadata}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},sha256={hash_content(content)},{len(content)}\n" for file, content in files.items())
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in {**files, f"{metadata}/RECORD": f"{record}{metadata}/RECORD,,\n".encode()}.items():
            wheel.writestr(file, content)
    return path


def hash_content(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
