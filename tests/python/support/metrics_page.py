"""Reads the metrics page of a queue."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import psutil
import torch
from prometheus_client.parser import text_string_to_metric_families
from tensordict import TensorDict

from transferqueue.server.metrics_page import KEPT_S

Labels = frozenset[tuple[str, str]]


def visit(endpoint: str, *, headers: Mapping[str, str] = {}, method: str = "GET", path: str = "/metrics") -> str:
    request = urllib.request.Request(f"http://{endpoint}{path}", headers=dict(headers), method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def status_of(endpoint: str, **visited: Any) -> int:
    try:
        visit(endpoint, **visited)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200


def scrape(tq: Any) -> dict[tuple[str, Labels], float]:
    time.sleep(KEPT_S + 0.01)  # numbers are kept for so long
    page = visit(tq.get_metrics_endpoint())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def one(samples: dict[tuple[str, Labels], float], name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def put(tq: Any, partition: str, rows: int, *fields: str) -> None:
    columns = {field: torch.arange(rows) for field in fields}
    tq.kv_batch_put([f"{i}" for i in range(rows)], partition, TensorDict(columns, batch_size=rows))


def keeper_pid() -> int:
    from transferqueue import _session

    return int(_session.session().ready["keeper_pid"])


def metrics_processes() -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if "transferqueue.server.metrics" in process.cmdline()
    ]


def is_served(tq: Any) -> bool:
    try:
        return "tq_partitions_total" in visit(tq.get_metrics_endpoint())
    except OSError:
        return False
