"""The metrics page, read over HTTP as Prometheus does, against what was put."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from queue_fixtures import running_queue
from tensordict import TensorDict

from support.metrics_page import is_served, keeper_pid, metrics_processes, one, put, scrape, status_of, visit
from support.sidecars import expect
from transferqueue import _starter
from transferqueue.errors import InvalidArgumentError
from transferqueue.options import MetricsOptions, Options
from transferqueue.server.metrics_page import BOUNDS_S, Operation

CONF = {
    "metrics": {"enabled": True},
    "controller": {"polling_mode": True},
    "backend": {"SimpleStorage": {"total_storage_size": 1000}},
}


@pytest.fixture(scope="module")
def tq() -> Iterator[Any]:
    with running_queue(CONF) as package:
        yield package


def test_partitions_show_rows_and_progress(tq: Any) -> None:
    put(tq, "progress", 8, "x", "y")
    tq.kv_batch_put(["0", "1"], "progress", TensorDict({"z": torch.zeros(2)}, batch_size=2))
    assert tq.get_client().get_meta(["x"], 6, "progress", task_name="actor").size == 6
    samples = scrape(tq)
    assert one(samples, "tq_partition_samples_total", partition_id="progress") == 8
    of = {"partition_id": "progress", "task_name": "actor"}
    assert one(samples, "tq_partition_production_progress", **of) == 18 / 24
    assert one(samples, "tq_partition_production_progress", **(of | {"task_name": ""})) == 18 / 24
    assert one(samples, "tq_partition_consumption_progress", **of) == 6 / 8
    assert one(samples, "tq_partitions_total") == len(tq.kv_list())
    tq.get_client().clear_partition("progress")
    assert ("tq_partition_samples_total", frozenset({("partition_id", "progress")})) not in scrape(tq)


def test_the_storage_shows_what_it_holds(tq: Any) -> None:
    before = scrape(tq)
    put(tq, "held", 100, "x")
    after = scrape(tq)
    unit = {"storage_unit_id": "0"}
    held = one(before, "tq_storage_active_keys_total", **unit) + 100
    assert one(after, "tq_storage_active_keys_total", **unit) == held
    assert one(after, "tq_storage_capacity_total", **unit) == 1000
    assert one(after, "tq_storage_utilization_ratio", **unit) == held / 1000
    assert one(after, "tq_storage_memory_rss_bytes", **unit) > 10e6
    assert one(after, "tq_controller_memory_rss_bytes") > 10e6
    assert one(after, "tq_controller_uptime_seconds") > one(before, "tq_controller_uptime_seconds") > 0
    assert one(after, "tq_core_rows_stored") == held


def test_global_indexes_are_counted(tq: Any) -> None:
    put(tq, "indexes", 10, "x")
    before = scrape(tq)
    tq.kv_clear([f"{i}" for i in range(4)], "indexes")
    after = scrape(tq)
    name = "tq_global_index_allocated_total"
    assert one(before, name) - one(after, name) == 4
    name = "tq_global_index_reusable_total"
    assert one(after, name) - one(before, name) == 4


def test_requests_are_counted_by_the_peers_words(tq: Any) -> None:
    put(tq, "requests", 3, "x")
    before = scrape(tq)
    put(tq, "requests", 3, "x")
    put(tq, "requests", 3, "y")
    tq.kv_batch_get(["0", "1"], "requests")
    tq.kv_list("requests")
    with pytest.raises(ValueError, match="not found"):
        tq.kv_batch_get(["nobody"], "requests")
    after = scrape(tq)

    def more(name: str, word: str) -> float:
        return one(after, name, op_type=word) - before.get((name, frozenset({("op_type", word)})), 0)

    assert more("tq_storage_request_total", "PUT") == 2
    assert more("tq_storage_request_samples_total", "PUT") == 6
    assert more("tq_storage_request_errors_total", "PUT") == 0
    assert more("tq_storage_request_total", "GET") == 2
    assert more("tq_storage_request_samples_total", "GET") == 2
    assert more("tq_storage_request_errors_total", "GET") == 1
    assert more("tq_controller_request_total", "KV_LIST") == 1
    assert more("tq_storage_request_duration_seconds_count", "PUT") == 2
    assert more("tq_storage_request_duration_seconds_sum", "PUT") > 0
    assert one(after, "tq_storage_request_ops", storage_unit_id="0", op_type="PUT") == one(
        after, "tq_storage_request_total", op_type="PUT"
    )
    for figure in ("latency_avg", "latency_p50", "latency_p99"):
        assert one(after, f"tq_storage_request_{figure}", storage_unit_id="0", op_type="PUT") > 0


def test_durations_have_the_peers_buckets(tq: Any) -> None:
    put(tq, "buckets", 3, "x")
    name = "tq_storage_request_duration_seconds_bucket"
    buckets = [
        (dict(labels)["le"], value)
        for (sample, labels), value in scrape(tq).items()
        if sample == name and ("op_type", "PUT") in labels
    ]
    assert [bound for bound, _ in buckets] == [
        *("0.001", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "5.0", "+Inf")
    ]
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)


def test_every_process_of_the_job_knows_the_endpoint(tq: Any) -> None:
    code = "import transferqueue as tq; print(tq.get_metrics_endpoint())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == tq.get_metrics_endpoint()
    assert tq.get_metrics_endpoint().startswith("127.0.0.1:")


def test_strangers_get_nothing_else(tq: Any) -> None:
    endpoint = tq.get_metrics_endpoint()
    assert status_of(endpoint, method="POST") == 405
    assert status_of(endpoint, method="PUT") == 405
    assert status_of(endpoint, path="/etc/passwd") == 404
    assert status_of(endpoint, headers={"Host": "attacker.example"}) == 403
    assert status_of(endpoint, headers={"Host": "localhost:1"}) == 200
    assert "tq_partitions_total" in visit(endpoint, path="/")


def test_a_crowd_of_silent_and_rude_visitors_harms_nobody(tq: Any) -> None:
    host, _, port = tq.get_metrics_endpoint().rpartition(":")
    crowd = []
    for number in range(80):
        try:
            crowd.append(socket.create_connection((host, int(port)), timeout=2))
            crowd[-1].sendall(b"GET / HT" if number % 2 else b"\0" * 70_000)
        except OSError:
            break
    tq.kv_put("k", "crowded", tag={})
    assert tq.kv_list("crowded") == {"crowded": {"k": {}}}
    [server] = [child for child in metrics_processes() if child.ppid() == keeper_pid()]
    assert server.num_threads() < 50
    for visitor in crowd:
        visitor.close()
    expect(lambda: is_served(tq))


def test_a_killed_server_comes_back_where_it_was(tq: Any) -> None:
    endpoint = tq.get_metrics_endpoint()
    [server] = [child for child in metrics_processes() if child.ppid() == keeper_pid()]
    server.kill()
    server.wait(20)
    tq.kv_put("k", "meanwhile", tag={})
    expect(lambda: is_served(tq))
    assert tq.get_metrics_endpoint() == endpoint


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_starter.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidArgumentError, match=r"pip install 'transferqueue-net\[metrics\]'"):
        _starter.describe_metrics(MetricsOptions(enabled=True))
    assert _starter.describe_metrics(MetricsOptions()) is None


@pytest.mark.parametrize("metrics", [{"port": -1}, {"port": 65536}])
def test_a_port_that_can_not_be_is_refused(metrics: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"metrics\.port"):
        Options.read({"metrics": metrics}, dict(os.environ))


def test_a_quantile_lies_in_the_bucket_that_reaches_it() -> None:
    operation = Operation(count=100, buckets=(50, 40, 10, *[0] * (len(BOUNDS_S) - 2)))
    assert operation.quantile(0.5) == 0.001
    assert operation.quantile(0.25) == 0.0005
    assert 0.001 < operation.quantile(0.7) < 0.005
    assert operation.quantile(0.99) == pytest.approx(0.0095)
    assert Operation(count=1, buckets=(0,) * len(BOUNDS_S) + (1,)).quantile(0.5) == 5.0
    assert Operation().quantile(0.5) == 5.0
