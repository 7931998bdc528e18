"""Wheels, built once, and clean environments to install them into."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.environments import ROOT, Environment, build, create_environment


@pytest.fixture(scope="session")
def package_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("package"), "--wheel")


@pytest.fixture(scope="session")
def alias_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT / "python" / "transfer_queue_alias", tmp_path_factory.mktemp("alias"), "--wheel")


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return create_environment(tmp_path)
