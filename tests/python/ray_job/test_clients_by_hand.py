"""Code that makes controller, storage units and clients by hand, in a Ray job: the actor is the controller."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.sidecars import Program

BY_HAND = """
from transferqueue._handles import SimpleStorageUnit, TransferQueueController, get_placement_group
from transferqueue._server_info import process_zmq_server_info
"""


@pytest.fixture
def driver(start_driver: Callable[[], Program]) -> Program:
    """A driver that has a controller made by hand."""
    driver = start_driver()
    for line in BY_HAND.strip().splitlines():
        driver.ask(line)
    driver.ask("group = get_placement_group(2, num_cpus_per_actor=1)")
    driver.ask("made = TransferQueueController.options(num_cpus=1).remote(polling_mode=True)")
    driver.ask(
        "units = [SimpleStorageUnit.options(placement_group=group).remote(storage_unit_size=9) for _ in range(2)]"
    )
    driver.ask("info = process_zmq_server_info(made)")
    return driver


@pytest.mark.slow
def test_actors_make_clients_of_the_controllers_address(driver: Program):
    assert driver.ask("len(process_zmq_server_info(units))") == 2
    assert driver.ask("type(made).__name__, made == controller()") == ("ActorHandle", True)
    driver.ask("client = tq.TransferQueueClient('Trainer', info)")
    driver.ask("client.initialize_storage_manager('AsyncSimpleStorageManager', {})")
    driver.ask("meta = client.kv_retrieve_meta(['a', 'b'], 'p', create=True)")
    driver.ask("worker = Actor.remote()")
    driver.ask("tell(worker, 'info, meta = arguments', info, meta)")
    driver.ask("tell(worker, 'client = tq.AsyncTransferQueueClient(\"rank 1\", info)')")
    driver.ask("tell(worker, 'import asyncio')")
    keys = "asyncio.run(client.async_kv_retrieve_keys(meta.global_indexes, 'p'))"
    assert driver.ask(f"tell(worker, {keys!r})") == ["a", "b"]
    assert driver.ask("ray.get(made.list_partitions.remote())") == ["p"]
    assert driver.ask("client.get_meta(['x'], 1, 'p', task_name='t').size") == 0, "it polls, as it was told"
    assert driver.ask("ray.get(made.get_config.remote()).controller.zmq_info.address == info.address")


def test_a_second_jobs_controller_is_its_own(driver: Program, start_driver: Callable[[], Program]):
    other = start_driver()
    for line in BY_HAND.strip().splitlines():
        other.ask(line)
    other.ask("info = process_zmq_server_info(TransferQueueController.remote())")
    assert other.ask("info.address") != driver.ask("info.address")
    assert other.ask("tq.TransferQueueClient('other', info).get_partition_list()") == []
