"""Joint statements, as an owner's own checker box reads them.

The likenesses are those that the joint plan names. The own one is compared with what there is (`keeper.joint_owner`);
what other owners say of theirs is public and theirs, and changes nothing about the own portion but how it is joined.
"""

from __future__ import annotations

from keeper.config import KeeperConfig
from keeper.launcher import OwnLauncher
from plans.box import Entry
from plans.joint import JointPlan, JointReading
from sandbox import api as sandbox

_MOST_KEPT = 100


class JointReader:
    """Has joint statements read at the own launcher; the same statement on the same likenesses once."""

    def __init__(self, config: KeeperConfig, launcher: OwnLauncher) -> None:
        self._config, self._launcher = config, launcher
        self._known: dict[str, JointReading] = {}

    def __call__(self, joint: JointPlan) -> JointReading:
        """Return what both readers find.

        Raises:
            DarkroomError: whatever `sandbox.read_joint_statement` raises.
        """
        config, statement = self._config, joint.task.statement
        limits = config.limits[Entry.CHECK]
        check = sandbox.check_joint_plan(config.domain, config.images[0], limits, statement, joint.shadows)
        found = self._known.get(check.digest)
        if found is None:
            found = sandbox.read_joint_statement(self._launcher, check, statement)
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[check.digest] = found
        return found
