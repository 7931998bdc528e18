"""P1, P2: a batch of large dense columns. P4: one of many narrow ones. SIZES: throughput over the size of a batch."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDict

from transferqueue.bench import batches
from transferqueue.bench.own_queue import own_queue
from transferqueue.bench.series import PHASE_S, figure, in_turn, timed, yardstick
from transferqueue.bench.yardsticks import Copying, Reader, column_bytes

#: Fields and float32 numbers per field of a row in SIZES: 8 KiB.
SWEEP_FIELDS, SWEEP_WIDTH = 8, 256


def large(quick: bool) -> dict[str, dict[str, Any]]:
    """P1: put. P2: get; and get, read every byte, release."""
    data = batches.uniform(32, 9, 64) if quick else batches.uniform()
    repetitions, phase_s = (3, 0.0) if quick else (15, PHASE_S)
    keys, copying, reader = batches.keys_of(len(data)), Copying(column_bytes(data)), Reader()
    with own_queue() as tq:
        copying.measure()
        put = timed(
            lambda: tq.kv_batch_put(keys, "p", data),
            repetitions,
            phase_s=phase_s,
            after=lambda: tq.kv_clear(keys, "p"),
        )
        copying.measure()
        tq.kv_batch_put(keys, "p", data)
        got = timed(lambda: tq.kv_batch_get(keys, "p"), repetitions, phase_s=phase_s)
        reading, consumed = in_turn(
            lambda: reader.read(data), lambda: reader.read(tq.kv_batch_get(keys, "p")), repetitions=repetitions
        )
    reader.close()
    read = yardstick("reading one's own memory", reading, copying.size)
    return {
        "P1": {
            "put": figure(put, yardstick=copying.yardstick()),
            "put, against the best copy": figure(put, yardstick=copying.best()),
        },
        "P2": {
            "get": figure(got, yardstick=copying.yardstick()),
            "get, read, release": figure(consumed, yardstick=read),
        },
    }


def wide(quick: bool) -> dict[str, dict[str, Any]]:
    """P4: put and get of 32 fields of 16 numbers."""
    data = batches.wide(64) if quick else batches.wide()
    return {"P4": put_and_get(data, *(3, 0.0) if quick else (41, PHASE_S))}


def put_and_get(data: TensorDict, repetitions: int, phase_s: float) -> dict[str, Any]:
    """Figures of put and get of one batch, in a sidecar of its own."""
    keys, copying = batches.keys_of(len(data)), Copying(column_bytes(data))
    with own_queue() as tq:
        copying.measure(repetitions)
        put = timed(
            lambda: tq.kv_batch_put(keys, "p", data),
            repetitions,
            phase_s=phase_s,
            after=lambda: tq.kv_clear(keys, "p"),
        )
        tq.kv_batch_put(keys, "p", data)
        got = timed(lambda: tq.kv_batch_get(keys, "p"), repetitions, phase_s=phase_s)
        copying.measure(repetitions)
    return {
        "put": figure(put, yardstick=copying.yardstick()),
        "get": figure(got, yardstick=copying.yardstick()),
    }


def sizes(quick: bool) -> dict[str, dict[str, Any]]:
    """SIZES: batches of B rows of 8 KiB, B in powers of two; put, get, and get with all of it read."""
    figures: dict[str, Any] = {}
    reader = Reader()
    with own_queue() as tq:
        for exponent in range(0, 7, 3) if quick else range(0, 16):
            rows = 2**exponent
            data = batches.uniform(rows, SWEEP_FIELDS, SWEEP_WIDTH)
            size, keys = column_bytes(data), batches.keys_of(rows)
            repetitions = 3 if quick else max(5, min(51, (1 << 30) // size))
            figures |= sweep_step(tq, f"{rows} rows", data, keys, reader, repetitions)
    reader.close()
    return {"SIZES": figures}


def sweep_step(
    tq: Any, name: str, data: TensorDict, keys: list[str], reader: Reader, repetitions: int
) -> dict[str, Any]:
    """Figures of one size."""
    copying = Copying(column_bytes(data))
    copying.measure(repetitions)
    put = timed(
        lambda: tq.kv_batch_put(keys, name, data), repetitions, warm_up=2, after=lambda: tq.kv_clear(keys, name)
    )
    tq.kv_batch_put(keys, name, data)
    got = timed(lambda: tq.kv_batch_get(keys, name), repetitions, warm_up=2)
    consumed = timed(lambda: reader.read(tq.kv_batch_get(keys, name)), repetitions, warm_up=2)
    tq.kv_clear(keys, name)
    reading = yardstick("reading one's own memory", timed(lambda: reader.read(data), repetitions), copying.size)
    return {
        f"put, {name}": figure(put, yardstick=copying.yardstick()),
        f"get, {name}": figure(got, yardstick=copying.yardstick()),
        f"get, read, release, {name}": figure(consumed, yardstick=reading),
    }
