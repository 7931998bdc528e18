"""The version, which verl compares before it turns checkpointing on."""

from packaging.version import Version

import transferqueue


def test_version_is_pep_440_and_not_older_than_the_one_that_verl_asks_for() -> None:
    assert Version(transferqueue.__version__) >= Version("0.1.11")
