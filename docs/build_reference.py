"""Writes docs/api.md from the docstrings: ``python docs/build_reference.py`` (``--check`` only compares)."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import transferqueue

TARGET = Path(__file__).with_name("api.md")
HEAD = """# API reference

Made from the docstrings by `python docs/build_reference.py`; a test compares. The names are those of `transferqueue`.
"""
GROUPS = {
    "Start and stop": ["init", "close", "get_client"],
    "Rows by key": ["kv_put", "kv_batch_put", "kv_batch_get", "kv_batch_get_by_meta", "kv_list", "kv_clear"],
    "The same as coroutines": [
        "async_kv_put",
        "async_kv_batch_put",
        "async_kv_batch_get",
        "async_kv_batch_get_by_meta",
        "async_kv_list",
        "async_kv_clear",
    ],
    "Columns computed where they will be stored": ["loan", "Loan"],
    "Rows that stay in the queue": ["batch", "Batch"],
    "Checkpoints": ["save_checkpoint", "load_checkpoint"],
    "The client": ["TransferQueueClient", "AsyncTransferQueueClient"],
    "Samplers": [
        "BaseSampler",
        "SequentialSampler",
        "GRPOGroupNSampler",
        "RankAwareSampler",
        "SeqlenBalancedSampler",
    ],
    "Batches as a stream": ["StreamingDataset", "StreamingDataLoader"],
    "Metadata": ["BatchMeta", "KVBatchMeta", "LegacyBatchMeta"],
}


def signature(thing: Any) -> str:
    """The call's signature on one line, without quotes around types."""
    try:
        text = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return ""
    return re.sub(r"<object object at 0x[0-9a-f]+>", "...", re.sub(r"'([^']*)'", r"\1", text))


def prose(thing: Any) -> str:
    """A docstring as Markdown: NumPy sections become bold lines, their entries list items."""
    text = re.sub(r"^(\w[\w ]*)\n-{3,}$", r"**\1**\n", inspect.getdoc(thing) or "", flags=re.MULTILINE)
    lines = text.splitlines()
    for at, line in enumerate(lines):
        has_text = at + 1 < len(lines) and lines[at + 1].startswith("    ")
        if line and not line.startswith(" ") and has_text:
            lines[at] = f"- `{line}`"
        elif line.startswith("    "):
            lines[at] = "  " + line.strip()
    return re.sub(r"(^>>> .*\n?(?:^\S.*\n?)*)", r"```pycon\n\1\n```", "\n".join(lines), flags=re.MULTILINE)


def members(owner: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that a class defines itself, or takes from a part in a private module, in order."""
    parts = [base for base in owner.__bases__ if base.__module__ == "transferqueue._checkpoint_work"]
    for name, member in [item for home in (owner, *parts) for item in vars(home).items()]:
        if name.startswith("_"):
            continue
        if isinstance(member, classmethod | staticmethod):
            yield name, member.__func__
        elif inspect.isfunction(member) or isinstance(member, property):
            yield name, member


def entry(name: str) -> Iterator[str]:
    """A name's part of the page."""
    thing = getattr(transferqueue, name)
    yield f"### `{name}`\n"
    if not inspect.isclass(thing):
        yield f"```text\n{name}{signature(thing)}\n```\n"
    yield prose(thing) + "\n"
    if inspect.isclass(thing):
        for member, what in members(thing):
            call = member if isinstance(what, property) else f"{member}{signature(what)}"
            yield f"#### `{name}.{member}`\n\n```text\n{call}\n```\n"
            yield prose(what) + "\n"


def errors() -> Iterator[str]:
    """The error tree."""
    tree = transferqueue.errors
    yield "## Errors\n\nIn `transferqueue.errors`. Each also is the built-in error in brackets.\n"
    for name, thing in vars(tree).items():
        if inspect.isclass(thing) and issubclass(thing, tree.TransferQueueError) and thing.__module__ == tree.__name__:
            bases = ", ".join(base.__name__ for base in thing.__bases__)
            summary = (inspect.getdoc(thing) or "").splitlines()[0]
            yield f"- `{name}` [{bases}]: {summary}"


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for group, names in GROUPS.items():
        lines.append(f"## {group}\n")
        for name in names:
            lines.extend(entry(name))
    lines.extend(errors())
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(
            0
            if TARGET.read_text(encoding="utf-8") == page()
            else "docs/api.md is not up to date: run this without --check"
        )
    TARGET.write_text(page(), encoding="utf-8")
