from queue_fixtures import partition, running_queue  # noqa: F401
