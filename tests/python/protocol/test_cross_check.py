"""Python's msgpack and the core read each other's headers: each type of message, at random."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from protocol.documents import BATCH, DOCUMENTS
from protocol.probe import Probe

EXAMPLES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def unpack(packed: bytes) -> Any:
    return msgpack.unpackb(packed, strict_map_key=False)


@pytest.mark.parametrize("type_", DOCUMENTS)
@EXAMPLES
@given(data=st.data())
def test_the_core_reads_what_python_packs_and_python_what_the_core_packs(
    probe: Probe, type_: int, data: st.DataObject
) -> None:
    drawn = data.draw(DOCUMENTS[type_])
    header, frames = drawn if isinstance(drawn, tuple) else (drawn, [])
    again = unpack(probe.written_again(type_, msgpack.packb(header), tuple(frames)))
    assert again == {key: value for key, value in header.items() if value is not None}


@EXAMPLES
@given(data=st.data())
def test_the_core_refuses_a_key_that_the_message_has_not(probe: Probe, data: st.DataObject) -> None:
    header = data.draw(DOCUMENTS[18]) | {"colour": 1}
    with pytest.raises(ValueError, match="Protocol: ClearPartition: unknown key 'colour'; known are partition"):
        probe.written_again(18, msgpack.packb(header))


@EXAMPLES
@given(data=st.data())
def test_the_core_refuses_what_python_cut(probe: Probe, data: st.DataObject) -> None:
    packed = msgpack.packb(data.draw(DOCUMENTS[BATCH]))
    with pytest.raises(ValueError, match="Protocol: "):
        probe.written_again(BATCH, packed[: data.draw(st.integers(0, len(packed) - 1))])


@pytest.mark.parametrize("value", [1.5, "1", b"1", [1], {"a": 1}, True, 2**63])
def test_the_core_tells_one_type_of_python_from_the_other(probe: Probe, value: object) -> None:
    with pytest.raises(ValueError, match="'pid'"):
        probe.written_again(1, msgpack.packb({"client": bytes(16), "pid": value, "package": "x"}))
