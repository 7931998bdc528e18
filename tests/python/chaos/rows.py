"""Rows that tell themselves what they must be: each field follows from one number, and that from the row's key and a version."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDict

ROWS = 64  # of a partition
WIDE = 2048  # int64: 16 KiB in a row
KEYS = [f"k{row}" for row in range(ROWS)]
FIELDS = ["seed", "wide", "ragged"]


def seeds_of(rows: Sequence[int], chance: random.Random) -> torch.Tensor:
    """A new version's number for each row, from which its index can be told."""
    return chance.randrange(1 << 40) * ROWS + torch.tensor(rows)


def wide_of(seeds: torch.Tensor) -> torch.Tensor:
    """Int64 [B, WIDE]."""
    return seeds[:, None] * 1_000_003 + torch.arange(WIDE)


def lengths_of(seeds: torch.Tensor) -> torch.Tensor:
    """Int64 [B]: the ragged rows' lengths."""
    return 500 + seeds // ROWS % 1000


def ragged_of(seeds: torch.Tensor) -> torch.Tensor:
    """Int32, the rows' values side by side."""
    lengths = lengths_of(seeds)
    ends = lengths.cumsum(0)
    place = torch.arange(int(ends[-1])) - (ends - lengths).repeat_interleave(lengths)
    return ((seeds.repeat_interleave(lengths) * 31 + place) % (1 << 31)).int()


def batch_of(seeds: torch.Tensor) -> TensorDict:
    """What a put brings."""
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths_of(seeds).cumsum(0)])
    ragged = torch.nested.nested_tensor_from_jagged(ragged_of(seeds), offsets)
    return TensorDict({"seed": seeds, "wide": wide_of(seeds), "ragged": ragged}, batch_size=len(seeds))


def wrong_rows(got: Any, asked: Sequence[int]) -> list[str]:
    """What is not as some put brought it, in a reply to rows asked for by index; rows that are not there were left out."""
    seeds = got["seed"]
    found = (seeds % ROWS).tolist()
    rest = iter(asked)
    wrong = [] if all(row in rest for row in found) else [f"rows {found} came, asked were {list(asked)}"]
    return wrong + wrong_values(seeds, got["wide"], got["ragged"])


def wrong_values(seeds: torch.Tensor, wide: torch.Tensor, ragged: torch.Tensor) -> list[str]:
    """Which rows of which field do not follow from the rows' numbers."""
    bad = (wide != wide_of(seeds)).any(1).nonzero().flatten().tolist()
    wrong = [f"wide: row {row} of {len(seeds)}, seed {int(seeds[row])}: {wide[row, :3].tolist()}..." for row in bad]
    values = ragged.values() if ragged.is_nested else ragged.flatten()
    lengths = ragged.offsets().diff() if ragged.is_nested else torch.full((len(seeds),), ragged.shape[1])
    if not torch.equal(lengths, lengths_of(seeds)):
        return [*wrong, f"ragged: lengths {lengths.tolist()}, seeds {seeds.tolist()}"]
    if not torch.equal(values, ragged_of(seeds)):
        wrong.append(f"ragged: values of seeds {seeds.tolist()}")
    return wrong
