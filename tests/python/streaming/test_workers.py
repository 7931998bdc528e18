"""Loaders with worker processes: real ones, made by a fork server."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from pathlib import Path

import psutil
import pytest
import torch

from support import streams
from support.programs import Started
from support.shared_memory import counted
from support.sidecars import expect
from support.streams import check, flat, make, numbers_of, put, put_later
from transferqueue import StreamingDataLoader
from transferqueue.streaming import LoaderWorkerError, default_fetch_batch_fn

ENDLESS = """
import sys
import transferqueue as tq
from support.streams import make, put

if __name__ == "__main__":
    tq.init({"controller": {"polling_mode": True}})
    put("train", range(4))
    loader = tq.StreamingDataLoader(make("train", should_check_consumption_status=False), num_workers=2)
    for td, meta in loader:
        print("got", td["number"].tolist(), flush=True)
"""


def workers() -> list[psutil.Process]:
    """Worker processes of loaders of this process: they are children of the fork server."""
    mine = psutil.Process().children(recursive=True)
    return [process for process in mine if process.is_running() and is_worker(process)]


def is_worker(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and any(
            "forkserver" in part for part in process.parent().cmdline()
        )
    except psutil.Error:
        return False


def expect_no_workers() -> None:
    expect(lambda: not workers(), lambda: str(workers()), patience_s=30)


@pytest.fixture(autouse=True)
def nothing_is_left(tq):
    yield
    gc.collect()
    expect_no_workers()
    for name in tq.get_client().get_partition_list():
        tq.get_client().clear_partition(name)
    expect(lambda: not any(counted(tq).values()), lambda: str(counted(tq)), patience_s=30)


def test_workers_give_all_rows_once_with_their_metadata(tq, partition, monkeypatch):
    # The fork server may be older than the queue, so a worker can't rely on the environment.
    monkeypatch.delenv("TRANSFERQUEUE_ADDRESS")
    put(partition, range(24))
    loader = StreamingDataLoader(make(partition), num_workers=2)
    got = numbers_of(loader)
    assert got == [[n, n + 1] for n in range(0, 24, 2)]  # in the order that there is without workers
    assert loader.get_buffer() == []
    loader.reset()
    assert numbers_of(loader) == got


def test_a_loader_left_early_ends_its_workers_and_delivers_the_rest_the_next_time(tq, partition):
    put(partition, range(24))
    loader = StreamingDataLoader(make(partition, should_check_consumption_status=False), num_workers=2)
    got = []
    for td, meta in loader:
        got += check(td, meta)
        if len(got) == 6:
            break
    expect_no_workers()
    state = loader.state_dict()
    loader.dataset.should_check_consumption_status = True
    rest = flat(numbers_of(loader))
    assert sorted(got + rest) == list(range(24))
    other = StreamingDataLoader(make("elsewhere"), num_workers=2)
    other.load_state_dict(state)
    assert sorted(flat(numbers_of(other))) == sorted(rest)


def test_a_worker_that_waits_for_rows_ends_by_itself_with_the_iteration(tq, partition):
    put(partition, range(4))
    loader = StreamingDataLoader(make(partition, should_check_consumption_status=False), num_workers=2)
    stream = iter(loader)
    # The second worker has nothing, and the micro-batches of the first one don't wait for it.
    assert [check(*next(stream)) for _ in range(2)] == [[0, 1], [2, 3]]
    processes = stream._inner._workers
    stream.close()
    assert [process.exitcode for process in processes] == [0, 0]  # torch kills what is not back after 5 s
    assert list(stream) == []


def test_persistent_workers_live_through_epochs_and_hear_of_step_and_reset(tq, partition):
    put(partition, range(16))
    loader = StreamingDataLoader(
        make(partition), num_workers=2, persistent_workers=True, collate_fn=streams.pid_of, prefetch_factor=3
    )
    seen = [list(loader)]
    loader.reset()
    seen.append(list(loader))
    for number in (1, 2):
        put(f"{partition}-{number}", range(100 * number, 100 * number + 16))
        loader.step(f"{partition}-{number}")
        seen.append(list(loader))
    assert sorted(seen[0]) == sorted(seen[1])
    for number in (1, 2):
        assert sorted(flat([numbers for _, numbers in seen[number + 1]])) == list(
            range(100 * number, 100 * number + 16)
        )
    pids = {pid for epoch in seen for pid, _ in epoch}
    assert len(pids) == 2
    # left early, then gone on with: what the workers had made in vain they make again
    put(partition + "-3", range(16))
    loader.step(partition + "-3")
    stream = iter(loader)
    got = [next(stream), next(stream)]
    del stream
    got += list(loader)
    assert sorted(flat([numbers for _, numbers in got])) == list(range(16))
    assert {pid for pid, _ in got} <= pids
    loader.close()


def test_step_and_reset_reach_the_workers_of_a_running_iteration(tq, partition):
    put(partition, range(8))
    put(f"{partition}-2", range(20, 28))
    loader = StreamingDataLoader(make(partition, should_check_consumption_status=False), num_workers=1)
    stream = iter(loader)
    assert [check(*next(stream)) for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    loader.reset()
    assert [check(*next(stream)) for _ in range(2)] == [[0, 1], [2, 3]]
    loader.step(f"{partition}-2")
    assert [check(*next(stream)) for _ in range(4)] == [[20, 21], [22, 23], [24, 25], [26, 27]]
    later = put_later(f"{partition}-2", range(28, 32))
    assert check(*next(stream)) == [28, 29]
    later.join()


def test_a_killed_worker_is_named_and_the_next_iteration_loses_no_row(tq, partition):
    put(partition, range(16))
    loader = StreamingDataLoader(make(partition, should_check_consumption_status=False), num_workers=2)
    stream = iter(loader)
    got = check(*next(stream))
    victim = workers()[0].pid
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=rf"process {victim} was killed by signal 9") as caught:
        got.extend(n for td, meta in stream for n in check(td, meta))
    assert isinstance(caught.value, LoaderWorkerError)
    assert list(stream) == []
    expect_no_workers()
    loader.dataset.should_check_consumption_status = True
    assert sorted(got + flat(numbers_of(loader))) == list(range(16))


def test_an_error_in_a_worker_reaches_the_consumer_with_its_place(tq, partition):
    put(partition, range(16))
    loader = StreamingDataLoader(make(partition, fetch_batch_fn=streams.failing_fetch), num_workers=1)
    with pytest.raises(
        LookupError, match=r"(?s)in DataLoader worker process 0.*failing_fetch.*batch 1 is not to my taste"
    ):
        numbers_of(loader)


def test_after_an_error_workers_that_wait_for_rows_end_by_themselves_when_their_iteration_is_collected(tq, partition):
    put(partition, range(16))
    stream = iter(StreamingDataLoader(make(partition, fetch_batch_fn=streams.failing_fetch), num_workers=1))
    processes = stream._inner._workers
    with contextlib.suppress(LookupError):
        list(stream)
    del stream
    gc.collect()
    assert [process.exitcode for process in processes] == [0]  # torch kills what is not back after 5 s


def test_functions_that_have_no_name_go_to_the_workers(tq, partition):
    put(partition, range(8))
    note, scale = torch.zeros(2, dtype=torch.int64).share_memory_(), 10

    def fetch(**asked):
        return default_fetch_batch_fn(**asked)

    dataset = make(partition, fetch_batch_fn=fetch, process_batch_fn=lambda td, meta, micro_batch_size: [(td, meta)])
    loader = StreamingDataLoader(
        dataset,
        num_workers=2,
        collate_fn=lambda pair: [scale * n for n in pair[0]["number"].tolist()],
        worker_init_fn=lambda worker: os.environ.update(SEEN=str(worker)),
    )
    assert sorted(loader) == [[0, 10, 20, 30], [40, 50, 60, 70]]
    assert note.tolist() == [0, 0]


@pytest.mark.skipif(torch.accelerator.is_available(), reason="here memory can be pinned, and is")
@pytest.mark.parametrize("num_workers", [0, 1])
def test_where_no_accelerator_is_pin_memory_pins_nothing_and_torch_says_so(tq, partition, num_workers):
    put(partition, range(8))
    loader = StreamingDataLoader(make(partition), num_workers=num_workers, pin_memory=True)
    with pytest.warns(UserWarning, match="no accelerator"):
        stream = iter(loader)
    got = list(stream)
    assert sorted(check(*pair) for pair in got) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert not any(td["number"].is_pinned() for td, _ in got)


def test_what_would_fork_is_refused(tq):
    for context in ("fork", torch.multiprocessing.get_context("fork")):
        with pytest.raises(ValueError, match=r"'fork' given, but workers use \.NET"):
            StreamingDataLoader(make("p"), num_workers=1, multiprocessing_context=context)
    StreamingDataLoader(make("p"), num_workers=0, multiprocessing_context="fork")  # there are no workers


def test_a_dataset_that_is_divided_among_workers_is_not_divided_anew(tq, partition):
    put(partition, range(16))
    dataset = make(partition)
    first = next(iter(StreamingDataLoader(dataset, num_workers=2)))
    check(*first)
    expect_no_workers()
    with pytest.raises(ValueError, match=r"divided among 2 workers and some are delivered, so 1 can't go on"):
        iter(StreamingDataLoader(dataset, num_workers=1))
    with pytest.raises(ValueError, match="divided among the 2 workers"):
        iter(dataset)
    dataset.reset()
    assert sorted(flat(numbers_of(StreamingDataLoader(dataset, num_workers=1)))) == list(range(16))


@pytest.mark.slow
def test_the_workers_of_a_killed_consumer_end(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(f"import sys; sys.path.append({str(Path(__file__).parents[1])!r})\n{ENDLESS}")
    started = Started([str(program)], tmp_path)
    try:
        started.wait_for_line("got")
        started.wait_for_line("got")
        started.process.kill()
        assert started.left_running(patience_s=40) == []
    finally:
        started.clean()
