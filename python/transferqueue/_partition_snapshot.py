"""What the controller knows of a partition at one time, for people and for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transferqueue import _operations

if TYPE_CHECKING:
    from torch import Tensor

    from transferqueue.client import TransferQueueClient


_TRIES = 8


@dataclass(kw_only=True)
class PartitionSnapshot:
    """A partition as it was; a copy, which nothing changes any more.

    Parameters
    ----------
    partition_id
        Its name.
    global_indexes
        Its N rows, ascending; pre-allocated ones included.
    field_names
        Its F fields, in the order of their first put.
    production_status
        int8 [N, F]: 1 where a cell is ready; None without fields.
    consumption_status
        Task → int8 [N]: 1 where the task has consumed the row.
    custom_meta
        Global index → tag, of rows whose tag is not empty.
    keys_mapping
        Key → global index.
    """

    partition_id: str
    global_indexes: list[int]
    field_names: list[str]
    production_status: Tensor | None
    consumption_status: dict[str, Tensor]
    custom_meta: dict[int, dict[str, Any]] = field(default_factory=dict)
    keys_mapping: dict[str, int] = field(default_factory=dict)

    @property
    def field_name_mapping(self) -> dict[str, int]:
        """Field → its column in `production_status`."""
        return {name: column for column, name in enumerate(self.field_names)}

    @property
    def revert_keys_mapping(self) -> dict[int, str]:
        """Global index → key, of rows that have one."""
        return {index: key for key, index in self.keys_mapping.items()}

    @property
    def total_samples_num(self) -> int:
        """N."""
        return len(self.global_indexes)

    @property
    def total_fields_num(self) -> int:
        """F."""
        return len(self.field_names)


def take_snapshot(client: TransferQueueClient, partition_id: str) -> PartitionSnapshot | None:
    """Ask for a partition; None if it is not there. Several requests: others may change it in between.

    They are repeated a few times if rows came or went meanwhile.
    """
    told = {name: (fields, tasks) for name, _, _, fields, tasks in client._send(_operations.metrics())["partitions"]}
    if partition_id not in told:
        return None
    fields, tasks = told[partition_id]
    for _ in range(_TRIES):
        meta = client.get_meta(fields, None, partition_id, mode="force_fetch")
        rows = sorted(meta.global_indexes)
        produced = client.get_production_status(fields, partition_id)
        consumed = {task: client.get_consumption_status(task, partition_id) for task in tasks}
        keys = client.kv_retrieve_keys(rows, partition_id) if rows else []
        seen = [indexes.tolist() for indexes, _ in (produced, *consumed.values()) if indexes is not None]
        if all(indexes == rows for indexes in seen):
            break
    tags = zip(meta.global_indexes, meta.get_all_custom_meta(), strict=True)
    return PartitionSnapshot(
        partition_id=partition_id,
        global_indexes=rows,
        field_names=list(fields),
        production_status=produced[1],
        consumption_status={task: status for task, (_, status) in consumed.items() if status is not None},
        custom_meta={index: tag for index, tag in sorted(tags) if tag},
        keys_mapping={key: index for index, key in zip(rows, keys, strict=True) if key is not None},
    )
