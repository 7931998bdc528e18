"""The peer's calls, by name and parameters: whoever calls them as the peer's documents show, positionally or by name, can."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import transferqueue
from transferqueue import AsyncTransferQueueClient, BatchMeta, KVBatchMeta, TransferQueueClient

PUT = "data metadata=None partition_id=None data_parser=None"
META = "data_fields batch_size partition_id mode='fetch' task_name=None sampling_config=None"
ROOT = {
    "init": "conf=None",
    "close": "",
    "get_client": "",
    "kv_put": "key partition_id fields=None tag=None data_parser=None",
    "kv_batch_put": "keys partition_id fields=None tags=None data_parser=None",
    "kv_batch_get": "keys partition_id select_fields=None",
    "kv_batch_get_by_meta": "meta select_fields=None",
    "kv_list": "partition_id=None",
    "kv_clear": "keys partition_id",
    "get_metrics_endpoint": "",
}
ROOT |= {f"async_{name}": parameters for name, parameters in ROOT.items() if name.startswith("kv_")}
CLIENT = {
    "get_meta": META,
    "set_custom_meta": "metadata",
    "put": PUT,
    "get_data": "metadata",
    "clear_partition": "partition_id",
    "clear_samples": "metadata",
    "get_consumption_status": "task_name partition_id",
    "get_production_status": "data_fields partition_id",
    "check_consumption_status": "task_name partition_id",
    "check_production_status": "data_fields partition_id",
    "reset_consumption": "partition_id task_name=None",
    "get_partition_list": "",
    "kv_retrieve_meta": "keys partition_id create=False",
    "kv_retrieve_keys": "global_indexes partition_id",
    "kv_list": "partition_id=None",
}
OTHERS = {"initialize_storage_manager": "manager_type config", "close": ""}
BATCH = {
    "__init__": (
        "global_indexes partition_ids field_schema=None production_status=None extra_info=None custom_meta=None "
        "_custom_backend_meta=None"
    ),
    "get_dtypes": "field_name",
    "get_shapes": "field_name",
    "get_extra_info": "key default=None",
    "set_extra_info": "key value",
    "get_all_extra_info": "",
    "update_extra_info": "info_dict",
    "remove_extra_info": "key",
    "clear_extra_info": "",
    "has_extra_info": "key",
    "get_all_custom_meta": "",
    "update_custom_meta": "custom_meta",
    "clear_custom_meta": "",
    "add_fields": "tensor_dict set_all_ready=True",
    "select_samples": "sample_indices",
    "select_fields": "field_names",
    "copy": "",
    "__len__": "",
    "__getitem__": "item",
    "chunk": "chunks",
    "chunk_by_partition": "",
    "union": "other",
    "concat": "data validate=True",
    "reorder": "indices",
    "empty": "extra_info=None",
}
KEYS = {
    "__init__": "keys=[] tags=[] partition_id=None fields=None extra_info={}",
    "__len__": "",
    "select_keys": "keys_to_select",
    "reorder": "indexes",
    "chunk": "chunks",
    "concat": "data",
}


def assert_takes(call: Callable[..., Any], wanted: str) -> None:
    """The peer's parameters come first, in its order, under its names; further ones are optional."""
    parameters = [p for p in inspect.signature(call).parameters.values() if p.name != "self"]
    names = [text.partition("=")[0] for text in wanted.split()]
    assert [p.name for p in parameters[: len(names)]] == names
    for text, parameter in zip(wanted.split(), parameters, strict=False):
        _, has_default, default = text.partition("=")
        assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if has_default and default not in ("[]", "{}"):
            assert repr(parameter.default) == default
        elif has_default:
            assert parameter.default is not parameter.empty
    for parameter in parameters[len(names) :]:
        assert parameter.default is not parameter.empty or parameter.kind is parameter.VAR_POSITIONAL


@pytest.mark.parametrize(("name", "wanted"), ROOT.items())
def test_a_function_of_the_root_takes_the_peers_parameters(name, wanted):
    function = getattr(transferqueue, name)
    assert_takes(function, wanted)
    assert inspect.iscoroutinefunction(function) == name.startswith("async_")


@pytest.mark.parametrize(("name", "wanted"), CLIENT.items())
def test_a_method_of_the_client_takes_the_peers_parameters_and_has_a_twin(name, wanted):
    assert_takes(getattr(TransferQueueClient, name), wanted)
    twin = getattr(AsyncTransferQueueClient, f"async_{name}")
    assert_takes(twin, wanted)
    assert inspect.iscoroutinefunction(twin)
    assert getattr(TransferQueueClient, f"async_{name}") is twin


def test_a_client_is_made_as_the_peers_is():
    for kind in (AsyncTransferQueueClient, TransferQueueClient):
        assert [*inspect.signature(kind).parameters][:2] == ["client_id", "controller_info"]
        for name, wanted in OTHERS.items():
            assert_takes(getattr(kind, name), wanted)
    assert issubclass(TransferQueueClient, AsyncTransferQueueClient)


def test_every_method_has_a_twin_with_the_same_parameters():
    twins = [name for name in dir(AsyncTransferQueueClient) if name.startswith("async_")]
    plain = {name for name in set(dir(TransferQueueClient)) - set(dir(AsyncTransferQueueClient)) if name[0] != "_"}
    assert {name.removeprefix("async_") for name in twins} == plain
    for name in twins:
        mine = inspect.signature(getattr(TransferQueueClient, name.removeprefix("async_")))
        assert inspect.signature(getattr(TransferQueueClient, name)) == mine


def test_every_call_that_asks_the_core_takes_a_timeout():
    calls = [
        getattr(AsyncTransferQueueClient, name) for name in dir(AsyncTransferQueueClient) if name.startswith("async_")
    ]
    calls += [getattr(transferqueue, name) for name in ROOT if "kv_" in name]
    for call in calls:
        assert inspect.signature(call).parameters["timeout_s"].default is None, call


@pytest.mark.parametrize(("kind", "table"), [(BatchMeta, BATCH), (KVBatchMeta, KEYS)], ids=["BatchMeta", "KVBatchMeta"])
def test_metadata_has_the_peers_methods(kind, table):
    for name, wanted in table.items():
        assert_takes(getattr(kind, name), wanted)


def test_metadata_has_the_peers_attributes():
    batch, keys = BatchMeta([1], ["p"]), KVBatchMeta(["a"], [{}])
    for name in [
        "global_indexes",
        "partition_ids",
        "field_schema",
        "production_status",
        "extra_info",
        "custom_meta",
        "_custom_backend_meta",
        "size",
        "field_names",
        "samples",
        "is_ready",
    ]:
        assert hasattr(batch, name), name
    for name in ("keys", "tags", "partition_id", "fields", "extra_info", "size"):
        assert hasattr(keys, name), name
    assert isinstance(batch, BatchMeta | KVBatchMeta)
    assert isinstance(keys, BatchMeta | KVBatchMeta)
