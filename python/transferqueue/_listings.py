"""What a client has listed: the next listing of a partition asks only for what changed since (docs/wire.md, LIST).

An answer that lists everything is kept as it came, packed, until the partition is listed again: who lists once pays nothing for it.
"""

from __future__ import annotations

import itertools
import marshal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from transferqueue import _operations, _tags
from transferqueue._operations import MessageType, Operation
from transferqueue.errors import ProtocolError

if TYPE_CHECKING:
    from transferqueue._core import ReplyMessage

Rows = dict[str, dict[str, Any]]

#: Partitions that are kept, those listed last.
MOST_PARTITIONS = 64

#: Values of a tag that a caller could change, or that hold one.
_CONTAINERS = {list, dict, tuple}


class _Packed(NamedTuple):
    """All keys and tags, as they came."""

    keys: Mapping[str, Any]
    tags: bytes

    def decode(self) -> Rows:
        keys = _operations.unpacked_keys(self.keys)
        return dict(zip(keys, _tags.decode(self.tags, len(keys)), strict=True))


class _Decoded(NamedTuple):
    """All keys and tags, not to be changed; plain: no value of a tag is a container."""

    rows: Rows
    plain: bool

    def copy(self) -> Rows:
        tags = self.rows.values()
        if self.plain:
            return dict(zip(self.rows, map(dict.copy, tags), strict=True))
        # Tags have only types that marshal knows, and it copies them faster than they are decoded. 2: without references.
        return dict(zip(self.rows, marshal.loads(marshal.dumps([*tags], 2)), strict=True))  # noqa: S302 - our own bytes


class Listing:
    """The keys and tags of a partition at some version. Never changes, so threads share it without a lock.

    Attributes
    ----------
    version : int
        The core's number of the state.
    """

    __slots__ = ("_content", "version")

    def __init__(self, version: int, content: _Packed | _Decoded) -> None:
        self.version = version
        self._content = content

    def copy(self) -> Rows:
        """``{key: tag}``, the caller's own."""
        return self._decoded().copy()

    def changed(self, version: int, removed: Sequence[str], rows: Rows) -> Listing:
        """The listing of a later version: without the keys that were removed, then with the rows that came or changed."""
        if not removed and not rows:
            return self if version == self.version else Listing(version, self._content)
        before = self._decoded()
        after = before.rows.copy()
        for key in removed:
            after.pop(key, None)
        after.update(rows)
        return Listing(version, _Decoded(after, before.plain and _is_plain(rows)))

    def _decoded(self) -> _Decoded:
        content = self._content
        if isinstance(content, _Packed):
            rows = content.decode()
            self._content = content = _Decoded(rows, _is_plain(rows))
        return content


def _is_plain(rows: Rows) -> bool:
    values = itertools.chain.from_iterable(map(dict.values, rows.values()))
    return _CONTAINERS.isdisjoint(map(type, values))


class Listings:
    """The listings that a client keeps. Safe in any thread: each answer is applied to the listing that its request named."""

    def __init__(self) -> None:
        self._kept: dict[str, Listing] = {}

    def operation(self, partition_id: str | None) -> Operation[dict[str, Rows]]:
        """All keys with their tags, in the order in which the keys were first put; None: of all partitions."""
        if partition_id is None:
            known = self._kept.copy()
        else:
            _operations.check_name(partition_id, "partition_id")
            found = self._kept.get(partition_id)
            known = {} if found is None else {partition_id: found}

        def read(reply: ReplyMessage) -> dict[str, Rows]:
            return self._read(partition_id, known, reply)

        since = {name: listing.version for name, listing in known.items()}
        header = _operations.pack_header(partition=partition_id, since=since or None)
        return Operation(MessageType.LIST, header, read)

    def _read(self, partition_id: str | None, known: Mapping[str, Listing], reply: ReplyMessage) -> dict[str, Rows]:
        result: dict[str, Rows] = {}
        listings: dict[str, Listing] = {}
        for name, version, keys, tags, removed in _operations.unpacked_header(reply)["partitions"]:
            packed = _Packed(keys, tags)
            if removed is None:
                listings[name] = Listing(version, packed)
                result[name] = packed.decode()
            elif name in known:
                listings[name] = known[name].changed(version, _operations.unpacked_keys(removed), packed.decode())
                result[name] = listings[name].copy()
            else:
                raise ProtocolError(f"LIST: changes of partition {name!r} came, which was not listed before")
        self._keep(listings if partition_id is None else self._others(partition_id) | listings)
        return result

    def _others(self, partition_id: str) -> dict[str, Listing]:
        kept = self._kept.copy()
        kept.pop(partition_id, None)
        return kept

    def _keep(self, listings: dict[str, Listing]) -> None:
        """The last come last, so the first go."""
        beyond = max(0, len(listings) - MOST_PARTITIONS)
        self._kept = dict(itertools.islice(listings.items(), beyond, None))
