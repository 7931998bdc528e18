"""Properties hold with torch's internal shortcuts and without them, through one real core."""

from queue_fixtures import tq  # noqa: F401
