"""Columns that are computed where they will be stored: room in shared memory first, then the values, then the put.

``docs/memory.md`` tells who may touch which memory when.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from transferqueue import _operations, _session
from transferqueue._operations import Operation
from transferqueue.errors import InvalidArgumentError
from transferqueue.meta import KVBatchMeta

if TYPE_CHECKING:
    import torch

    from transferqueue._core import Frame
    from transferqueue._tensors import LoanedColumn
    from transferqueue.client import TransferQueueClient

#: Bytes from which on a column has pages of its own in shared memory.
PLACED_BYTES = 64 << 10


def loan(
    partition_id: str,
    keys: list[str] | str,
    schema: Mapping[str, Sequence[Any]],
    *,
    timeout_s: float | None = None,
) -> Loan:
    r"""Return tensors in shared memory to compute into; ``commit()`` puts them without a copy.

    Parameters
    ----------
    partition_id : str
        The partition; made by the commit if it is not there.
    keys : list of str
        The rows, B of them, each once.
    schema : dict
        For every field ``(dtype, shape)``, `shape` being that of one row: a tensor [B, \*shape]. Or
        ``(dtype, (-1, *rest), lengths)`` with B lengths: a jagged tensor, row i of shape [lengths[i], \*rest].
    timeout_s : float, optional
        Seconds to wait for room; default that of the client.

    Returns
    -------
    Loan
        Its values are not initialized, as those of ``torch.empty``. Columns below 64 KiB lie in ordinary memory, and so do
        all where the core is on another host or shared memory is switched off; they are copied by the commit.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        The schema or the keys can't be.
    StorageFullError
        No room by the deadline; the message says who holds it.

    Examples
    --------
    >>> a, b = torch.full((2, 4), 3.0), torch.full((2, 4), 2.0)
    >>> with loan("train", ["k1", "k2"], {"x": (torch.float32, (4,))}) as room:
    ...     _ = torch.mul(a, b, out=room["x"])
    >>> kv_batch_get("k2", "train")["x"][0]
    tensor([6., 6., 6., 6.])
    """
    from transferqueue import _tensors

    client = _session.client()
    _operations.check_name(partition_id, "partition_id")
    rows = _operations.check_keys(keys, unique=True)
    _operations.packed_keys(rows)  # refuses what a commit would refuse
    columns = _tensors.loaned_columns(schema, len(rows))
    return Loan(client, partition_id, rows, columns, timeout_s)


class Loan:
    """Room for B rows: tensors to compute into, by field.

    Ends by `commit`, by `give_back`, or when it and its tensors are dropped. A context manager: it commits at the end of the
    block, and gives back if an exception leaves it. Not for several threads at once.
    """

    def __init__(
        self,
        client: TransferQueueClient,
        partition_id: str,
        keys: list[str],
        columns: list[LoanedColumn],
        timeout_s: float | None,
    ) -> None:
        self._client = client
        self._partition = partition_id
        self._keys = keys
        self._columns = columns
        self._ended = ""
        large = [column for column in columns if column.frame_bytes >= PLACED_BYTES]
        frames = client._reserve([column.frame_bytes for column in large], timeout_s) if large else []
        placed = {column.name: frame for column, frame in zip(large, frames, strict=False)}
        self._memory: list[Frame | _OrdinaryMemory] = [
            placed.get(column.name) or _OrdinaryMemory(column.frame_bytes) for column in columns
        ]
        self._tensors = {
            column.name: column.lay_over(memory.owner) for column, memory in zip(columns, self._memory, strict=True)
        }

    def keys(self) -> list[str]:
        """The fields."""
        return list(self._tensors)

    def __getitem__(self, name: str) -> torch.Tensor:
        """The tensor of a field."""
        self._require_open("read")
        try:
            return self._tensors[name]
        except KeyError:
            raise InvalidArgumentError(f"loan: no field {name!r}; it has {', '.join(self._tensors)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._keys)

    def commit(self, tags: list[dict[str, Any]] | None = None, *, timeout_s: float | None = None) -> KVBatchMeta:
        """Put the tensors, and empty them: they have no elements afterwards, since their memory is the queue's now.

        A view that somebody still holds (a row in a variable, an array) could write to that memory; such a column is
        copied, and its room comes back when the view is gone. The loan has ended also if the put is refused.

        Parameters
        ----------
        tags : list of dict, optional
            B dicts, merged into the rows' tags.
        timeout_s : float, optional
            Seconds to wait; default that of the client.

        Returns
        -------
        KVBatchMeta
            As of `kv_batch_put`.

        Raises
        ------
        InvalidArgumentError
            The loan has ended.
        SchemaMismatchError
            A column's dtype differs from what the field holds; nothing was written.
        """
        return self._client._send(self._committed(tags), timeout_s)

    async def async_commit(
        self, tags: list[dict[str, Any]] | None = None, *, timeout_s: float | None = None
    ) -> KVBatchMeta:
        """`commit` as a coroutine."""
        return await self._client._send_async(self._committed(tags), timeout_s)

    def give_back(self) -> None:
        """End the loan without a put; the tensors are emptied. Again, or after a commit: nothing happens."""
        if not self._ended:
            self._end("given back")

    def _require_open(self, what: str) -> None:
        if self._ended:
            raise InvalidArgumentError(
                f"loan of {len(self._keys)} rows for partition {self._partition!r}: {what} after it was {self._ended};"
                " ask for a new loan"
            )

    def _committed(self, tags: list[dict[str, Any]] | None) -> Operation[KVBatchMeta]:
        """End the loan by a put, which owns the memory from here on."""
        from transferqueue import _tensors

        self._require_open("commit")
        _operations.packed_tags(tags, len(self._keys))  # what is wrong with them leaves the loan open
        memory = self._end("committed")
        cut = ((_halves if frame.is_viewed else _whole)(frame, at) for at, frame in enumerate(memory))
        segments = array("q", itertools.chain.from_iterable(cut))
        packed = _tensors.Packed([column.descriptor for column in self._columns], segments, list(memory))
        return _operations.kv_put(self._keys, self._partition, packed, tags)

    def _end(self, how: str) -> list[Frame | _OrdinaryMemory]:
        self._ended = how
        self._tensors.clear()
        for column in self._columns:
            column.empty()
        memory, self._memory = self._memory, []
        return memory

    def __enter__(self) -> Loan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.give_back()
        elif not self._ended:
            self.commit()

    async def __aenter__(self) -> Loan:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.give_back()
        elif not self._ended:
            await self.async_commit()

    def __repr__(self) -> str:
        fields = ", ".join(column.name for column in self._columns)
        return f"Loan({len(self._keys)} rows of {self._partition!r}: {fields}; {self._ended or 'open'})"


class _OrdinaryMemory:
    """A frame in memory of this process alone; a view of it that somebody keeps harms nobody."""

    is_viewed = False

    def __init__(self, length: int) -> None:
        import numpy as np

        self.owner = np.empty(length, np.uint8)
        self.address = self.owner.ctypes.data
        self.length = length


def _whole(frame: Frame | _OrdinaryMemory, at: int) -> Sequence[int]:
    """A put's frame as one segment."""
    return frame.address, frame.length, at


def _halves(frame: Frame | _OrdinaryMemory, at: int) -> Sequence[int]:
    """The same as two segments: then it is copied, also where it is loaned."""
    first = frame.length // 2
    return frame.address, first, at, frame.address + first, frame.length - first, at
