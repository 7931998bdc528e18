"""Where .NET is looked for, and the function table."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from transferqueue import _runtime, _table, errors


def make_root(folder: Path, *versions: str) -> Path:
    for version in versions:
        (folder / "shared" / "Microsoft.NETCore.App" / version).mkdir(parents=True)
    return folder


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No .NET anywhere."""
    monkeypatch.delenv("TRANSFERQUEUE_DOTNET_ROOT", raising=False)
    monkeypatch.delenv("DOTNET_ROOT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(_runtime, "USUAL_ROOTS", (str(tmp_path / "usual"),))
    return monkeypatch


def test_without_dotnet_the_error_says_what_to_install(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_root(tmp_path / "usual", "8.0.1", "9.0.0")
    with pytest.raises(errors.RuntimeNotFoundError, match=r"dotnet-runtime-10\.0"):
        _runtime.find_dotnet_root()


def test_explicit_root_wins_over_all_others_and_must_hold_dotnet_10(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_root(tmp_path / "usual", "10.0.1")
    explicit = make_root(tmp_path / "explicit", "9.0.0")
    bare.setenv("TRANSFERQUEUE_DOTNET_ROOT", str(explicit))
    with pytest.raises(errors.RuntimeNotFoundError, match=str(explicit)):
        _runtime.find_dotnet_root()
    make_root(explicit, "10.0.3")
    assert _runtime.find_dotnet_root() == explicit


def test_order_is_runtime_wheel_then_dotnet_root_then_path_then_usual_folders(
    bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = make_root(tmp_path / "usual", "10.0.1")
    assert _runtime.find_dotnet_root() == usual

    installed = make_root(tmp_path / "installed", "10.1.0")
    (installed / "dotnet").write_text("#!/bin/sh\n")
    (installed / "dotnet").chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dotnet").symlink_to(installed / "dotnet")
    assert _runtime.find_dotnet_root() == installed

    variable = make_root(tmp_path / "variable", "10.0.1")
    bare.setenv("DOTNET_ROOT", str(variable))
    assert _runtime.find_dotnet_root() == variable

    wheel = tmp_path / "site" / _runtime.RUNTIME_WHEEL
    make_root(wheel / "dotnet", "10.0.1")
    (wheel / "__init__.py").touch()
    bare.syspath_prepend(str(tmp_path / "site"))
    assert _runtime.find_dotnet_root() == wheel / "dotnet"


def test_other_platforms_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_runtime.platform, "machine", lambda: "aarch64")
    with pytest.raises(errors.RuntimeNotFoundError, match=r"Linux x86-64; this is Linux aarch64"):
        _runtime._check_platform()


@pytest.mark.parametrize(("version", "count"), [(2, 20), (0, 20), (1, 19)])
def test_table_of_another_version_is_refused_with_both_versions(version: int, count: int) -> None:
    table = (ctypes.c_int64 * (2 + count))(version, count)
    with pytest.raises(
        errors.ProtocolVersionError, match=rf"version {version} with {count} functions.*version 1 with 20"
    ):
        _table.Functions(ctypes.addressof(table))


def test_table_may_have_grown_at_its_end() -> None:
    known = _table.get_functions()
    count = len(_table.SIGNATURES) + 3
    table = (ctypes.c_int64 * (2 + count)).from_buffer_copy(bytes(8 * (2 + count)))
    table[0], table[1] = _table.VERSION, count
    table[2 : 2 + len(_table.SIGNATURES)] = [
        ctypes.cast(getattr(known, name), ctypes.c_void_p).value for name, _, _ in _table.SIGNATURES
    ]
    grown = _table.Functions(ctypes.addressof(table))
    assert grown.release(123_456_789) == 0


@pytest.mark.parametrize("handle", [0, -1, 1, 2**62, 123_456])
def test_releasing_what_is_no_handle_does_nothing(handle: int) -> None:
    functions = _table.get_functions()
    assert functions.release(handle) == 0
    assert functions.client_cancel(handle, handle) == 0
    assert functions.queue_take(handle, 0, 0) == 0


def test_types_of_the_functions_match_their_signatures() -> None:
    for name, arguments, _ in _table.SIGNATURES:
        assert str(_table.Functions.__annotations__[name]).count("int") == arguments + 1
