"""A snapshot of a partition tells all that the controller knows of it."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict

from transferqueue._partition_snapshot import take_snapshot


def test_a_snapshot_has_rows_keys_tags_and_both_statuses(tq: Any, partition: str) -> None:
    columns = TensorDict({"x": torch.arange(3), "y": torch.zeros(3)}, batch_size=3)
    tq.kv_batch_put(["a", "b", "c"], partition, columns, tags=[{"n": 1}, {}, {"n": 3}])
    tq.kv_put("a", partition, {"z": 1})
    client = tq.get_client()
    taken = client.get_meta(["x"], 2, partition, task_name="actor").global_indexes
    shot = take_snapshot(client, partition)
    assert shot is not None
    first, second, third = shot.global_indexes
    assert shot.keys_mapping == {"a": first, "b": second, "c": third}
    assert shot.revert_keys_mapping[third] == "c"
    assert shot.custom_meta == {first: {"n": 1}, third: {"n": 3}}
    assert shot.field_name_mapping == {"x": 0, "y": 1, "z": 2}
    assert shot.production_status is not None
    assert shot.production_status.tolist() == [[1, 1, 1], [1, 1, 0], [1, 1, 0]]
    assert list(shot.consumption_status) == ["actor"]
    assert shot.consumption_status["actor"].tolist() == [int(row in taken) for row in shot.global_indexes]
    assert (shot.total_samples_num, shot.total_fields_num) == (3, 3)


def test_of_a_partition_without_fields_there_are_the_keys(tq: Any, partition: str) -> None:
    tq.kv_put("a", partition, tag={"n": 1})
    shot = take_snapshot(tq.get_client(), partition)
    assert shot is not None
    assert (list(shot.keys_mapping), shot.field_names, shot.production_status) == (["a"], [], None)
    assert list(shot.custom_meta.values()) == [{"n": 1}]


def test_of_an_unknown_partition_there_is_none(tq: Any) -> None:
    assert take_snapshot(tq.get_client(), "never put") is None
