"""Processes of a Ray job meet by the named actor; the sidecar lives as long as that."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from support.sidecars import Program, expect


@pytest.fixture(scope="module")
def driver(cluster: Any) -> Iterator[Program]:
    """A driver whose job has a queue and four actors."""
    program = cluster.start_driver()
    program.ask("conf = tq.init({'controller': {'polling_mode': True}, 'enable': True})")
    assert program.ask("type(conf).__name__") == "dict"
    program.ask("actors = [Actor.remote() for _ in range(4)]")
    assert program.ask("[tell(actor, 'tq.init()') for actor in actors]") == [None] * 4
    yield program
    program.close()
    cluster.expect_sidecars(0)


@pytest.mark.slow
def test_what_an_actor_puts_the_others_and_the_driver_read(driver: Program):
    put = (
        "tq.kv_batch_put([f'{arguments[0]}-{i}' for i in range(3)], 'p', "
        "__import__('tensordict').TensorDict({'x': __import__('torch').full((3, 2), arguments[0])}, batch_size=3), "
        "tags=[{'by': arguments[0]}] * 3)"
    )
    driver.ask(f"meta = tell(actors[0], {put!r}, 1)")
    assert driver.ask("meta.keys, meta.fields, meta.tags") == (["1-0", "1-1", "1-2"], ["x"], [{"by": 1}] * 3)
    assert driver.ask("tq.kv_batch_get_by_meta(meta)['x'].values().tolist()") == [1] * 6
    assert driver.ask('tell(actors[2], \'tq.kv_list("p")["p"]["1-2"]\')') == {"by": 1}


def test_a_batch_meta_survives_ray(driver: Program):
    assert driver.ask("tq.kv_put('a', 'meta', {'y': 7}).keys") == ["a"]
    driver.ask('meta = tell(actors[1], \'tq.get_client().get_meta(["y"], 1, "meta", task_name="t")\')')
    assert driver.ask("meta.size, meta.field_names, meta.partition_ids") == (1, ["y"], ["meta"])
    driver.ask("meta.extra_info['seen'] = 1")
    assert driver.ask("tell(actors[0], 'arguments[0].extra_info, arguments[0].is_ready', meta)") == ({"seen": 1}, True)
    assert driver.ask("tell(actors[0], 'tq.get_client().get_data(arguments[0])[\"y\"].tolist()', meta)") == [7]


def test_all_share_one_sidecar_which_takes_no_cpu(cluster: Any, driver: Program):
    assert len(cluster.host.keepers()) == 1
    assert len({driver.ask(f"tell(actors[{n}], 'os.environ[\"TRANSFERQUEUE_ADDRESS\"]')") for n in range(4)}) == 1
    # The four actors asked for one each.
    expect(lambda: driver.ask("ray.available_resources()['CPU']") == 12.0)
    assert driver.ask("ray.util.placement_group_table()") == {}


def test_tasks_and_async_actors_attach(driver: Program):
    driver.ask("worker = AsyncActor.remote()")
    listed = driver.ask("ray.get(worker.put.remote([f'k{i}' for i in range(20)]), timeout=60)")
    assert listed == {"coroutines": {f"k{i}": {"by": f"k{i}"} for i in range(20)}}
    assert driver.ask("ray.get(list_in_a_task.remote(), timeout=60)['coroutines']") == listed["coroutines"]


def test_a_process_attaches_without_init(driver: Program):
    driver.ask("tq.kv_put('k', 'lazy', tag={'n': 1}).keys")
    driver.ask("late = Actor.options(num_cpus=0).remote()")
    assert driver.ask("tell(late, 'tq.kv_list(\"lazy\")')") == {"lazy": {"k": {"n": 1}}}
    assert driver.ask('tell(late, \'sorted({"torch", "ray"} & set(sys.modules))\')') == ["ray"]


def test_users_call_the_actor(driver: Program):
    assert driver.ask("tq.kv_put('k', 'called', {'x': 1}).keys") == ["k"]
    driver.ask("handle = controller()")
    driver.ask("conf = ray.get(handle.get_config.remote())")
    assert driver.ask("type(conf).__name__, conf.controller.polling_mode, conf.enable") == ("DictConfig", True, True)
    assert driver.ask("conf.backend.SimpleStorage.num_data_storage_units") == 2
    assert "called" in driver.ask("ray.get(handle.list_partitions.remote())")
    (row,) = driver.ask("ray.get(handle.get_partition_index_range.remote('called'))")
    assert driver.ask(f"ray.get(handle.kv_retrieve_keys.remote([{row}], 'called'))") == ["k"]
    driver.ask("shot = ray.get(handle.get_partition_snapshot.remote('called'))")
    assert driver.ask("shot.keys_mapping, shot.global_indexes, shot.field_name_mapping") == (
        {"k": row},
        [row],
        {"x": 0},
    )
    assert driver.ask("shot.production_status.tolist(), shot.consumption_status") == ([[1]], {})
    assert driver.ask("ray.get(handle.get_partition_snapshot.remote('nowhere')) is None")
    driver.ask("ray.get(handle.register_sampler.remote('GRPOGroupNSampler', {'n_samples_per_prompt': 2}))")
    said = driver.ask("tq.get_client().get_meta(['x'], 1, 'called', task_name='t')")
    assert said.startswith("InvalidArgumentError: ")
    driver.ask("ray.get(handle.register_sampler.remote('SequentialSampler'))")
    assert driver.ask("tq.get_client().get_meta(['x'], 1, 'called', task_name='t').size") == 1
    assert driver.ask("attempt(ray.get, handle.register_sampler.remote(dict))").startswith("RayTaskError")
    assert driver.ask("ray.get(handle.get_zmq_server_info.remote())['role']") == "controller"
    driver.ask("ray.get(handle.clear_partition.remote('called'))")
    assert "called" not in driver.ask("ray.get(handle.list_partitions.remote())")


def test_a_killed_actor_takes_nothing_along(driver: Program):
    driver.ask("victim = Actor.options(num_cpus=0).remote()")
    assert driver.ask('tell(victim, \'tq.kv_put("k", "victims", tag={"x": 1}).keys\')') == ["k"]
    pid = driver.ask("tell(victim, 'os.getpid()')")
    psutil.Process(pid).send_signal(signal.SIGKILL)
    assert driver.ask("attempt(tell, victim, '1')").startswith("Actor")
    assert driver.ask("tell(actors[0], 'tq.kv_list(\"victims\")')") == {"victims": {"k": {"x": 1}}}


def test_close_in_an_actor_only_detaches_it(driver: Program):
    driver.ask("tell(actors[3], 'tq.close()')")
    assert driver.ask('tell(actors[3], \'os.environ.get("TRANSFERQUEUE_ADDRESS", "-")\')') == "-"
    driver.ask("tq.kv_put('k', 'detached', tag={}).keys")
    assert driver.ask("tell(actors[2], 'tq.kv_list(\"detached\")')") == {"detached": {"k": {}}}
    assert driver.ask("tell(actors[3], 'tq.init(); tq.kv_list(\"detached\")')") is None
    assert driver.ask("tell(actors[3], 'tq.kv_list(\"detached\")')") == {"detached": {"k": {}}}


def test_a_job_without_a_queue_says_what_to_do(start_driver: Callable[[], Program], driver: Program):
    other = start_driver()
    said = other.ask("tq.kv_list()")
    assert said.startswith("NotRunningError: ")
    assert "TransferQueueController" in said
    assert "call transferqueue.init() first, in the driver" in said


def test_two_jobs_of_a_cluster_do_not_meet(cluster: Any, start_driver: Callable[[], Program], driver: Program):
    driver.ask("tq.kv_put('k', 'first', tag={}).keys")
    other = start_driver()
    other.ask("start()")
    assert other.ask("tq.kv_list()") == {}
    assert len(cluster.host.keepers()) == 2
    other.ask("tq.kv_put('k', 'second', tag={}).keys")
    other.ask("actor = Actor.remote()")
    assert other.ask("tell(actor, 'tq.kv_list()')") == {"second": {"k": {}}}
    assert "second" not in driver.ask("tq.kv_list()")
    other.ask("tq.close()")
    cluster.expect_sidecars(1)
    assert "first" in driver.ask("tell(actors[0], 'tq.kv_list()')")


def test_a_queue_can_be_closed_and_opened_again(start_driver: Callable[[], Program], driver: Program):
    other = start_driver()
    other.ask("actor = Actor.remote()")
    for turn in range(2):
        assert other.ask("start()") == "DictConfig"
        assert other.ask("tq.kv_list()") == {}
        other.ask(f"tq.kv_put('k', 'turn {turn}', tag={{}}).keys")
        other.ask("tell(actor, 'tq.init()')")
        assert other.ask("tell(actor, 'tq.kv_list()')") == {f"turn {turn}": {"k": {}}}
        other.ask("tq.close()")


def test_a_killed_driver_leaves_nothing(cluster: Any, start_driver: Callable[[], Program], driver: Program):
    other = start_driver()
    other.ask("start()")
    other.ask("actor = Actor.remote()")
    other.ask('tell(actor, \'tq.kv_put("k", "p", tag={}).keys\')')
    assert len(cluster.host.keepers()) == 2
    other.kill()
    cluster.expect_sidecars(1)
    assert driver.ask('tell(actors[0], \'tq.kv_put("k", "after", tag={}).keys\')') == ["k"]


def test_one_that_hangs_or_dies_in_init_does_not_hold_up_the_others(start_driver: Callable[[], Program]):
    other = start_driver()
    other.ask("maker = Actor.remote()")
    other.ask("from transferqueue import _ray_job; _ray_job._MARGIN_S = 0")
    hang = (
        "from transferqueue import _ray_job\n"
        "import ray\n"
        "class Hanging:\n"
        "    def __init__(self, *_): pass\n"
        "    def serve(self, job): import time; time.sleep(600)\n"
        "_ray_job.TransferQueueController = Hanging\n"
        "_ray_job.make_actor(ray, arguments[0], 'x', None, None)\n"
    )
    job = other.ask("ray.get_runtime_context().get_job_id()")
    other.ask(f"tell(maker, {hang!r}, 'TransferQueueController-{job}')")
    said = other.ask("start({'transferqueue': {'start_timeout_s': 0.5}})")
    assert said.startswith("DeadlineExceededError: ")
    assert "did not answer serve() in time" in said
    psutil.Process(other.ask("tell(maker, 'os.getpid()')")).send_signal(signal.SIGKILL)
    assert other.ask("start()") == "DictConfig"
    assert other.ask("tq.kv_list()") == {}


def test_a_foreign_actor_of_this_name_is_refused(start_driver: Callable[[], Program], driver: Program):
    other = start_driver()
    job = other.ask("ray.get_runtime_context().get_job_id()")
    other.ask(f"foreign = Actor.options(name='TransferQueueController-{job}', namespace='transfer_queue').remote()")
    said = other.ask("start()")
    assert said.startswith("TransferQueueError: ")
    assert "is not one of transferqueue-net" in said


def test_what_init_is_told_is_checked_as_without_ray(start_driver: Callable[[], Program]):
    other = start_driver()
    assert other.ask("start({'controller': {'sampler': 'Nobody'}})").startswith("InvalidArgumentError: ")
    said = other.ask("start({'transferqueue': {'log_file': '/nowhere/at/all'}})")
    assert said.startswith(("TransferQueueError: ", "FileNotFoundError: "))
    other.ask("start()")
    assert other.ask("tq.kv_list()") == {}


@pytest.mark.slow
def test_a_process_on_another_node_comes_over_tcp(cluster: Any, driver: Program):
    cluster.add_node(num_cpus=1, resources={"far": 4})
    far = "Actor.options(num_cpus=0, resources={'far': 1}).remote()"
    driver.ask(f"far = {far}")
    assert driver.ask("tq.kv_put('k', 'near', tag={'n': 1}).keys") == ["k"]
    assert driver.ask("tell(far, 'tq.kv_list(\"near\")')") == {"near": {"k": {"n": 1}}}
    address = driver.ask("tell(far, 'os.environ[\"TRANSFERQUEUE_ADDRESS\"]')")
    assert address.startswith("tcp://")
    # Large enough for shared memory, which there is none of between nodes.
    fill = "{'x': __import__('torch').arange(100_000)}"
    assert driver.ask(f"tell(far, \"tq.kv_put('k', 'far', {fill}).fields\")") == ["x"]
    assert driver.ask("tq.kv_batch_get('k', 'far')['x'].values().sum().item()") == 99_999 * 50_000
    # What it starts finds the sidecar, too.
    code = "import transferqueue as t; print(t.kv_list().get('near'))"
    child = f"__import__('subprocess').run([sys.executable, '-c', {code!r}], capture_output=True, text=True).stdout"
    assert driver.ask(f"tell(far, {child!r})").strip() == "{'k': {'n': 1}}"
    # One more shares the port.
    driver.ask(f"farther = {far}")
    assert driver.ask("tell(farther, 'tq.init(); 1')") is None
    assert driver.ask("tell(farther, 'os.environ[\"TRANSFERQUEUE_ADDRESS\"]')") == address
    assert len(cluster.host.gateways()) == 1
    # A gateway that was killed comes back where it was.
    cluster.host.gateways()[0].kill()
    expect(lambda: driver.ask("tell(farther, 'tq.kv_list(\"near\")')") == {"near": {"k": {"n": 1}}})
