"""Metrics as they are configured: each test has a queue of its own."""

from __future__ import annotations

import socket

import pytest
from queue_fixtures import running_queue

from support.metrics_page import keeper_pid, metrics_processes, one, put, scrape, status_of
from transferqueue.errors import InvalidArgumentError, TransferQueueError


def test_a_fetch_that_waits_takes_its_time_and_its_rows() -> None:
    with running_queue({"metrics": {"enabled": True}}) as own:
        with pytest.raises(TimeoutError):
            own.get_client().get_meta(["x"], 1, "nowhere", task_name="t", timeout_s=0.2)
        put(own, "p", 2, "x")
        own.get_client().get_meta(["x"], 2, "p", task_name="t")
        samples = scrape(own)
        assert one(samples, "tq_controller_request_total", op_type="GET_META") == 2
        assert one(samples, "tq_controller_request_errors_total", op_type="GET_META") == 1
        assert one(samples, "tq_controller_request_samples_total", op_type="GET_META") == 2
        assert one(samples, "tq_controller_request_duration_seconds_sum", op_type="GET_META") >= 0.2
        # Without a limit on rows there is no capacity to tell of.
        assert not [
            name for name, _ in samples if name in ("tq_storage_capacity_total", "tq_storage_utilization_ratio")
        ]


def test_without_metrics_there_is_no_endpoint_and_no_process() -> None:
    with running_queue() as own:
        assert own.get_metrics_endpoint() is None
        assert not [child for child in metrics_processes() if child.ppid() == keeper_pid()]
        own.close()
        assert own.get_metrics_endpoint() is None  # nor without a queue


def test_bound_where_others_come_it_asks_for_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    conf = {"metrics": {"enabled": True, "host": "0.0.0.0"}}
    with pytest.raises(InvalidArgumentError, match="TRANSFERQUEUE_METRICS_TOKEN"), running_queue(conf):
        pass
    monkeypatch.setenv("TRANSFERQUEUE_METRICS_TOKEN", "sesame")
    with running_queue(conf) as own:
        endpoint = f"127.0.0.1:{own.get_metrics_endpoint().rpartition(':')[2]}"
        assert status_of(endpoint) == 401
        assert status_of(endpoint, headers={"Authorization": "Bearer wrong"}) == 401
        assert status_of(endpoint, headers={"Authorization": "Bearer sesame", "Host": "node7:1"}) == 200


def test_a_port_that_is_taken_is_reported_by_init() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        conf = {"metrics": {"enabled": True, "port": taken.getsockname()[1]}}
        says = "the metrics server could not start: OSError: .*Address already in use"
        with pytest.raises(TransferQueueError, match=says), running_queue(conf):
            pass
