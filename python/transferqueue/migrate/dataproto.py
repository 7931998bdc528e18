"""verl's DataProto: what it is used for, and what to write instead. Marked, never changed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from transferqueue.migrate.edits import Edits
from transferqueue.migrate.reading import Reading

__all__ = ["dataproto_places", "mark_dataproto"]

_NAME = re.compile(r"(^|\.)DataProto$")
_PUT = "kv_batch_put(keys, partition_id, fields=TensorDict({...}, batch_size=n)): tensors and objects alike are columns"
_FUNCTIONS = {
    "from_dict": _PUT,
    "from_single_dict": _PUT,
    "from_tensordict": "kv_batch_put(keys, partition_id, fields=tensordict)",
    "concat": "KVBatchMeta.concat(metas): the rows stay where they are",
    "load_from_disk": "load_checkpoint(folder)",
    "pad_dataproto_to_divisor": "put padding rows under keys of their own, with a tag that says so",
    "unpad_dataproto": "leave out the keys of the padding rows",
}
_MEMBERS = {
    "batch": "kv_batch_get(keys, partition_id, select_fields=[...]): a TensorDict of the columns asked for",
    "non_tensor_batch": "kv_batch_get: columns of objects are columns like the others",
    "meta_info": "KVBatchMeta.extra_info",
    "select": "kv_batch_get(..., select_fields=[...])",
    "select_idxs": "KVBatchMeta.select_keys(keys)",
    "slice": "kv_batch_get(keys[start:stop], ...)",
    "pop": "kv_batch_get(..., select_fields=[...]), then pop from the TensorDict",
    "rename": "kv_batch_put the column under its new name",
    "union": "kv_batch_put(keys, partition_id, fields=more): new columns of the same rows",
    "chunk": "KVBatchMeta.chunk(chunks)",
    "split": "kv_batch_get of slices of the keys",
    "reorder": "KVBatchMeta.reorder(indexes)",
    "repeat": "put the repeated rows under keys of their own",
    "make_iterator": "StreamingDataLoader, or kv_batch_get of slices of the keys",
    "to_tensordict": "kv_batch_get gives a TensorDict",
    "save_to_disk": "save_checkpoint(folder)",
}


def mark_dataproto(reading: Reading, edits: Edits) -> None:
    """Mark each use of a DataProto with its like here."""
    for node, advice in dataproto_places(reading):
        edits.mark(node, "dataproto", advice)


def dataproto_places(reading: Reading) -> Iterator[tuple[cst.CSTNode, str]]:
    """Where a file uses a DataProto, and what does the same here."""
    if "DataProto" not in reading.text and "_dataproto" not in reading.text:
        return
    values = set(_values(reading))
    for node in reading.all(cst.Attribute):
        owner, member = reading.code(node.value), node.attr.value
        if _NAME.search(owner) and member in _FUNCTIONS:
            yield node, _FUNCTIONS[member]
        elif owner in values and member in _MEMBERS:
            yield node, _MEMBERS[member]
    for call in reading.all(cst.Call):
        name = reading.code(call.func).rpartition(".")[2]
        if name.endswith("_dataproto") or name.startswith("pad_dataproto"):
            yield call, _FUNCTIONS.get(name, _PUT)
        elif name == "DataProto":
            yield call, _PUT


def _values(reading: Reading) -> Iterator[str]:
    """Names of variables that hold a DataProto, as far as the file says."""
    yield from reading.annotated("DataProto")
    for assign in reading.all(cst.Assign):
        if re.match(r"(\w+\.)*DataProto(\.\w+)?\(", reading.code(assign.value)):
            yield from (reading.code(target.target) for target in assign.targets)
