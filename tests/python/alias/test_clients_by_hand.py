"""Clients made from a controller's address, as code before the key-value interface does it."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading

import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict

from transferqueue import errors


@pytest.fixture(scope="module")
def controller_info(tq):
    from transfer_queue import TransferQueueController, process_zmq_server_info

    return process_zmq_server_info(TransferQueueController.remote())


def columns(rows: int) -> TensorDict:
    return TensorDict({"x": torch.arange(rows)}, batch_size=rows)


def test_a_trainer_builds_it_all_by_hand(tq, partition):
    from transfer_queue import (
        SimpleStorageUnit,
        TransferQueueClient,
        TransferQueueController,
        get_placement_group,
        process_zmq_server_info,
    )

    group = get_placement_group(2, num_cpus_per_actor=1)
    units = {
        rank: SimpleStorageUnit.options(placement_group=group, placement_group_bundle_index=rank).remote(
            storage_unit_size=50
        )
        for rank in range(2)
    }
    controller = TransferQueueController.options(num_cpus=1).remote(sampler=tq.SequentialSampler, polling_mode=False)
    config = OmegaConf.create({"transfer_queue": {}}, flags={"allow_objects": True})
    config.transfer_queue.controller_info = process_zmq_server_info(controller)
    config.transfer_queue.storage_unit_infos = process_zmq_server_info(units)
    assert len(config.transfer_queue.storage_unit_infos) == 2
    client = TransferQueueClient("Trainer", config.transfer_queue.controller_info)
    client.initialize_storage_manager(manager_type="AsyncSimpleStorageManager", config=config.transfer_queue)
    assert (client.client_id, client._controller) == ("Trainer", config.transfer_queue.controller_info)
    meta = client.put(columns(4), partition_id=partition)
    fetched = client.get_meta(["x"], 4, partition, task_name="t")
    assert fetched.global_indexes == meta.global_indexes
    client.clear_samples(meta)
    client.close()
    client.close()
    assert tq.get_client().get_partition_list() == [partition], "closing a client of one's own ends nobody else's"
    tq.get_client().clear_partition(partition)


def test_a_pickled_address_leads_another_process_to_the_queue(tq, partition, controller_info, tmp_path):
    tq.get_client().put(columns(3), partition_id=partition)
    (tmp_path / "info").write_bytes(pickle.dumps(controller_info))
    code = (
        "import pickle, sys; from transferqueue import TransferQueueClient\n"
        "client = TransferQueueClient(client_id='worker', controller_info=pickle.load(open(sys.argv[1], 'rb')))\n"
        "print(client.get_meta(['x'], 3, sys.argv[2], task_name='t').size); client.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "info"), partition],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip() == "3", done.stderr


def test_coroutines_work_on_a_new_loop_each_and_in_any_thread(partition, controller_info):
    from transfer_queue import AsyncTransferQueueClient

    client = AsyncTransferQueueClient("unirl", controller_info)
    meta = asyncio.run(client.async_put(data=columns(2), partition_id=partition))
    read: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: read.append(asyncio.run(client.async_get_data(meta))["x"].tolist()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert read == [[0, 1]] * 4
    asyncio.run(client.async_clear_partition(partition))
    client.close()


def test_the_merged_configuration_tells_where_the_queue_is():
    code = (
        "import transferqueue as tq, os, uuid; os.environ['TRANSFERQUEUE_JOB'] = uuid.uuid4().hex\n"
        "os.environ.pop('TRANSFERQUEUE_ADDRESS', None)\n"
        "conf = tq.init()\n"
        "client = tq.TransferQueueClient('mine', conf.controller.zmq_info)\n"
        "print(client.get_partition_list(), conf.controller.zmq_info.to_addr('request_handle_socket')[:7])\n"
        "client.close(); tq.close(); plain = tq.init({}); print(type(plain).__name__, plain['controller']['zmq_info'].role.name)\n"
        "tq.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=90)
    assert done.stdout.split() == ["[]", "unix://", "dict", "CONTROLLER"], done.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("a",), ValueError),
        (("a", None), ValueError),
        (("a", "tcp://localhost:1"), TypeError),
        (("a", {"role": "controller"}), TypeError),
        (("a", 5), TypeError),
        ((5, None), TypeError),
        ((None, None), TypeError),
    ],
)
def test_a_client_of_nowhere_is_refused(arguments, error):
    from transfer_queue import AsyncTransferQueueClient, TransferQueueClient

    for kind in (TransferQueueClient, AsyncTransferQueueClient):
        with pytest.raises(error) as caught:
            kind(*arguments)
        assert isinstance(caught.value, errors.TransferQueueError)


def test_an_address_at_which_nothing_serves_is_an_error_at_the_first_call(tq):
    from transfer_queue import TransferQueueClient, ZMQServerInfo

    info = ZMQServerInfo("TransferQueueController", "c", "127.0.0.1", {"request_handle_socket": 1})
    assert info.to_addr("request_handle_socket") == "tcp://127.0.0.1:1"
    with pytest.raises(ValueError, match="handshake"):
        info.to_addr("handshake")
    client = TransferQueueClient("lost", info)
    with pytest.raises((errors.ConnectionLostError, errors.AuthenticationError, errors.DeadlineExceededError)):
        client.get_partition_list()
    client.close()


def test_a_storage_manager_that_there_is_not_is_named(controller_info, caplog):
    from transfer_queue import TransferQueueClient

    client = TransferQueueClient("a", controller_info)
    with pytest.raises(AssertionError, match=r"'Tape' is none of AsyncSimpleStorageManager"):
        client.initialize_storage_manager("Tape", {})
    client.initialize_storage_manager("MooncakeStorageManager", {})
    assert "'MooncakeStorageManager' is not served here" in caplog.text
    client.close()


@pytest.mark.parametrize("wrong", [None, 5, "controller", object(), [5], {0: 5}])
def test_what_is_no_handle_is_refused(wrong):
    from transfer_queue import process_zmq_server_info

    with pytest.raises(TypeError, match="handle"):
        process_zmq_server_info(wrong)


@pytest.mark.parametrize(("actors", "cpus"), [(0, 1), (-1, 1), (1.5, 1), ("2", 1), (2, -1), (2, None)])
def test_room_for_what_can_not_be_is_refused(actors, cpus):
    from transfer_queue import SimpleStorageUnit, get_placement_group

    with pytest.raises((ValueError, TypeError)):
        get_placement_group(actors, cpus)
    assert len(get_placement_group(2).bundle_specs) == 2
    with pytest.raises((ValueError, TypeError)):
        SimpleStorageUnit.remote(storage_unit_size=0)
