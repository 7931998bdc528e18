"""The batches that workloads move."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import NonTensorStack, TensorDict

#: Which lengths a column of a trajectory has (of prompt, response or both), and its dtype.
TRAJECTORY_COLUMNS = {
    "input_ids": ("whole", torch.int64),
    "attention_mask": ("whole", torch.int64),
    "position_ids": ("whole", torch.int64),
    "prompts": ("prompt", torch.int64),
    "responses": ("response", torch.int64),
    "response_mask": ("response", torch.int64),
    "old_log_probs": ("response", torch.float32),
    "ref_log_probs": ("response", torch.float32),
    "values": ("response", torch.float32),
    "advantages": ("response", torch.float32),
    "returns": ("response", torch.float32),
}


def keys_of(rows: int, prefix: str = "k") -> list[str]:
    """Names of rows."""
    return [f"{prefix}{row}" for row in range(rows)]


def uniform(rows: int = 1024, fields: int = 9, width: int = 8192) -> TensorDict:
    """Dense float32 columns: B rows of `width` numbers."""
    return TensorDict({f"f{i}": torch.randn(rows, width) for i in range(fields)}, batch_size=rows)


def wide(rows: int = 4096, fields: int = 32, width: int = 16) -> TensorDict:
    """Many narrow int64 columns."""
    return TensorDict({f"f{i:02}": torch.randint(0, 99, (rows, width)) for i in range(fields)}, batch_size=rows)


def trajectories(rows: int = 512, longest_prompt: int = 384, longest_response: int = 1800) -> TensorDict:
    """Trajectories of an RL batch: 11 jagged columns with three kinds of lengths, a scalar, two texts and an object; 36 MB for 512 rows."""
    generator = torch.Generator().manual_seed(0)
    prompt = torch.randint(longest_prompt // 3, longest_prompt, (rows,), generator=generator)
    response = torch.randint(longest_response // 6, longest_response, (rows,), generator=generator)
    lengths = {"prompt": prompt, "response": response, "whole": prompt + response}
    offsets = {name: torch.cat([torch.zeros(1, dtype=torch.int64), each.cumsum(0)]) for name, each in lengths.items()}
    fields: dict[str, Any] = {}
    name: str
    for name, (kind, dtype) in TRAJECTORY_COLUMNS.items():
        values = torch.arange(int(offsets[kind][-1]), dtype=dtype)
        fields[name] = torch.nested.nested_tensor_from_jagged(values, offsets[kind])
    fields["reward"] = torch.rand(rows, generator=generator)
    fields["uid"] = NonTensorStack(*[f"row-{row}" for row in range(rows)])
    fields["raw_prompt"] = NonTensorStack(*[f"what is {row}? " * 20 for row in range(rows)])
    fields["extra_info"] = NonTensorStack(*[{"turns": row % 7, "tools": ["search", "run"]} for row in range(rows)])
    return TensorDict(fields, batch_size=rows)


def rows_of(batch: TensorDict) -> list[dict[str, Any]]:
    """The rows as an agent loop puts them: dicts of tensors and objects that share no memory."""
    columns: dict[str, Any] = {}
    names = [str(name) for name in batch.keys()]  # noqa: SIM118 - a TensorDict iterates over rows
    for name in names:
        column = batch.get(name)
        is_tensor = isinstance(column, torch.Tensor)
        columns[name] = [row.clone() for row in column.unbind()] if is_tensor else column.tolist()
    return [{name: column[row] for name, column in columns.items()} for row in range(len(batch))]


def fifteen_fields() -> dict[str, Any]:
    """One row of fifteen small tensors."""
    return {f"f{i:02}": torch.arange(16, dtype=torch.float32) for i in range(15)}
