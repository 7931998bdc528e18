"""The errors: the same tree as the core's, each also the built-in error that callers expect."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from transferqueue import errors
from transferqueue.errors import ERRORS_BY_KIND, TransferQueueError

CORE = Path(__file__).parents[2] / "dotnet" / "TransferQueue.Core" / "TransferQueueException.cs"
CLASSES = [getattr(errors, name) for name in errors.__all__ if name != "ERRORS_BY_KIND"]


def kinds_of_the_core() -> dict[int, str]:
    body = re.search(r"enum ErrorKind : byte\s*\{(.*?)\n\}", CORE.read_text(), re.DOTALL)
    assert body is not None
    return {int(number): name for name, number in re.findall(r"^\s*(\w+) = (\d+),", body[1], re.MULTILINE)}


def test_each_kind_of_the_core_has_the_class_of_its_name() -> None:
    assert {kind: error.__name__ for kind, error in ERRORS_BY_KIND.items()} == {
        kind: f"{name}Error" for kind, name in kinds_of_the_core().items()
    }


BUILT_INS = {
    "InvalidArgumentError": {ValueError},
    "InvalidTypeError": {TypeError},
    "NotReadyError": {TimeoutError},
    "DeadlineExceededError": {TimeoutError},
    "SchemaMismatchError": {ValueError},
    "StorageKeyNotFoundError": {KeyError, RuntimeError},
    "StaleBatchError": {KeyError, RuntimeError},
    "StorageFullError": {MemoryError, RuntimeError},
    "ConnectionLostError": {ConnectionError},
    "ForkedProcessError": {RuntimeError},
    "AuthenticationError": {PermissionError},
    "CheckpointError": {ValueError, RuntimeError},
    "CheckpointNotFoundError": {FileNotFoundError, ValueError},
    "NotRunningError": {RuntimeError},
    "RuntimeNotFoundError": {ImportError},
}


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_an_error_is_also_the_built_in_error_that_callers_expect(error: type[TransferQueueError]) -> None:
    assert issubclass(error, TransferQueueError)
    assert all(issubclass(error, expected) for expected in BUILT_INS.get(error.__name__, set()))


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_an_error_keeps_its_plain_message_and_details_through_pickle(error: type[TransferQueueError]) -> None:
    raised = error("partition 'train': no field 'x'", {"field": "x"})
    for copy in (raised, pickle.loads(pickle.dumps(raised))):
        assert type(copy) is error
        assert str(copy) == "partition 'train': no field 'x'"
        assert copy.details == {"field": "x"}
        assert copy.args == ("partition 'train': no field 'x'",)


def test_a_stale_batch_is_a_key_that_was_not_found_and_a_limit_is_the_protocols() -> None:
    assert issubclass(errors.StaleBatchError, errors.StorageKeyNotFoundError)
    assert issubclass(errors.ProtocolVersionError, errors.ProtocolError)
    assert issubclass(errors.LimitExceededError, errors.ProtocolError)
