"""What the kernel, the core and the client tell about shared memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from tensordict import TensorDict

from transferqueue import _core

ARENA = "memfd:transferqueue-arena"
_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) .*? " + r"/?" + re.escape(ARENA))
#: Of the core's counters, those that are 0 when nothing is stored, read or about to be put.
COUNTED = (
    "bytes_used",
    "bytes_on_loan",
    "bytes_quarantined",
    "client_leases",
    "leases",
    "leases_pinned",
    "loans",
    "room_waiting",
)


def arena_maps(pid: int | str = "self") -> list[tuple[int, int, str]]:
    """Begin, end and rights (``rw-p`` for views, ``rw-s`` for copies in) of a process's maps of arenas."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    found = (_LINE.match(line) for line in lines)
    return [(int(match[1], 16), int(match[2], 16), match[3]) for match in found if match]


def lies_in(tensor: torch.Tensor) -> str:
    """The rights of the arena's map in which the tensor's bytes lie, all of them; "" if it is ordinary memory."""
    values = tensor.values() if tensor.is_nested else tensor
    begin = values.data_ptr()
    end = begin + values.nbytes
    return next((rights for low, high, rights in arena_maps() if low <= begin and end <= high), "")


def is_view(tensor: torch.Tensor) -> bool:
    """Whether a fetched tensor lies over shared memory, in the map whose writes nobody else sees."""
    return lies_in(tensor).endswith("p")


def counted(tq: ModuleType) -> dict[str, int]:
    """How much of the core's memory is in use, and by what."""
    stats = tq.get_client().stats()
    return {name: stats[name] for name in COUNTED}


@contextmanager
def client_counts() -> Iterator[dict[str, int]]:
    """What the clients of this process do in the block; filled in at its end."""
    before, done = _core.diagnose(), {}
    yield done
    after = _core.diagnose()
    done.update({name: after[name] - count for name, count in before.items() if isinstance(count, int)})


def batch(rows: int, **columns: Any) -> TensorDict:
    """A batch of the columns."""
    return TensorDict(columns, batch_size=rows)
