"""Every public name has types and a docstring, and type checkers see the same names as Python does."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import transferqueue
from transferqueue import _table, errors, options

PACKAGE = Path(transferqueue.__file__).parent
ALIAS = PACKAGE.parent / "transfer_queue_alias" / "transfer_queue"
#: What a user has put there himself, or chosen the type of, comes back as Any.
USERS_OWN = {
    "init",
    "Batch.__getitem__",
    "Batch.get",
    *(f"{name}.{method}_extra_info" for name in ("BatchMeta", "LegacyBatchMeta") for method in ("get", "remove")),
}


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions, and the public methods and properties of public classes."""
    classes = [value for name in transferqueue.__all__ if inspect.isclass(value := getattr(transferqueue, name))]
    classes += [
        value
        for module in (errors, options)
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    for name in transferqueue.__all__:
        if inspect.isfunction(function := getattr(transferqueue, name)):
            yield name, function
    seen = set()
    for owner in classes:
        for kind in owner.__mro__:
            if kind.__module__.startswith("transferqueue") and kind not in seen:
                seen.add(kind)
                yield from ((f"{kind.__name__}.{name}", member) for name, member in members(kind))


def members(owner: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, member in vars(owner).items():
        found = member.fget if isinstance(member, property) else inspect.unwrap(getattr(member, "__func__", member))
        if inspect.isfunction(found) and found.__module__.startswith("transferqueue") and not name.startswith("_"):
            yield name, found


FUNCTIONS = dict(functions())


def test_there_are_as_many_as_ever() -> None:
    assert len(FUNCTIONS) > 140
    assert {"kv_batch_get", "TransferQueueClient.get_data", "AsyncTransferQueueClient.async_put"} <= FUNCTIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_is_annotated_and_documented(name: str) -> None:
    function = FUNCTIONS[name]
    signature = inspect.signature(function)
    bare = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.annotation is inspect.Parameter.empty and parameter.name not in ("self", "cls")
    ]
    assert not bare, f"{name}: parameters without a type: {bare}"
    assert signature.return_annotation is not inspect.Signature.empty, f"{name}: no type of what it returns"
    assert name in USERS_OWN or signature.return_annotation not in ("Any", Any), f"{name}: returns Any"
    assert (function.__doc__ or "").strip(), f"{name}: no docstring"


@pytest.mark.parametrize("name", [name for name in transferqueue.__all__ if name != "__version__"])
def test_a_public_name_is_documented(name: str) -> None:
    assert (inspect.getdoc(getattr(transferqueue, name)) or "").strip()


def imported_in(stub: Path) -> dict[str, str]:
    """Name -> module of a stub's imports."""
    return {
        alias.asname or alias.name: node.module or ""
        for node in ast.walk(ast.parse(stub.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_see_the_names_of_the_lazy_table() -> None:
    """A name is entered into __init__.py's table and, with an import and in __all__, into __init__.pyi."""
    seen = imported_in(PACKAGE / "__init__.pyi")
    expected = {name: f"transferqueue.{home}" for name, home in transferqueue._HOMES.items()}
    expected |= dict.fromkeys(transferqueue._MODULES, "transferqueue")
    assert seen == {**expected, "__version__": "transferqueue._version"}
    text = (PACKAGE / "__init__.pyi").read_text(encoding="utf-8")
    [listed] = [node.value for node in ast.parse(text).body if isinstance(node, ast.Assign)]
    assert ast.literal_eval(listed) == sorted(seen)


def test_type_checkers_see_the_older_names_of_the_alias() -> None:
    tree = ast.parse((ALIAS / "__init__.py").read_text(encoding="utf-8"))
    tables = {
        node.target.id if isinstance(node, ast.AnnAssign) else node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
    }
    older = ast.literal_eval(tables["_OLDER"])
    modules = set(ast.literal_eval(tables["_MODULES"].args[0]))
    there = {name for name in modules if (ALIAS / name).is_dir() or (ALIAS / f"{name}.py").exists()}
    expected = {name: f"transfer_queue.{home}" for name, home in older.items()} | dict.fromkeys(there, "transfer_queue")
    assert imported_in(ALIAS / "__init__.pyi") == {**expected, "*": "transferqueue"}


def test_the_cores_function_table_is_typed_as_its_signatures_say() -> None:
    """The annotations are the stub of the table: what calls it with another number of arguments fails in mypy."""
    typed = {name: text for name, text in _table.Functions.__annotations__.items() if text.startswith("Callable")}
    assert typed == {
        name: f"Callable[[{', '.join(['int'] * arguments)}], int]" for name, arguments, _ in _table.SIGNATURES
    }
