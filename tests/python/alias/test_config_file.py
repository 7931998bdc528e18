"""The package resource config.yaml: what it says are the defaults, and how users merge it with theirs."""

from __future__ import annotations

import importlib.resources
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from queue_fixtures import running_queue

import transferqueue
from transferqueue import options
from transferqueue.errors import InvalidArgumentError, InvalidTypeError
from transferqueue.options import Options

#: Sections of the peer's backends that have no meaning here, and what has its default where it is missing.
ONLY_IN_THE_FILE = {
    "backend.MooncakeStore",
    "backend.Yuanrong",
    "backend.RayStore",
    "controller.sampler_arguments",
}


@pytest.fixture
def file() -> DictConfig:
    return OmegaConf.load(str(importlib.resources.files("transfer_queue") / "config.yaml"))


def entries(conf: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Values by dotted name."""
    found: dict[str, Any] = {}
    for name, value in conf.items():
        if f"{path}{name}" in ONLY_IN_THE_FILE:
            continue
        if isinstance(value, dict) and value:
            found |= entries(value, f"{path}{name}.")
        else:
            found[f"{path}{name}"] = value
    return found


def test_the_file_says_the_defaults_and_reads_as_them(file):
    assert entries(OmegaConf.to_container(file)) == entries(options.DEFAULTS)
    assert Options.read(file, {}) == Options()


def test_the_peers_keys_are_there(file):
    assert file.controller.sampler == "SequentialSampler"
    assert (file.controller.polling_mode, file.controller.zmq_info) == (False, None)
    assert (file.metrics.enabled, file.metrics.port) == (False, 0)
    assert file.backend.storage_backend == "SimpleStorage"
    assert file.backend.SimpleStorage.num_data_storage_units == 2
    assert file.backend.SimpleStorage.total_storage_size is None
    assert {"global_segment_size", "local_buffer_size", "metadata_server", "offload"} <= set(file.backend.MooncakeStore)


def test_a_user_merges_it_with_a_configuration_of_ones_own(file):
    overlay = OmegaConf.create(
        {
            "rows": 500,
            "controller": {"polling_mode": True, "sampler": "RankAwareSampler"},
            "backend": {
                "storage_backend": "SimpleStorage",
                "SimpleStorage": {"total_storage_size": "${rows}", "num_data_storage_units": 8},
            },
            "enable": True,
        }
    )
    merged = OmegaConf.merge(file, overlay)
    read = Options.read(merged, {})
    assert (read.storage.total_storage_size, read.storage.num_data_storage_units) == (500, 8)
    assert (read.controller.polling_mode, read.controller.sampler) == (True, "RankAwareSampler")
    assert options.merge(merged).enable is True
    assert options.merge(merged).backend.SimpleStorage.total_storage_size == 500


def test_init_takes_the_merged_file_and_returns_it_with_the_address(file):
    file.backend.SimpleStorage.total_storage_size = 3
    file.controller.polling_mode = True
    with running_queue() as tq:
        tq.close()
        returned = tq.init(file)
        assert isinstance(returned, DictConfig)
        assert returned.backend.SimpleStorage.total_storage_size == 3
        assert returned.controller.zmq_info.address.startswith("unix://")
        assert tq.get_client().get_meta(["x"], 1, "p", task_name="t").size == 0, "polling_mode is on"
        again = OmegaConf.create({"controller": {"polling_mode": False}})
        assert tq.init(again) is again
        assert tq.init() is None
        assert tq.init(again) is again


def test_numbers_of_numpy_and_whole_floats_are_numbers():
    read = Options.read(
        {
            "backend": {"SimpleStorage": {"total_storage_size": np.int64(5), "num_data_storage_units": np.float32(4)}},
            "transferqueue": {"timeout_s": np.float32(2.5), "capacity_bytes": 1e9},
        },
        {},
    )
    assert (read.storage.total_storage_size, read.storage.num_data_storage_units) == (5, 4)
    assert (read.sidecar.timeout_s, read.sidecar.capacity_bytes) == (2.5, 10**9)
    assert type(read.storage.total_storage_size) is int


def test_null_missing_and_readonly_sections_take_the_defaults():
    conf = OmegaConf.create({"backend": {"SimpleStorage": {"total_storage_size": "???"}}, "controller": None})
    OmegaConf.set_readonly(conf, True)
    assert Options.read(conf, {}) == Options()
    assert options.merge(conf).backend.SimpleStorage.num_data_storage_units == 2
    with running_queue() as tq:
        tq.close()
        assert tq.init({"controller": None, 5: 6, "transferqueue": {5: 6}})["controller"]["zmq_info"].address
        tq.close()
        assert tq.init(conf).controller.zmq_info.address


SAMPLERS = ["GRPOGroupNSampler", transferqueue.GRPOGroupNSampler, transferqueue.GRPOGroupNSampler(4)]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=["name", "class", "instance"])
@pytest.mark.parametrize("kind", [dict, lambda conf: OmegaConf.create(conf, flags={"allow_objects": True})])
def test_a_sampler_is_a_name_a_class_or_an_instance(sampler, kind):
    conf = kind({"controller": {"sampler": sampler}})
    assert Options.read(conf, {}).controller.sampler == "GRPOGroupNSampler"
    merged = options.merge(conf)
    assert merged["controller"]["sampler"] is sampler or merged["controller"]["sampler"] == sampler


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("controller.polling_mode", "yes", InvalidTypeError),
        ("controller.sampler", "Nope", InvalidArgumentError),
        ("controller.sampler", 5, InvalidTypeError),
        ("controller", "x", InvalidTypeError),
        ("metrics.enabled", 1, InvalidTypeError),
        ("metrics.port", "http", InvalidTypeError),
        ("backend", "${nowhere}", InvalidArgumentError),
        ("backend.SimpleStorage.total_storage_size", "${nowhere.at.all}", InvalidArgumentError),
        (
            "backend.SimpleStorage.total_storage_size",
            "${backend.SimpleStorage.total_storage_size}",
            InvalidArgumentError,
        ),
        ("backend.SimpleStorage.total_storage_size", float("inf"), InvalidTypeError),
        ("backend.SimpleStorage.total_storage_size", 10**30, InvalidArgumentError),
        ("backend.SimpleStorage.num_data_storage_units", 10**6, InvalidArgumentError),
        ("transferqueue.capacity_bytes", 10**30, InvalidArgumentError),
        ("backend.SimpleStorage.total_storage_size", "many", InvalidTypeError),
        ("backend.SimpleStorage.total_storage_size", -1, InvalidArgumentError),
        ("backend.SimpleStorage.num_data_storage_units", 0, InvalidArgumentError),
        ("backend.SimpleStorage.num_data_storage_units", 1.5, InvalidTypeError),
        ("transferqueue.timeout_s", 0, InvalidArgumentError),
        ("transferqueue.fetch_timeout_s", -1, InvalidArgumentError),
        ("transferqueue.fetch_timeout_s", "30", InvalidTypeError),
        ("transferqueue.connect_timeout_s", float("nan"), InvalidArgumentError),
        ("transferqueue.pre_allocated_rows", -1, InvalidArgumentError),
        ("transferqueue.pre_allocated_rows", 0.5, InvalidTypeError),
        ("transferqueue.job", 5, InvalidTypeError),
        ("transferqueue.log_file", ["a"], InvalidTypeError),
        ("transferqueue", [], InvalidTypeError),
    ],
)
def test_a_wrong_value_is_refused_by_its_dotted_name(file, path, value, error):
    OmegaConf.update(file, path, value, merge=False)
    with pytest.raises(error) as caught:
        Options.read(file, {})
    assert path in str(caught.value)
