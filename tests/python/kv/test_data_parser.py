"""data_parser: where it is taken, what it gets, and what it may return; an exception in it writes nothing."""

from __future__ import annotations

import asyncio
import functools
import threading

import pytest
import torch
from tensordict import NonTensorStack, TensorDict

from transferqueue import errors

KEYS = ["a", "b"]


class Scaled:
    """A parser with a state."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, fields):
        return {name: column * self.factor for name, column in fields.items()}


def times(factor, fields):
    return {name: column * factor for name, column in fields.items()}


def columns(**fields) -> TensorDict:
    return TensorDict(fields or {"x": torch.tensor([1, 2])}, batch_size=2)


@pytest.mark.parametrize("parser", [lambda f: times(10, f), functools.partial(times, 10), Scaled(10)])
def test_functions_partials_and_objects_are_parsers(tq, partition, parser):
    client = tq.get_client()
    tq.kv_batch_put(KEYS, partition, columns(), data_parser=parser)
    assert tq.kv_batch_get(KEYS, partition)["x"].tolist() == [10, 20]
    rows = client.put(columns(), partition_id=partition, data_parser=parser)
    assert client.get_data(rows)["x"].tolist() == [10, 20]
    client.put(columns(y=torch.tensor([3, 4])), metadata=rows, data_parser=parser)
    assert client.get_data(rows.select_fields(["y"]))["y"].tolist() == [30, 40]
    tq.kv_put("c", partition, {"x": torch.tensor(3)}, data_parser=parser)
    tq.kv_put("d", partition, TensorDict({"x": torch.tensor([4])}, batch_size=1), data_parser=parser)
    assert tq.kv_batch_get(["d", "c"], partition)["x"].tolist() == [40, 30]


def test_coroutines_run_it_beside_the_event_loop(tq, partition):
    client = tq.get_client()
    threads: list[str] = []

    def parser(fields):
        threads.append(threading.current_thread().name)
        return times(10, fields)

    async def put() -> list[int]:
        await tq.async_kv_batch_put(KEYS, partition, columns(), data_parser=parser)
        await tq.async_kv_put("c", partition, {"x": torch.tensor(3)}, data_parser=parser)
        rows = await client.async_put(columns(), partition_id=partition, data_parser=parser)
        read = await client.async_get_data(rows)
        return (await tq.async_kv_batch_get([*KEYS, "c"], partition))["x"].tolist() + read["x"].tolist()

    assert asyncio.run(put()) == [10, 20, 30, 10, 20]
    assert len(threads) == 3
    assert threading.main_thread().name not in threads


def test_it_gets_each_column_as_it_was_put_and_may_change_its_type(tq, partition):
    seen = {}

    def parser(fields):
        seen.update({name: type(column).__name__ for name, column in fields.items()})
        assert type(fields) is dict
        assert fields["ragged"].is_nested
        lengths = [len(row) for row in fields["ragged"].unbind()]
        return {"ragged": torch.tensor(lengths), "text": [len(t) for t in fields["text"]], "x": fields["x"].half()}

    ragged = torch.nested.nested_tensor([torch.arange(3), torch.arange(1)], layout=torch.jagged)
    fields = columns(ragged=ragged, text=NonTensorStack("one", "three"), x=torch.ones(2, 2))
    tq.kv_batch_put(KEYS, partition, fields, data_parser=parser)
    assert seen.keys() == {"ragged", "text", "x"}
    read = tq.kv_batch_get(KEYS, partition)
    assert read["ragged"].tolist() == [3, 1]
    assert list(read["text"]) == [3, 5]
    assert read["x"].dtype == torch.float16


def fail(fields):
    raise KeyError("pixel_values")


BROKEN = [
    (7, TypeError, "data_parser must be callable: int given"),
    (lambda f: list(f), TypeError, "data_parser must return a dict: it returned a list"),
    (lambda f: None, TypeError, "must return a dict"),
    (lambda f: {"other": f["x"]}, ValueError, r"must not change dict keys: had \['x'\], returned \['other'\]"),
    (lambda f: {}, ValueError, "must not change dict keys"),
    (lambda f: {**f, 5: f["x"]}, ValueError, "must not change dict keys"),
    (lambda f: {"x": f["x"][:1]}, ValueError, "changed the number of elements for key 'x': had 2, returned 1"),
    (lambda f: {"x": torch.tensor(1)}, ValueError, "changed the number of elements for key 'x'"),
    (lambda f: {"x": 5}, ValueError, "changed the number of elements for key 'x'"),
    (fail, RuntimeError, "data_parser raised KeyError: 'pixel_values'"),
]


@pytest.mark.parametrize(("parser", "error", "text"), BROKEN)
def test_one_that_breaks_its_contract_writes_nothing(tq, partition, parser, error, text):
    client = tq.get_client()
    calls = [
        lambda: tq.kv_batch_put(KEYS, partition, columns(), data_parser=parser),
        lambda: client.put(columns(), partition_id=partition, data_parser=parser),
        lambda: asyncio.run(tq.async_kv_batch_put(KEYS, partition, columns(), data_parser=parser)),
    ]
    for call in calls:
        with pytest.raises(error, match=text) as caught:
            call()
        assert isinstance(caught.value, errors.TransferQueueError)
        assert isinstance(caught.value, RuntimeError), "the peer raises RuntimeError"
    assert tq.kv_list(partition) == {}


def test_its_own_exception_is_the_cause(tq, partition):
    with pytest.raises(RuntimeError) as caught:
        tq.kv_batch_put(KEYS, partition, columns(), data_parser=fail)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__cause__.__traceback__ is not None


def test_without_fields_there_is_nothing_to_parse(tq, partition):
    tq.kv_batch_put(KEYS, partition, tags=[{"n": 1}, {}], data_parser=fail)
    assert tq.kv_list(partition)[partition] == {"a": {"n": 1}, "b": {}}
