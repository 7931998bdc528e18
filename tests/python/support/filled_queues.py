"""A queue that holds something of everything, and all that can be seen of it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from tensordict import NonTensorStack, TensorDict

from support.columns import rows_of, same_value


def clear(tq: ModuleType) -> None:
    for name in tq.get_client().get_partition_list():
        tq.get_client().clear_partition(name)


def fill(tq: ModuleType) -> dict[str, Any]:
    """Rows of every kind, some consumed, some cleared; all that can be seen of them."""
    clear(tq)
    client = tq.get_client()
    columns = {
        "dense": torch.arange(12.0).reshape(4, 3),
        "scalar": torch.arange(4, dtype=torch.bfloat16),
        "jagged": torch.nested.as_nested_tensor([torch.arange(n) for n in (3, 0, 5, 1)], layout=torch.jagged),
        "text": NonTensorStack("a", "", "é" * 50, "\ud800"),
        "object": NonTensorStack({"x": (1, 2)}, None, [torch.ones(2)], 2**70),
    }
    tq.kv_batch_put(list("zmab"), "p", TensorDict(columns, batch_size=4), [{"i": i, "t": (i,)} for i in range(4)])
    tq.kv_batch_put(["only-tag"], "p", tags=[{"status": "pending"}])
    tq.kv_put("m", "p", {"later": torch.zeros(2)})
    tq.kv_put("x", "emptied", {"y": 1})
    tq.kv_clear(["x"], "emptied")
    tq.kv_clear(["z"], "p")
    client.get_meta(["x"], 3, "inserted", mode="insert")
    client.get_meta(["dense"], 2, "p", task_name="train")
    return look(tq)


def look(tq: ModuleType) -> dict[str, Any]:
    client = tq.get_client()
    seen: dict[str, Any] = {"partitions": client.get_partition_list(), "keys": tq.kv_list(), "order": {}}
    for name in seen["partitions"]:
        keys = list(tq.kv_list(name).get(name, {}))
        seen["order"][name] = keys
        for task in ("train", "other"):
            seen[name, task] = [t.tolist() for t in client.get_consumption_status(task, name)]
        for field in ("dense", "text", "later", "y"):
            status = client.get_production_status([field], name)
            seen[name, field] = None if status[0] is None else [t.tolist() for t in status]
    got = tq.kv_batch_get(["m", "a", "b"], "p", ["dense", "scalar", "jagged", "text", "object"])
    seen["rows"] = {name: rows_of(got.get(name)) for name in sorted(got.keys())}
    return seen


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    rows = all(
        len(a["rows"][name]) == len(b["rows"][name]) and all(map(same_value, a["rows"][name], b["rows"][name]))
        for name in a["rows"] | b["rows"]
    )
    return rows and {k: v for k, v in a.items() if k != "rows"} == {k: v for k, v in b.items() if k != "rows"}


def settled(client: Any) -> int:
    """Bytes in use; what a load replaced is freed bit by bit, behind the answer."""
    used = client.stats()["bytes_used"]
    for _ in range(1000):
        before, used = used, client.stats()["bytes_used"]
        if before == used:
            break
    return int(used)
