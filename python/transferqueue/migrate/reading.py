"""One parsed file: its tree, and what is asked of its nodes again and again."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TypeVar, cast

import libcst as cst
from libcst import matchers as m
from libcst.metadata import MetadataWrapper, QualifiedNameSource, Scope, ScopeProvider

__all__ = ["OURS", "PEERS", "Reading", "is_constant", "is_simple", "item_of", "lines_of"]

PEERS = "transfer_queue"
OURS = "transferqueue"

N = TypeVar("N", bound=cst.CSTNode)
_BLOCKS = (cst.FunctionDef, cst.ClassDef, cst.Lambda)


class Reading:
    """A module, where each node stands in it, and what its names were imported as.

    Parameters
    ----------
    text
        The source, as it stands in the file.

    Raises
    ------
    libcst.ParserSyntaxError
        It is no Python.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
        self.module = self._wrapper.module
        self._index = _Index()
        self.module.visit(self._index)
        self._found: dict[type[cst.CSTNode], tuple[list[int], list[cst.CSTNode]]] = {}

    @cached_property
    def _scopes(self) -> Mapping[cst.CSTNode, Scope | None]:
        return cast("Mapping[cst.CSTNode, Scope | None]", self._wrapper.resolve(ScopeProvider))

    def parent(self, node: cst.CSTNode) -> cst.CSTNode:
        """The node around one."""
        return self._index.parents[node]

    def ancestors(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes around one, from the inside."""
        parents = self._index.parents
        while node in parents:
            node = parents[node]
            yield node

    def block_of(self, node: cst.CSTNode) -> cst.CSTNode:
        """The function, class or module in which a node stands."""
        return next((around for around in self.ancestors(node) if isinstance(around, _BLOCKS)), self.module)

    def comments_above(self, statement: cst.CSTNode) -> list[str]:
        """Comments in the lines above a statement."""
        lines = list(getattr(statement, "leading_lines", ()))
        if self.module.body and statement is self.module.body[0]:
            lines = [*self.module.header, *lines]
        return [line.comment.value for line in lines if line.comment is not None]

    def indent_of(self, node: cst.CSTNode) -> str:
        """What the lines of a node's statement begin with."""
        blocks = [around for around in self.ancestors(node) if isinstance(around, cst.IndentedBlock)]
        return "".join(block.indent or self.module.default_indent for block in blocks)

    def code(self, node: cst.CSTNode) -> str:
        """A node's source."""
        return self.module.code_for_node(node).strip()

    def all(self, kind: type[N], within: cst.CSTNode | None = None) -> list[N]:
        """The nodes of a kind, in order."""
        if kind not in self._found:
            places = [place for place, node in enumerate(self._index.nodes) if isinstance(node, kind)]
            self._found[kind] = places, [self._index.nodes[place] for place in places]
        places, nodes = self._found[kind]
        if within is None:
            return cast("list[N]", list(nodes))
        first, last = self._index.spans[within]
        return cast("list[N]", nodes[bisect_left(places, first) : bisect_left(places, last)])

    def names_used(self, within: cst.CSTNode, name: str | None = None) -> list[cst.Name]:
        """Names that stand for a variable; those of attributes and keywords do not."""
        return [node for node in self.all(cst.Name, within) if name in (None, node.value) and self.is_variable(node)]

    def annotated(self, type_name: str) -> Iterator[str]:
        """Parameters and variables whose annotation names a type."""
        for parameter in self.all(cst.Param):
            if parameter.annotation is not None and type_name in self.code(parameter.annotation.annotation):
                yield parameter.name.value
        for variable in self.all(cst.AnnAssign):
            if type_name in self.code(variable.annotation.annotation):
                yield self.code(variable.target)

    def is_variable(self, node: cst.Name) -> bool:
        """Whether a name stands for a variable."""
        around = self._index.parents.get(node)
        if isinstance(around, cst.Attribute):
            return around.value is node
        if isinstance(around, cst.Arg):
            return around.value is node
        return not isinstance(around, cst.ImportAlias | cst.AsName | cst.ImportFrom)

    def imported_as(self, node: cst.CSTNode) -> str | None:
        """The dotted name of what was imported under a name or a chain of attributes; None if nothing was."""
        if not self.knows_the_queue or (isinstance(node, cst.Name) and not self.is_variable(node)):
            return None
        scope = self._scopes.get(node)
        names = () if scope is None else scope.get_qualified_names_for(node)
        return next((name.name for name in names if name.source is QualifiedNameSource.IMPORT), None)

    def is_stored_to(self, node: cst.CSTNode) -> bool:
        """Whether an expression is assigned to, or deleted."""
        around = self._index.parents.get(node)
        if isinstance(around, cst.AssignTarget | cst.Del | cst.NamedExpr):
            return getattr(around, "target", None) is node or isinstance(around, cst.Del)
        if isinstance(around, cst.AugAssign | cst.AnnAssign):
            return around.target is node
        return isinstance(around, cst.Element) and any(
            isinstance(outer, cst.AssignTarget) for outer in list(self.ancestors(node))[:3]
        )

    @cached_property
    def knows_the_queue(self) -> bool:
        """Whether the file imports the queue, under either name."""
        return re.search(rf"^\s*(from|import)\s+({PEERS}|{OURS})\b", self.text, re.MULTILINE) is not None


class _Index(cst.CSTVisitor):
    """All nodes in order, the one around each, and the places of what lies in each."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[cst.CSTNode] = []
        self.parents: dict[cst.CSTNode, cst.CSTNode] = {}
        self.spans: dict[cst.CSTNode, tuple[int, int]] = {}
        self._open: list[tuple[cst.CSTNode, int]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if self._open:
            self.parents[node] = self._open[-1][0]
        self._open.append((node, len(self.nodes)))
        self.nodes.append(node)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:  # noqa: ARG002
        node, first = self._open.pop()
        self.spans[node] = first, len(self.nodes)


def lines_of(text: str) -> list[str]:
    """Lines as Python counts them: a form feed ends none."""
    return re.split(r"\r\n|\r|\n", text)


def is_simple(node: cst.BaseExpression) -> bool:
    """Whether an expression may be written twice: a name, or attributes and constant items of one."""
    if m.matches(node, m.Name()):
        return True
    if isinstance(node, cst.Attribute):
        return is_simple(node.value)
    return isinstance(node, cst.Subscript) and is_simple(node.value) and is_constant(item_of(node))


def is_constant(node: cst.BaseExpression | None) -> bool:
    """Whether an expression is a literal number or string."""
    if isinstance(node, cst.UnaryOperation):
        return is_constant(node.expression)
    return isinstance(node, cst.Integer | cst.SimpleString)


def item_of(node: cst.Subscript) -> cst.BaseExpression | None:
    """The one item asked for; None for slices and several items."""
    if len(node.slice) == 1 and isinstance(node.slice[0].slice, cst.Index) and node.slice[0].slice.star is None:
        return node.slice[0].slice.value
    return None
