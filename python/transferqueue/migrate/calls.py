"""Calls that have no like here: marked, with what to write instead."""

from __future__ import annotations

import libcst as cst

from transferqueue.migrate.edits import Edits
from transferqueue.migrate.reading import OURS, PEERS, Reading

__all__ = ["mark_calls"]

_CLIENTS = ("AsyncTransferQueueClient", "TransferQueueClient")


def mark_calls(reading: Reading, edits: Edits) -> None:
    """Mark what starts the peer by hand, and the tag calls of older versions."""
    if not reading.knows_the_queue:
        return
    for call in reading.all(cst.Call):
        name = call.func.attr.value if isinstance(call.func, cst.Attribute) else ""
        given = {argument.keyword.value for argument in call.args if argument.keyword is not None}
        if name == "initialize_storage_manager":
            edits.mark(call, "start", "leave this out: init(conf) has the storage ready for every client")
        elif name == "set_custom_meta" and len(call.args) == 2 and "timeout_s" not in given:
            edits.mark(
                call, "tags", "one dict per row: meta.update_custom_meta([{...}, ...]), in the order of the rows"
            )
        elif (
            name == "update_custom_meta"
            and len(call.args) == 1
            and isinstance(call.args[0].value, cst.Dict | cst.DictComp)
        ):
            edits.mark(call, "tags", "one dict per row, in the order of meta.global_indexes, instead of one by index")
        elif _makes_a_client(reading, call) and "connection" not in given and (given or len(call.args) == 2):
            edits.mark(call, "start", "init(conf), then get_client(): one client serves all threads and loops")


def _makes_a_client(reading: Reading, call: cst.Call) -> bool:
    path = reading.imported_as(call.func) or ""
    return path.partition(".")[0] in (OURS, PEERS) and path.rpartition(".")[2] in _CLIENTS
