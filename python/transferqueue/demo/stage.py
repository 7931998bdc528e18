"""One process's side of the queue: the handful of calls that every stage makes, counted for the view."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

import transferqueue as tq
from transferqueue.demo.settings import PROGRESS, SAMPLES, Settings
from transferqueue.errors import NotReadyError

if TYPE_CHECKING:
    from tensordict import TensorDict, TensorDictBase
    from torch import Tensor

#: Seconds that one request waits for rows; how soon a waiting stage notices that it shall stop.
PATIENCE_S = 0.5


class Flag(Protocol):
    """What a stage asks whether to stop; an Event of threading or multiprocessing."""

    def is_set(self) -> bool:
        """Whether to stop."""


class StoppedError(Exception):
    """The run is over; raised inside a stage that waits for rows."""


class Stage:
    """Takes rows from the queue, gives columns to it, and tells how much.

    Parameters
    ----------
    name : str
        The role; also the name of the task under which its rows count as consumed.
    settings : Settings
    stopping : Flag
        Set by the parent when the run is over.
    """

    def __init__(self, name: str, settings: Settings, stopping: Flag) -> None:
        self.name, self.settings = name, settings
        self._stopping = stopping
        self._client = tq.get_client()
        self._figures: dict[str, str | int | float] = {"rows": 0, "bytes": 0, "done": 0}

    def take(self, fields: list[str], rows: int, partition: str = SAMPLES, task: str | None = None) -> tq.BatchMeta:
        """Wait for `rows` rows that have all `fields` and that `task` (this stage) has not had yet."""
        while not self._stopping.is_set():
            try:
                return self._client.get_meta(
                    data_fields=fields,
                    batch_size=rows,
                    partition_id=partition,
                    task_name=task or self.name,
                    wait_s=PATIENCE_S,
                )
            except NotReadyError:
                continue
        raise StoppedError

    def get(self, rows: tq.BatchMeta) -> TensorDict:
        """The columns of `rows`."""
        columns: TensorDict = self._client.get_data(rows)
        self._count(columns)
        return columns

    def put(self, rows: tq.BatchMeta, **columns: Tensor) -> None:
        """Add `columns` to rows that are in the queue already."""
        from tensordict import TensorDict

        batch = TensorDict(columns, batch_size=rows.size)
        self._client.put(batch, metadata=rows)
        self._count(batch)

    def put_new(self, keys: list[str], partition: str, tag: dict[str, int] | None = None, **columns: Tensor) -> None:
        """Put new rows, named by `keys`, each with the tag `tag`."""
        from tensordict import TensorDict

        batch = TensorDict(columns, batch_size=len(keys))
        tags = None if tag is None else [tag] * len(keys)
        tq.kv_batch_put(keys=keys, partition_id=partition, fields=batch, tags=tags)
        self._count(batch)

    def report(self, done: int = 0, **figures: str | float) -> None:
        """Tell the view: `done` more rows are through this stage; other figures replace their last value.

        The report is a tag of the row that bears this stage's name: the view lists them, and fetches nothing.
        """
        self._figures.update(figures)
        self._figures["done"] = int(self._figures["done"]) + done
        self._figures["time"] = time.time()
        tq.kv_put(key=self.name, partition_id=PROGRESS, tag=dict(self._figures))

    def _count(self, columns: TensorDictBase) -> None:
        self._figures["rows"] = int(self._figures["rows"]) + len(columns)
        self._figures["bytes"] = int(self._figures["bytes"]) + sum(map(_bytes_of, columns.values()))


def _bytes_of(column: Any) -> int:
    parts = (column.values(), column.offsets()) if column.is_nested else (column,)
    return sum(int(part.nbytes) for part in parts)
