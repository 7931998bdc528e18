"""Imports and dotted names: ``transfer_queue`` becomes ``transferqueue``."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst
from libcst import matchers as m

from transferqueue.migrate.edits import Edits
from transferqueue.migrate.homes import MODULES, advice_for, is_module, new_name, new_path
from transferqueue.migrate.reading import OURS, PEERS, Reading

__all__ = ["rewrite_imports"]

_TAKES_A_PATH = re.compile(r"(^|\.)(import_module|__import__|importorskip|find_spec|patch|setattr|delattr)$")


def rewrite_imports(reading: Reading, edits: Edits) -> None:
    """Import from transferqueue, and follow the names; mark those that are not there."""
    _Imports(reading, edits).rewrite()


class _Imports:
    def __init__(self, reading: Reading, edits: Edits) -> None:
        self._reading = reading
        self._edits = edits

    def rewrite(self) -> None:
        for node in self._reading.all(cst.ImportFrom):
            module = self._reading.code(node.module) if node.module is not None and not node.relative else ""
            if module == PEERS or module.startswith(f"{PEERS}."):
                self._rewrite_from(node, module)
        changes = [*self._modules(), *self._uses()]
        if changes:
            self._edits.replace(*changes)
        for text in self._reading.all(cst.SimpleString):
            self._rewrite_text(text)

    # --- from transfer_queue… import … ---

    def _rewrite_from(self, node: cst.ImportFrom, module: str) -> None:
        line = self._reading.parent(node)
        if isinstance(node.names, cst.ImportStar):
            if module in MODULES:
                assert node.module is not None
                self._edits.replace((node.module, MODULES[module]))
            else:
                self._edits.mark(node, "import", f"transferqueue has no module {module}")
            return
        homes: dict[str | None, list[str]] = {}
        for alias in node.names:
            home, text = self._alias(module, alias)
            homes.setdefault(home, []).append(text)
        if set(homes) == {None}:  # where others share the line, it is split first
            for alias in node.names:
                self._edits.mark(node, "import", advice_for(self._reading.code(alias.name)))
            return
        alone = isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1
        only = next(iter(homes))
        same = [self._reading.code(alias).rstrip(", \n") for alias in node.names]
        if len(homes) == 1 and only is not None and homes[only] == same:
            assert node.module is not None
            self._edits.replace((node.module, only))
        elif not alone or self._reading.all(cst.Comment, node):
            self._edits.mark(
                node, "import", "the names of this line live in several modules: write one import for each"
            )
        else:
            self._edits.replace_statement(node, [_import(home or module, names) for home, names in homes.items()])

    def _alias(self, module: str, alias: cst.ImportAlias) -> tuple[str | None, str]:
        """Where an imported name lives here, and how it is imported."""
        name = self._reading.code(alias.name)
        text = self._reading.code(alias).rstrip(", \n")
        path = f"{module}.{name}"
        if path not in MODULES:
            return new_name(module, name), text
        kept = self._reading.code(alias.asname.name) if alias.asname is not None else name
        home, _, last = MODULES[path].rpartition(".")
        if not home:
            return f"import {last} as {kept}", ""
        return home, last if last == kept else f"{last} as {kept}"

    # --- import transfer_queue… ---

    def _modules(self) -> Iterator[tuple[cst.CSTNode, str]]:
        for node in self._reading.all(cst.Import):
            for alias in node.names:
                path = self._reading.code(alias.name)
                if path != PEERS and not path.startswith(f"{PEERS}."):
                    continue
                if alias.asname is None:
                    yield alias.name, OURS
                elif path in MODULES:
                    yield alias.name, MODULES[path]
                else:
                    self._edits.mark(node, "import", f"transferqueue has no module {path}")

    def _uses(self) -> Iterator[tuple[cst.CSTNode, str]]:
        for name in self._reading.names_used(self._reading.module):
            bound = self._reading.imported_as(name) or ""
            if bound != PEERS and not (bound.startswith(f"{PEERS}.") and is_module(bound)):
                continue
            if name.value == PEERS or bound == PEERS:
                yield from self._use_of_the_root(name)
            else:
                self._check_use_of_a_module(name, bound)

    def _chain(self, name: cst.Name) -> Iterator[cst.BaseExpression]:
        """The name, and the attributes of attributes of it, from the inside."""
        node: cst.BaseExpression = name
        yield node
        while isinstance(around := self._reading.parent(node), cst.Attribute) and around.value is node:
            node = around
            yield node

    def _use_of_the_root(self, name: cst.Name) -> Iterator[tuple[cst.CSTNode, str]]:
        """``tq.metadata.BatchMeta`` to ``tq.BatchMeta``; ``transfer_queue.…`` to ``transferqueue.…``."""
        root = OURS if name.value == PEERS else name.value
        path = PEERS
        for node in self._chain(name):
            path = f"{path}.{node.attr.value}" if isinstance(node, cst.Attribute) else path
            if not is_module(path):
                break
        found = new_path(path)
        if found is None:
            self._edits.mark(name, "import", advice_for(path.rpartition(".")[2] if not is_module(path) else path))
            node, found = name, OURS
        text = root + found.removeprefix(OURS)
        if self._reading.code(node) != text:
            yield node, text

    def _check_use_of_a_module(self, name: cst.Name, module: str) -> None:
        attribute = self._reading.parent(name)
        if isinstance(attribute, cst.Attribute) and module in MODULES:
            home = new_name(module, attribute.attr.value)
            if home is None or home not in (OURS, MODULES[module]):
                self._edits.mark(name, "import", advice_for(attribute.attr.value))

    # --- names in strings ---

    def _rewrite_text(self, text: cst.SimpleString) -> None:
        path = text.raw_value
        if path != PEERS and not re.fullmatch(rf"{PEERS}(\.\w+)+", path):
            return
        argument = self._reading.parent(text)
        call = self._reading.parent(argument) if isinstance(argument, cst.Arg) else None
        if (
            isinstance(call, cst.Call)
            and call.args[0] is argument
            and _TAKES_A_PATH.search(self._reading.code(call.func))
        ):
            pass
        elif not m.matches(argument, m.Index()) or "sys.modules" not in self._reading.code(self._statement_part(text)):
            return
        found = new_path(path)
        if found is None:
            self._edits.mark(text, "import", advice_for(path))
        else:
            self._edits.replace((text, f"{text.prefix}{text.quote}{found}{text.quote}"))

    def _statement_part(self, text: cst.SimpleString) -> cst.CSTNode:
        return next(node for node in self._reading.ancestors(text) if isinstance(node, cst.Subscript))


def _import(home: str, names: list[str]) -> str:
    return home if home.startswith("import ") else f"from {home} import {', '.join(names)}"
