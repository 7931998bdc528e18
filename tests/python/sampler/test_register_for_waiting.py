"""Another sampler while fetches wait."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from queue_fixtures import running_queue

from support.asking_samplers import PATIENCE_S, configuration, expect, fetch, put
from support.own_samplers import LastRows


def test_a_fetch_that_waits_is_tried_with_the_new_one():
    with (
        running_queue(configuration("GRPOGroupNSampler", n_samples_per_prompt=4)) as waiting,
        ThreadPoolExecutor(2) as pool,
    ):
        started = threading.Event()

        def wait(partition: str, rows: int) -> list[int]:
            started.set()
            return fetch(waiting, partition, rows)

        put(waiting, "p", 1)
        rows = put(waiting, "q", 2)
        first = pool.submit(wait, "q", 4)
        started.wait(PATIENCE_S)
        expect(lambda: waiting.get_client().stats()["fetches_waiting"] == 1)
        waiting.register_sampler(LastRows)
        rows += put(waiting, "q", 2, first=2)
        assert first.result(PATIENCE_S) == rows[::-1]
        second = pool.submit(wait, "p", 2)
        expect(lambda: waiting.get_client().stats()["fetches_waiting"] == 1)
        waiting.register_sampler("SequentialSampler")
        rows = fetch_all(waiting, "p", 1)
        assert second.result(PATIENCE_S) == rows


def fetch_all(tq: Any, partition: str, first: int) -> list[int]:
    put(tq, partition, 1, first=first)
    return sorted(tq.get_client().kv_retrieve_meta(["k0", f"k{first}"], partition).global_indexes)
