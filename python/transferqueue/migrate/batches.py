"""Batches that are made of rows: ``BatchMeta(samples=[SampleMeta(…), …])`` and its sisters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import libcst as cst
from libcst import matchers as m

from transferqueue.migrate.edits import Edits
from transferqueue.migrate.reading import OURS, PEERS, Reading

__all__ = ["LEGACY", "rewrite_batches"]

LEGACY = "LegacyBatchMeta"
_BATCHES = frozenset(
    f"{module}.{name}"
    for module in (PEERS, f"{PEERS}.metadata", OURS, f"{OURS}.meta", f"{OURS}.legacy")
    for name in ("BatchMeta", LEGACY)
)
_LONG = 100
_READY = {"READY_FOR_CONSUME": True, "NOT_PRODUCED": False}


def rewrite_batches(reading: Reading, edits: Edits) -> set[str]:
    """Give columns to constructors that are given rows; where the rows aren't written out, go by LegacyBatchMeta.

    Returns
    -------
    set of str
        Names to import from transferqueue.
    """
    return _Batches(reading, edits).rewrite()


@dataclass
class _Row:
    """A SampleMeta that is written out: source code, except for what is ready."""

    index: str
    partition: str
    ready: bool = True
    cells: dict[str, tuple[str, str]] = field(default_factory=dict)


class _Batches:
    def __init__(self, reading: Reading, edits: Edits) -> None:
        self._reading = reading
        self._edits = edits
        self._needed: set[str] = set()

    def rewrite(self) -> set[str]:
        for call in self._reading.all(cst.Call):
            if self._reading.imported_as(call.func) in _BATCHES:
                self._rewrite_constructor(call)
            elif self._is_made_of_rows(call) and not self._is_columnar_already(call):
                assert isinstance(call.func, cst.Attribute)
                self._go_by_rows(call, call.func.value)
        return self._needed

    def _is_made_of_rows(self, call: cst.Call) -> bool:
        """Whether it is one of the old class methods."""
        by_name = m.matches(call.func, m.Attribute(attr=m.Name("from_dict") | m.Name("from_samples")))
        return by_name and self._reading.imported_as(cst.ensure_type(call.func, cst.Attribute).value) in _BATCHES

    def _is_columnar_already(self, call: cst.Call) -> bool:
        return m.matches(self._reading.parent(call), m.Attribute(attr=m.Name("columnar")))

    def _rewrite_constructor(self, call: cst.Call) -> None:
        given = {argument.keyword.value: argument.value for argument in call.args if argument.keyword is not None}
        plain = [argument.value for argument in call.args if argument.keyword is None and not argument.star]
        is_legacy = self._reading.code(call.func).endswith(LEGACY)
        if is_legacy and self._is_columnar_already(call):
            return
        if "samples" not in given:
            if len(plain) != 1 or set(given) - {"extra_info", "custom_meta"} or self._has_no_rows(plain[0]):
                return
            if is_legacy and not isinstance(plain[0], cst.List | cst.ListComp):
                self._edits.mark(call, "batch", "a BatchMeta needs no wrapping: use it, and leave out `.columnar`")
                return
            given["samples"] = plain[0]
        elif plain:
            return
        text = self._columnar(given)
        if text is None:
            self._go_by_rows(call, call.func)
            return
        name = self._reading.code(call.func)
        if is_legacy:
            name = name.removesuffix(LEGACY) + "BatchMeta"
            self._needed |= {"BatchMeta"} if name == "BatchMeta" else set()
        self._edits.replace((call, self._laid_out(call, name, text)))

    def _laid_out(self, call: cst.Call, name: str, arguments: list[str]) -> str:
        """The call, on one line if it isn't long, else with a line for each argument."""
        short = f"{name}({', '.join(arguments)})"
        if len(short) <= _LONG:
            return short
        indent = self._reading.indent_of(call)
        return f"{name}(\n" + "".join(f"{indent}    {argument},\n" for argument in arguments) + f"{indent})"

    def _has_no_rows(self, node: cst.BaseExpression) -> bool:
        return isinstance(node, cst.List | cst.Tuple) and not node.elements

    def _go_by_rows(self, call: cst.Call, batch: cst.BaseExpression) -> None:
        """Make a LegacyBatchMeta, and take its columns."""
        name = self._reading.code(batch)
        known = self._reading.imported_as(batch) or ""
        if not name.endswith(LEGACY):
            by_root = known in (f"{PEERS}.BatchMeta", f"{OURS}.BatchMeta") and "." in name
            name = name.removesuffix("BatchMeta") + LEGACY if by_root else LEGACY
            self._needed |= {LEGACY} if name == LEGACY else set()
        text = self._reading.code(call)
        renamed = name + text[len(self._reading.code(batch)) :]
        self._edits.mark(
            call, "batch", "made of rows: give global_indexes, partition_ids, field_schema, production_status"
        )
        self._edits.replace((call, f"{renamed}.columnar"))

    # --- rows that are written out ---

    def _columnar(self, given: dict[str, cst.BaseExpression]) -> list[str] | None:
        """The arguments of a BatchMeta, or None where the rows aren't all written out."""
        if set(given) - {"samples", "extra_info"}:
            return None
        samples = given["samples"]
        rest = [f"extra_info={self._reading.code(given['extra_info'])}"] if "extra_info" in given else []
        if self._has_no_rows(samples):
            return rest
        if self._reading.all(cst.Comment, samples):
            return None
        columns = None
        if isinstance(samples, cst.List):
            columns = self._of_list(samples)
        elif isinstance(samples, cst.ListComp):
            columns = self._of_comprehension(samples)
        return None if columns is None else [*columns, *rest]

    def _of_list(self, samples: cst.List) -> list[str] | None:
        rows = [self._row(element.value) for element in samples.elements]
        full = [row for row in rows if row is not None]
        if len(full) < len(rows) or any(row.cells.keys() != full[0].cells.keys() for row in full):
            return None
        schema = []
        for name in full[0].cells:
            dtypes = {row.cells[name][0] for row in full}
            shapes = [row.cells[name][1] for row in full]
            if len(dtypes) > 1:
                return None
            schema.append(f"{name}: {_entry(dtypes.pop(), shapes)}")
        return [
            f"global_indexes=[{', '.join(row.index for row in full)}]",
            f"partition_ids=[{', '.join(row.partition for row in full)}]",
            f"field_schema={{{', '.join(schema)}}}",
            f"production_status=[{', '.join(str(int(row.ready)) for row in full)}]",
        ]

    def _of_comprehension(self, samples: cst.ListComp) -> list[str] | None:
        """Rows that differ only in who they are."""
        row = self._row(samples.elt)
        loop = samples.for_in
        again = isinstance(loop.iter, cst.List) or m.matches(loop.iter, m.Call(func=m.Name("range")))
        if row is None or loop.inner_for_in is not None or loop.asynchronous is not None or not again:
            return None
        names = {name.value for name in self._reading.all(cst.Name, loop.target)}
        fields = self._argument(samples.elt, "fields", 2)
        if fields is None or names & {name.value for name in self._reading.names_used(fields)}:
            return None
        each = self._reading.code(loop)
        if not self._reading.all(cst.SimpleString, loop):
            each = " ".join(each.split())
        schema = ", ".join(f"{name}: {_entry(dtype, [shape])}" for name, (dtype, shape) in row.cells.items())
        return [
            f"global_indexes=[{row.index} {each}]",
            f"partition_ids=[{row.partition} {each}]",
            f"field_schema={{{schema}}}",
            f"production_status=[{int(row.ready)} {each}]",
        ]

    def _argument(self, call: cst.BaseExpression, name: str, place: int) -> cst.BaseExpression | None:
        """An argument of a call by name or place; None if it has none."""
        if not isinstance(call, cst.Call):
            return None
        for at, argument in enumerate(call.args):
            if argument.keyword.value == name if argument.keyword else at == place and not argument.star:
                return argument.value
        return None

    def _row(self, node: cst.BaseExpression) -> _Row | None:
        if not (isinstance(node, cst.Call) and self._is_called(node, "SampleMeta")):
            return None
        parts: list[cst.BaseExpression | None] = [
            self._argument(node, name, place) for place, name in enumerate(("partition_id", "global_index", "fields"))
        ]
        partition, index, cells = parts
        if partition is None or index is None or not isinstance(cells, cst.Dict) or len(node.args) != len(parts):
            return None
        row = _Row(self._reading.code(index), self._reading.code(partition))
        return row if all(self._add_cell(row, element) for element in cells.elements) else None

    def _is_called(self, call: cst.Call, name: str) -> bool:
        return (self._reading.imported_as(call.func) or "").endswith(f".{name}")

    def _add_cell(self, row: _Row, element: cst.BaseDictElement) -> bool:
        if not isinstance(element, cst.DictElement) or not isinstance(element.key, cst.SimpleString):
            return False
        cell = element.value
        if not (isinstance(cell, cst.Call) and self._is_called(cell, "FieldMeta")):
            return False
        dtype, shape = self._argument(cell, "dtype", 1), self._argument(cell, "shape", 2)
        if dtype is None or shape is None:
            return False
        status = self._argument(cell, "production_status", 3)
        known = self._reading.code(status).rpartition(".")[2] if status is not None else "NOT_PRODUCED"
        if known not in _READY:
            return False
        row.ready = row.ready and _READY[known]
        row.cells[self._reading.code(element.key)] = self._reading.code(dtype), self._reading.code(shape)
        return True


def _entry(dtype: str, shapes: Sequence[str]) -> str:
    """A field's entry of a schema, as source code."""
    if len(set(shapes)) == 1:
        return f'{{"dtype": {dtype}, "shape": {shapes[0]}}}'
    return f'{{"dtype": {dtype}, "is_nested": True, "per_sample_shapes": [{", ".join(shapes)}]}}'
