"""One file's text, rewritten."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

import libcst as cst
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor

from transferqueue.migrate.batches import LEGACY, rewrite_batches
from transferqueue.migrate.calls import mark_calls
from transferqueue.migrate.dataproto import dataproto_places, mark_dataproto
from transferqueue.migrate.edits import TAG, Edits
from transferqueue.migrate.imports import rewrite_imports
from transferqueue.migrate.reading import OURS, Reading, lines_of
from transferqueue.migrate.rows import rewrite_rows

__all__ = ["Rewritten", "UnreadableError", "rewrite"]

#: Rounds of rules over one file; each may find what the one before left. More than anybody's nesting needs.
ROUNDS = 50
_RELEVANT = re.compile(r"transfer_?queue|\.samples\b|BatchMeta|DataProto|_dataproto")
_MARK = re.compile(rf"^\s*# {TAG}\[(?P<rule>\w+)\]: (?P<text>.*)$")
#: Names that rules make superfluous: no longer imported where they were used before and are not now.
_LEFT_OVER = {f"{OURS}.legacy": ("FieldMeta", "ProductionStatus", "SampleMeta"), OURS: ("BatchMeta", LEGACY)}


class UnreadableError(Exception):
    """A text that can't be rewritten: it is no Python, or what would come of it is none."""


@dataclass(frozen=True)
class Rewritten:
    """What came of a text.

    Attributes
    ----------
    text
        As it should be; equal to what was given where there is nothing to do.
    marks
        Line in ``text``, rule and advice of each place that is left to a human.
    dataproto_uses
        Number of places that use verl's DataProto and are not marked.
    """

    text: str
    marks: list[tuple[int, str, str]] = field(default_factory=list)
    dataproto_uses: int = 0


def rewrite(text: str, dataproto: bool = False) -> Rewritten:
    """Rewrite one file's text until no rule finds any more; rewriting the result changes nothing.

    Parameters
    ----------
    text
        Source as it stands in the file.
    dataproto
        Whether uses of verl's DataProto are marked, too.

    Raises
    ------
    UnreadableError
        The text is no Python.
    """
    if not _RELEVANT.search(text):
        return Rewritten(text)
    try:
        if cst.parse_module(text).code != text:
            raise UnreadableError("it can't be read and written again without changes")
        made = _rewritten(text, dataproto)
        ast.parse(made)
    except (cst.ParserSyntaxError, SyntaxError, ValueError, RecursionError) as cause:
        raise UnreadableError(str(cause).strip().splitlines()[0]) from cause
    left = 0 if dataproto else len(list(dataproto_places(Reading(text))))
    return Rewritten(made, _marks_of(made), left)


def _rewritten(text: str, dataproto: bool) -> str:
    used = _names_of(text)
    for _ in range(ROUNDS):
        made = _one_round(text, dataproto)
        if made == text:
            return _without_imports(text, used)
        text = made
    raise UnreadableError(f"no end after {ROUNDS} rounds")


def _one_round(text: str, dataproto: bool) -> str:
    """Rules over names; where they find nothing, those over what is done with them."""
    reading = Reading(text)
    edits = Edits(reading)
    rewrite_imports(reading, edits)
    needed: set[str] = set()
    if not edits:
        rewrite_rows(reading, edits)
        needed = rewrite_batches(reading, edits)
        mark_calls(reading, edits)
    if dataproto and not edits:
        mark_dataproto(reading, edits)
    return _with_imports(edits.applied(), needed) if edits else text


def _with_imports(text: str, names: set[str]) -> str:
    if not names:
        return text
    context = CodemodContext()
    for name in sorted(names):
        AddImportsVisitor.add_needed_import(context, OURS, name)
    return AddImportsVisitor(context).transform_module(cst.parse_module(text)).code


def _without_imports(text: str, used: set[str]) -> str:
    """Leave out what rules made superfluous: imported, used before, and now no more."""
    gone = used - _names_of(text)
    if not any(gone & set(names) for names in _LEFT_OVER.values()):
        return text
    reading = Reading(text)
    edits = Edits(reading)
    for node in reading.all(cst.ImportFrom):
        names = node.names
        left_over = _LEFT_OVER.get(reading.code(node.module), ()) if node.module and not node.relative else ()
        if isinstance(names, cst.ImportStar) or reading.all(cst.Comment, node):
            continue
        kept = [alias for alias in names if alias.asname or alias.name.value not in gone & set(left_over)]
        if len(kept) < len(names) and len(cst.ensure_type(reading.parent(node), cst.SimpleStatementLine).body) == 1:
            line = f"from {reading.code(node.module)} import " if node.module else ""
            texts = ", ".join(reading.code(alias).rstrip(", \n") for alias in kept)
            edits.replace_statement(node, [line + texts] if kept else [])
    return edits.applied() if edits else text


def _names_of(text: str) -> set[str]:
    """Variables that a text uses."""
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def _marks_of(text: str) -> list[tuple[int, str, str]]:
    found = ((number, _MARK.match(line)) for number, line in enumerate(lines_of(text), 1))
    return [(number, match["rule"], match["text"]) for number, match in found if match]
