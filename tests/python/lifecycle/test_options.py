"""What ``init`` can be told."""

import logging
from dataclasses import FrozenInstanceError, fields

import pytest
from omegaconf import DictConfig, OmegaConf

from transferqueue import options
from transferqueue.errors import InvalidArgumentError, InvalidTypeError
from transferqueue.options import Options


def test_none_and_empty_give_the_defaults():
    assert Options.read(None, {}) == Options.read({}, {}) == Options()


def test_the_default_configuration_reads_as_the_default_options():
    assert Options.read(options.DEFAULTS, {}) == Options()
    assert set(options.DEFAULTS["transferqueue"]) == {entry.name for entry in fields(options.SidecarOptions)}


def test_a_dict_and_a_dictconfig_read_alike():
    conf = {"backend": {"SimpleStorage": {"total_storage_size": 1e5}}, "transferqueue": {"capacity_bytes": 1 << 30}}
    read = Options.read(conf, {})
    assert read == Options.read(OmegaConf.create(conf), {})
    assert read.storage.total_storage_size == 100_000
    assert isinstance(read.storage.total_storage_size, int)


def test_options_cant_be_changed():
    with pytest.raises(FrozenInstanceError):
        Options().storage.num_data_storage_units = 3


@pytest.mark.parametrize(
    ("conf", "error", "key"),
    [
        ({"controller": {"polling_mode": "yes"}}, InvalidTypeError, "controller.polling_mode"),
        ({"controller": []}, InvalidTypeError, "controller"),
        ({"controller": {"sampler": "Nope"}}, InvalidArgumentError, "Could not find sampler 'Nope'"),
        (
            {"backend": {"SimpleStorage": {"num_data_storage_units": 0}}},
            InvalidArgumentError,
            "num_data_storage_units: 0",
        ),
        ({"backend": {"SimpleStorage": {"total_storage_size": 1.5}}}, InvalidTypeError, "total_storage_size: 1.5"),
        ({"backend": {"SimpleStorage": {"total_storage_size": True}}}, InvalidTypeError, "total_storage_size: True"),
        ({"backend": {"SimpleStorage": {"ssd_offload": {"enabled": True}}}}, InvalidArgumentError, "without a path"),
        ({"backend": {"SimpleStorage": {"ssd_offload": {"enabled": 1}}}}, InvalidTypeError, "ssd_offload.enabled: 1"),
        (
            {"backend": {"SimpleStorage": {"ssd_offload": "/x"}}},
            InvalidTypeError,
            "SimpleStorage.ssd_offload: '/x' is a str; give a dict",
        ),
        (
            {"backend": {"SimpleStorage": {"ssd_offload": {"threshold_bytes": 0}}}},
            InvalidArgumentError,
            "ssd_offload.threshold_bytes: 0",
        ),
        ({"transferqueue": {"capacity_bytes": -1}}, InvalidArgumentError, "transferqueue.capacity_bytes: -1"),
        ({"transferqueue": {"timeout_s": float("nan")}}, InvalidArgumentError, "transferqueue.timeout_s: nan"),
        ({"transferqueue": {"listen": "0.0.0.0:1"}}, InvalidArgumentError, "tcp://host:port"),
        ({"transferqueue": {"address": "localhost:1"}}, InvalidArgumentError, "transferqueue.address"),
        ("train", InvalidTypeError, "conf: 'train' is a str; give a dict"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(conf, error, key):
    with pytest.raises(error) as caught:
        Options.read(conf, {})
    assert key in str(caught.value)


def test_foreign_keys_survive_the_merge_in_either_type():
    conf = {"enable": True, "backend": {"SimpleStorage": {"total_storage_size": 7}, "Other": {"a": [1]}}}
    plain, config = options.merge(conf), options.merge(OmegaConf.create(conf))
    assert type(plain) is dict
    assert isinstance(config, DictConfig)
    assert OmegaConf.to_container(config) == plain
    assert plain["enable"] is True
    assert plain["backend"]["Other"] == {"a": [1]}
    assert plain["backend"]["SimpleStorage"] == {
        **options.DEFAULTS["backend"]["SimpleStorage"],
        "total_storage_size": 7,
    }
    assert options.DEFAULTS["backend"]["SimpleStorage"]["total_storage_size"] is None


def test_a_section_of_a_larger_configuration_keeps_what_it_points_to():
    whole = OmegaConf.create({"rows": 12, "queue": {"backend": {"SimpleStorage": {"total_storage_size": "${rows}"}}}})
    OmegaConf.set_struct(whole, True)
    assert Options.read(whole.queue, {}).storage.total_storage_size == 12
    assert options.merge(whole.queue).backend.SimpleStorage.total_storage_size == 12


def test_a_mistyped_option_of_ours_is_named(caplog):
    with caplog.at_level(logging.WARNING, "transferqueue"):
        Options.read({"transferqueue": {"capacity_byte": 1}}, {})
    assert "transferqueue.capacity_byte" in caplog.text
