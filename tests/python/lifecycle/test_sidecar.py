"""Sidecars of real processes, around a core that holds nothing."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from support.sidecars import WITH_STUB, Host, expect

INIT = "tq.init() and None"
ADDRESS = "_session.find().address"
OWNER = """
import os, sys
import transferqueue as tq
tq.init()
print(os.environ["TRANSFERQUEUE_ADDRESS"], flush=True)
sys.stdin.read()
"""


def test_init_starts_a_sidecar_and_close_leaves_nothing(host: Host):
    program = host.start()
    assert program.ask(INIT) is None
    assert len(host.keepers()) == len(host.cores()) == 1
    assert program.ask("_session.find().started") is True
    assert program.ask("tq.close()") is None
    assert host.sidecar() == []
    assert host.files() == []
    assert program.finish() == 0


def test_eight_siblings_at_once_get_one_sidecar(host: Host):
    programs = [host.start() for _ in range(8)]
    for program in programs:
        program.say("tq.init() and None")
    assert [program.hear() for program in programs] == ["None"] * 8
    assert len({program.ask(ADDRESS) for program in programs}) == 1
    assert sum(program.ask("_session.find().started") for program in programs) == 1
    assert len(host.keepers()) == len(host.cores()) == 1
    for program in programs:
        assert program.finish() == 0
    host.expect_nothing_left()


@pytest.mark.parametrize(
    "variables", [{"TORCHELASTIC_RUN_ID": "none", "RANK": "{}", "WORLD_SIZE": "4"}, {"TRANSFERQUEUE_JOB": "a"}]
)
def test_siblings_with_ranks_or_a_name_get_one_sidecar(host: Host, variables: dict[str, str]):
    programs = [host.start(**{k: v.format(rank) for k, v in variables.items()}) for rank in range(4)]
    for program in programs:
        program.say("tq.init() and None")
    assert [program.hear() for program in programs] == ["None"] * 4
    assert len({program.ask(ADDRESS) for program in programs}) == 1


def test_two_jobs_do_not_see_each_other(host: Host):
    one, other = host.start(TRANSFERQUEUE_JOB="one"), host.start(TRANSFERQUEUE_JOB="other")
    one.ask(INIT), other.ask(INIT)
    assert one.ask(ADDRESS) != other.ask(ADDRESS)
    assert len(host.keepers()) == 2
    one.ask("tq.close()")
    assert other.ask("_session.find().is_alive()") is True


def test_programs_from_one_shell_do_not_see_each_other(host: Host):
    script = host.folder / "train.py"
    script.write_text(WITH_STUB + OWNER)
    shell = subprocess.Popen(
        ["sh", "-c", f"{sys.executable} {script} & {sys.executable} {script} & wait"],
        env=host.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    addresses = shell.communicate(timeout=60)[0].split()
    assert len(addresses) == len(set(addresses)) == 2
    script.unlink()
    host.expect_nothing_left()


@pytest.mark.parametrize("name", [None, "job"])
def test_kill_9_of_the_trainer_leaves_nothing(host: Host, name: str | None):
    program = host.start(**({"TRANSFERQUEUE_JOB": name} if name else {}))
    program.ask(INIT)
    program.kill()
    host.expect_nothing_left()


def test_kill_9_of_trainer_and_core_leaves_nothing(host: Host):
    program = host.start()
    program.ask(INIT)
    (core,) = host.cores()
    program.process.kill()
    core.kill()
    program.wait()
    expect(lambda: not host.sidecar())
    assert [name for name in host.files() if not name.endswith("last-crash.log") and name != "transferqueue"] == []


def test_a_forked_child_does_not_keep_a_dead_parent_attached(host: Host):
    program = host.start()
    program.ask(INIT)
    program.ask("import time; child = os.fork(); child == 0 and (os.closerange(0, 3), time.sleep(60))")
    child = psutil.Process(program.ask("child"))
    program.kill()
    try:
        assert child.is_running()
        expect(lambda: not host.sidecar())
        assert host.files() == []
    finally:
        child.kill()


def test_a_forked_child_attaches_anew(host: Host):
    program = host.start("""
        import os, sys
        import transferqueue as tq
        from transferqueue import _session
        tq.init()
        if os.fork() == 0:
            assert _session.find() is None
            session = _session.session()
            print(session.address, session.started, flush=True)
            tq.close()
            os._exit(0)
        os.wait()
        print(_session.find().address, _session.find().is_alive(), flush=True)
    """)
    child, parent = program.hear().split(), program.hear().split()
    assert child[0] == parent[0]
    assert (child[1], parent[1]) == ("False", "True")
    assert program.finish() == 0
    host.expect_nothing_left()


def test_a_child_process_meets_its_parent_by_the_environment(host: Host):
    program = host.start()
    program.ask(INIT)
    address = program.ask("os.environ['TRANSFERQUEUE_ADDRESS']")
    child = host.start(TRANSFERQUEUE_ADDRESS=address)
    assert child.ask("tq.init({'a': 1})") == {"a": 1}
    assert child.ask(ADDRESS) == address
    child.ask("tq.close()")
    assert child.ask("os.environ['TRANSFERQUEUE_ADDRESS']") == address
    assert program.ask("_session.find().is_alive()") is True
    program.ask("tq.close()")
    assert program.ask("os.environ.get('TRANSFERQUEUE_ADDRESS')") is None


def test_a_group_outlives_its_starter(host: Host):
    starter, other = host.start(TRANSFERQUEUE_JOB="g"), host.start(TRANSFERQUEUE_JOB="g")
    starter.ask(INIT), other.ask(INIT)
    assert starter.finish() == 0
    late = host.start(TRANSFERQUEUE_JOB="g")
    late.ask(INIT)
    assert late.ask("_session.find().started") is False
    assert late.ask(ADDRESS) == other.ask(ADDRESS)
    late.ask("tq.close()")
    assert other.ask("_session.find().is_alive()") is True
    other.kill()
    host.expect_nothing_left()


def test_the_starters_close_ends_a_groups_sidecar(host: Host):
    starter, other = host.start(TRANSFERQUEUE_JOB="g"), host.start(TRANSFERQUEUE_JOB="g")
    starter.ask(INIT), other.ask(INIT)
    starter.ask("tq.close()")
    assert host.files() == []
    assert other.ask("_session.find().is_alive()") is False
    other.ask(INIT)
    assert other.ask("_session.find().started") is True


def test_the_owners_exit_ends_its_sidecar_though_others_are_attached(host: Host):
    script = host.folder / "own.py"
    script.write_text(WITH_STUB + OWNER)
    # Below a shell, a process is its own launcher.
    shell = subprocess.Popen(
        ["sh", "-c", f"{sys.executable} {script}; true"],
        env=host.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    other = host.start(TRANSFERQUEUE_ADDRESS=shell.stdout.readline().strip())
    other.ask(INIT)
    shell.communicate(timeout=30)
    assert host.sidecar() == []
    assert other.ask("_session.find().is_alive()") is False
    script.unlink()
    host.expect_nothing_left()


def test_init_and_close_again_and_again_keep_no_descriptor(host: Host):
    program = host.start()
    program.ask(INIT), program.ask("tq.close()")
    before = program.ask("len(os.listdir('/proc/self/fd'))")
    threads = program.ask("__import__('threading').active_count()")
    for _ in range(20):
        assert program.ask("tq.init() is not None") is True
        assert program.ask("tq.close()") is None
    assert program.ask("len(os.listdir('/proc/self/fd'))") == before
    assert program.ask("__import__('threading').active_count()") == threads
    assert host.files() == []


def test_threads_that_init_at_once_share_one_session(host: Host):
    program = host.start("""
        import threading
        import transferqueue as tq
        from transferqueue import _session
        found = []
        def start():
            tq.init()
            found.append(_session.find())
        threads = [threading.Thread(target=start) for _ in range(8)]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(len(found), len(set(map(id, found))), flush=True)
    """)
    assert program.hear() == "8 1"


def test_init_returns_the_merged_configuration_only_when_it_starts(host: Host):
    program = host.start()
    assert program.ask("tq.init({'enable': True})['controller']['polling_mode']") is False
    assert program.ask("tq.init({'enable': True})") == {"enable": True}
    assert program.ask("tq.init()") is None
    program.ask("tq.close()")
    assert program.ask("type(tq.init()).__name__") == "DictConfig"
    assert program.ask("'torch' in sys.modules or 'tensordict' in sys.modules or 'pythonnet' in sys.modules") is False


def test_a_core_that_dies_ends_the_sidecar_and_leaves_its_log(host: Host):
    program = host.start()
    program.ask(INIT)
    (core,) = host.cores()
    core.kill()
    expect(lambda: not host.sidecar())
    host.expect_nothing_left(but=("transferqueue", "transferqueue/last-crash.log"))
    assert f"the core (process {core.pid}) ended with signal 9" in (host.root / "last-crash.log").read_text()
    assert program.ask("_session.find().is_alive()") is False
    program.ask(INIT)
    assert program.ask("_session.find().is_alive()") is True


@pytest.mark.parametrize(
    ("vice", "said"),
    [
        ("fails", "the core could not start: StubError: no memory"),
        ("dies", "ended with signal 9"),
        ("says nothing", "the core is not ready after 1 s"),
    ],
)
def test_a_core_that_does_not_start_is_reported_by_init(host: Host, vice: str, said: str):
    programs = [host.start(STUB=vice, TRANSFERQUEUE_JOB="x") for _ in range(2)]
    for program in programs:
        program.say("tq.init({'transferqueue': {'start_timeout_s': 1.0}})")
    for program in programs:
        answer = eval(program.hear())
        assert answer.startswith("TransferQueueError: sidecar in ")
        assert said in answer
    host.expect_nothing_left(but=("transferqueue", "transferqueue/last-crash.log"))


def test_a_core_that_does_not_end_is_killed(host: Host):
    program = host.start(STUB="stubborn")
    program.ask(INIT)
    program.ask("tq.close()")
    assert host.sidecar() == []
    host.expect_nothing_left()


def test_a_starter_killed_while_it_starts_leaves_nothing(host: Host):
    program = host.start(STUB="says nothing")
    program.say(INIT)
    expect(lambda: len(host.cores()) == 1)
    program.kill()
    host.expect_nothing_left()


def test_ctrl_c_while_init_waits_leaves_nothing(host: Host):
    program = host.start(STUB="says nothing")
    program.say(INIT)
    expect(lambda: len(host.cores()) == 1)
    program.process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in program.hear()
    assert host.sidecar() == []
    host.expect_nothing_left()


def test_a_sibling_goes_on_when_the_starter_is_killed_while_it_starts(host: Host):
    starter = host.start(STUB="slow", TRANSFERQUEUE_JOB="g")
    starter.say(INIT)
    expect(lambda: len(host.cores()) == 1)
    other = host.start(STUB="slow", TRANSFERQUEUE_JOB="g")
    other.say(INIT)
    starter.kill()
    assert other.hear() == "None"
    assert other.ask("_session.find().is_alive()") is True
    other.kill()
    host.expect_nothing_left()


def test_a_killed_keepers_folder_is_removed_by_the_next_starter(host: Host):
    one = host.start(TRANSFERQUEUE_JOB="one")
    one.ask(INIT)
    (keeper,) = host.keepers()
    keeper.kill()
    expect(lambda: not host.sidecar())
    assert host.files() != []
    other = host.start(TRANSFERQUEUE_JOB="other")
    other.ask(INIT)
    assert [name for name in host.files() if "one" in name] == []
    one.ask(INIT)
    assert one.ask("_session.find().started") is True
    one.ask("tq.close()"), other.ask("tq.close()")
    host.expect_nothing_left()


def test_the_core_ends_with_a_killed_keeper(host: Host):
    program = host.start()
    program.ask(INIT)
    host.keepers()[0].kill()
    expect(lambda: not host.cores())
    assert program.ask("_session.find().is_alive()") is False
    assert program.ask("tq.close()") is None


def test_sigterm_ends_the_sidecar_in_good_order(host: Host):
    program = host.start()
    program.ask(INIT)
    host.keepers()[0].terminate()
    host.expect_nothing_left()
    assert program.ask("_session.find().is_alive()") is False


def test_ctrl_c_in_the_trainers_terminal_does_not_reach_the_sidecar(host: Host):
    program = host.start()
    program.ask(INIT)
    trainer = program.ask("os.getpgid(0), os.getsid(0)")
    for process in host.sidecar():
        assert os.getpgid(process.pid) != trainer[0]
        assert os.getsid(process.pid) != trainer[1]


def test_the_keeper_holds_the_cores_memory(host: Host):
    program = host.start(STUB="has memory")
    program.ask(INIT)
    (keeper,) = host.keepers()

    def arenas():
        return sorted(name.split()[0] for name in host.open_files(keeper) if name.startswith("/memfd:arena"))

    expect(lambda: arenas() == ["/memfd:arena-1", "/memfd:arena-3"], lambda: str(arenas()))


def test_the_sidecar_inherits_no_descriptor_of_the_starter(host: Host):
    program = host.start()
    program.ask("secret = os.memfd_create('secret', 0)")
    program.ask(INIT)
    for process in host.sidecar():
        assert not any("secret" in name for name in host.open_files(process))


@pytest.mark.parametrize("fault", ["mode", "link", "file"])
def test_a_rendezvous_folder_that_others_may_enter_is_refused(host: Host, fault: str):
    if fault == "mode":
        host.root.mkdir()
        host.root.chmod(0o770)
    elif fault == "link":
        host.root.symlink_to("/tmp")
    else:
        host.root.write_text("")
    program = host.start()
    assert program.ask(INIT).startswith("AuthenticationError: rendezvous folder")
    assert host.sidecar() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_rendezvous_folder_of_another_user_is_refused(host: Host):
    host.root.mkdir(0o700)
    os.chown(host.root, 12345, 12345)
    assert "belongs to uid 12345" in host.start().ask(INIT)


def test_a_rendezvous_folder_with_too_long_a_name_is_refused(host: Host):
    deep = host.folder / ("x" * 90)
    deep.mkdir()
    program = host.start(XDG_RUNTIME_DIR=str(deep))
    assert program.ask(INIT).startswith("InvalidArgumentError: rendezvous folder")
    deep.rmdir()


def test_without_a_sidecar_calls_say_how_to_start_one(host: Host):
    program = host.start()
    answer = program.ask("_session.session()")
    assert answer.startswith("NotRunningError")
    assert "transferqueue.init()" in answer
    assert program.ask("tq.get_client()").startswith("AssertionError")
    answer = program.ask("tq.init({'transferqueue': {'address': 'unix:///nowhere/core.sock'}})")
    assert answer.startswith("NotRunningError")
    assert program.ask("tq.close()") is None
    assert host.files() == []


def test_calls_attach_lazily(host: Host):
    starter, other = host.start(TRANSFERQUEUE_JOB="g"), host.start(TRANSFERQUEUE_JOB="g", STUB="slow")
    starter.ask(INIT)
    assert other.ask("_session.session().address") == starter.ask(ADDRESS)
    assert other.ask("_session.find().started") is False


def test_a_gateway_runs_only_where_tcp_is_wanted_and_is_started_again_when_it_dies(host: Host):
    plain = host.start(TRANSFERQUEUE_JOB="plain")
    plain.ask(INIT)
    assert host.gateways() == []
    program = host.start(TRANSFERQUEUE_JOB="tcp")
    program.ask("tq.init({'transferqueue': {'listen': 'tcp://127.0.0.1:0'}}) and None")
    assert program.ask("_session.find().ready['tcp_address']").startswith("stub ")
    (gateway,) = host.gateways()
    gateway.kill()
    expect(lambda: [process.pid for process in host.gateways()] not in ([], [gateway.pid]))
    assert program.ask("_session.find().is_alive()") is True
    program.ask("tq.close()"), plain.ask("tq.close()")
    host.expect_nothing_left()


def test_a_gateway_that_does_not_start_is_reported_by_init(host: Host):
    program = host.start(STUB="gateway fails")
    answer = program.ask("tq.init({'transferqueue': {'listen': 'tcp://127.0.0.1:0'}})")
    assert "the gateway could not start: StubError: no port" in answer


def test_a_log_of_ones_own_stays(host: Host):
    log = host.folder / "own.log"
    program = host.start()
    program.ask(f"tq.init({{'transferqueue': {{'log_file': {str(log)!r}}}}}) and None")
    assert program.ask("str(_session.find().log_path)") == str(log)
    program.ask("tq.close()")
    assert "ends: the process that started it closed it" in log.read_text()
    host.expect_nothing_left(but=("own.log",))


def test_a_sidecar_started_by_hand_outlives_everybody_but_a_signal(host: Host):
    command = [
        sys.executable,
        "-c",
        "from support.sidecars import WITH_STUB; exec(WITH_STUB); from transferqueue.server import serve; serve.main()",
    ]
    environment = host.environment | {"PYTHONPATH": os.pathsep.join([*sys.path, host.environment["PYTHONPATH"]])}
    service = subprocess.Popen([*command, "--job", "hand"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        program = host.start(TRANSFERQUEUE_JOB="hand")
        expect(lambda: host.root.exists())
        program.ask(INIT)
        assert program.ask("_session.find().started") is False
        program.ask("tq.close()")
        program.ask(INIT)
        assert program.finish() == 0
        service.send_signal(signal.SIGINT)
        errors = service.communicate(timeout=30)[1]
        assert service.returncode == 0, errors
        assert "TRANSFERQUEUE_ADDRESS=unix://" in errors
        host.expect_nothing_left()
    finally:
        service.kill()
        service.wait()
