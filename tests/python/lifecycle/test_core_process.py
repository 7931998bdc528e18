"""Sidecars of real processes, around the real core."""

from itertools import pairwise
from pathlib import Path

import psutil

from support.sidecars import OBEY, Host, Program, expect

HEAVY = ("torch", "tensordict", "omegaconf", "ray")
INIT = "tq.init() and None"
#: The wire without torch, which takes seconds to load.
WIRE = """
import msgpack
from transferqueue._core import Connection
PUT, LIST = 10, 15
connection = None
def connect():
    global connection
    connection = Connection.open(_session.session().address)
def put(key):
    row = {"n": 1, "partition": "p", "keys": {"n": 1, "k": key.encode()}, "tags": msgpack.packb({"by": os.getpid()})}
    connection.call(PUT, msgpack.packb({**row, "columns": [], "want": "none"}), (), 20.0)
def keys():
    reply = connection.call(LIST, msgpack.packb({"partition": "p"}), (), 20.0)
    return sorted(key for _, _, keys, *_ in msgpack.unpackb(reply.header)["partitions"] for key in keys["k"].decode().split("\\0"))
"""


def start(host: Host, *, ready: bool = True, **variables: str) -> Program:
    """A program that speaks to the core, if `ready` after it has attached."""
    head, _, loop = OBEY.partition("for line")
    program = host.start(f"{head}{WIRE}for line{loop}", stub=False, **variables)
    if ready:
        program.ask(INIT)
        assert program.ask("connect()") is None
    return program


def test_eight_siblings_at_once_share_one_queue(host: Host):
    programs = [start(host, ready=False) for _ in range(8)]
    for program in programs:
        program.say(INIT)
    assert [program.hear() for program in programs] == ["None"] * 8
    for number, program in enumerate(programs):
        assert program.ask("connect()") is None
        assert program.ask(f"put('k{number}')") is None
    assert [program.ask("keys()") for program in programs] == [[f"k{number}" for number in range(8)]] * 8
    assert len(host.keepers()) == len(host.cores()) == 1
    for program in programs:
        assert program.finish() == 0, program.errors
    host.expect_nothing_left()


def test_two_jobs_do_not_see_each_others_rows(host: Host):
    one, other = start(host, TRANSFERQUEUE_JOB="one"), start(host, TRANSFERQUEUE_JOB="other")
    one.ask("put('a')")
    other.ask("put('b')")
    assert one.ask("keys()") == ["a"]
    assert other.ask("keys()") == ["b"]


def test_kill_9_of_the_trainer_leaves_no_process_file_or_memory(host: Host):
    program = start(host)
    program.ask("put('a')")
    assert len(host.sidecar()) == 2
    program.kill()
    host.expect_nothing_left()


def test_kill_9_of_all_but_the_keeper_leaves_nothing_but_the_log(host: Host):
    programs = [start(host), start(host)]
    (core,) = host.cores()
    for process in (*(program.process for program in programs), core):
        process.kill()
    expect(lambda: not host.sidecar())
    assert set(host.files()) <= {"transferqueue", "transferqueue/last-crash.log"}


def test_rows_outlive_the_starter_of_a_group(host: Host):
    starter, other = start(host, TRANSFERQUEUE_JOB="g"), start(host, TRANSFERQUEUE_JOB="g")
    starter.ask("put('a')")
    starter.kill()
    late = start(host, TRANSFERQUEUE_JOB="g")
    assert late.ask("_session.find().started") is False
    assert late.ask("keys()") == other.ask("keys()") == ["a"]


def test_close_and_init_give_an_empty_queue_each_time(host: Host):
    program = start(host)
    for number in range(3):
        assert program.ask("keys()") == []
        program.ask(f"put('{number}')")
        program.ask("connection.close()")
        program.ask("tq.close()")
        assert host.files() == []
        program.ask(INIT)
        program.ask("connect()")


def test_repeated_attaching_keeps_no_descriptor_thread_or_attachment(host: Host):
    keeper = start(host, TRANSFERQUEUE_JOB="g")
    program = start(host, TRANSFERQUEUE_JOB="g")

    def turn() -> None:
        assert program.ask("connect()") is None
        assert program.ask("keys()") == []
        program.ask("connection.close()")
        program.ask("tq.close()")
        program.ask(INIT)

    program.ask("connection.close()")
    for _ in range(3):
        turn()
    before = program.ask("len(os.listdir('/proc/self/fd')), len(os.listdir('/proc/self/task'))")
    sidecar = {process.pid: process.num_fds() for process in host.sidecar()}
    for _ in range(20):
        turn()
    after = program.ask("len(os.listdir('/proc/self/fd')), len(os.listdir('/proc/self/task'))")
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 2  # the thread pool of .NET has its own mind
    expect(lambda: all(psutil.Process(pid).num_fds() <= fds for pid, fds in sidecar.items()))
    assert keeper.ask("keys()") == []


def test_calls_of_a_dead_core_raise_and_a_new_init_starts_an_empty_one(host: Host):
    program = start(host)
    program.ask("put('a')")
    host.cores()[0].kill()
    assert program.ask("keys()").split(":")[0] in ("ConnectionLostError", "DeadlineExceededError")
    expect(lambda: not host.sidecar())
    program.ask("connection.close()")
    program.ask(INIT)
    program.ask("connect()")
    assert program.ask("keys()") == []


def test_forking_after_init_and_before_the_first_call_is_fine(host: Host):
    program = host.start(
        f"""
        import os
        import transferqueue as tq
        from transferqueue import _session
        tq.init()
        child = os.fork()
        {WIRE.strip().replace(chr(10), chr(10) + "        ")}
        connect()
        put("child" if child == 0 else "parent")
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(keys(), flush=True)
        """,
        stub=False,
    )
    assert program.hear() == "['child', 'parent']"


def test_neither_keeper_nor_core_loads_torch_and_the_like(host: Host):
    log = host.folder / "own.log"
    # With this variable an interpreter writes the name of each module that it imports to standard error: the log.
    program = start(host, ready=False, PYTHONPROFILEIMPORTTIME="1")
    program.ask(f"tq.init({{'transferqueue': {{'log_file': {str(log)!r}}}}}) and None")
    program.ask("connect()")
    program.ask("put('a')")
    program.ask("tq.close()")
    keeper, core = modules_with("transferqueue.server.keeper", log), modules_with("transferqueue.server.hosted", log)
    assert "selectors" in keeper
    assert keeper.isdisjoint((*HEAVY, "pythonnet", "clr_loader", "msgpack", "numpy"))
    assert "pythonnet" in core
    assert core.isdisjoint(HEAVY)


def modules_with(mark: str, log: Path) -> set[str]:
    """The top-level modules that the process which imported `mark` has imported, as the log tells."""
    names = [
        line.rpartition("|")[2].strip() for line in log.read_text().splitlines() if line.startswith("import time:")
    ]
    # Each process imports site first; it ends where the next one begins.
    starts = [number for number, name in enumerate(names) if name == "site"] + [len(names)]
    (found,) = [names[begin:end] for begin, end in pairwise(starts) if mark in names[begin:end]]
    return {name.partition(".")[0] for name in found}


def test_no_shared_memory_is_in_the_file_system(host: Host):
    program = start(host)
    program.ask("put('a')")
    memory = [
        mapped.path
        for process in (*host.sidecar(), psutil.Process(program.pid))
        for mapped in process.memory_maps(grouped=False)
    ]
    assert any(path.startswith("/memfd:") for path in memory)
    assert [path for path in memory if path.startswith("/dev/shm")] == []
    program.kill()
    host.expect_nothing_left()
