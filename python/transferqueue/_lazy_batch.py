"""A batch of rows that stay in the queue until a column is read.

``b["x"]`` fetches one column with one request and keeps it; ``b["y"] = t`` puts one. Selecting fields, slicing and splitting fetch
nothing. The rows are fixed when the batch is made: rows put later are not in it, and reading a cleared row raises StaleBatchError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from transferqueue import _operations, _session
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, StorageKeyNotFoundError
from transferqueue.meta import BatchMeta, KVBatchMeta

if TYPE_CHECKING:
    import torch
    from tensordict import TensorDict

    from transferqueue.client import TransferQueueClient

_MISSING = object()


def batch(source: str | BatchMeta | KVBatchMeta, keys: list[str] | str | None = None) -> Batch:
    """Return a lazy view of rows: ``batch("train", keys=[…])`` or ``batch(meta)``.

    Parameters
    ----------
    source : str, BatchMeta or KVBatchMeta
        A partition, with `keys`; or metadata that names the rows.
    keys : list of str, optional
        The rows of the partition, default all of them. Unknown keys are an error here: a batch has exactly the rows asked for.

    Raises
    ------
    StorageKeyNotFoundError
        A key is not in the partition.
    """
    client = _session.client()
    if isinstance(source, BatchMeta):
        if keys is not None:
            raise InvalidArgumentError("batch: both a BatchMeta and keys given; the meta names the rows already")
        return Batch(source, client)
    if isinstance(source, KVBatchMeta):
        if keys is not None or source.partition_id is None:
            raise InvalidArgumentError(
                "batch: a KVBatchMeta names its rows itself; it needs a partition_id and takes no keys"
            )
        partition, keys = source.partition_id, source.keys
    elif isinstance(source, str):
        partition = source
    else:
        raise InvalidTypeError(f"batch: {type(source).__name__} given; give a partition, a BatchMeta or a KVBatchMeta")
    names = _named_or_all(client, keys, partition)
    if not names:
        return Batch(BatchMeta.empty(), client)
    return Batch(_complete_meta(client, names, partition), client)


def _named_or_all(client: TransferQueueClient, keys: list[str] | str | None, partition: str) -> list[str]:
    if keys is None:
        return list(client.kv_list(partition).get(partition, {}))
    return _operations.check_keys(keys, unique=False)


def _complete_meta(client: TransferQueueClient, keys: list[str], partition: str) -> BatchMeta:
    meta = client.kv_retrieve_meta(keys, partition)
    if meta.size != len(keys):
        known = set(client.kv_list(partition).get(partition, {}))
        missing = [key for key in keys if key not in known]
        raise StorageKeyNotFoundError(
            f"partition {partition!r}: {len(missing)} of {len(keys)} keys not found: {missing[:5]}"
        )
    return meta


class Batch:
    """Rows in the queue that read like a TensorDict.

    Not for several threads at once. Columns that were read are kept until they are written through this batch; what other processes
    write later is seen by a new batch.
    """

    def __init__(self, meta: BatchMeta, client: TransferQueueClient, fields: Sequence[str] | None = None) -> None:
        self._meta = meta
        self._client = client
        self._fields = list(meta.field_names) if fields is None else list(fields)
        self._columns: dict[str, TensorDict] = {}

    # -- what it is, without a request --------------------------------------------------------------------------------

    @property
    def meta(self) -> BatchMeta:
        """The rows, as metadata; not to be changed."""
        return self._meta

    @property
    def batch_size(self) -> torch.Size:
        """``torch.Size([B])``."""
        import torch

        return torch.Size([self._meta.size])

    @property
    def shape(self) -> torch.Size:
        """The same as `batch_size`."""
        return self.batch_size

    def __len__(self) -> int:
        return self._meta.size

    def keys(self) -> list[str]:
        """The fields, sorted."""
        return sorted(self._fields)

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def select(self, *names: str) -> Batch:
        """The same rows with these fields only; fetches nothing.

        Raises
        ------
        StorageKeyNotFoundError
            The batch has no such field.
        """
        for name in names:
            self._check_field(name)
        narrowed = Batch(self._meta, self._client, names)
        narrowed._columns = {name: self._columns[name] for name in names if name in self._columns}
        return narrowed

    def split(self, size: int) -> list[Batch]:
        """Batches of `size` rows, the last one of what is left; fetches nothing."""
        if size < 1:
            raise InvalidArgumentError(f"split: {size} rows given; give at least 1")
        return [self[start : start + size] for start in range(0, len(self), size)]

    # -- reading -------------------------------------------------------------------------------------------------------

    @overload
    def __getitem__(self, index: slice | Sequence[int]) -> Batch: ...

    @overload
    def __getitem__(self, index: int) -> TensorDict: ...

    @overload
    def __getitem__(self, index: str) -> Any: ...

    def __getitem__(self, index: Any) -> Any:
        """A column (str), one row as a TensorDict (int), or a batch of fewer rows (slice, list of int)."""
        if isinstance(index, str):
            return self._column(index)[index]
        if isinstance(index, int):
            return self._row(index)
        if isinstance(index, slice):
            return self._rows(range(len(self))[index])
        return self._rows([int(position) for position in index])

    def __iter__(self) -> Iterator[TensorDict]:
        return iter(self.to_tensordict())

    def get(self, name: str, default: Any = _MISSING) -> Any:
        """The column as it is stored in a TensorDict: a NonTensorStack stays one."""
        if name not in self._fields:
            if default is _MISSING:
                self._check_field(name)
            return default
        return self._column(name).get(name)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Pairs of field and column; fetches what was not read yet with one request."""
        self._fetch(self.keys())
        return ((name, self.get(name)) for name in self.keys())

    def values(self) -> Iterator[Any]:
        """The columns, in the order of `keys`."""
        return (column for _, column in self.items())

    def to_tensordict(self) -> TensorDict:
        """All columns as a TensorDict; fetches what was not read yet with one request."""
        from tensordict import TensorDict

        columns = dict(self.items())
        return TensorDict(columns, batch_size=self.batch_size)

    # -- writing -------------------------------------------------------------------------------------------------------

    def __setitem__(self, name: str, column: Any) -> None:
        self.update({name: column})

    def set(self, name: str, column: Any) -> Batch:
        """Put one column; returns the batch."""
        return self.update({name: column})

    def update(self, columns: Mapping[str, Any]) -> Batch:
        """Put several columns with one request; all of them become visible in one step."""
        from tensordict import TensorDict

        data = TensorDict(dict(columns.items()), batch_size=self.batch_size)
        written = [str(name) for name in data.keys()]  # noqa: SIM118 - a TensorDict iterates over rows
        self._client.put(data, metadata=self._meta.copy())
        for name in written:
            self._columns.pop(name, None)
            if name not in self._fields:
                self._fields.append(name)
        return self

    # -- inside --------------------------------------------------------------------------------------------------------

    def _check_field(self, name: str) -> None:
        if name not in self._fields:
            raise StorageKeyNotFoundError(
                f"batch of {len(self)} rows: no field {name!r}; it has {', '.join(self.keys())}"
            )

    def _column(self, name: str) -> TensorDict:
        self._check_field(name)
        self._fetch([name])
        return self._columns[name]

    def _fetch(self, names: Iterable[str]) -> None:
        wanted = [name for name in names if name not in self._columns]
        if not wanted:
            return
        fetched = self._client._send(_operations.get(self._meta, fields=wanted, allow_pickle=self._client.allow_pickle))
        for name in wanted:
            self._columns[name] = fetched.select(name)

    def _rows(self, positions: Iterable[int]) -> Batch:
        return Batch(self._meta.select_samples(list(positions)), self._client, self._fields)

    def _row(self, position: int) -> TensorDict:
        if not -len(self) <= position < len(self):
            raise IndexError(f"batch of {len(self)} rows: no row {position}")
        return self._rows([position % len(self)]).to_tensordict()[0]

    def __repr__(self) -> str:
        read = sorted(self._columns)
        return f"Batch(rows={len(self)}, fields={self.keys()}, read={read})"
