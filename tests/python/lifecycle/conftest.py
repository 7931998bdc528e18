from collections.abc import Iterator

import pytest

from support.sidecars import Host, make_host


@pytest.fixture
def host() -> Iterator[Host]:
    with make_host() as made:
        yield made
