"""A keeper that is attacked: the one that runs, in process; only its checker box is replaced by what it would find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keeper.config import KeeperConfig
from keeper.keeper import Keeper
from plans.box import Entry
from plans.errors import (
    DarkroomError,
)
from plans.key import BoxKeys, SealedKeys
from plans.plan import Plan
from plans.release import KEYS_INFO
from plans.statements import BoxStatement, Signed
from tests.keeper import house


@pytest.fixture(scope="module")
def granted() -> Signed:
    return house.grant()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, granted: Signed) -> house.Model:
    """A keeper's folders, made once: every write to them waits for the disk."""
    return house.Model.make(tmp_path_factory.mktemp("model"), *house.house_statements(granted))


@pytest.fixture
def settings(tmp_path: Path, model: house.Model) -> KeeperConfig:
    return model.empty(tmp_path)


@pytest.fixture
def clock() -> house.Clock:
    return house.Clock()


@pytest.fixture
def keeper(settings: KeeperConfig, model: house.Model, clock: house.Clock) -> Keeper:
    """A keeper that believes roster, bundle, manifests and one grant of two uses."""
    model.furnish(settings)
    return house.start(settings, clock)


@pytest.fixture
def plan(keeper: Keeper) -> Plan:
    return house.plan(keeper.trusted)


def ask(keeper: Keeper, plan: Plan, stage: Entry = Entry.QUERY, **changes: Any) -> SealedKeys:
    """A launcher asks for a stage's keys, answering a fresh challenge."""
    return keeper.unwrap(house.box(plan, keeper.challenge(plan.digest), stage, **changes), plan)


def refused(error: type[DarkroomError], keeper: Keeper, plan: Plan, **changes: Any) -> None:
    """The same, in vain: no key, no lease, and nothing counted."""
    leases, uses = keeper.leases.count(), repr(keeper.trusted.uses)
    with pytest.raises(error):
        ask(keeper, plan, **changes)
    assert (keeper.leases.count(), repr(keeper.trusted.uses)) == (leases, uses)


def opened(sealed: SealedKeys, statement: Signed, who: str = "box") -> BoxKeys:
    """What the holder of an opening key reads of sealed keys."""
    body = BoxStatement.read(statement.statement.body)
    return BoxKeys.decode(house.opening(who).open(bytes.fromhex(sealed.sealed), KEYS_INFO, body.canonical()))
