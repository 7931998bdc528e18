"""Laws that hold for whatever code comes: what is made compiles, and is not changed again."""

from __future__ import annotations

import ast
import textwrap

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from transferqueue.migrate.rewriting import UnreadableError, rewrite

#: Without shrinking: a round of rules takes long enough for it to take minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
BATCHES = st.sampled_from(["meta", "self.batch_meta", "output", 'metas["a"]', "get_meta()", "dataset"])
ROWS = st.sampled_from(["s", "row", "global_index"])
FIELDS = st.sampled_from(['"x"', "name", 'f"{name}"', "names[0]"])
READS = st.sampled_from(
    [
        "{r}.global_index",
        "{r}.partition_id",
        "{r}.is_ready",
        "{r}.custom_meta",
        "{r}.batch_index",
        "{r}.fields[{f}].shape",
        "{r}.fields[{f}].dtype[0]",
        "{r}.fields[{f}].production_status == ProductionStatus.READY_FOR_CONSUME",
        "{r}.fields.items()",
        "({f} in {r}.fields)",
        "{r}.has_field({f})",
        "use({r})",
    ]
)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 1) -> str:
    batch, row, read = draw(BATCHES), draw(ROWS), draw(READS)
    field = draw(FIELDS)
    index = "0" if depth == 0 or draw(st.booleans()) else draw(expressions(depth=depth - 1))
    of_row = read.format(r=row, f=field)
    form = draw(st.integers(0, 8))
    return [
        read.format(r=f"{batch}.samples[{index}]", f=field),
        f"[{of_row} for {row} in {batch}.samples]",
        f"sorted({of_row} for {row} in {batch}.samples if {row}.is_ready)",
        f"{{{row}.global_index: {of_row} for i, {row} in enumerate({batch}.samples)}}",
        f"len({batch}.samples)",
        f"({batch}.samples == [] or not {batch}.samples)",
        f"BatchMeta(samples={batch}.samples, extra_info={{}})",
        f"all({row}.is_ready for {row} in {batch}.samples)",
        f"[({of_row}, t.global_index) for {row} in {batch}.samples for t in {batch}.samples[{index}:]]",
    ][form]


@st.composite
def statements(draw: st.DrawFn, depth: int = 1) -> str:
    inner = st.lists(statements(depth=depth - 1), min_size=1, max_size=2) if depth else st.just(["pass"])
    body = textwrap.indent("\n".join(draw(inner)), "    ")
    row, batch, value = draw(ROWS), draw(BATCHES), draw(expressions())
    form = draw(st.integers(0, 9))
    return [
        f"x = {value}",
        f"for {row} in {batch}.samples:\n{body}",
        f"for i, {row} in enumerate({batch}.samples):  # each\n{body}",
        f"if {batch}.samples:\n{body}\nelif {value}:\n{body}\nelse:\n{body}",
        f"{row} = {batch}.samples[0]\nprint({row}.global_index, {row}.fields)",
        f"@decorated({value})\ndef f({row}=None):\n    # of rows\n{body}\n    return {row}",
        "import transfer_queue as tq; tq.metadata.BatchMeta(samples=[])",
        "from transfer_queue import BatchMeta, TransferQueueController",
        f"print({row}.global_index); {batch}.samples.append({value})",
        f"with open({value}) as file:\n{body}",
    ][form]


@given(st.lists(statements(), min_size=1, max_size=4), st.booleans(), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=20, deadline=None, phases=PHASES)
def test_what_is_made_compiles_and_stays(parts: list[str], imported: bool, end: str) -> None:
    head = "import transfer_queue\nfrom transfer_queue.metadata import BatchMeta, SampleMeta\n" if imported else ""
    text = (head + "\n".join(parts) + "\n").replace("\n", end)
    ast.parse(text)
    made = rewrite(text)
    ast.parse(made.text)
    assert rewrite(made.text) == made
    assert made.text.count("\n") == made.text.count(end)
    if imported:
        assert "transfer_queue.metadata" not in made.text


@given(st.text(alphabet="transfer_queue.samples import from as()[]:=\n \t#\"'", max_size=60))
@settings(max_examples=40, deadline=None, phases=PHASES)
def test_noise_is_refused_or_rewritten(noise: str) -> None:
    text = f"import transfer_queue\n{noise}"
    try:
        made = rewrite(text)
    except UnreadableError:
        return
    ast.parse(made.text)
    assert rewrite(made.text) == made
