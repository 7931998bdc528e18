"""Headers as docs/wire.md, section 3 has them, at random: what Python's msgpack packs and the core must read."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
from hypothesis import strategies as st

FIRST_REPLY = 1000
NONCE, ERROR, BATCH = 2000, 2001, 2002

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
i64 = st.integers(-(2**63), 2**63 - 1)
counts = st.integers(0, 12)
flags = st.booleans()


def header(required: dict[str, Any], optional: dict[str, Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Maps of these entries; an optional one may be nil or absent."""
    chosen = {key: st.none() | value for key, value in (optional or {}).items()}
    return st.fixed_dictionaries(required, optional=chosen)


def binary(count: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=count, max_size=count)


def i64_bin(given: list[int]) -> bytes:
    return np.array(given, "<i8").tobytes()


def numbers(dtype: str, count: int) -> st.SearchStrategy[bytes]:
    return binary(np.dtype(dtype).itemsize * count)


def packed_keys(count: int) -> st.SearchStrategy[dict[str, Any]]:
    key = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
    keys = st.lists(key, min_size=count, max_size=count)
    return keys.map(lambda given: {"n": count, "k": "\0".join(given).encode()})


values = st.recursive(
    st.none() | flags | st.integers(-(2**63), 2**64 - 1) | st.floats() | names | st.binary(max_size=9)
    | st.builds(msgpack.ExtType, st.sampled_from([1, 2]), st.binary(max_size=9)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | st.integers(-9, 9), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


def tags(count: int) -> st.SearchStrategy[bytes]:
    tag = st.dictionaries(names, values, max_size=3)
    return st.lists(tag, min_size=count, max_size=count).map(lambda rows: b"".join(map(msgpack.packb, rows)))


@st.composite
def parts(draw: st.DrawFn, rows: int) -> list[list[Any]]:
    """Runs of `rows` rows; neighbours differ."""
    runs: list[list[Any]] = []
    while rows:
        count = draw(st.integers(1, rows))
        runs.append([f"{draw(names)}{len(runs)}", count])
        rows -= count
    return runs


@st.composite
def columns(draw: st.DrawFn, rows: int) -> tuple[list[list[Any]], list[int]]:
    """Columns of every kind, and the lengths of their frames."""
    found, frames = [], []
    for name in draw(st.lists(names, unique=True, max_size=4)):
        kind, dtype, shape, length = draw(layouts(rows))
        found.append([name, kind, dtype, shape])
        frames.append(length)
    return found, frames


@st.composite
def layouts(draw: st.DrawFn, rows: int, dtype: int | None = None) -> tuple[int, int, list[int], int]:
    kind = draw(st.integers(3, 4) if dtype == -1 else st.integers(0, 4 if dtype is None else 2))
    if kind > 2:
        return kind, -1, [], _start(rows) + draw(counts)
    dtype = draw(st.sampled_from([0, 5, 6, 7, 15])) if dtype is None else dtype
    size = {0: 1, 5: 2, 6: 4, 7: 8, 15: 2}[dtype]
    shape = draw(st.lists(st.integers(0, 5), max_size=3))
    if kind == 0:
        return kind, dtype, shape, rows * size * int(np.prod(shape, dtype=int))
    at = draw(st.integers(0, len(shape)))
    unit = int(np.prod(shape, dtype=int))
    shape = [*shape[:at], -1, *shape[at:]]
    if kind == 1:
        return kind, dtype, shape, _start(rows) + draw(counts) * unit * size
    return kind, dtype, [*shape, -1], _start(rows, len(shape) + 1) + draw(counts) * size


def _start(rows: int, rank: int = 0) -> int:
    return -(-((rows + 1) * 8 + rows * rank * 4) // 64) * 64


@st.composite
def puts(draw: st.DrawFn) -> tuple[dict[str, Any], list[int]]:
    rows = draw(counts)
    described, frames = draw(columns(rows))
    required = {"n": st.just(rows), "columns": st.just(described), "want": st.sampled_from(["none", "kv", "meta"])}
    optional = {"tags": tags(rows)}
    how = draw(st.sampled_from(["keys", "indexes", "insert"]))
    if how == "indexes":
        required |= {"parts": parts(rows), "indexes": numbers("i8", rows)}
        optional |= {"generations": numbers("u4", rows)}
    else:
        required |= {"partition": names}
    if how == "keys":
        required |= {"keys": packed_keys(rows)}
    return draw(header(required, optional)), frames


@st.composite
def selections(draw: st.DrawFn, **more: Any) -> dict[str, Any]:
    rows = draw(counts)
    given = {key: value(rows) if callable(value) else value for key, value in more.items()}
    required = {"parts": parts(rows), "indexes": numbers("i8", rows), **given}
    return draw(header(required, {"generations": numbers("u4", rows)}))


@st.composite
def by_keys(draw: st.DrawFn, **more: Any) -> dict[str, Any]:
    return draw(header({"partition": names, "keys": packed_keys(draw(counts)), **more}))


@st.composite
def get_replies(draw: st.DrawFn) -> tuple[dict[str, Any], list[int]]:
    rows = draw(counts)
    found, frames = [], []
    for name in draw(st.lists(names, unique=True, max_size=3)):
        dtype = draw(st.sampled_from([-1, 6, 7]))
        pieces, end = [], 0
        for _, count in draw(parts(rows)):
            kind, _, shape, length = draw(layouts(count, dtype))
            pieces.append([kind, count, shape, length])
            end = -(-end // 64) * 64 + length
        head = -(-(rows + 1) * 8 // 64) * 64
        if len(pieces) == 1 and pieces[0][0] in (1, 3, 4) and draw(flags):
            found.append([name, dtype, pieces, 2])
            frames += [head, end - head]
        else:
            found.append([name, dtype, pieces])
            frames.append(end)
    return {"n": rows, "columns": found}, frames


@st.composite
def listings(draw: st.DrawFn) -> dict[str, Any]:
    found = []
    for name in draw(st.lists(names, max_size=3)):
        rows = draw(counts)
        removed = draw(st.none() | counts.flatmap(packed_keys))
        found.append([name, draw(st.integers(0, 2**63 - 1)), draw(packed_keys(rows)), draw(tags(rows)), removed])
    return {"partitions": found}


@st.composite
def statuses(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(counts)
    if not rows:
        return {"found": False}
    return {"found": True, "indexes": draw(numbers("i8", rows)), "status": draw(binary(rows * 3))}


@st.composite
def batches(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(counts)
    fields = [draw(_fields(name, rows)) for name in sorted(draw(st.lists(names, unique=True, max_size=4)))]
    some = {"gen": numbers("u4", rows).filter(any), "tags": tags(rows).filter(lambda packed: set(packed) - {0x80})}
    required = {
        "v": st.just(1),
        "n": st.just(rows),
        "gi": numbers("i8", rows),
        "parts": parts(rows),
        "status": st.lists(st.sampled_from([0, 1]), min_size=rows, max_size=rows).map(bytes),
        "fields": st.just(fields),
    }
    return draw(header(required, some if rows else None))


@st.composite
def _fields(draw: st.DrawFn, name: str, rows: int) -> list[Any]:
    how = draw(st.sampled_from(["unknown", "dense", "jagged", "ragged", "object"]))
    if how == "unknown":
        return [name, None, None, 0, None]
    if how == "object":
        return [name, -1, draw(st.sampled_from([None, []])), 2, None]
    shape = draw(st.lists(st.integers(0, 9), max_size=3))
    if how == "dense":
        return [name, 6, shape, draw(st.sampled_from([0, 1])), None]
    shape = [-1, *shape] if how == "jagged" else [-1, *shape, -1]
    per_row = 1 if how == "jagged" else len(shape)
    sizes = st.lists(st.integers(0, 9), min_size=rows * per_row, max_size=rows * per_row)
    return [name, 7, shape, 1, draw(st.none() | sizes.map(lambda given: np.array(given, "<i4").tobytes()))]


limit_names = [
    "header_bytes",
    "frames",
    "frame_bytes",
    "payload_bytes",
    "nesting",
    "name_bytes",
    "key_bytes",
    "dimensions",
    "rows",
]
hello_reply = header(
    {
        "server": names,
        "core_pid": st.integers(0, 2**31 - 1),
        "epoch": i64,
        "shared": flags,
        "limits": st.fixed_dictionaries({name: st.integers(0, 2**63 - 1) for name in limit_names}),
        "units": st.integers(0, 2**31 - 1),
        "capacity_bytes": st.integers(0, 2**63 - 1),
        "polling_mode": flags,
    }
)
u64_bins = st.lists(st.integers(0, 2**64 - 1), max_size=9).map(lambda given: np.array(given, "<u8").tobytes())
found = header({"found": flags})
amounts = st.integers(0, 2**63 - 1)
paths = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20).map(
    lambda text: f"/{text}"
)
counters = st.dictionaries(names, i64, max_size=20)
meta = header({"meta": st.binary(max_size=40)})


def metrics_replies() -> st.SearchStrategy[Any]:
    count = st.integers(0, 2**63 - 1)
    operation = st.tuples(st.integers(0, 2**16 - 1), count, count, count, count, numbers("i8", 11)).map(list)
    partition = st.tuples(
        names, count, count, st.lists(names, max_size=3), st.dictionaries(names, i64, max_size=3)
    ).map(list)
    required = dict.fromkeys(("uptime_ms", "next_index", "free_indexes", "stored_rows"), count)
    lists = {"operations": st.lists(operation, max_size=3), "partitions": st.lists(partition, max_size=3)}
    return header(required | lists, {"row_capacity": count})


#: Type → headers, or pairs of a header and the lengths of its frames.
DOCUMENTS: dict[int, st.SearchStrategy[Any]] = {
    1: header({"client": binary(16), "pid": st.integers(0, 2**31 - 1), "package": names}, {"token_proof": st.binary()}),
    2: header({}),
    3: header({"client": binary(16), "nonce": binary(32), "mac": binary(32)}),
    10: puts(),
    11: by_keys(strict=flags, fields=st.lists(names, max_size=4)) | selections(strict=flags) | by_keys(strict=flags),
    12: header(
        {"partition": names, "fields": st.lists(names, max_size=4), "mode": st.sampled_from(["fetch", "insert", "force_fetch"])},
        {"batch_size": st.integers(0, 2**24), "task": names, "sampling": tags(1), "wait_ms": st.integers(0, 2**31 - 1)},
    ),
    13: by_keys(create=flags),
    14: counts.flatmap(lambda rows: header({"partition": names, "indexes": numbers("i8", rows)})),
    15: header({}, {"partition": names, "since": counters}),
    16: by_keys(),
    17: selections(),
    18: header({"partition": names}),
    19: selections(tags=tags, replace=flags),
    20: header({"partition": names, "fields": st.lists(names, max_size=4)}, {"check": st.just(True)}),
    21: header({"partition": names, "task": names}, {"check": st.just(True)}),
    22: header({"partition": names}, {"task": names}),
    23: header({}),
    24: header({}),
    25: counts.flatmap(lambda rows: header({"partition": names, "indexes": numbers("i8", rows)})),
    26: header({}),
    30: header({"known": st.integers(0, 2**31 - 1)}),
    31: header({"bytes": st.lists(st.integers(1 << 16, 1 << 40), min_size=1, max_size=9).map(i64_bin)}),
    32: header({}, {"leases": u64_bins, "loans": u64_bins, "replies": u64_bins}),
    33: header({"leases": u64_bins}),
    40: header(
        {"token": st.binary(), "number": st.integers(0, 2**63 - 1)},
        {"sampled": numbers("i8", 3), "consumed": numbers("i8", 2), "error": names, "state": st.binary(max_size=9)},
    ),
    41: header({"name": names, "arguments": counters}, {"token": st.binary()}),
    50: header(
        {"action": st.sampled_from([half + rest for half in ("save", "load") for rest in ("", "_controller", "_storage")]), "path": paths},
        {"metadata": names},
    ),
    51: header({"job": st.integers(0, 2**63 - 1)}, {"cancel": st.just(True)}),
    FIRST_REPLY + 1: hello_reply,
    FIRST_REPLY + 2: header({}),
    FIRST_REPLY + 10: meta | header({}) | header({"tags": st.binary(max_size=20), "fields": st.lists(names, max_size=4)}),
    FIRST_REPLY + 11: get_replies(),
    FIRST_REPLY + 12: meta,
    FIRST_REPLY + 14: header({"found": flags, "keys": st.lists(st.none() | names, max_size=9)}),
    FIRST_REPLY + 15: listings(),
    FIRST_REPLY + 16: header({"rows": st.integers(0, 2**63 - 1)}),
    FIRST_REPLY + 18: found,
    FIRST_REPLY + 20: statuses(),
    FIRST_REPLY + 21: header({"all": flags}),
    FIRST_REPLY + 23: header({"partitions": st.lists(names, max_size=9)}),
    FIRST_REPLY + 24: counters,
    FIRST_REPLY + 25: header({"tags": st.binary(max_size=20)}),
    FIRST_REPLY + 26: metrics_replies(),
    FIRST_REPLY + 40: header(
        {"number": st.integers(0, 2**63 - 1), "batch_size": counts, "ready": numbers("i8", 5)},
        {"partition": names, "task": names, "sampling": st.binary(max_size=9), "action": names, "state": st.binary(max_size=9)},
    ),
    FIRST_REPLY + 30: header({"segments": st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(1, 2**63 - 1)).map(list), max_size=4)}),
    FIRST_REPLY + 31: header({"loan": st.integers(1, 2**63 - 1), "places": u64_bins}),
    FIRST_REPLY + 32: header({}),
    FIRST_REPLY + 33: header({}),
    FIRST_REPLY + 41: header({}),
    FIRST_REPLY + 50: header({"job": st.integers(0, 2**63 - 1)}),
    FIRST_REPLY + 51: header({"done": flags, "bytes": amounts, "total": amounts}, {"note": names}),
    NONCE: header({"nonce": binary(32)}),
    ERROR: header({"kind": st.integers(0, 19), "message": names, "details": st.dictionaries(names, i64 | names, max_size=5)}),
    BATCH: batches(),
}  # fmt: skip
