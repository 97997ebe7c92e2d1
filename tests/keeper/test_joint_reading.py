"""Joint statements are read at the own launcher, whose records count under its signature alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from keeper.config import KeeperConfig
from keeper.joint_reading import JointReader
from keeper.launcher import OwnLauncher
from plans.box import Entry
from plans.errors import DarkroomError, SignatureWrong
from plans.joint import JointPlan
from plans.plan import Plan
from plans.statements import Duty, StageRecord, Type
from policies.reading.joint import read_joint
from sandbox import api as sandbox
from tests.keeper import house, joint_house
from tests.keeper.joint_house import JointSide


@dataclass
class Launcher:
    """Answers at the launcher's socket with what the reader finds, under the key of `signer`."""

    joint: JointPlan
    signer: str = "launcher"
    report: dict[str, Any] = field(default_factory=dict)
    put: list[Plan] = field(default_factory=list)

    def run(self, plan: str, stage: Entry, attempt: int) -> sandbox.StageResult:
        found = read_joint(self.joint.task.statement, self.joint.shadows)
        body = StageRecord(plan, stage, attempt, (), (), self.report or {"reading": found.plain()})
        return sandbox.StageResult(house.signed(Type.STAGE, Duty.LAUNCHER, body, self.signer), {})


@pytest.fixture
def side(settings: KeeperConfig) -> JointSide:
    return JointSide.make(settings)


@pytest.fixture
def launcher(side: JointSide, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    made = Launcher(joint_house.joint(side.keeper))
    monkeypatch.setattr(sandbox.LauncherClient, "put", lambda _, plan: made.put.append(plan))
    monkeypatch.setattr(sandbox.LauncherClient, "run", lambda _, *question: made.run(*question))
    return made


def reader(side: JointSide) -> JointReader:
    own = OwnLauncher(side.settings.launcher_socket, side.keeper._require_record)
    return JointReader(side.settings, own)


def test_the_own_checker_box_reads_the_statement_on_the_likenesses_of_the_plan_and_once(
    side: JointSide, launcher: Launcher
) -> None:
    read = reader(side)
    assert read(launcher.joint) == launcher.joint.reading
    assert read(replace(launcher.joint, nonce="7" * 32)) == launcher.joint.reading
    (check,) = launcher.put
    assert check.domain == house.DOMAIN and check.stages[0].image == house.IMAGE
    own = launcher.joint.shadows[1]
    other = replace(launcher.joint, shadows=(launcher.joint.shadows[0], replace(own, rows=own.rows + 1)))
    read(other)
    assert len(launcher.put) == 2, "other likenesses are another question"


def test_78_an_answer_that_the_own_launcher_did_not_sign_is_none(side: JointSide, launcher: Launcher) -> None:
    launcher.signer = "stranger"
    with pytest.raises(SignatureWrong):
        reader(side)(launcher.joint)


def test_a_refusal_of_the_readers_is_the_keepers_refusal(side: JointSide, launcher: Launcher) -> None:
    launcher.report = {"refused": DarkroomError("HAVING is not in the subset", "statement").problem()}
    with pytest.raises(DarkroomError, match="HAVING is not in the subset"):
        reader(side)(launcher.joint)


def test_a_keeper_reads_with_its_own_launcher_unless_it_is_told_otherwise(
    side: JointSide, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of what tests of keepers lay down: the keeper that really runs asks this reader."""
    monkeypatch.setattr("keeper.readings.Readings.read", lambda _, text, __: joint_house.stand_in(text))
    side.readers.joint = None  # type: ignore[assignment, method-assign]
    side.restart()
    plan = side.approved(launcher.joint)
    assert side.extract(plan).inputs and len(launcher.put) == 1
