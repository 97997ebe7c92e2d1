"""A keeper that has all it needs, and a grant; each test changes one thing about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeper.config import KeeperConfig
from keeper.keeper import Keeper
from tests.keeper import house


@pytest.fixture
def settings(tmp_path: Path) -> KeeperConfig:
    """Settings whose folders and keyring are there."""
    made = house.config(tmp_path)
    house.build(made)
    return made


@pytest.fixture
def keeper(settings: KeeperConfig) -> Keeper:
    """A keeper with roster, bundle and manifests, and no grant yet."""
    started = house.start(settings)
    house.believe(started, *house.house_statements())
    return started
