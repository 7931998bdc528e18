"""Random programs over rows compute the same after they were rewritten to columns."""

from __future__ import annotations

import warnings
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from transferqueue import BatchMeta, LegacyBatchMeta
from transferqueue.legacy import ProductionStatus
from transferqueue.migrate.rewriting import rewrite

SCHEMA = {
    "x": {"is_nested": True, "shape": None, "dtype": None, "per_sample_shapes": None},
    "y": {"dtype": None, "shape": None},
}
BATCHES = st.sampled_from(["meta", "self.meta", 'metas["a"]'])
INDEXES = st.sampled_from(["0", "-1", "i", "i - 1", "len(meta.samples) - 1"])
READS = st.sampled_from(
    [
        "{r}.global_index",
        "{r}.partition_id",
        "({r}.partition_id, {r}.global_index)",
        "{r}.is_ready",
        "{r}.fields[name].dtype",
        '{r}.fields["y"].shape',
        '{r}.get_field_by_name("x").is_ready',
        '{r}.fields["y"].production_status != ProductionStatus.READY_FOR_CONSUME',
        "(name in {r}.fields, {r}.has_field('z'), len({r}.fields))",
        "{r}.is_field_ready('z') or {r}.is_field_ready(name)",
        "[key for key in sorted({r}.fields.keys())]",
    ]
)


@st.composite
def statements(draw: st.DrawFn) -> str:
    batch, read, again = draw(BATCHES), draw(READS), draw(READS)
    index, row = draw(INDEXES), draw(st.sampled_from(["s", "row", "global_index"]))
    of_row = read.format(r=row)
    made = [
        f"found.append({read.format(r=f'{batch}.samples[{index}]')})",
        f"found.append([{of_row} for {row} in {batch}.samples])",
        f"found.append(sorted({row}.global_index for {row} in {batch}.samples if {row}.is_ready))",
        f"found.append({{{row}.global_index: {of_row} for {row} in {batch}.samples}})",
        f'found.append([({of_row}, {again.format(r="t")}) for {row} in {batch}.samples for t in metas["a"].samples])',
        f"for {row} in {batch}.samples:\n        found.append({of_row})\n        found.append({again.format(r=row)})",
        f"for i, {row} in enumerate({batch}.samples):\n        found.append((i, {of_row}))",
        f"for {row}, k in zip({batch}.samples, 'ab'):\n        found.append((k, {row}.partition_id))",
        f"first = {batch}.samples[0]\n    found.append({read.format(r='first')})",
        f"if {batch}.samples and not {batch}.samples == []:\n        found.append(len({batch}.samples))",
        f"found.append(all({row}.is_ready for {row} in {batch}.samples))",
        f"found.append({{{row}.partition_id for {row} in {batch}.samples}})",
    ]
    return made[draw(st.integers(0, len(made) - 1))]


class Holder:
    """Something with a batch as an attribute."""

    def __init__(self, meta: Any) -> None:
        self.meta = meta


def run(text: str, *, legacy: bool) -> Any:
    columns = BatchMeta([4, 9, 7], ["p", "q", "p"], SCHEMA, [1, 0, 1])
    meta = LegacyBatchMeta(columns) if legacy else columns
    names: dict[str, Any] = {"ProductionStatus": ProductionStatus}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if legacy else "error", DeprecationWarning)
        exec(text, names)
        return names["compute"](Holder(meta), meta, {"a": meta}, "x", 1)


@given(st.lists(statements(), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_columns_compute_what_rows_did(parts: list[str]) -> None:
    body = "".join(f"    {part}\n" for part in parts)
    text = f"from transferqueue import BatchMeta\n\n\ndef compute(self, meta, metas, name, i):\n    found = []\n{body}    return found\n"
    made = rewrite(text)
    # A name for a row that is read under the same name elsewhere is left; all else is rewritten.
    assert {rule for _, rule, _ in made.marks} <= {"rows"}
    if not made.marks:
        assert ".samples" not in made.text
    assert run(made.text, legacy=False) == run(text, legacy=True)
