"""How a keeper derives a joint plan again: with its own code, and its own checker box."""

from __future__ import annotations

from collections.abc import Mapping

from keeper.config import KeeperConfig
from keeper.joint_rules import Deriving
from keeper.launcher import OwnLauncher
from plans.box import Entry, Limits
from plans.errors import StateConflict
from plans.joint import JointPlan, JointReading
from plans.plan import Plan


def deriving_of(config: KeeperConfig, launcher: OwnLauncher) -> Deriving:
    """Return how the keeper with these settings derives joint plans."""

    def plan(joint: JointPlan, domain: str, limits: Mapping[Entry, Limits]) -> Plan:
        raise StateConflict("joint plans cannot be derived here yet", "keeper")

    def read(joint: JointPlan) -> JointReading:
        raise StateConflict("joint plans cannot be derived here yet", "keeper")

    return Deriving(plan, read)
