"""The list of what is deprecated."""

from __future__ import annotations

import warnings

from packaging.version import Version

import transferqueue
import transferqueue.legacy
from transferqueue._deprecation import DEPRECATIONS, Deprecation, deprecate


def test_every_deprecation_says_since_when_until_when_and_what_to_use() -> None:
    assert "LegacyBatchMeta.samples" in DEPRECATIONS
    for name, deprecation in DEPRECATIONS.items():
        assert deprecation.name == name
        assert Version(deprecation.since) <= Version(transferqueue.__version__) < Version(deprecation.removed_in)
        assert deprecation.use
        assert all(part in str(deprecation) for part in (name, deprecation.since, deprecation.removed_in))


def test_a_warning_comes_once_per_line_of_the_caller() -> None:
    gone = Deprecation(name="gone", since="0.1", removed_in="9", use="here()")

    def used() -> None:
        gone.warn()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            used()
        used()
    assert [warning.filename for warning in caught] == [__file__] * 2
    assert len({warning.lineno for warning in caught}) == 2


def test_a_name_is_entered_once() -> None:
    try:
        first = deprecate("Old.name", since="0.1", removed_in="9", use="new")
        assert deprecate("Old.name", since="0.2", removed_in="9", use="other") is first
    finally:
        DEPRECATIONS.pop("Old.name")
