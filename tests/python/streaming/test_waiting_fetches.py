"""``get_meta(wait_s=…)``: how long a fetch waits, whatever the polling mode."""

from __future__ import annotations

import pytest
from queue_fixtures import running_queue

import transferqueue
from support.streams import FIELDS, put, put_later
from transferqueue.errors import NotReadyError


def test_with_polling_a_fetch_waits_as_long_as_it_says_and_is_woken(tq, partition):
    put(partition, range(2))
    client = tq.get_client()
    assert (
        client.get_meta(FIELDS, 4, partition, task_name="t", sampling_config={"dp_rank": 0, "batch_index": 0}).size == 0
    )
    ask = {"task_name": "t", "sampling_config": {"dp_rank": 0, "batch_index": 0}}
    with pytest.raises(NotReadyError, match="2 of 4"):
        client.get_meta(FIELDS, 4, partition, wait_s=0.05, **ask)
    later = put_later(partition, range(2, 4))
    assert client.get_meta(FIELDS, 4, partition, wait_s=60, **ask).size == 4
    later.join()


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "1"])
def test_a_wait_that_is_no_time_is_refused(tq, partition, wrong):
    with pytest.raises(ValueError, match=r"wait_s: .* given; give seconds"):
        tq.get_client().get_meta(FIELDS, 2, partition, task_name="t", wait_s=wrong)


# Last, since its queue takes the place of the module's.
def test_without_polling_a_fetch_that_does_not_wait_gives_an_empty_batch():
    transferqueue.close()
    with running_queue() as package:
        put("p", range(2))
        client = package.get_client()
        assert client.get_meta(FIELDS, 4, "p", task_name="t", wait_s=0).size == 0
        assert client.get_meta(FIELDS, 2, "p", task_name="t", wait_s=0).size == 2
