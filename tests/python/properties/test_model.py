"""A queue behaves as a dict of rows does: random calls against a model."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tensordict import NonTensorStack, TensorDict

from support.columns import rows_of, same_value
from support.strategies import tensor_of
from transferqueue import BatchMeta, errors

KEYS = [*"abcdefghij"]
FIELDS = {"t": "text", "x": torch.float32, "y": torch.int64, "z": torch.bfloat16}
TASKS = ["first", "second"]
_numbers = itertools.count()

some_keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=5, unique=True)
some_fields = st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=3, unique=True)
some_tags = st.dictionaries(st.sampled_from("uvw"), st.integers(0, 9) | st.text(max_size=3), max_size=2)


class Row:
    """A row of the model."""

    def __init__(self) -> None:
        self.cells: dict[str, Any] = {}
        self.tag: dict[str, Any] = {}
        self.consumed: set[str] = set()


class QueueModel(RuleBasedStateMachine):
    """One partition. Rows are listed in the order in which they were made; those without key have None."""

    tq: Any

    @initialize()
    def begin(self) -> None:
        self.client = self.tq.get_client()
        for name in self.client.get_partition_list():
            self.client.clear_partition(name)
        self.partition = f"m{next(_numbers)}"
        self.rows: dict[str, Row] = {}
        self.exists = False
        self.seed = 0

    # ---- what a put brings -------------------------------------------------------------------------------------------------

    def columns(self, count: int, fields: list[str], shapes: list[int]) -> tuple[TensorDict, list[dict[str, Any]]]:
        columns: dict[str, Any] = {}
        cells: list[dict[str, Any]] = [{} for _ in range(count)]
        for name in fields:
            rows: list[Any] = []
            for row in range(count):
                self.seed += 1
                extent = shapes[(row + len(name)) % len(shapes)]
                kind = FIELDS[name]
                rows.append(f"{self.seed}ü" * extent if kind == "text" else tensor_of(kind, [extent, 2], self.seed))
            uniform = kind != "text" and len({row.shape for row in rows}) == 1
            columns[name] = torch.stack(rows) if uniform else NonTensorStack(*rows)
            for cell, row in zip(cells, rows, strict=True):
                cell[name] = row
        return TensorDict(columns, batch_size=count), cells

    def write(self, key: str, cells: dict[str, Any], tag: dict[str, Any]) -> None:
        row = self.rows.setdefault(key, Row())
        row.cells |= cells
        row.tag |= tag
        self.exists = True

    def common(self, keys: list[str]) -> list[str]:
        return sorted(set.intersection(*(set(self.rows[key].cells) for key in keys)))

    # ---- rules -------------------------------------------------------------------------------------------------------------

    @rule(
        keys=some_keys, fields=some_fields, shapes=st.lists(st.integers(0, 3), min_size=1, max_size=3), data=st.data()
    )
    def put(self, keys: list[str], fields: list[str], shapes: list[int], data: st.DataObject) -> None:
        columns, cells = self.columns(len(keys), fields, shapes)
        tags = data.draw(st.none() | st.lists(some_tags, min_size=len(keys), max_size=len(keys)))
        meta = self.tq.kv_batch_put(keys, self.partition, columns, tags)
        for at, key in enumerate(keys):
            self.write(key, cells[at], tags[at] if tags else {})
        assert meta.fields == self.common(keys)
        assert meta.tags == [self.rows[key].tag for key in keys]

    @rule(key=st.sampled_from(KEYS), tag=some_tags)
    def put_tag(self, key: str, tag: dict[str, Any]) -> None:
        assert self.tq.kv_put(key, self.partition, tag=tag).tags == [self.rows.get(key, Row()).tag | tag]
        self.write(key, {}, tag)

    @rule(keys=some_keys, fields=some_fields)
    def put_by_meta(self, keys: list[str], fields: list[str]) -> None:
        known = [key for key in keys if key in self.rows]
        if not known:
            return
        columns, cells = self.columns(len(known), fields, [2])
        meta = self.client.kv_retrieve_meta(known, self.partition)
        self.client.put(columns, metadata=meta)
        for key, cell in zip(known, cells, strict=True):
            self.write(key, cell, {})

    @rule(keys=some_keys)
    def refused_put(self, keys: list[str]) -> None:
        """A type that contradicts a field is refused as a whole, if the field is there."""
        if not any("x" in row.cells for row in self.rows.values()):
            return
        wrong = TensorDict(
            {"x": torch.zeros(len(keys), dtype=torch.int8), "t": NonTensorStack(*"q" * len(keys))}, len(keys)
        )
        with pytest.raises(errors.SchemaMismatchError):
            self.tq.kv_batch_put(keys, self.partition, wrong, [{"u": "wrong"}] * len(keys))

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=8), fields=st.none() | some_fields)
    def get(self, keys: list[str], fields: list[str] | None) -> None:
        known = [key for key in keys if key in self.rows]
        there = {name for row in self.rows.values() for name in row.cells}
        wanted = self.common(known) if known and fields is None else sorted(set(fields or []) & there)
        refused = not known or (fields is None and not wanted) or not set(wanted) <= set(self.common(known))
        if refused:
            with pytest.raises(ValueError, match="not"):
                self.tq.kv_batch_get(keys, self.partition, fields)
            return
        got = self.tq.kv_batch_get(keys, self.partition, fields)
        assert sorted(got.keys()) == wanted
        for name in wanted:
            self.expect_cells(got, name, known)

    def expect_cells(self, got: TensorDict, name: str, keys: list[str]) -> None:
        rows = rows_of(got.get(name))
        assert len(rows) == len(keys)
        assert all(map(same_value, rows, [self.rows[key].cells[name] for key in keys])), name

    @rule(task=st.sampled_from(TASKS), fields=some_fields, count=st.integers(1, 4))
    def fetch(self, task: str, fields: list[str], count: int) -> None:
        ready = {key for key, row in self.rows.items() if set(fields) <= set(row.cells) and task not in row.consumed}
        if len(ready) < count:
            with pytest.raises(TimeoutError):
                self.client.get_meta(fields, count, self.partition, task_name=task, timeout_s=0.001)
            return
        meta = self.client.get_meta(fields, count, self.partition, task_name=task, timeout_s=0.001)
        keys = self.client.kv_retrieve_keys(meta.global_indexes, self.partition)
        assert len(set(keys)) == count
        assert set(keys) <= ready
        for key in keys:
            self.rows[key].consumed.add(task)
        got = self.client.get_data(meta)
        for name in fields:
            self.expect_cells(got, name, keys)

    @rule(task=st.none() | st.sampled_from(TASKS))
    def reset(self, task: str | None) -> None:
        self.client.reset_consumption(self.partition, task)
        for row in self.rows.values():
            row.consumed -= {task} if task else set(TASKS)

    @rule(keys=some_keys)
    def clear_keys(self, keys: list[str]) -> None:
        self.tq.kv_clear(keys, self.partition)
        for key in keys:
            self.rows.pop(key, None)

    @rule(keys=some_keys)
    def clear_samples(self, keys: list[str]) -> None:
        meta = self.client.kv_retrieve_meta(keys, self.partition)
        self.client.clear_samples(meta)
        for key in keys:
            self.rows.pop(key, None)
        self.client.clear_samples(meta)
        if meta.size and meta.field_names:
            with pytest.raises(errors.StaleBatchError):
                self.client.get_data(meta)

    @rule()
    def clear_all(self) -> None:
        self.client.clear_partition(self.partition)
        self.rows.clear()
        self.exists = False

    # ---- what always holds -------------------------------------------------------------------------------------------------

    @invariant()
    def lists_what_there_is(self) -> None:
        listed = self.tq.kv_list(self.partition)
        assert listed == ({self.partition: {key: row.tag for key, row in self.rows.items()}} if self.exists else {})
        assert list(listed.get(self.partition, {})) == list(self.rows)

    @invariant()
    def metas_say_what_there_is(self) -> None:
        if not self.exists:
            return
        meta: BatchMeta = self.client.get_meta(sorted(FIELDS), None, self.partition, mode="force_fetch")
        assert (
            sorted(self.client.kv_retrieve_keys(meta.global_indexes, self.partition)) == sorted(self.rows)
            if self.rows
            else meta.size == 0
        )
        for task in TASKS:
            _, status = self.client.get_consumption_status(task, self.partition)
            assert int(status.sum()) == sum(task in row.consumed for row in self.rows.values())

    @invariant()
    def keeps_no_bytes_of_nothing(self) -> None:
        if not self.rows:
            assert self.client.stats()["bytes_used"] == 0


@pytest.mark.parametrize("seed_of", ["short runs", "long runs"])
def test_a_queue_behaves_as_its_model(tq, seed_of):
    QueueModel.tq = tq
    examples, steps = (40, 12) if seed_of == "short runs" else (10, 80)
    run_state_machine_as_test(
        QueueModel,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert tq.get_client().stats()["faults"] == 0
