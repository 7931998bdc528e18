"""Reads of rows: ``meta.samples[i].…``, loops and comprehensions over ``meta.samples``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst
from libcst import matchers as m

from transferqueue._row_reads import CELLS, COLUMNS, ROWS
from transferqueue.migrate.edits import Edits
from transferqueue.migrate.reading import Reading, is_constant, is_simple, item_of

__all__ = ["rewrite_rows"]

#: What only rows of the queue have; a bare `samples` may be anybody's.
_TELLING = frozenset({"batch_index", "fields", "get_field_by_name", "global_index", "partition_id"})
_BATCH_MEMBERS = frozenset(
    {"chunk_by_partition", "custom_meta", "extra_info", "field_names", "global_indexes", "partition_ids"}
    | {"add_fields", "get_extra_info", "select_fields", "select_samples", "set_extra_info", "update_extra_info"}
)
_BATCH_MAKERS = frozenset(
    {"BatchMeta", "LegacyBatchMeta", "async_get_meta", "async_kv_retrieve_meta", "get_meta", "kv_retrieve_meta"}
    | {"select_fields", "select_samples"}
)
_BATCH_NAMES = re.compile(r"(^|[._])(batch_?meta|meta|metadata)\d*$")
_CONSUMERS = frozenset({"all", "any", "frozenset", "list", "max", "min", "set", "sorted", "sum", "tuple"})
_READY = re.compile(r"(^|\.)ProductionStatus\.(READY_FOR_CONSUME|NOT_PRODUCED)$")
_COMPREHENSIONS = (cst.ListComp, cst.SetComp, cst.GeneratorExp, cst.DictComp)


def rewrite_rows(reading: Reading, edits: Edits) -> None:
    """Read columns instead of rows, wherever they say the same; mark the rest."""
    _Rows(reading, edits).rewrite()


@dataclass(frozen=True)
class _Read:
    """Something read of a row.

    Attributes
    ----------
    node
        The whole expression.
    template
        The text to write, with ``{m}`` for the batch and ``{i}`` for the row's position.
    column
        The row's attribute, where one column has it.
    """

    node: cst.BaseExpression
    template: str
    column: str | None = None


class _Rows:
    def __init__(self, reading: Reading, edits: Edits) -> None:
        self._reading = reading
        self._edits = edits
        self._given: list[tuple[cst.CSTNode, str]] = []

    def rewrite(self) -> None:
        places = [node for node in self._reading.all(cst.Attribute) if node.attr.value == "samples"]
        batches = set(self._known_batches(places))
        for place in places:
            if self._reading.code(place.value) in batches:
                self._rewrite_place(place)
            elif self._reading.knows_the_queue and not self._reading.is_stored_to(place):
                code = self._reading.code(place)
                self._edits.mark(place, "rows", f"is `{code}` that of a BatchMeta? Then read its columns")

    # --- which `samples` are those of a batch ---

    def _known_batches(self, places: list[cst.Attribute]) -> Iterator[str]:
        code = self._reading.code
        for place in places:
            if self._is_telling(place) or self._is_made(place.value) or _BATCH_NAMES.search(code(place.value)):
                yield code(place.value)
        for node in self._reading.all(cst.Attribute):
            if node.attr.value in _BATCH_MEMBERS:
                yield code(node.value)
        for call in self._reading.all(cst.Call):
            target = self._reading.parent(call)
            target = self._reading.parent(target) if isinstance(target, cst.Await) else target
            if self._is_made(call) and isinstance(target, cst.Assign):
                yield from (code(assigned.target) for assigned in target.targets)
        yield from self._reading.annotated("BatchMeta")

    def _is_made(self, node: cst.BaseExpression) -> bool:
        """Whether it is a call that gives a batch."""
        if not isinstance(node, cst.Call):
            return False
        func = node.func
        return (func.attr.value if isinstance(func, cst.Attribute) else self._reading.code(func)) in _BATCH_MAKERS

    def _is_telling(self, place: cst.Attribute) -> bool:
        """Whether rows of this place are read as those of the queue."""
        around = self._reading.parent(place)
        read = self._reading.parent(around) if isinstance(around, cst.Subscript) else None
        if isinstance(read, cst.Attribute):
            return read.attr.value in _TELLING
        loop = self._loop_over(place)
        if loop is None:
            return False
        names = [name.value for name in self._reading.all(cst.Name, loop.target)]
        subtree = loop if isinstance(loop, cst.For) else self._comprehension_of(loop)
        return any(
            node.attr.value in _TELLING and self._reading.code(node.value) in names
            for node in self._reading.all(cst.Attribute, subtree)
        )

    def _loop_over(self, place: cst.CSTNode) -> cst.For | cst.CompFor | None:
        """The loop whose iterable is, or has as an argument, the place."""
        for around in list(self._reading.ancestors(place))[:3]:
            if isinstance(around, cst.For | cst.CompFor):
                return around if place in (around.iter, *self._reading.all(cst.Attribute, around.iter)) else None
            if not isinstance(around, cst.Arg | cst.Call):
                return None
        return None

    def _comprehension_of(self, loop: cst.CompFor) -> cst.BaseComp:
        return next(node for node in self._reading.ancestors(loop) if isinstance(node, cst.BaseComp))

    # --- one place ---

    def _rewrite_place(self, place: cst.Attribute) -> None:
        if not (self._rewrite_whole(place) or self._rewrite_row(place) or self._rewrite_loop(place)):
            self._give_up(place)

    def _give_up(self, place: cst.Attribute) -> None:
        around = list(self._reading.ancestors(place))
        in_constructor = any(
            isinstance(node, cst.Arg) and m.matches(node, m.Arg(keyword=m.Name("samples"))) for node in around
        )
        compared = isinstance(around[0], cst.Comparison) and self._reading.code(around[0]).endswith(("None",))
        if in_constructor or compared:
            return
        batch = self._reading.code(place.value)
        if isinstance(around[0], cst.Subscript) and item_of(around[0]) is None:
            advice = f"rows by slice are `{batch}[start:stop]`, a BatchMeta"
        elif self._reading.is_stored_to(place) or m.matches(self._reading.parent(place), m.Attribute()):
            advice = f"the rows of `{batch}` can't be changed; see select_samples, concat, add_fields"
        else:
            advice = f"rows leave this place as objects; read the columns of `{batch}` instead"
        self._edits.mark(place, "rows", advice)

    def _rewrite_whole(self, place: cst.Attribute) -> bool:
        """How many rows there are, or whether there are any."""
        batch = self._reading.code(place.value)
        around = self._reading.parent(place)
        if isinstance(around, cst.Arg):
            call = self._reading.parent(around)
            if isinstance(call, cst.Call) and len(call.args) == 1 and self._reading.code(call.func) in ("len", "bool"):
                text = f"{batch}.size" if self._reading.code(call.func) == "len" else f"bool({batch}.size)"
                self._edits.replace((call, text))
                return True
        if m.matches(around, m.Comparison(left=m.DoNotCare(), comparisons=[m.ComparisonTarget(comparator=m.List([]))])):
            assert isinstance(around, cst.Comparison)
            sign = around.comparisons[0].operator
            if around.left is place and isinstance(sign, cst.Equal | cst.NotEqual):
                self._edits.replace((around, f"{batch}.size {'==' if isinstance(sign, cst.Equal) else '!='} 0"))
                return True
        if self._is_condition(place):
            self._edits.replace((place, f"{batch}.size"))
            return True
        return False

    def _is_condition(self, node: cst.CSTNode) -> bool:
        around = self._reading.parent(node)
        if isinstance(around, cst.If | cst.While | cst.IfExp | cst.Assert | cst.CompIf):
            return around.test is node
        if isinstance(around, cst.UnaryOperation):
            return isinstance(around.operator, cst.Not)
        return isinstance(around, cst.BooleanOperation) and self._is_condition(around)

    def _rewrite_row(self, place: cst.Attribute) -> bool:
        """``meta.samples[i]``, read at once or by a name."""
        row = self._reading.parent(place)
        if not (isinstance(row, cst.Subscript) and row.value is place and (index := item_of(row)) is not None):
            return False
        batch = self._reading.code(place.value)
        around = self._reading.parent(row)
        if (
            isinstance(around, cst.Assign)
            and len(around.targets) == 1
            and isinstance(around.targets[0].target, cst.Name)
        ):
            return is_constant(index) and self._rewrite_named_row(around, batch, self._reading.code(index))
        read = self._read_of(row)
        if read is None:
            return False
        twice = read.template.count("{m}") > 1
        if twice and not is_simple(place.value):
            return False
        self._edits.replace((read.node, _filled(read.template, batch, self._reading.code(index))))
        return True

    def _rewrite_named_row(self, assign: cst.Assign, batch: str, index: str) -> bool:
        """``row = meta.samples[0]``: the name goes, where all that is read of it are columns."""
        name = assign.targets[0].target
        statement = self._reading.parent(assign)
        assert isinstance(name, cst.Name)
        block = self._reading.block_of(assign)
        uses = [node for node in self._reading.names_used(block, name.value) if node is not name]
        reads = [self._read_of(use) for use in uses]
        alone = isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1
        suite = self._reading.parent(statement)
        fits = alone and not self._reading.all(cst.Comment, statement) and len(getattr(suite, "body", ())) > 1
        root = re.split(r"[.\[]", batch)[0]
        if not (fits and uses and is_simple(assign.value) and self._is_assigned_once_at_most(block, root)):
            return False
        if any(read is None for read in reads):
            return False
        found = [read for read in reads if read is not None]
        self._edits.remove(statement, *((read.node, _filled(read.template, batch, index)) for read in found))
        return True

    def _is_assigned_once_at_most(self, block: cst.CSTNode, name: str) -> bool:
        stored = [node for node in self._reading.names_used(block, name) if self._reading.is_stored_to(node)]
        return len(stored) <= 1

    # --- what is read of a row ---

    def _read_of(self, row: cst.BaseExpression) -> _Read | None:
        """What is read of a row where it stands; None if it is something else than a value that a column has."""
        read = self._reading.parent(row)
        if not (isinstance(read, cst.Attribute) and read.value is row) or self._reading.is_stored_to(read):
            return None
        name = read.attr.value
        if name in ROWS:
            if name == "custom_meta" and isinstance(self._reading.parent(read), cst.Attribute):
                return None
            return _Read(read, ROWS[name], name if name in COLUMNS else None)
        around = self._reading.parent(read)
        if name in ("has_field", "is_field_ready", "get_field_by_name") and isinstance(around, cst.Call):
            return self._read_by_call(name, around)
        if name == "fields":
            return self._read_of_fields(read, around)
        return None

    def _read_by_call(self, name: str, call: cst.Call) -> _Read | None:
        if len(call.args) != 1:
            return None
        field = self._reading.code(call.args[0].value)
        if name == "has_field":
            return _Read(call, f"({_kept(field)} in {{m}}.field_names)")
        if name == "is_field_ready":
            return _Read(call, f"({_kept(field)} in {{m}}.field_names and bool({{m}}.production_status[{{i}}]))")
        return self._read_of_cell(call, field)

    def _read_of_fields(self, fields: cst.Attribute, around: cst.CSTNode) -> _Read | None:
        if isinstance(around, cst.Subscript) and around.value is fields and (field := item_of(around)) is not None:
            return self._read_of_cell(around, self._reading.code(field))
        if isinstance(around, cst.ComparisonTarget) and isinstance(around.operator, cst.In | cst.NotIn):
            return _Read(fields, "{m}.field_names")
        if isinstance(around, cst.Arg):
            call = self._reading.parent(around)
            if isinstance(call, cst.Call) and self._reading.code(call.func) in (
                "len",
                "list",
                "set",
                "sorted",
                "tuple",
            ):
                return _Read(fields, "{m}.field_names")
        if isinstance(around, cst.For | cst.CompFor) and around.iter is fields:
            return _Read(fields, "{m}.field_names")
        called = self._reading.parent(around)
        if m.matches(around, m.Attribute(attr=m.Name("keys"))) and isinstance(called, cst.Call):
            return _Read(called, "{m}.field_names")
        return None

    def _read_of_cell(self, cell: cst.BaseExpression, field: str) -> _Read | None:
        value = self._reading.parent(cell)
        if not (isinstance(value, cst.Attribute) and value.value is cell) or self._reading.is_stored_to(value):
            return None
        if value.attr.value == "production_status":
            return self._read_of_status(value)
        if value.attr.value == "name" and not re.fullmatch(r"\w+|\"\w*\"|'\w*'", field):
            return None
        template = CELLS.get(value.attr.value)
        return None if template is None else _Read(value, template.replace("{f}", _kept(field)))

    def _read_of_status(self, status: cst.Attribute) -> _Read | None:
        """``… == ProductionStatus.READY_FOR_CONSUME`` and the like."""
        comparison = self._reading.parent(status)
        if not (
            isinstance(comparison, cst.Comparison) and comparison.left is status and len(comparison.comparisons) == 1
        ):
            return None
        against = comparison.comparisons[0]
        which = _READY.search(self._reading.code(against.comparator))
        equal = isinstance(against.operator, cst.Equal | cst.Is)
        if which is None or not (equal or isinstance(against.operator, cst.NotEqual | cst.IsNot)):
            return None
        ready = (which[2] == "READY_FOR_CONSUME") == equal
        return _Read(comparison, "bool({m}.production_status[{i}])" if ready else "(not {m}.production_status[{i}])")

    # --- loops ---

    def _rewrite_loop(self, place: cst.Attribute) -> bool:
        loop = self._loop_over(place)
        if loop is None:
            return False
        subtree = loop if isinstance(loop, cst.For) else self._comprehension_of(loop)
        target, counter = self._targets(loop, place)
        if target is None or not self._is_bound_here_only(target, loop, subtree):
            return False
        uses = [node for node in self._reading.names_used(subtree, target.value) if node is not target]
        reads = [self._read_of(use) for use in uses]
        batch = self._reading.code(place.value)
        if any(read is None for read in reads) or self._is_rebound(batch, subtree):
            return False
        found = [read for read in reads if read is not None]
        return self._rewrite_comprehension(subtree, loop, place, found) or self._rewrite_target(
            loop, place, target, counter, found
        )

    def _targets(self, loop: cst.For | cst.CompFor, place: cst.Attribute) -> tuple[cst.Name | None, cst.Name | None]:
        """The name of the row, and that of its position, if there is one."""
        if loop.iter is place:
            return (loop.target, None) if isinstance(loop.target, cst.Name) else (None, None)
        call = loop.iter
        if not (isinstance(call, cst.Call) and isinstance(loop.target, cst.Tuple)):
            return None, None
        names = [element.value for element in loop.target.elements]
        called = self._reading.code(call.func)
        values = [argument.value for argument in call.args if argument.keyword is None and not argument.star]
        if called == "enumerate" and len(call.args) == 1 and len(names) == 2:
            row, counter = names[1], names[0]
        elif called == "zip" and len(values) == len(names) and place in values:
            row, counter = names[values.index(place)], None
        else:
            return None, None
        return (row if isinstance(row, cst.Name) else None), (counter if isinstance(counter, cst.Name) else None)

    def _is_bound_here_only(self, target: cst.Name, loop: cst.For | cst.CompFor, subtree: cst.CSTNode) -> bool:
        """Whether a loop's name means its row everywhere in the loop, and nothing behind it."""
        inside = self._reading.names_used(subtree, target.value)
        bound = [node for node in inside if node is not target and self._binds(node)]
        if bound or any(parameter.name.value == target.value for parameter in self._reading.all(cst.Param, subtree)):
            return False
        if isinstance(loop, cst.CompFor):
            return True
        outside = set(self._reading.names_used(self._reading.block_of(loop), target.value)) - set(inside)
        return all(self._has_a_loop_of_its_own(node) for node in outside)

    def _binds(self, name: cst.Name) -> bool:
        if self._reading.is_stored_to(name):
            return True
        return any(
            isinstance(around, cst.For | cst.CompFor) and name in self._reading.all(cst.Name, around.target)
            for around in list(self._reading.ancestors(name))[:3]
        )

    def _has_a_loop_of_its_own(self, name: cst.Name) -> bool:
        for around in self._reading.ancestors(name):
            loops: list[cst.For | cst.CompFor] = [around] if isinstance(around, cst.For) else []
            if isinstance(around, cst.BaseComp):
                loops = list(self._reading.all(cst.CompFor, around))
            if any(name.value == node.value for loop in loops for node in self._reading.all(cst.Name, loop.target)):
                return True
        return False

    def _is_rebound(self, batch: str, subtree: cst.CSTNode) -> bool:
        root = re.split(r"[.\[]", batch)[0]
        stored = (node for node in self._reading.names_used(subtree, root) if self._reading.is_stored_to(node))
        return next(stored, None) is not None

    def _rewrite_comprehension(
        self, made: cst.CSTNode, loop: cst.For | cst.CompFor, place: cst.Attribute, reads: list[_Read]
    ) -> bool:
        """A comprehension that is a whole column."""
        if not isinstance(made, cst.ListComp | cst.SetComp | cst.GeneratorExp) or made.for_in is not loop:
            return False
        if loop.iter is not place or loop.ifs or loop.inner_for_in or len(reads) != 1 or reads[0].node is not made.elt:
            return False
        if loop.asynchronous is not None:
            return False
        batch = self._reading.code(place.value)
        argument = self._reading.parent(made)
        call = self._reading.parent(argument) if isinstance(argument, cst.Arg) else None
        called = self._reading.code(call.func) if isinstance(call, cst.Call) and len(call.args) == 1 else ""
        if reads[0].template == ROWS["is_ready"] and called in ("all", "any") and isinstance(call, cst.Call):
            self._edits.replace((call, f"bool({batch}.production_status.{called}())"))
            return True
        if reads[0].column is None:
            return False
        column = COLUMNS[reads[0].column].format(m=batch)
        if isinstance(made, cst.SetComp):
            column = f"set({column})"
        elif isinstance(made, cst.ListComp) and called not in _CONSUMERS:
            column = f"list({column})"
        elif isinstance(made, cst.GeneratorExp) and called not in _CONSUMERS:
            return False
        self._edits.replace((made, column))
        return True

    def _rewrite_target(
        self,
        loop: cst.For | cst.CompFor,
        place: cst.Attribute,
        target: cst.Name,
        counter: cst.Name | None,
        reads: list[_Read],
    ) -> bool:
        """A loop over one column, or else over positions."""
        batch = self._reading.code(place.value)
        columns = {read.column for read in reads}
        if len(columns) == 1 and (column := columns.pop()) is not None:
            name = self._free_name(column, loop)
            uses = [(read.node, name) for read in reads]
            self._edits.replace((place, COLUMNS[column].format(m=batch)), (target, name), *uses)
            return True
        if (counter is None and loop.iter is not place) or not is_simple(place.value):
            return False
        if counter is not None and self._is_rebound(counter.value, loop if isinstance(loop, cst.For) else loop.iter):
            return False
        name = self._free_name("row", loop) if counter is None else counter.value
        uses = [(read.node, _filled(read.template, batch, name)) for read in reads]
        self._edits.replace((loop.iter, f"range({batch}.size)"), (loop.target, name), *uses)
        return True

    def _free_name(self, name: str, loop: cst.For | cst.CompFor) -> str:
        used = {node.value for node in self._reading.names_used(self._reading.block_of(loop))}
        used |= {parameter.name.value for parameter in self._reading.all(cst.Param, self._reading.block_of(loop))}
        here = loop if isinstance(loop, cst.For) else self._comprehension_of(loop)
        around = {here, *self._reading.ancestors(here)}
        used |= {given for place, given in self._given if place in around or here in self._reading.ancestors(place)}
        while name in used:
            name += "_"
        self._given.append((here, name))
        return name


def _kept(field: str) -> str:
    """A field's text, safe from the later filling in."""
    return field.replace("{", "{{").replace("}", "}}")


def _filled(template: str, batch: str, index: str) -> str:
    return template.format(m=batch, i=index)
