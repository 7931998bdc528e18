"""What a sampler of the user's own sees of the partition that it picks from."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from transferqueue import _tags
from transferqueue.server.plain_wire import CONSUMPTION_STATUS, PRODUCTION_STATUS, TAGS, PlainWire

if TYPE_CHECKING:
    import numpy as np


class PartitionView:
    """A partition, to be looked at: each call asks the core how things are now.

    Attributes
    ----------
    partition_id : str
        Its name.
    """

    def __init__(self, wire: PlainWire, partition_id: str) -> None:
        self._wire = wire
        self.partition_id = partition_id

    def __repr__(self) -> str:
        return f"PartitionView({self.partition_id!r})"

    def get_custom_meta(self, global_indexes: Iterable[int]) -> dict[int, dict[str, Any]]:
        """The tags of rows, by global index.

        Parameters
        ----------
        global_indexes
            Rows; one that is not there any more has an empty tag, as one without a tag.
        """
        rows = array("q", global_indexes)
        packed = self._wire.call(TAGS, partition=self.partition_id, indexes=rows.tobytes())["tags"]
        return dict(zip(rows.tolist(), _tags.decode(packed, len(rows)), strict=True))

    def get_consumption_status(self, task_name: str) -> tuple[np.ndarray, np.ndarray]:
        """Which rows a task has consumed.

        Returns
        -------
        tuple of ndarray
            The partition's global indexes, int64[N], ascending; 1 or 0 for each, int8[N].
        """
        answer = self._wire.call(CONSUMPTION_STATUS, partition=self.partition_id, task=task_name)
        return read_status(answer, None)

    def get_production_status_for_fields(self, field_names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Which rows are ready in which fields.

        Returns
        -------
        tuple of ndarray
            The partition's global indexes, int64[N], ascending; 1 or 0 for each, int8[N, fields], in the order asked for.
            Both empty if the partition has not all of these fields.
        """
        answer = self._wire.call(PRODUCTION_STATUS, partition=self.partition_id, fields=list(field_names))
        return read_status(answer, len(field_names))


def read_status(answer: dict[str, Any], fields: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The arrays of an answer; one column without fields."""
    import numpy as np

    indexes = np.frombuffer(answer.get("indexes") or b"", "<i8")
    status = np.frombuffer(answer.get("status") or b"", np.int8)
    return indexes, status if fields is None else status.reshape(len(indexes), fields if len(indexes) else 0)
