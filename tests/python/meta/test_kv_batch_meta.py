"""KVBatchMeta: rows by key."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
import torch

from transferqueue import _tags
from transferqueue.meta import BatchMeta, KVBatchMeta


def make(*keys: str, **info: object) -> KVBatchMeta:
    tags = [{"key": key} for key in keys]
    return KVBatchMeta(keys=list(keys), tags=tags, partition_id="p", fields=["x", "y"], extra_info=info)


def test_it_may_be_made_of_nothing_or_of_keys_and_tags() -> None:
    assert KVBatchMeta() == KVBatchMeta(keys=[], tags=[], partition_id=None, fields=None, extra_info={})
    meta = KVBatchMeta(partition_id="p", keys=["a"], tags=[{}])
    assert (meta.size, len(meta), meta.fields, meta.extra_info) == (1, 1, None, {})


def test_one_tag_for_all_becomes_a_tag_for_each() -> None:
    meta = KVBatchMeta(keys=["a", "b"], tags=[{}] * 2)
    meta.tags[0]["x"] = 1
    assert meta.tags == [{"x": 1}, {}]


def test_what_it_was_made_of_can_change_without_it() -> None:
    keys, tags, info, fields = ["a"], [{"l": [1]}], {"i": [1]}, ["x"]
    meta = KVBatchMeta(keys, tags, "p", fields, info)
    keys.append("b")
    tags[0]["l"].append(2)
    info["i"].append(2)
    fields.append("y")
    assert meta == KVBatchMeta(["a"], [{"l": [1]}], "p", ["x"], {"i": [1]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keys": ["a"], "tags": []}, r"1 keys, but 0 tags"),
        ({"keys": ["a", "a"], "tags": [{}, {}]}, r"Got duplicated keys\."),
        ({"fields": ["x", "x"]}, r"Got duplicated fields\."),
    ],
)
def test_what_can_not_be_is_a_value_error(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KVBatchMeta(**arguments)


def test_keys_are_selected_in_the_order_given() -> None:
    meta = make("a", "b", "c", i=1)
    assert meta.select_keys(["c", "a"]) == make("c", "a", i=1)
    with pytest.raises(ValueError, match=r"duplicate"):
        meta.select_keys(["a", "a"])
    with pytest.raises(RuntimeError, match=r"'z'.*not found"):
        meta.select_keys(["a", "z"])


def test_reorder_is_in_place() -> None:
    meta = make("a", "b", "c")
    meta.reorder([2, 0, 1])
    assert meta == make("c", "a", "b")
    for wrong in ([0, 1], [0, 1, 1], [0, 1, 3], [-1, 0, 1]):
        with pytest.raises(ValueError, match=r"reorder"):
            meta.reorder(wrong)
    assert meta == make("c", "a", "b")


def test_chunks_and_concat_are_opposites() -> None:
    meta = make("a", "b", "c", "d", "e", i=1)
    chunks = meta.chunk(3)
    assert [chunk.keys for chunk in chunks] == [["a", "b"], ["c", "d"], ["e"]]
    assert KVBatchMeta.concat(chunks) == meta
    assert [chunk.size for chunk in make("a").chunk(2)] == [1, 0]
    with pytest.raises(ValueError, match=r"chunk"):
        meta.chunk(0)


def test_concat_leaves_empty_batches_out_and_refuses_what_differs() -> None:
    assert KVBatchMeta.concat([]) == KVBatchMeta()
    assert KVBatchMeta.concat([KVBatchMeta(), make("a")]) == make("a")
    other_partition = KVBatchMeta(keys=["b"], tags=[{}], partition_id="q", fields=["x", "y"])
    other_fields = KVBatchMeta(keys=["b"], tags=[{}], partition_id="p", fields=["x"])
    for other, message in ((other_partition, "partition"), (other_fields, "Field"), (make("a"), "duplicated keys")):
        with pytest.raises(ValueError, match=message):
            KVBatchMeta.concat([make("a"), other])
    with pytest.raises(ValueError, match=r"conflicting values"):
        KVBatchMeta.concat([make("a", t=torch.ones(1)), make("b", t=torch.zeros(1))])
    assert KVBatchMeta.concat([make("a", t=1), make("b", u=2)]).extra_info == {"t": 1, "u": 2}


def test_it_pickles_and_is_another_type_than_batch_meta() -> None:
    meta = make("a", i=1)
    assert pickle.loads(pickle.dumps(meta)) == meta
    assert isinstance(meta, BatchMeta | KVBatchMeta)
    assert not isinstance(meta, BatchMeta)


def test_its_attributes_can_be_assigned() -> None:
    meta = make("a", "b")
    meta.tags = [{"x": 1}, {"x": 2}]
    meta.extra_info["temperature"] = 1.0
    assert (meta.tags[1], meta.extra_info) == ({"x": 2}, {"temperature": 1.0})


def fresh() -> KVBatchMeta:
    """As a put returns it: its tags not decoded yet."""
    return KVBatchMeta._of(["a", "b"], _tags.encode([{"x": 1}, {}]), "p", ["f"])


@pytest.mark.parametrize(
    "use",
    [
        lambda meta: meta,
        copy.copy,
        copy.deepcopy,
        lambda meta: pickle.loads(pickle.dumps(meta)),
        lambda meta: KVBatchMeta(**dataclasses.asdict(meta)),
        lambda meta: meta.select_keys(["a", "b"]),
        lambda meta: KVBatchMeta.concat([meta]),
    ],
)
def test_what_a_put_returns_is_like_one_made_by_hand(use: Any):
    by_hand = KVBatchMeta(keys=["a", "b"], tags=[{"x": 1}, {}], partition_id="p", fields=["f"])
    assert use(fresh()) == by_hand
    assert repr(use(fresh())) == repr(by_hand)


def test_tags_of_a_put_stay_those_of_its_keys():
    meta = fresh()
    meta.keys.append("c")
    assert meta.tags == [{"x": 1}, {}]
    meta.tags[0]["x"] = 2
    assert meta.tags == [{"x": 2}, {}]
    with pytest.raises(AttributeError, match="'KVBatchMeta' object has no attribute 'tag'"):
        _ = meta.tag  # type: ignore[attr-defined]
