"""The peer's module paths: what users import from them, the same objects as transferqueue's, replaceable for a test."""

from __future__ import annotations

import importlib
import importlib.resources
import logging
import os
import subprocess
import sys

import pytest

import transferqueue

#: What users import, and where: the peer's root, its submodules, and the root up to 0.1.5.
IMPORTS = {
    "transfer_queue": (
        "init close get_client kv_put kv_batch_put kv_batch_get kv_batch_get_by_meta kv_list kv_clear async_kv_put "
        "async_kv_batch_put async_kv_batch_get async_kv_batch_get_by_meta async_kv_list async_kv_clear KVBatchMeta BatchMeta "
        "TransferQueueClient BaseSampler GRPOGroupNSampler SequentialSampler RankAwareSampler SeqlenBalancedSampler __version__ "
        "StreamingDataset StreamingDataLoader StorageKeyNotFoundError LegacyBatchMeta "
        "AsyncTransferQueueClient TransferQueueController SimpleStorageUnit ZMQServerInfo process_zmq_server_info "
        "get_placement_group"
    ),
    "transfer_queue.interface": "init close get_client kv_put kv_batch_put kv_batch_get kv_list kv_clear async_kv_put",
    "transfer_queue.client": "TransferQueueClient AsyncTransferQueueClient",
    "transfer_queue.metadata": "BatchMeta KVBatchMeta extract_field_schema _SampleView _SampleViewList",
    "transfer_queue.controller": "TransferQueueController",
    "transfer_queue.storage.simple_storage": "SimpleStorageUnit",
    "transfer_queue.sampler": "BaseSampler SequentialSampler GRPOGroupNSampler RankAwareSampler SeqlenBalancedSampler",
    "transfer_queue.sampler.base": "BaseSampler",
    "transfer_queue.sampler.sequential_sampler": "SequentialSampler",
    "transfer_queue.sampler.grpo_group_n_sampler": "GRPOGroupNSampler",
    "transfer_queue.sampler.rank_aware_sampler": "RankAwareSampler",
    "transfer_queue.sampler.seqlen_balanced_sampler": (
        "SeqlenBalancedSampler karmarkar_karp get_seqlen_balanced_partitions"
    ),
    "transfer_queue.dataloader": "StreamingDataset StreamingDataLoader",
    "transfer_queue.dataloader.streaming_dataset": "StreamingDataset default_fetch_batch_fn chunk_batch_fn",
    "transfer_queue.dataloader.streaming_dataloader": "StreamingDataLoader",
    "transfer_queue.utils.enum_utils": "ExplicitEnum Role ProductionStatus TransferQueueRole",
    "transfer_queue.utils.logging_utils": "get_logger",
    "transfer_queue.utils.common": "get_placement_group limit_pytorch_auto_parallel_threads get_env_bool",
    "transfer_queue.utils.zmq_utils": (
        "ZMQServerInfo process_zmq_server_info is_ipv6_address format_zmq_address get_node_ip_address get_free_port"
    ),
}
NAMES = [(module, name) for module, names in IMPORTS.items() for name in names.split()]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_name_is_found_where_users_import_it(module, name):
    found = getattr(importlib.import_module(module), name)
    assert name == "__version__" or callable(found)
    if hasattr(transferqueue, name):
        assert found is getattr(transferqueue, name), "the same object as transferqueue's"


def test_every_public_name_of_transferqueue_is_a_name_of_the_alias():
    import transfer_queue

    for name in transferqueue.__all__:
        assert getattr(transfer_queue, name) is getattr(transferqueue, name)
    assert set(transferqueue.__all__) <= set(dir(transfer_queue))
    with pytest.raises(AttributeError, match="nothing"):
        transfer_queue.nothing  # noqa: B018


def test_modules_are_attributes_without_an_import_of_their_own():
    code = (
        "import transfer_queue as tq; import sys; print('torch' in sys.modules, tq.interface._TQ_CLIENT, "
        "tq.utils.__name__, tq.sampler.__name__, tq.metadata.BatchMeta is tq.BatchMeta)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["False", "None", "transfer_queue.utils", "transfer_queue.sampler", "True"], (
        done.stderr
    )


def test_functions_can_be_replaced_for_a_test(monkeypatch):
    import transfer_queue

    monkeypatch.setattr(transfer_queue, "kv_list", lambda partition_id=None: {"fake": {}})
    monkeypatch.setattr("transfer_queue.kv_put", lambda **_: "put")
    monkeypatch.setattr("transfer_queue.interface.kv_clear", lambda keys, partition_id: "cleared")
    assert transfer_queue.kv_list() == {"fake": {}}
    assert transfer_queue.kv_put(key="a") == "put"
    assert transfer_queue.interface.kv_clear(["a"], "p") == "cleared"
    monkeypatch.undo()
    assert transfer_queue.kv_list is transferqueue.kv_list
    assert transfer_queue.kv_put is transferqueue.kv_put
    assert transfer_queue.interface.kv_clear is transferqueue.kv_clear


def test_options_of_the_actor_classes_can_be_replaced(monkeypatch):
    from transfer_queue.controller import TransferQueueController
    from transfer_queue.storage.simple_storage import SimpleStorageUnit

    for kind in (TransferQueueController, SimpleStorageUnit):
        original, seen = kind.options, {}

        def options(*arguments, original=original, seen=seen, **named):
            seen.update(named)
            return original(*arguments, **named)

        monkeypatch.setattr(kind, "options", options)
        assert kind.options(num_cpus=1, runtime_env={"pip": []}) is kind
        assert seen == {"num_cpus": 1, "runtime_env": {"pip": []}}


# ---- what the process's state looks like -----------------------------------------------------------------------------------


def test_the_interface_tells_the_client_and_keeps_one_that_is_put_there(tq, monkeypatch):
    from transfer_queue import interface

    assert interface._TQ_CLIENT is tq.get_client()
    assert interface._TQ_CONTROLLER.list_partitions.remote() == tq.get_client().get_partition_list()
    assert interface._TQ_STORAGE is None
    fake = object()
    monkeypatch.setattr(interface, "_TQ_CLIENT", fake)
    assert interface._TQ_CLIENT is fake
    monkeypatch.undo()
    assert interface._TQ_CLIENT is tq.get_client()
    interface._TQ_CONTROLLER = None
    interface._TQ_CLIENT = None  # the starter stays
    assert interface._TQ_CLIENT is tq.get_client()


def test_setting_the_client_to_none_detaches_a_process_that_only_attached(tq):
    code = (
        "import transfer_queue as tq; tq.init(); assert tq.kv_list() is not None\n"
        "tq.interface._TQ_CLIENT = None; tq.interface._TQ_CONTROLLER = None; print(tq.interface._TQ_CLIENT)\n"
        "tq.init(); print(tq.interface._TQ_CLIENT is tq.get_client())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["None", "True"], done.stderr
    assert tq.get_client().get_partition_list() == []


# ---- utils -----------------------------------------------------------------------------------------------------------------


def test_enumerations_are_strings_and_name_their_values():
    from transfer_queue.utils.enum_utils import ExplicitEnum, ProductionStatus, Role, TransferQueueRole

    assert issubclass(ProductionStatus, ExplicitEnum)
    assert issubclass(Role, str)
    assert TransferQueueRole is Role
    assert ProductionStatus("1") is ProductionStatus.READY_FOR_CONSUME
    assert int(ProductionStatus.NOT_PRODUCED) == 0
    for kind, wrong, named in ((ProductionStatus, "2", "'0', '1'"), (Role, "chef", "'TransferQueueController'")):
        with pytest.raises(ValueError, match=named):
            kind(wrong)


@pytest.mark.parametrize(
    ("variables", "level"),
    [({}, logging.INFO), ({"TQ_LOGGING_LEVEL": "debug"}, logging.DEBUG), ({"TQ_LOGGING_LEVEL": "loud"}, logging.INFO)],
)
def test_a_logger_takes_its_level_from_the_environment(monkeypatch, caplog, variables, level):
    from transfer_queue.utils.logging_utils import get_logger

    for name in ("TRANSFERQUEUE_LOGGING_LEVEL", "TQ_LOGGING_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    logger = get_logger("recipe", "INFO")
    assert logger is logging.getLogger("recipe")
    assert logger.level == level
    assert get_logger("recipe.other").level == (logging.WARNING if level == logging.INFO else level)


def test_a_loggers_lines_are_seen_in_a_program_without_logging_of_its_own():
    code = "from transfer_queue.utils.logging_utils import get_logger as g; g('a', 'INFO').info('one'); g('a').warning('two')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert [line.split(": ")[-1] for line in done.stderr.splitlines()] == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("True", True), ("yes", True), ("on", True), ("0", False), ("no", False), ("", False)],
)
def test_a_truth_value_is_read_from_the_environment(monkeypatch, text, value):
    from transfer_queue.utils.common import get_env_bool

    monkeypatch.delenv("SOME_SWITCH", raising=False)
    assert get_env_bool("SOME_SWITCH") is False
    assert get_env_bool("SOME_SWITCH", True) is True
    monkeypatch.setenv("SOME_SWITCH", text)
    assert get_env_bool("SOME_SWITCH", not value) is value


def test_torchs_threads_are_limited_inside_only():
    import torch

    from transfer_queue.utils.common import limit_pytorch_auto_parallel_threads

    before = torch.get_num_threads()
    with limit_pytorch_auto_parallel_threads(1, info="here"):
        assert torch.get_num_threads() == 1
    with pytest.raises(KeyError), limit_pytorch_auto_parallel_threads(1):
        raise KeyError
    assert torch.get_num_threads() == before
    with limit_pytorch_auto_parallel_threads():
        assert torch.get_num_threads() == before


def test_addresses_are_written_as_sockets_want_them():
    from transfer_queue.utils import zmq_utils

    assert [zmq_utils.is_ipv6_address(ip) for ip in ("::1", "[::1]", "10.0.0.1", "host", "")] == [True, True] + [
        False
    ] * 3
    assert zmq_utils.format_zmq_address("10.0.0.1", 5) == "tcp://10.0.0.1:5"
    assert zmq_utils.format_zmq_address("[fe80::1]", 5) == "tcp://[fe80::1]:5"
    assert 0 < zmq_utils.get_free_port("127.0.0.1") < 65536
    assert not zmq_utils.is_ipv6_address(zmq_utils.get_node_ip_address())


def test_the_schema_of_columns_is_that_of_the_rows_that_are_put(tq, partition):
    import torch
    from tensordict import NonTensorStack, TensorDict

    from transfer_queue.metadata import extract_field_schema

    ragged = torch.nested.nested_tensor([torch.zeros(2, 4), torch.zeros(1, 4)], layout=torch.jagged)
    data = TensorDict(
        {"x": torch.zeros(2, 3), "n": torch.arange(2), "r": ragged, "t": NonTensorStack("a", "b")}, batch_size=2
    )
    schema = extract_field_schema(data)
    assert schema == tq.get_client().put(data, partition_id=partition).field_schema
    assert schema["n"]["shape"] == (1,)
    assert schema["r"]["per_sample_shapes"] == [(2, 4), (1, 4)]
    assert schema["t"]["is_non_tensor"]
    for wrong in (None, {"x": torch.zeros(2)}, TensorDict({}, batch_size=[])):
        with pytest.raises(TypeError):
            extract_field_schema(wrong)
