"""Processes that fork, are killed, stopped or closed while they look at shared memory or write to it."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from shared_memory.conftest import CAPACITY_BYTES

from support.shared_memory import batch, client_counts, counted, is_view
from support.sidecars import expect
from transferqueue import errors

ROWS = 16
WIDE = 65536  # float32: 256 KiB in a row, 4 MiB in the column
BYTES = ROWS * WIDE * 4
KEYS = [f"k{row}" for row in range(ROWS)]
GET = f"tq.kv_batch_get({KEYS!r}, {{!r}}, ['x'], layout='dense')['x']"
LOAN = f"tq.loan({{!r}}, {KEYS!r}, {{{{'x': (torch.float32, ({WIDE},))}}}})"


def column(seed: int) -> torch.Tensor:
    return torch.arange(ROWS * WIDE, dtype=torch.float32).view(ROWS, WIDE) + seed


def get(tq, partition: str) -> torch.Tensor:
    return tq.kv_batch_get(KEYS, partition, ["x"], layout="dense")["x"]


def use_all_room(tq, partition: str, times: int = 3) -> None:
    """Have every free byte of the memory written, several times."""
    small = torch.full((ROWS, WIDE), -7.0)
    for _ in range(times):
        free = (CAPACITY_BYTES - counted(tq)["bytes_used"]) // BYTES
        for number in range(free):
            tq.kv_batch_put(KEYS, f"{partition}-filler-{number}", batch(ROWS, x=small))
        for number in range(free):
            tq.get_client().clear_partition(f"{partition}-filler-{number}")


class Child:
    """A forked child that looks at a tensor when it is told to, and tells whether it is as it should be."""

    def __init__(self, tensor: torch.Tensor, wanted: torch.Tensor, write: bool = False) -> None:
        self._ask, ask = os.pipe()
        answer, self._answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:  # no test framework, no finalizers: only numpy, which has no threads
            try:
                mine, right = tensor.numpy(), wanted.numpy()
                os.close(ask)
                os.close(answer)
                while os.read(self._ask, 1):
                    os.write(self._answer, b"y" if (mine == right).all() else b"n")
                    if write:
                        mine += 1
                        right = right + 1
            finally:
                os._exit(0)
        os.close(self._ask)
        os.close(self._answer)
        self._ask, self._answer = ask, answer

    def is_right(self) -> bool:
        os.write(self._ask, b"?")
        return os.read(self._answer, 1) == b"y"

    def close(self) -> None:
        """End the child; again: nothing happens."""
        if self.pid == 0:
            return
        os.close(self._ask)
        os.close(self._answer)
        os.waitpid(self.pid, 0)
        self.pid = 0

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def test_a_forked_child_keeps_what_its_parent_lets_go(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    view = get(tq, partition)
    with Child(view, column(1)) as child:
        del view
        tq.kv_clear(KEYS, partition)
        counts = counted(tq)
        assert (counts["leases_pinned"], counts["bytes_used"]) == (1, BYTES)
        use_all_room(tq, partition)
        assert child.is_right()
    expect(lambda: counted(tq)["bytes_used"] == 0, lambda: str(counted(tq)))


def test_ten_thousand_puts_of_the_parent_do_not_reach_its_child(tq, partition):
    small = [f"s{row}" for row in range(16)]
    stored = torch.arange(16 * 1024, dtype=torch.float32).view(16, 1024)
    tq.kv_batch_put(small, partition, batch(16, x=stored))
    view = tq.kv_batch_get(small, partition, ["x"], layout="dense")["x"]
    assert is_view(view)
    with Child(view, stored.clone()) as child:
        del view
        data = batch(16, x=torch.full((16, 1024), -1.0))
        for step in range(10_000):
            tq.kv_batch_put(small, partition, data)
            if step % 1000 == 0:
                assert child.is_right(), step
        assert child.is_right()


def test_a_child_and_its_parent_write_each_to_its_own(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    view = get(tq, partition)
    with Child(view, column(1), write=True) as child:
        assert child.is_right()
        view.fill_(-1)
        assert child.is_right()
        assert view.eq(-1).all()
        del view
        assert torch.equal(get(tq, partition), column(1))
        assert child.is_right()


def test_pins_last_until_the_last_of_several_children_has_ended(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    view = get(tq, partition)
    with Child(view, column(1)) as first, Child(view, column(1)) as second, Child(view, column(1)) as third:
        del view
        tq.kv_clear(KEYS, partition)
        children = [first, second, third]
        while children:
            assert counted(tq)["bytes_used"] == BYTES
            assert all(child.is_right() for child in children)
            children.pop().close()
    expect(lambda: counted(tq)["bytes_used"] == 0, lambda: str(counted(tq)))


def test_a_fork_without_views_asks_the_core_nothing(tq, partition):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    with client_counts() as done:
        Child(torch.zeros(1), torch.zeros(1)).close()
    assert done["client_requests"] == 0


def test_a_child_drops_its_parents_session_without_a_call_into_dotnet(attach):
    """Such a call hangs where another thread of the parent had a lock of the runtime at the fork."""
    program = attach()
    program.ask("len(tq.kv_list())")
    program.say("called, call = os.pipe(); functions = _session.session().client._connection._functions")
    program.hear()
    program.say("functions.client_close = lambda client: os.write(call, b'closed')")
    program.hear()
    program.say("pid = os.fork() or os._exit(0)")
    program.hear()
    assert program.ask("os.waitpid(pid, 0)[1]") == 0
    assert program.ask("os.write(call, b'.') and os.read(called, 100)") == b"."


def test_the_children_of_a_killed_parent_keep_what_they_have(tq, partition, attach):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    parent = attach()
    parent.say(f"view = {GET.format(partition)}; other = {GET.format(partition)}")
    parent.hear()
    parent.say("import os; ask, told = os.pipe(); heard, tell = os.pipe()")
    parent.hear()
    file = f"/proc/{parent.pid}/fd/"
    told = os.open(file + str(parent.ask("told")), os.O_WRONLY)
    answers = os.open(file + str(parent.ask("heard")), os.O_RDONLY)
    look = (
        "[os.write(tell, b'%d.' % int(view.numpy().astype('f8').sum())) for _ in iter(lambda: os.read(ask, 1), b'.')]"
    )
    parent.say(f"pid = os.fork() or ({look}, os._exit(0))")
    parent.hear()
    try:
        parent.process.kill()
        parent.process.wait()  # its pipes stay open in its child
        tq.kv_clear(KEYS, partition)
        expect(lambda: counted(tq)["client_leases"] == 1, lambda: str(counted(tq)))
        assert counted(tq)["leases_pinned"] == 1
        use_all_room(tq, partition)
        os.write(told, b"?")
        assert os.read(answers, 100) == b"%d." % int(column(1).double().sum().item())
    finally:
        os.write(told, b".")
        os.close(told)
        os.close(answers)
    expect(lambda: counted(tq)["bytes_used"] == 0, lambda: str(counted(tq)))


def test_what_a_killed_process_had_on_loan_and_under_leases_comes_back(tq, partition, attach):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    program = attach()
    program.say(f"view = {GET.format(partition)}; room = {LOAN.format('never')}; second = {LOAN.format('never')}")
    program.hear()
    tq.kv_clear(KEYS, partition)
    counts = counted(tq)
    assert (counts["bytes_used"], counts["bytes_on_loan"], counts["loans"]) == (3 * BYTES, 2 * BYTES, 2)
    assert counts["client_leases"] == 1
    program.kill()
    expect(lambda: not any(counted(tq).values()), lambda: str(counted(tq)))
    assert "never" not in tq.get_client().get_partition_list()


def test_a_process_killed_while_it_waits_for_room_takes_none(tq, partition, attach):
    names = [f"{partition}-{number}" for number in range(CAPACITY_BYTES // BYTES)]
    for name in names:
        tq.kv_batch_put(KEYS, name, batch(ROWS, x=column(1)))
    programs = [attach() for _ in range(2)]
    for program in programs:
        program.say(f"data = TensorDict({{'x': torch.zeros({ROWS}, {WIDE})}}, {ROWS})")
        program.hear()
        program.say(f"tq.kv_batch_put({KEYS!r}, 'late-{program.pid}', data).fields")
    expect(lambda: counted(tq)["room_waiting"] == 2)
    programs[0].kill()
    expect(lambda: counted(tq)["room_waiting"] == 1, lambda: str(counted(tq)))
    tq.get_client().clear_partition(names[0])
    assert eval(programs[1].hear()) == ["x"]
    assert f"late-{programs[0].pid}" not in tq.get_client().get_partition_list()


def test_what_a_stopped_process_may_still_write_to_is_given_to_nobody(tq, partition, attach):
    program = attach()
    program.say(f"room = {LOAN.format(partition)}; mine = room['x']")
    program.hear()
    program.process.send_signal(signal.SIGSTOP)
    try:
        free = CAPACITY_BYTES // BYTES - 1
        names = [f"{partition}-{number}" for number in range(free)]
        for name in names:
            tq.kv_batch_put(KEYS, name, batch(ROWS, x=column(1)))
        with pytest.raises(errors.StorageFullError, match=rf"process {program.pid}: {BYTES}\b"):
            tq.kv_batch_put(KEYS, "more", batch(ROWS, x=column(1)), timeout_s=0.2)
    finally:
        program.process.send_signal(signal.SIGCONT)
    program.say("mine.fill_(5) is None")
    program.hear()
    program.say("mine = None; meta = room.commit(); room = None")
    program.hear()
    assert get(tq, partition).eq(5).all()
    for name in names:
        assert torch.equal(get(tq, name), column(1))


def test_room_of_a_process_without_a_connection_is_quarantined_until_it_lets_go(tq, partition, attach):
    program = attach()
    program.say(f"room = {LOAN.format(partition)}; mine = room['x']")
    program.hear()
    assert counted(tq)["bytes_quarantined"] == 0
    program.say("tq.close()")
    program.hear()
    expect(lambda: counted(tq)["bytes_quarantined"] == BYTES, lambda: str(counted(tq)))
    program.process.send_signal(signal.SIGSTOP)
    try:
        names = [f"{partition}-{number}" for number in range(CAPACITY_BYTES // BYTES - 1)]
        for name in names:
            tq.kv_batch_put(KEYS, name, batch(ROWS, x=column(1)))
        with pytest.raises(errors.StorageFullError, match=rf"quarantined {BYTES} \(process {program.pid}: {BYTES}\)"):
            tq.kv_batch_put(KEYS, "more", batch(ROWS, x=column(1)), timeout_s=0.2)
    finally:
        program.process.send_signal(signal.SIGCONT)
    program.say("mine.fill_(5) is None")
    program.hear()
    for name in names:
        assert torch.equal(get(tq, name), column(1)), "the quarantined room was given to somebody"
    program.say("room = mine = None")
    program.hear()
    expect(lambda: counted(tq)["bytes_on_loan"] == 0, lambda: str(counted(tq)))


def test_quarantined_room_comes_back_when_its_process_is_killed_though_it_is_stopped(tq, partition, attach):
    program = attach()
    program.say(f"room = {LOAN.format(partition)}")
    program.hear()
    program.say("tq.close()")
    program.hear()
    expect(lambda: counted(tq)["bytes_quarantined"] == BYTES, lambda: str(counted(tq)))
    program.process.send_signal(signal.SIGSTOP)
    assert counted(tq)["bytes_quarantined"] == BYTES
    program.kill()
    expect(lambda: not any(counted(tq).values()), lambda: str(counted(tq)))


def test_a_stopped_reader_keeps_what_it_looks_at(tq, partition, attach):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    program = attach()
    program.say(f"view = {GET.format(partition)}")
    program.hear()
    program.process.send_signal(signal.SIGSTOP)
    try:
        tq.kv_clear(KEYS, partition)
        use_all_room(tq, partition)
    finally:
        program.process.send_signal(signal.SIGCONT)
    assert program.ask("view.double().sum().item()") == column(1).double().sum().item()
    program.say("view = None")
    program.hear()
    expect(lambda: counted(tq)["bytes_used"] == 0, lambda: str(counted(tq)))


def test_views_stay_right_after_close_and_their_memory_comes_back_when_they_are_dropped(tq, partition, attach):
    tq.kv_batch_put(KEYS, partition, batch(ROWS, x=column(1)))
    program = attach()
    program.say(f"view = {GET.format(partition)}")
    program.hear()
    program.say("tq.close()")
    program.hear()
    tq.kv_clear(KEYS, partition)
    use_all_room(tq, partition)
    assert counted(tq)["bytes_used"] == BYTES
    assert program.ask("view.double().sum().item()") == column(1).double().sum().item()
    program.say("view.fill_(3) is None")
    program.hear()
    program.say("row = view[3]; view = None")
    program.hear()
    assert program.ask("row.sum().item()") == 3 * WIDE
    program.say("row = None")
    program.hear()
    expect(lambda: counted(tq)["bytes_used"] == 0, lambda: str(counted(tq)))
    assert program.ask("tq.kv_list()") == tq.kv_list()
