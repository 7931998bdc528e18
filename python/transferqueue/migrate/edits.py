"""What a rule wants of a file: other expressions, other statements, marks. All of them are applied at once."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from transferqueue.migrate.reading import Reading

__all__ = ["IGNORE", "TAG", "Edits"]

#: Begins every mark: ``# TQ-MIGRATE[rule]: what to do``.
TAG = "TQ-MIGRATE"
#: Above a statement: it stays as it is.
IGNORE = f"# {TAG}: ignore"

_STATEMENTS = (cst.SimpleStatementLine, cst.BaseCompoundStatement)


class Edits:
    """Changes of one reading of a file, by node.

    Changes that belong together are made together or not at all: where one lies in an expression that is already
    changed, or around one, all wait for the next round. What is to be ignored stays.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._expressions: dict[cst.CSTNode, str] = {}
        self._statements: dict[cst.CSTNode, list[str]] = {}
        self._marks: dict[cst.CSTNode, dict[str, None]] = {}
        self._around_changes: set[cst.CSTNode] = set()

    def __bool__(self) -> bool:
        return bool(self._expressions or self._statements or self._marks)

    def statement_of(self, node: cst.CSTNode) -> cst.CSTNode:
        """The statement that has a line of its own around a node."""
        return next(around for around in (node, *self._reading.ancestors(node)) if isinstance(around, _STATEMENTS))

    def replace(self, *changes: tuple[cst.CSTNode, str]) -> None:
        """Write other expressions, all of them or none."""
        nodes = [node for node, _ in changes]
        if self._is_free(nodes):
            self._keep_comments(changes)
            self._expressions.update(changes)
            self._take(nodes)

    def _keep_comments(self, changes: Sequence[tuple[cst.CSTNode, str]]) -> None:
        """Have comments above the statement that stand inside what is replaced."""
        for node, text in changes:
            for comment in self._reading.all(cst.Comment, node):
                if comment.value not in text:
                    self._marks.setdefault(self.statement_of(node), {})[comment.value] = None

    def remove(self, statement: cst.CSTNode, *changes: tuple[cst.CSTNode, str]) -> None:
        """Leave out a statement, and write other expressions elsewhere."""
        nodes = [statement, *(node for node, _ in changes)]
        if self._is_free(nodes):
            self._statements[statement] = []
            self._expressions.update(changes)
            self._take(nodes)

    def replace_statement(self, node: cst.CSTNode, lines: Sequence[str]) -> None:
        """Write other simple statements instead of the line that has a node."""
        statement = self.statement_of(node)
        if self._is_free([statement]):
            self._statements[statement] = list(lines)
            self._take([statement])

    def _is_free(self, nodes: Sequence[cst.CSTNode]) -> bool:
        return not any(
            node in self._around_changes
            or any(
                around in self._expressions or around in self._statements
                for around in (node, *self._reading.ancestors(node))
            )
            or self._is_ignored(node)
            for node in nodes
        )

    def _take(self, nodes: Sequence[cst.CSTNode]) -> None:
        for node in nodes:
            self._around_changes.update(self._reading.ancestors(node))

    def mark(self, node: cst.CSTNode, rule: str, text: str) -> None:
        """Have a comment above the statement, unless it has one of that rule, or is to be ignored."""
        statement = self.statement_of(node)
        comments = self._reading.comments_above(statement)
        if not any(comment.startswith(f"# {TAG}[{rule}]") for comment in comments) and not self._is_ignored(node):
            self._marks.setdefault(statement, {})[f"# {TAG}[{rule}]: {text}"] = None

    def _is_ignored(self, node: cst.CSTNode) -> bool:
        around = (node, *self._reading.ancestors(node))
        return any(isinstance(one, _STATEMENTS) and IGNORE in self._reading.comments_above(one) for one in around)

    def applied(self) -> str:
        """The file's text with all of it."""
        changed = self._reading.module.visit(_Apply(self._expressions, self._statements, self._marks))
        assert isinstance(changed, cst.Module)
        return changed.code


class _Apply(cst.CSTTransformer):
    def __init__(
        self,
        expressions: dict[cst.CSTNode, str],
        statements: dict[cst.CSTNode, list[str]],
        marks: dict[cst.CSTNode, dict[str, None]],
    ) -> None:
        super().__init__()
        self._expressions = expressions
        self._statements = statements
        self._marks = marks

    def on_visit(self, node: cst.CSTNode) -> bool:
        return node not in self._expressions and node not in self._statements

    def on_leave(
        self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT
    ) -> cst.CSTNodeT | cst.RemovalSentinel | cst.FlattenSentinel[cst.CSTNodeT]:
        made: cst.CSTNode = updated_node
        if (text := self._expressions.get(original_node)) is not None:
            made = _in_parentheses_of(updated_node, cst.parse_expression(text))
        if marks := self._marks.get(original_node):
            above = [cst.EmptyLine(comment=cst.Comment(mark)) for mark in marks]
            made = made.with_changes(leading_lines=[*made.leading_lines, *above])  # type: ignore[attr-defined]
        if (lines := self._statements.get(original_node)) is not None:
            return cst.FlattenSentinel(_lines(made, lines))  # type: ignore[arg-type]
        return made  # type: ignore[return-value]


def _in_parentheses_of(old: cst.CSTNode, new: cst.BaseExpression) -> cst.BaseExpression:
    if getattr(old, "lpar", ()) and not new.lpar and not isinstance(old, cst.GeneratorExp | cst.Tuple):
        return new.with_changes(lpar=old.lpar, rpar=old.rpar)  # type: ignore[attr-defined]
    return new


def _lines(old: cst.CSTNode, texts: list[str]) -> list[cst.CSTNode]:
    """Statements in the place of one, with what stood above and behind it."""
    assert isinstance(old, cst.SimpleStatementLine)
    made: list[cst.CSTNode] = [cst.parse_statement(text) for text in texts]
    if made:
        made[0] = made[0].with_changes(leading_lines=old.leading_lines)
        made[-1] = made[-1].with_changes(trailing_whitespace=old.trailing_whitespace)
    return made
