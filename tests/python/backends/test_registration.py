"""How stores are registered, chosen, started and ended."""

from __future__ import annotations

import logging

import pytest
import torch
from queue_fixtures import running_queue
from tensordict import TensorDict

from support.own_stores import FileStore, Folders, NamedOtherwise, WholeColumns
from transferqueue import _backends, errors
from transferqueue.options import Options
from transferqueue.storage import (
    KVStorageManager,
    StorageBootstrapProvider,
    StorageClientFactory,
    StorageManager,
    StorageManagerFactory,
)


@pytest.mark.parametrize(
    "register",
    [StorageManagerFactory.register, StorageClientFactory.register, StorageBootstrapProvider.register_provider],
)
@pytest.mark.parametrize("what", [dict, 3, FileStore.put])
def test_what_does_not_derive_from_the_base_is_a_type_error(register, what):
    with pytest.raises(TypeError, match="must be a subclass of Storage"):
        register("Wrong")(what)
    assert not _backends.is_registered("Wrong")


def test_the_factories_make_what_was_registered_and_name_what_there_is(tmp_path):
    config = {"path": str(tmp_path)}
    assert type(StorageClientFactory.create("FileStore", config)) is FileStore
    made = StorageManagerFactory.create("FileStore", None, config)
    assert type(made) is KVStorageManager
    assert type(made.storage_client) is FileStore
    named = StorageManagerFactory.create("NamedOtherwise", "info", {**config, "client_name": "FileStore"})
    assert (type(named), named.controller_info) == (NamedOtherwise, "info")
    with pytest.raises(ValueError, match=r"Unknown StorageClient 'Nope'.*FileStore"):
        StorageClientFactory.create("Nope", {})
    with pytest.raises(AssertionError, match=r"Unknown StorageManager 'Nope'.*WholeColumns"):
        StorageManagerFactory.create("Nope", None, {})
    with pytest.raises(ValueError, match="Missing client_name in config"):
        KVStorageManager(None, {})


def test_abstract_stores_cant_be_made():
    with pytest.raises(TypeError, match="abstract"):
        StorageManager(None, {})


def test_providers_are_found_in_any_case_of_their_letters():
    assert StorageBootstrapProvider.get_provider("FILEstore") is Folders
    assert StorageBootstrapProvider.get_provider("nobody") is None


def test_a_section_that_other_processes_cant_get_is_refused():
    with pytest.raises(errors.InvalidArgumentError, match=r"backend\.FileStore: .*only what JSON has"):
        Options.read({"backend": {"storage_backend": "FileStore", "FileStore": {"path": object()}}})
    with pytest.raises(errors.InvalidTypeError, match=r"backend\.FileStore: .* is a list; give a dict"):
        Options.read({"backend": {"storage_backend": "FileStore", "FileStore": []}})


def test_a_name_that_nobody_registered_is_warned_of_and_the_sidecar_holds_the_rows(caplog):
    with caplog.at_level(logging.WARNING):
        assert Options.read({"backend": {"storage_backend": "MooncakeStore"}}).backend is None
    assert "'MooncakeStore' is not served here" in caplog.text


def test_a_manager_says_what_is_ready_and_its_clears_are_of_what_was_put():
    with running_queue({"backend": {"storage_backend": "WholeColumns"}}) as tq:
        data = TensorDict({"x": torch.rand(2, 3), "_own": torch.rand(2)}, batch_size=2)
        assert tq.kv_batch_put(["a", "b"], "p", data).fields == ["x"]
        assert torch.equal(tq.kv_batch_get(["b", "a"], "p")["x"], data["x"][[1, 0]])
        assert isinstance(tq.get_client().storage_manager, WholeColumns)
        tq.kv_batch_put(["b"], "p", TensorDict({"y": torch.rand(1)}, batch_size=1))
        assert len(WholeColumns.kept) == 3
        tq.get_client().clear_partition("p")
        assert WholeColumns.kept == {}


def test_a_provider_starts_before_and_ends_after_and_the_client_is_closed(tmp_path):
    made = tmp_path / "made"
    with running_queue({"backend": {"storage_backend": "FileStore", "FileStore": {"make": str(made)}}}) as tq:
        tq.kv_put("a", "p", {"x": torch.ones(2)})
        assert tq.get_client().storage_manager.config["path"] == str(made)
        assert [path.name for path in made.iterdir()] == ["0@x"]
    assert {path.name for path in made.iterdir()} == {"0@x", "closed", "stopped"}


def test_a_provider_that_fails_ends_init_with_its_error(tmp_path):
    conf = {"backend": {"storage_backend": "FileStore", "FileStore": {"make": str(tmp_path)}}}
    with pytest.raises(FileExistsError), running_queue(conf):
        pass
