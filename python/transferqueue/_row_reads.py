"""What code read of the rows of the old metadata, and the columns that say the same.

`instead_of` finds the expression around one read of ``.samples`` in its source and says what to write instead; the
templates are also those of ``transferqueue migrate``.
"""

from __future__ import annotations

import ast
import linecache
from types import FrameType

__all__ = ["CELLS", "COLUMNS", "ROWS", "instead_of"]

#: Attribute of a row -> the column that has it for all rows of the batch ``m``.
COLUMNS = {
    "global_index": "{m}.global_indexes",
    "partition_id": "{m}.partition_ids",
    "custom_meta": "{m}.custom_meta",
}
#: Attribute of a row -> the same of row ``i`` of the batch ``m``.
ROWS = {
    **{name: column + "[{i}]" for name, column in COLUMNS.items()},
    "is_ready": "bool({m}.production_status[{i}])",
    "field_names": "{m}.field_names",
}
#: Attribute of a cell -> the same of field ``f`` in row ``i`` of the batch ``m``.
CELLS = {
    "dtype": "{m}.get_dtypes({f})",
    "shape": "{m}.get_row_shape({f}, {i})",
    "is_ready": "bool({m}.production_status[{i}])",
    "name": "{f}",
}
_MAKES_ROWS_ANEW = frozenset({"frozenset", "list", "max", "min", "set", "sorted", "sum", "tuple"})


def instead_of(frame: FrameType) -> tuple[str, str] | None:
    """The expression that is being evaluated around ``<batch>.samples``, and what to write instead.

    Parameters
    ----------
    frame
        The frame that reads the attribute.

    Returns
    -------
    tuple of str or None
        Both as source code, the batch as ``<batch>.columnar``; None where the source isn't there, or where no column
        says the same.
    """
    source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    place = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in parents:
        if isinstance(node, ast.Attribute) and node.attr == "samples" and _span(node) == place:
            return _replacement(node, parents, source)
    return None


def _span(node: ast.expr) -> tuple[int | None, ...]:
    return (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)


def _replacement(samples: ast.Attribute, parents: dict[ast.AST, ast.AST], source: str) -> tuple[str, str] | None:
    def text(node: ast.AST) -> str:
        return ast.get_source_segment(source, node) or ast.unparse(node)

    columnar = f"{text(samples.value)}.columnar"
    around = parents[samples]
    made: tuple[ast.AST, str] | None = None
    if isinstance(around, ast.Subscript) and around.value is samples and not isinstance(around.slice, ast.Slice):
        made = _of_one_row(around, parents, columnar, text)
    elif isinstance(around, ast.comprehension) and around.iter is samples:
        made = _of_all_rows(around, parents, columnar)
    elif isinstance(around, ast.Call) and isinstance(around.func, ast.Name) and around.func.id == "len":
        made = (around, f"{columnar}.size")
    elif isinstance(around, ast.Compare) and text(around.comparators[0]) == "[]":
        sign = {ast.Eq: "==", ast.NotEq: "!="}.get(type(around.ops[0]))
        made = (around, f"{columnar}.size {sign} 0") if sign else None
    elif isinstance(around, ast.UnaryOp) and isinstance(around.op, ast.Not):
        made = (around, f"not {columnar}.size")
    return None if made is None else (" ".join(text(made[0]).split()), made[1])


def _of_one_row(
    row: ast.Subscript, parents: dict[ast.AST, ast.AST], columnar: str, text: object
) -> tuple[ast.AST, str] | None:
    assert callable(text)
    read = parents[row]
    if not isinstance(read, ast.Attribute):
        return None
    index = text(row.slice)
    if read.attr in ROWS:
        return read, ROWS[read.attr].format(m=columnar, i=index)
    cell = parents[read]
    if read.attr != "fields" or not (isinstance(cell, ast.Subscript) and cell.value is read):
        return None
    value = parents[cell]
    if isinstance(value, ast.Attribute) and value.attr in CELLS:
        return value, CELLS[value.attr].format(m=columnar, i=index, f=text(cell.slice))
    return None


def _of_all_rows(loop: ast.comprehension, parents: dict[ast.AST, ast.AST], columnar: str) -> tuple[ast.AST, str] | None:
    made = parents[loop]
    if not isinstance(made, ast.ListComp | ast.GeneratorExp | ast.SetComp) or len(made.generators) > 1 or loop.ifs:
        return None
    value, row = made.elt, loop.target
    if not (isinstance(value, ast.Attribute) and isinstance(row, ast.Name) and ast.unparse(value.value) == row.id):
        return None
    caller = parents[made]
    called = caller.func.id if isinstance(caller, ast.Call) and isinstance(caller.func, ast.Name) else ""
    if value.attr == "is_ready" and called in ("all", "any"):
        return caller, f"bool({columnar}.production_status.{called}())"
    if value.attr not in COLUMNS:
        return None
    column = COLUMNS[value.attr].format(m=columnar)
    if isinstance(made, ast.SetComp):
        return made, f"set({column})"
    if called in _MAKES_ROWS_ANEW and isinstance(made, ast.GeneratorExp):
        return made, column
    return (made, f"list({column})") if isinstance(made, ast.ListComp) else (made, f"iter({column})")
