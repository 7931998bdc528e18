"""The two distributions ask for each other in versions that exist."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

import transferqueue

ROOT = Path(__file__).parents[3]


def read_project(folder: str) -> dict:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_alias_and_package_admit_the_current_version_of_each_other() -> None:
    [of_alias] = read_project("python/transfer_queue_alias")["dependencies"]
    [of_package] = read_project(".")["optional-dependencies"]["verl"]
    for text, name in ((of_alias, "transferqueue-net"), (of_package, "transferqueue-net-alias")):
        assert Requirement(text).name == name
        assert transferqueue.__version__ in Requirement(text).specifier
