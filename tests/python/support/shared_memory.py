"""What the kernel tells about shared memory: which addresses lie in it, and in which of the two maps."""

from __future__ import annotations

import re
from pathlib import Path

import torch

ARENA = "memfd:transferqueue-arena"
_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) .*? " + r"/?" + re.escape(ARENA))


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
