"""Fixtures of these tests."""

from queue_fixtures import partition  # noqa: F401
