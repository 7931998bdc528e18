"""What the tests of files have in common."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from tensordict import TensorDict

MIB = 1 << 20
THRESHOLD = 128 << 10
ROWS = 8
KEYS = [f"k{row}" for row in range(ROWS)]


def conf(path: Path, *, shared: bool = True, capacity_bytes: int = 8 * MIB) -> dict[str, Any]:
    return {
        "backend": {
            "SimpleStorage": {"ssd_offload": {"enabled": True, "path": str(path), "threshold_bytes": THRESHOLD}}
        },
        "transferqueue": {"capacity_bytes": capacity_bytes, "shared_memory": shared},
    }


def offloaded(tq: ModuleType) -> int:
    return int(tq.get_client().stats()["bytes_offloaded"])


def batch(**columns: Any) -> TensorDict:
    return TensorDict(columns, batch_size=ROWS)


def random(row_bytes: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (ROWS, row_bytes), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
