"""Rows by key: `KVBatchMeta`, a public name of `transferqueue.meta`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transferqueue import _extra_info, _tags
from transferqueue._arguments import require_iterable, require_mapping, require_names, require_number, require_sized
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, StorageKeyNotFoundError

__all__ = ["KVBatchMeta"]

#: More is a mistake, and would fill the memory with empty batches.
MOST_CHUNKS = 1 << 20


@dataclass
class KVBatchMeta:
    """Who the rows of a batch are, by key.

    Attributes
    ----------
    keys
        str per row; no two equal.
    tags
        dict per row; copied deeply.
    partition_id
        The partition that all rows belong to.
    fields
        Names of the fields that all rows have; None: not known.
    extra_info
        Anything that travels along; copied deeply.

    Raises
    ------
    InvalidArgumentError
        Not one tag per key; a key or a field twice.
    """

    keys: list[str] = field(default_factory=list)
    tags: list[dict[str, Any]] = field(default_factory=list)
    partition_id: str | None = None
    fields: list[str] | None = None
    extra_info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(require_sized("keys", self.keys)) != len(require_sized("tags", self.tags)):
            raise InvalidArgumentError(f"{len(self.keys)} keys, but {len(self.tags)} tags; give one tag per key")
        keys = require_names("keys", self.keys)
        _check_unique("keys", keys)
        if self.fields is not None:
            fields = require_names("fields", require_iterable("fields", self.fields))
            _check_unique("fields", fields)
            self.fields = fields
        if self.partition_id is not None and not isinstance(self.partition_id, str):
            raise InvalidTypeError(f"partition_id: got a {type(self.partition_id).__name__}; give a str or None")
        # Each one by itself: ``[{}] * n`` must become n dicts.
        self.tags = [_copied_tag(tag) for tag in self.tags]
        self.keys = keys
        self.extra_info = copy.deepcopy(dict(require_mapping("extra_info", self.extra_info)))

    @classmethod
    def _of(
        cls, keys: list[str], packed_tags: bytes, partition_id: str | None, fields: list[str] | None
    ) -> KVBatchMeta:
        """Wrap what nobody else holds and what needs no check; the tags are decoded when somebody reads them."""
        made = cls.__new__(cls)
        made.keys, made.partition_id, made.fields, made.extra_info = keys, partition_id, fields, {}
        made.__dict__["_packed_tags"] = packed_tags, len(keys)
        return made

    def __getattr__(self, name: str) -> Any:
        packed = self.__dict__.get("_packed_tags") if name == "tags" else None
        if packed is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        # Two threads may both decode; both get the list that was set first.
        return self.__dict__.setdefault("tags", _tags.decode(*packed))

    def __getstate__(self) -> dict[str, Any]:
        self.tags  # noqa: B018 (decoded now)
        return {name: value for name, value in self.__dict__.items() if name != "_packed_tags"}

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def _rows(self, rows: Iterable[int]) -> KVBatchMeta:
        picked = list(rows)
        return KVBatchMeta(
            keys=[self.keys[row] for row in picked],
            tags=[self.tags[row] for row in picked],
            partition_id=self.partition_id,
            fields=self.fields,
            extra_info=self.extra_info,
        )

    def select_keys(self, keys_to_select: Sequence[str]) -> KVBatchMeta:
        """Some rows, in the order given.

        Raises
        ------
        InvalidArgumentError
            A key twice.
        StorageKeyNotFoundError
            A key that is not in this batch; a RuntimeError, as the peer's.
        """
        keys_to_select = require_names("keys_to_select", keys_to_select)
        if len(set(keys_to_select)) != len(keys_to_select):
            raise InvalidArgumentError(f"select_keys: Contain duplicate keys.: {_first_twice(keys_to_select)!r}")
        places = {key: row for row, key in enumerate(self.keys)}
        missing = [key for key in keys_to_select if key not in places]
        if missing:
            raise StorageKeyNotFoundError(f"select_keys: {missing} not found among the {self.size} keys of this batch")
        return self._rows(places[key] for key in keys_to_select)

    def reorder(self, indexes: Sequence[int]) -> None:
        """Bring the rows in another order, in place.

        Raises
        ------
        InvalidArgumentError
            ``indexes`` is no permutation of the positions.
        """
        order = [require_number("reorder", index, 0) for index in require_iterable("reorder", indexes)]
        if len(order) != self.size:
            raise InvalidArgumentError(f"reorder: {len(order)} positions for {self.size} rows; name each once")
        if sorted(order) != list(range(self.size)):
            raise InvalidArgumentError(f"reorder: positions must be 0 to {self.size - 1}, each once; got {order}")
        self.keys = [self.keys[row] for row in order]
        self.tags = [self.tags[row] for row in order]

    def chunk(self, chunks: int) -> list[KVBatchMeta]:
        """Cut into ``chunks`` batches, the first ``size % chunks`` one row longer; empty ones if there are too few rows.

        Raises
        ------
        InvalidArgumentError
            ``chunks`` is less than 1.
        """
        chunks = require_number("chunk", chunks, 1, MOST_CHUNKS)
        length, longer = divmod(self.size, chunks)
        starts = [length * place + min(place, longer) for place in range(chunks + 1)]
        return [self._rows(range(starts[place], starts[place + 1])) for place in range(chunks)]

    @staticmethod
    def concat(data: Iterable[KVBatchMeta]) -> KVBatchMeta:
        """The rows of several batches of one partition, one after the other; empty batches are left out.

        Raises
        ------
        InvalidArgumentError
            Partitions or fields differ, a key comes twice, or extra_info has conflicting values for an entry.
        """
        batches = list(require_iterable("concat", data))
        for batch in batches:
            if not isinstance(batch, KVBatchMeta):
                raise InvalidTypeError(f"concat: got a {type(batch).__name__}; give KVBatchMetas")
        full = [batch for batch in batches if batch.size]
        info = _extra_info.merged(batch.extra_info or {} for batch in full or batches)
        if not full:
            return KVBatchMeta(extra_info=info)
        first = full[0]
        for place, batch in enumerate(full):
            if batch.partition_id != first.partition_id:
                raise InvalidArgumentError(
                    f"concat: partition {first.partition_id!r} in batch 0, {batch.partition_id!r} in batch {place}"
                )
            if _names(batch) != _names(first):
                raise InvalidArgumentError(
                    f"concat: Field names do not match: {first.fields} in batch 0, {batch.fields} in batch {place}"
                )
        return KVBatchMeta(
            keys=[key for batch in full for key in batch.keys],
            tags=[tag for batch in full for tag in batch.tags],
            partition_id=first.partition_id,
            fields=first.fields,
            extra_info=info,
        )


_IMMUTABLE = frozenset({str, int, float, bool, type(None), bytes})


def _copied_tag(tag: dict[str, Any]) -> dict[str, Any]:
    """A deep copy; of a flat dict, which most tags are, a quick one."""
    if type(tag) is dict and set(map(type, tag.values())) <= _IMMUTABLE:
        return dict(tag)
    if not isinstance(tag, Mapping):
        raise InvalidTypeError(f"tags: {tag!r:.80} is a {type(tag).__name__}; a tag is a dict")
    return copy.deepcopy(dict(tag))


def _names(batch: KVBatchMeta) -> set[str] | None:
    return None if batch.fields is None else set(batch.fields)


def _check_unique(what: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise InvalidArgumentError(f"Got duplicated {what}.: {_first_twice(names)!r} stands twice among {len(names)}")


def _first_twice(names: Sequence[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]


# Where it is public: pickles and reprs name that module.
KVBatchMeta.__module__ = "transferqueue.meta"
