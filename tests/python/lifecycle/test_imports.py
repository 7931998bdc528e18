"""What is loaded when."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import transferqueue

HEAVY = ("torch", "tensordict", "omegaconf", "ray", "pythonnet", "clr_loader", "numpy", "msgpack")


def loaded_by(code: str) -> set[str]:
    """The top-level packages that a program has loaded at its end."""
    program = f"{code}\nimport sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_a_bare_import_loads_nothing_heavy():
    loaded = loaded_by("import transferqueue; transferqueue.__version__; dir(transferqueue)")
    assert "transferqueue" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_keepers_module_loads_nothing_heavy():
    assert loaded_by("import transferqueue.server.serve").isdisjoint(HEAVY)


def test_every_name_of_the_shop_window_loads():
    for name in transferqueue.__all__:
        assert getattr(transferqueue, name) is not None
    assert set(transferqueue.__all__) <= set(dir(transferqueue))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        transferqueue.nothing  # noqa: B018


def test_functions_can_be_replaced_for_a_test(monkeypatch: pytest.MonkeyPatch):
    before = transferqueue.kv_list
    monkeypatch.setattr(transferqueue, "kv_list", lambda: "replaced")
    assert transferqueue.kv_list() == "replaced"
    monkeypatch.undo()
    assert transferqueue.kv_list is before


def test_no_module_has_the_name_of_a_public_function():
    modules = {module.name for module in pkgutil.iter_modules(transferqueue.__path__)}
    assert modules.isdisjoint(transferqueue.__all__)
    for name in sorted(modules - {"__main__"}):
        importlib.import_module(f"transferqueue.{name}")
    assert callable(transferqueue.batch)
