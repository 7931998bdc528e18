"""Figures of the inline lane: columns cross a Unix socket between this process and the sidecar.

    python benchmarks/inline_lane.py [--json FILE]

Every figure is the median of warm repetitions in one run, beside memcpy of the same bytes measured in the same run. The first, cold
repetition is told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tensordict import NonTensorStack, TensorDict

import transferqueue as tq


def timed(call: Callable[[], Any], repetitions: int) -> tuple[float, float]:
    """Return (first, median of the others) in milliseconds."""
    times = []
    for _ in range(repetitions + 1):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1e3)
    return times[0], statistics.median(times[1:])


def memcpy_ms(size: int) -> float:
    """Milliseconds of a warm copy of `size` bytes."""
    source, target = torch.ones(size, dtype=torch.uint8), torch.zeros(size, dtype=torch.uint8)
    return timed(lambda: target.copy_(source), 7)[1]


def uniform() -> TensorDict:
    """1024 rows, 9 fields of 8192 float32: 302 MB."""
    return TensorDict({f"f{i}": torch.randn(1024, 8192) for i in range(9)}, batch_size=1024)


def trajectories(rows: int = 512, longest: int = 1600) -> TensorDict:
    """512 trajectories: 11 jagged columns, one scalar, three of text and objects."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(longest // 4, longest, (rows,), generator=generator)
    fields: dict[str, Any] = {}
    for i in range(11):
        dtype = torch.int64 if i % 2 else torch.float32
        values = torch.zeros(int(lengths.sum()), dtype=dtype)
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        fields[f"jagged{i}"] = torch.nested.nested_tensor_from_jagged(values, offsets)
    fields["reward"] = torch.rand(rows)
    fields["uid"] = NonTensorStack(*[f"row-{i}" for i in range(rows)])
    fields["prompt"] = NonTensorStack(*["what is " + str(i) * 20 for i in range(rows)])
    fields["extra"] = NonTensorStack(*[{"turns": i, "tools": ["a", "b"]} for i in range(rows)])
    return TensorDict(fields, batch_size=rows)


def column_bytes(data: TensorDict) -> int:
    """Bytes of the tensors of a batch."""
    total = 0
    for name in data.keys():  # noqa: SIM118 - a TensorDict iterates over rows
        column = data.get(name)
        if isinstance(column, torch.Tensor):
            values = column.values() if column.is_nested else column
            total += values.numel() * values.element_size()
    return total


def put_and_get(name: str, data: TensorDict, repetitions: int) -> dict[str, Any]:
    """Put a batch over the same keys again and again, and get it."""
    keys = [f"k{i}" for i in range(data.batch_size[0])]
    put = timed(lambda: tq.kv_batch_put(keys, name, data), repetitions)
    get = timed(lambda: tq.kv_batch_get(keys, name), repetitions)
    tq.kv_clear(keys, name)
    size = column_bytes(data)
    copy = memcpy_ms(size)
    return {
        "megabytes": round(size / 1e6, 1),
        "memcpy_ms": round(copy, 2),
        "put_cold_ms": round(put[0], 2),
        "put_ms": round(put[1], 2),
        "put_over_memcpy": round(put[1] / copy, 2),
        "get_cold_ms": round(get[0], 2),
        "get_ms": round(get[1], 2),
        "get_over_memcpy": round(get[1] / copy, 2),
    }


def latencies() -> dict[str, float]:
    """Milliseconds of one-row calls, p50 of 500."""
    row = {f"f{i}": torch.zeros(16) for i in range(15)}
    tag = {"status": "running", "step": 3}
    return {
        "tag_put_ms": round(timed(lambda: tq.kv_put("t", "small", tag=tag), 500)[1], 3),
        "put_15_fields_ms": round(timed(lambda: tq.kv_put("r", "small", row), 500)[1], 3),
        "get_1_field_ms": round(timed(lambda: tq.kv_batch_get("r", "small", "f0"), 500)[1], 3),
    }


def resident_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def processes() -> dict[str, float]:
    """Resident memory of the sidecar's processes and of this one, before any column was put."""
    found = {"client": resident_mb(os.getpid())}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            for word in words:
                if word.startswith(b"transferqueue.server.") or word == b"serve":
                    found[word.decode()] = resident_mb(int(entry.name))
    return found


def attach_s() -> float:
    """Seconds from `init` to the first answer in a second process that has imported the package."""
    code = (
        "import time, transferqueue as tq; begin = time.perf_counter(); tq.init(); tq.kv_list(); "
        "print(time.perf_counter() - begin)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return round(float(done.stdout), 2)


def main() -> None:
    """Run all and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    begin = time.perf_counter()
    tq.init()
    first = time.perf_counter() - begin
    tq.kv_list()
    call = time.perf_counter() - begin - first
    result = {
        "machine": {
            "cpus": os.cpu_count(),
            "processor": platform.processor() or platform.machine(),
            "kernel": platform.release(),
        },
        "first_init_s": round(first, 2),
        "first_call_s": round(call, 2),
        "attach_s": attach_s(),
        "resident_mb": processes(),
        "one_row": latencies(),
        "1024x9x8192 float32": put_and_get("uniform", uniform(), 7),
        "512 trajectories, 15 mixed fields": put_and_get("mixed", trajectories(), 11),
    }
    tq.close()
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
