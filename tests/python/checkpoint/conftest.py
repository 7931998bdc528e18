from queue_fixtures import partition, tq  # noqa: F401
