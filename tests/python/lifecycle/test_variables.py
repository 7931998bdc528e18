"""The peer's environment variables: which set something, and what is said of the others."""

from __future__ import annotations

import logging
import os
from dataclasses import fields
from pathlib import Path

import pytest

from support.fork_server import Forked
from transferqueue import _variables
from transferqueue.errors import InvalidArgumentError
from transferqueue.options import Options, SidecarOptions

#: All that the peer reads, but for those of its own tests.
THE_PEERS = {
    "TQ_LOGGING_LEVEL",
    "TQ_NUM_THREADS",
    "TQ_PRE_ALLOC_SAMPLE_NUM",
    "TQ_CONTROLLER_GET_METADATA_TIMEOUT",
    "TQ_CONTROLLER_GET_METADATA_CHECK_INTERVAL",
    "TQ_DATA_UPDATE_RESPONSE_TIMEOUT",
    "TQ_STORAGE_HANDSHAKE_TIMEOUT",
    "TQ_STORAGE_HANDSHAKE_RETRY_INTERVAL",
    "TQ_STORAGE_HANDSHAKE_MAX_RETRIES",
    "TQ_STORAGE_POLLER_TIMEOUT",
    "TQ_SIMPLE_STORAGE_SEND_RECV_TIMEOUT",
    "TQ_METRICS_COLLECT_INTERVAL",
    "TQ_METRICS_STORAGE_TIMEOUT",
    "TQ_PERF_LOG_FLUSH_INTERVAL",
    "TQ_STREAMING_DATASET_EMPTY_BATCH_SLEEP_INTERVAL",
}
USED_ELSEWHERE = {"TQ_LOGGING_LEVEL", "TQ_STREAMING_DATASET_EMPTY_BATCH_SLEEP_INTERVAL"}


def test_each_of_the_peers_variables_sets_an_option_or_is_named_in_a_warning():
    known = {*_variables.SECONDS, *_variables.REPLACED, _variables.PRE_ALLOCATED_ROWS, *USED_ELSEWHERE}
    assert known >= THE_PEERS


@pytest.mark.parametrize(("variable", "option"), _variables.SECONDS.items())
def test_seconds_are_the_default_of_an_option(variable, option):
    assert getattr(Options.read(None, {variable: "12.5"}).sidecar, option) == 12.5
    assert getattr(Options.read({"transferqueue": {option: 7}}, {variable: "12.5"}).sidecar, option) == 7
    assert getattr(Options.read({"transferqueue": {option: None}}, {variable: "12"}).sidecar, option) == 12
    assert Options.read(None, {variable: " "}) == Options()


@pytest.mark.parametrize("variable", _variables.SECONDS)
@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_what_is_no_time_is_refused_by_its_name(variable, text):
    with pytest.raises(InvalidArgumentError, match=f"{variable}: '{text}'"):
        Options.read(None, {variable: text})


def test_rows_are_reserved_by_configuration_else_environment_else_one():
    variable = _variables.PRE_ALLOCATED_ROWS
    assert Options.read(None, {}).pre_allocated_rows == 1
    assert Options.read(None, {variable: "16"}).pre_allocated_rows == 16
    assert Options.read(None, {variable: "0"}).pre_allocated_rows == 0
    assert Options.read({"transferqueue": {"pre_allocated_rows": 4}}, {variable: "16"}).pre_allocated_rows == 4
    assert Options.read({"transferqueue": {"pre_allocated_rows": 0}}, {variable: "16"}).pre_allocated_rows == 0
    for text in ("-1", "0.5", "many", "٣", "16777217", "9" * 30):
        with pytest.raises(InvalidArgumentError, match=variable):
            Options.read(None, {variable: text})
    for value in (-1, 1 << 25):
        with pytest.raises(InvalidArgumentError, match=r"transferqueue\.pre_allocated_rows"):
            Options.read({"transferqueue": {"pre_allocated_rows": value}}, {})


def test_each_other_variable_is_warned_of_once_with_what_replaces_it(monkeypatch, caplog):
    monkeypatch.setattr(os, "environ", {**dict.fromkeys(_variables.REPLACED, "5"), "TQ_NUM_THREADS": "", "PATH": "/"})
    _variables.warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, "transferqueue"):
        _variables.warn_once()
        _variables.warn_once()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(_variables.REPLACED) - 1
    for name in set(_variables.REPLACED) - {"TQ_NUM_THREADS"}:
        assert sum(line.startswith(f"{name} is not used: ") for line in lines) == 1
    assert "wakes it" in next(line for line in lines if "CHECK_INTERVAL" in line)
    _variables.warn_once.cache_clear()


def test_init_warns_and_a_sidecar_does_not_repeat_it(tmp_path):
    code = (
        "import transferqueue as tq\n"
        f"tq.init({{'transferqueue': {{'log_file': {str(tmp_path / 'log')!r}}}}})\n"
        "tq.init(); tq.kv_put('a', 'p', tag={}); tq.close(); tq.init(); tq.close()"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TRANSFERQUEUE_ADDRESS")},
        "TRANSFERQUEUE_JOB": f"variables-{os.getpid()}",
        "TQ_DATA_UPDATE_RESPONSE_TIMEOUT": "30",
        "TQ_CONTROLLER_GET_METADATA_TIMEOUT": "60",
    }
    program = Forked(code, environment)
    errors = program.communicate()[1]
    assert program.returncode == 0, errors
    assert errors.count("TQ_") == 1, errors
    assert "TQ_DATA_UPDATE_RESPONSE_TIMEOUT is not used: a put's rows are ready when it returns" in errors
    assert "TQ_" not in (tmp_path / "log").read_text()


def test_the_page_on_configuration_lists_every_option_and_variable():
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
    named = {f"transferqueue.{entry.name}" for entry in fields(SidecarOptions)}
    named |= {*THE_PEERS, *_variables.REPLACED}
    assert [name for name in sorted(named) if f"`{name}`" not in page] == []
