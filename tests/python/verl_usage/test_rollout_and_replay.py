"""Prompts and trajectories in one partition: their tags, polling, groups, padding, failures."""

from __future__ import annotations

import asyncio
import random
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from tensordict import NonTensorStack, TensorDict

import transfer_queue as tq

pytestmark = pytest.mark.usefixtures("tq")

GROUP = 4
ORDER = {"pending": 0, "running": 1, "finished": 2, "failure": 2}


def submit(partition: str, uids: list[str], step: int = 1) -> None:
    """Announce prompts: rows of tags alone."""
    tags = [{"is_prompt": True, "status": "pending", "global_steps": step}] * len(uids)
    tq.kv_batch_put(keys=uids, partition_id=partition, tags=tags)


def trajectories(lengths: list[int], uid: str) -> TensorDict:
    rows = [torch.arange(length) for length in lengths]
    return TensorDict(
        {
            "responses": torch.nested.as_nested_tensor(rows, layout=torch.jagged),
            "response_mask": torch.nested.as_nested_tensor([torch.ones_like(row) for row in rows], layout=torch.jagged),
            "rm_scores": torch.nested.as_nested_tensor([row.float() for row in rows], layout=torch.jagged),
            "uid": NonTensorStack(*[uid] * len(rows)),
            "num_turns": NonTensorStack(*range(len(rows))),
        },
        batch_size=len(rows),
    )


async def roll_out(partition: str, uid: str, lengths: list[int], session: int = 0) -> None:
    """One prompt's way: running, its trajectories one by one, finished."""
    await tq.async_kv_put(key=uid, partition_id=partition, tag={"status": "running"})
    for index, length in enumerate(lengths):
        await tq.async_kv_batch_put(
            keys=[f"{uid}_{session}_{index}"],
            fields=trajectories([length], uid),
            tags=[{"uid": uid, "seq_len": length, "is_prompt": False}],
            partition_id=partition,
        )
    await tq.async_kv_put(key=uid, partition_id=partition, tag={"status": "finished"})


def roll_out_all(partition: str, uids: list[str], threads: int = 4) -> None:
    """Agent loops: threads, each with an event loop of its own and many prompts at a time."""

    async def loop(mine: list[str]) -> None:
        await asyncio.gather(*[roll_out(partition, uid, [n + 1 for n in range(GROUP)]) for uid in mine])

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(asyncio.run, loop(uids[at::threads])) for at in range(threads)]:
            done.result(60)


def prompts_in(listing: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {key: tag for key, tag in listing.items() if tag.get("is_prompt")}


def take_finished(partition: str, groups: int) -> tq.KVBatchMeta | None:
    """The replay buffer's look: trajectories of finished prompts, whose prompts are cleared; None: too few."""
    listing = (tq.kv_list() or {}).get(partition, {})
    finished = [key for key, tag in prompts_in(listing).items() if tag["status"] == "finished"][:groups]
    if len(finished) < groups:
        return None
    chosen = {key: tag for key, tag in listing.items() if tag.get("uid") in finished}
    tq.kv_clear(keys=finished, partition_id=partition)
    return tq.KVBatchMeta(partition_id=partition, keys=list(chosen), tags=list(chosen.values()))


def test_prompts_and_trajectories_lie_in_one_partition(partition):
    submit(partition, ["u0", "u1"])
    asyncio.run(roll_out(partition, "u0", [3, 1]))
    listing = tq.kv_list(partition)[partition]
    assert list(listing) == ["u0", "u1", "u0_0_0", "u0_0_1"]
    assert listing["u0"] == {"is_prompt": True, "status": "finished", "global_steps": 1}
    assert listing["u1"]["status"] == "pending"
    got = tq.kv_batch_get(keys=["u0_0_1", "u0_0_0"], partition_id=partition)
    assert sorted(got.keys()) == ["num_turns", "response_mask", "responses", "rm_scores", "uid"]
    assert got["responses"].offsets().diff().tolist() == [1, 3]
    tq.kv_clear(partition_id=partition, keys=["u0", "never there"])
    assert list(tq.kv_list(partition)[partition]) == ["u1", "u0_0_0", "u0_0_1"]


def test_only_fields_that_all_rows_have_come_without_select_and_unknown_ones_are_left_out(partition):
    tq.kv_batch_put(keys=["a", "b"], partition_id=partition, fields=trajectories([2, 2], "u"))
    extra = TensorDict({"values": torch.ones(1, 2)}, batch_size=1)
    put = tq.kv_batch_put(keys=["b"], partition_id=partition, fields=extra)
    assert "values" in put.fields
    assert "values" not in tq.kv_batch_get(keys=["a", "b"], partition_id=partition)
    got = tq.kv_batch_get(keys=["a", "b"], partition_id=partition, select_fields=["rm_scores", "ref_log_prob"])
    assert list(got.keys()) == ["rm_scores"]
    assert len(tq.kv_batch_get(keys=["gone", "a"], partition_id=partition)) == 1
    with pytest.raises(ValueError, match="keys or partition were not found!"):
        tq.kv_batch_get(keys=["gone"], partition_id=partition)


def test_states_only_advance_while_many_write_and_one_polls(partition):
    uids = [uuid.uuid4().hex for _ in range(24)]
    submit(partition, uids)
    done, wrong, seen = threading.Event(), [], Counter()

    def poll() -> None:
        last = dict.fromkeys(uids, 0)
        while not done.is_set():
            listing = tq.kv_list(partition)[partition]
            for uid, tag in prompts_in(listing).items():
                state = ORDER[tag["status"]]
                seen[tag["status"]] += 1
                mine = [key for key, other in listing.items() if other.get("uid") == uid]
                if state < last[uid] or tag["global_steps"] != 1 or (state == 2 and len(mine) != GROUP):
                    wrong.append((uid, tag, len(mine)))
                last[uid] = state

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        roll_out_all(partition, uids)
    finally:
        done.set()
        poller.join()
    assert not wrong
    assert {tag["status"] for tag in prompts_in(tq.kv_list(partition)[partition]).values()} == {"finished"}
    assert sum(seen.values()) >= len(uids)


def test_entries_of_one_tag_written_by_many_at_once_all_stay(partition):
    submit(partition, ["u"])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: tq.kv_put(key="u", partition_id=partition, tag={f"by_{n}": n}), range(40)))
    tag = tq.kv_list(partition)[partition]["u"]
    assert tag == {"is_prompt": True, "status": "pending", "global_steps": 1} | {f"by_{n}": n for n in range(40)}


def test_a_buffer_takes_whole_groups_while_rollouts_go_on(partition):
    uids = [f"u{n}" for n in range(12)]
    submit(partition, uids)
    producer = threading.Thread(target=roll_out_all, args=(partition, uids))
    producer.start()
    taken: list[str] = []
    try:
        while len(taken) < len(uids):
            batch = take_finished(partition, 3)
            if batch is None:
                continue
            groups = Counter(tag["uid"] for tag in batch.tags)
            assert set(groups.values()) == {GROUP}
            columns = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id)
            assert columns["responses"].offsets().diff().tolist() == [tag["seq_len"] for tag in batch.tags]
            assert columns.get("uid").tolist() == [tag["uid"] for tag in batch.tags]
            taken += groups
            tq.kv_clear(keys=batch.keys, partition_id=partition)
    finally:
        producer.join()
    assert sorted(taken) == sorted(uids)
    assert tq.kv_list(partition)[partition] == {}


def test_groups_are_cleared_while_their_producers_still_write(partition):
    """A clear of a group that is still written: nobody fails, and what was put after the clear is there or cleared anew."""
    uids = [f"u{n}" for n in range(8)]
    submit(partition, uids)
    over, errors = threading.Event(), []

    def clear() -> None:
        chance = random.Random(1)
        try:
            while not over.is_set():
                uid = chance.choice(uids)
                tq.kv_clear(keys=[uid, *[f"{uid}_0_{n}" for n in range(GROUP)]], partition_id=partition)
        except Exception as error:  # whatever it is, the test is to say it
            errors.append(error)

    clearer = threading.Thread(target=clear)
    clearer.start()
    try:
        for _ in range(3):
            roll_out_all(partition, uids)
    finally:
        over.set()
        clearer.join()
    assert not errors
    for key, tag in tq.kv_list(partition)[partition].items():
        if "seq_len" in tag:
            got = tq.kv_batch_get(keys=[key], partition_id=partition)
            assert got["responses"][0].tolist() == list(range(tag["seq_len"]))
    tq.kv_clear(
        keys=[key for uid in uids for key in (uid, *[f"{uid}_0_{n}" for n in range(GROUP)])], partition_id=partition
    )
    assert tq.kv_list(partition)[partition] == {}


def test_prompts_that_were_not_finished_are_issued_again(partition):
    """After a failure: what runs no more goes back to pending, its trajectories go, finished ones stay."""
    uids = ["done", "half", "fresh", "broken"]
    submit(partition, uids)
    asyncio.run(roll_out(partition, "done", [1, 2]))
    tq.kv_put(key="half", partition_id=partition, tag={"status": "running"})
    tq.kv_batch_put(
        keys=["half_0_0"],
        partition_id=partition,
        fields=trajectories([2], "half"),
        tags=[{"uid": "half", "seq_len": 2}],
    )
    tq.kv_put(key="broken", partition_id=partition, tag={"status": "failure"})

    listing = tq.kv_list(partition)[partition]
    again = [key for key, tag in prompts_in(listing).items() if tag["status"] != "finished"]
    assert again == ["half", "fresh", "broken"]
    stale = [key for key, tag in listing.items() if tag.get("uid") in again]
    tq.kv_clear(keys=stale, partition_id=partition)
    tq.kv_batch_put(keys=again, partition_id=partition, tags=[{"status": "pending", "attempt": 2}] * len(again))
    for uid in again:
        asyncio.run(roll_out(partition, uid, [3, 4], session=1))
    listing = tq.kv_list(partition)[partition]
    assert {tag["status"] for tag in prompts_in(listing).values()} == {"finished"}
    assert listing["half"] == {"is_prompt": True, "status": "finished", "global_steps": 1, "attempt": 2}
    assert [key for key, tag in listing.items() if tag.get("uid") == "half"] == ["half_1_0", "half_1_1"]


def test_padding_rows_fill_a_batch_up_and_are_told_by_their_tags(partition):
    batch = tq.kv_batch_put(
        keys=["a", "b", "c"],
        partition_id=partition,
        fields=trajectories([4, 2, 3], "u"),
        tags=[{"uid": "u", "seq_len": n} for n in (4, 2, 3)],
    )
    template = tq.kv_batch_get(keys=batch.keys[:1], partition_id=partition)[0]
    row = {name: template[name] for name in template.keys()}  # noqa: SIM118
    columns = {}
    for name, value in row.items():
        if isinstance(value, torch.Tensor):
            columns[name] = torch.nested.as_nested_tensor([value[:1]] * 5, layout=torch.jagged)
        else:
            columns[name] = NonTensorStack(*[getattr(value, "data", value)] * 5)
    pads = [f"pad{uuid.uuid4().hex}_{n}_0" for n in range(5)]
    padded = tq.kv_batch_put(
        keys=pads,
        partition_id=partition,
        fields=TensorDict(columns, batch_size=5),
        tags=[{"is_padding": True, "seq_len": 1}] * 5,
    )
    whole = tq.KVBatchMeta.concat([batch, padded])
    whole.reorder(sorted(range(len(whole)), key=lambda n: whole.tags[n]["seq_len"]))
    assert [tag["seq_len"] for tag in whole.tags] == [1, 1, 1, 1, 1, 2, 3, 4]
    assert [len(share) for share in whole.chunk(4)] == [2, 2, 2, 2]
    got = tq.kv_batch_get(keys=whole.keys, partition_id=partition, select_fields=["response_mask", "uid"])
    assert got["response_mask"].to_padded_tensor(padding=0).sum(1).tolist() == [1] * 5 + [2, 3, 4]
    assert got.pop("uid").tolist() == ["u"] * 8
    real = [key for key, tag in zip(whole.keys, whole.tags, strict=True) if not tag.get("is_padding")]
    assert real == ["b", "c", "a"]
    tq.kv_clear(keys=pads, partition_id=partition)
    assert list(tq.kv_list(partition)[partition]) == ["a", "b", "c"]
