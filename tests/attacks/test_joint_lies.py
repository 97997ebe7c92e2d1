"""Lies about joint computations: a request of another kind, a peer's plan without a box, another answer (70, 78, 84).

Each attack is told to whoever is to be fooled, and has its control: the honest thing, or the attack with the check off.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from keeper import joint_rules
from keeper.config import KeeperConfig
from keeper.joint_rules import Told
from mpc import compile as compiling
from plans.box import Entry
from plans.constraints import Action
from plans.errors import Malformed, PolicyDenied, RederivationMismatch
from plans.joint import JointPlan, joint_task_of
from plans.request import RequestKind
from plans.statements import DatasetPolicy
from tests.keeper import house, joint_house
from tests.keeper.joint_house import HEALTH, OFFICE, OWN, JointSide


@pytest.fixture
def settings(tmp_path: Path) -> KeeperConfig:
    """Settings of a keeper in a folder of its own."""
    return house.config(tmp_path)


# --- 78: a request of another kind -----------------------------------------------------


def only(action: Action) -> DatasetPolicy:
    """The owner's policy with one action that everybody has."""
    return replace(joint_house.POLICY, access=(replace(house.EVERYBODY, actions=(action,)),))


def lying_centre(side: JointSide, monkeypatch: pytest.MonkeyPatch) -> JointPlan:
    """The joint plan of a member who signed the joint task as ordinary SQL, by a centre that does not mind."""
    monkeypatch.setattr(compiling, "_task", lambda signed, _reading: joint_task_of(signed.request))
    return joint_house.joint(side.keeper, joint_house.request(7, kind=RequestKind.SQL))


def test_78_a_joint_task_that_was_signed_as_ordinary_sql_gets_no_key(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = JointSide.make(settings, only(Action.QUERY))
    with pytest.raises(
        AssertionError, match="action joint"
    ):  # the same task under its own name is decided as no
        joint_house.joint(side.keeper)
    plan = side.approved(lying_centre(side, monkeypatch))
    with pytest.raises(Malformed, match="none for a joint computation"):
        side.extract(plan)


def test_78_control_without_the_check_the_rules_of_ordinary_sql_would_open_the_data(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = JointSide.make(settings, only(Action.QUERY))
    plan = side.approved(lying_centre(side, monkeypatch))
    monkeypatch.setattr(joint_rules, "RequestKind", type("Any", (), {"JOINT": RequestKind.SQL}))
    assert len(side.extract(plan).inputs) == 2


def test_what_nobody_here_has_approved_is_not_worked_on(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = JointSide.make(settings)
    plan = joint_house.party_plan(joint_house.joint(side.keeper), OWN)
    made: list[JointPlan] = []
    monkeypatch.setattr(joint_rules.mpc, "require_same", made.append)
    with pytest.raises(PolicyDenied, match="nobody who may approve"):
        side.extract(plan)
    assert not made
    side.approved(joint_house.joint(side.keeper))
    assert side.extract(plan).inputs and made, "the control: what is approved is looked at"


# --- 70: a peer's plan without a box -----------------------------------------------------


@pytest.mark.parametrize("of", [HEALTH, OFFICE])
def test_70_a_peers_plan_that_lacks_a_box_is_refused_with_a_sentence(settings: KeeperConfig, of: str) -> None:
    side = JointSide.make(settings)
    about = joint_house.joint(side.keeper)
    side.approved(about)
    good = joint_house.peer_box(HEALTH, about)
    party = tuple(spec for spec in good.plan.stages if spec.entry is Entry.PARTY)
    bad = Told(good.signed, replace(good.plan, domain=of, stages=party))
    with pytest.raises(RederivationMismatch, match="a peer's boxes"):
        side.keeper.joint.bring(about.digest, 1, (bad,))
    side.keeper.joint.bring(about.digest, 1, (good,))
