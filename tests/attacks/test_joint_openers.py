"""Attacks by whoever carries plans on what a recipient or an auditor believes of a joint answer (ATTACKS 84).

The attacker has a few domains of its own, which the recipient knows from other work and whose keepers it trusts. They
approve a plan that the member never asked for, run it among themselves, and vouch for what comes out. No owner that the
member meant is ever asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compute.joint_evidence import looked_up
from darkroom import joint_result
from darkroom.cli import app
from keeper import joint_rules
from keeper.config import KeeperConfig
from keys import api as keys
from plans import joint_evidence
from plans.errors import HashMismatch, RederivationMismatch
from plans.joint import JointPlan, JointReading
from plans.joint_evidence import verify_joint
from plans.joint_reports import commitments_of
from plans.request import statement_digest
from plans.statements import StageRecord
from tests.attacks.test_joint_forms import evidence_of, roots_of
from tests.attacks.test_joint_persons import reported
from tests.client.test_joint_judged import INSPECTOR, TABLE, handed, inspected, table
from tests.client.test_joint_result import World, world
from tests.keeper import house, joint_house
from tests.keeper.joint_forms_house import plan_of, side_of
from tests.keeper.joint_persons_house import ASKED
from tests.keeper.joint_persons_house import plan_of as plan_of_persons
from tests.keeper.joint_persons_house import side_of as side_of_persons
from tests.keeper.test_joint_verify import VERIFIER
from tests.plans.joint_examples import JOINT_SQL

Forged = Callable[[World], JointPlan]


def opened_by_an_owner(made: World) -> JointPlan:
    """The member asked three servers; in this plan one of the owners sees every figure and makes up the answer."""
    asked = world().plan.request
    return signed(made, replace(made.plan, request=replace(made.plan.request, statement=asked.statement)))


def of_other_relations(made: World) -> JointPlan:
    """The task is the member's; whose rows are added up is not."""
    own, other = made.plan.reading.portions
    elsewhere = replace(other, relation="tax.made_up", stand_in="SELECT sum(income) FROM tax.made_up")
    return replace(made.plan, reading=replace(made.plan.reading, portions=(own, elsewhere)))


def of_another_statement(made: World) -> JointPlan:
    """The task is the member's; what was read is another statement."""
    return replace(made.plan, reading=of_statement(made.plan.reading, JOINT_SQL + " "))


def of_statement(reading: JointReading, statement: str) -> JointReading:
    return replace(reading, statement=statement_digest(statement))


def signed(made: World, plan: JointPlan) -> JointPlan:
    """The plan with a request that the member once signed."""
    signature = keys.sign_bytes("request", plan.request.canonical(), made.ring.signing)
    return replace(plan, request_signature=signature)


def answered(made: World, plan: JointPlan) -> World:
    """Every keeper that this plan names vouches for an answer to it."""
    made.plan = plan
    handed(made, table(plan, TABLE), INSPECTOR)
    return made


@pytest.mark.parametrize("forged", [opened_by_an_owner, of_other_relations, of_another_statement])
def test_84_an_answer_to_what_the_member_did_not_ask_opens_nothing_whoever_vouches_for_it(
    forged: Forged, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = inspected()
    assert made.opened().rows, "the answer to what was asked"
    answered(made, forged(made))
    with pytest.raises(RederivationMismatch):
        made.opened()
    monkeypatch.setattr(joint_result, "require_asked_for", lambda _: None)
    assert made.opened().rows, "the control: unlooked at, it is an answer like any other"


@pytest.fixture
def settings(tmp_path: Path) -> KeeperConfig:
    """Settings of a keeper in a folder of its own."""
    return house.config(tmp_path)


def test_84_evidence_of_a_plan_that_the_member_did_not_ask_for_is_none(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An auditor reads whose answer it was from the plan, and so would be shown another inspector."""
    plan = plan_of(side_of(settings), "inspected")
    assert verify_joint(evidence_of(plan), roots_of(plan), VERIFIER)
    other = joint_house.remade(replace(plan, task=replace(plan.task, inspector=joint_house.HEALTH)))
    forged = evidence_of(other)
    with pytest.raises(RederivationMismatch):
        verify_joint(forged, roots_of(other), VERIFIER)
    monkeypatch.setattr(joint_evidence, "require_asked_for", lambda _: None)
    assert verify_joint(forged, roots_of(other), VERIFIER), "the control: everybody signed it"


def test_78_a_side_without_data_computes_on_no_relation_that_the_statement_does_not_name(
    settings: KeeperConfig,
) -> None:
    """A helper or server has nothing read; it would lend its name to an answer over rows of others' choice."""
    plan = plan_of(side_of(settings), "inspected")
    own, other = plan.reading.portions
    reading = replace(plan.reading, portions=(own, replace(other, relation="tax.made_up")))
    changed = joint_house.party_plan(replace(plan, reading=reading), joint_house.OFFICE)
    with pytest.raises(RederivationMismatch, match="does not name"):
        joint_rules.require_joint(changed, house.NOW)
    assert joint_rules.require_joint(joint_house.party_plan(plan, joint_house.OFFICE), house.NOW) == plan


def test_a_finder_that_hands_over_other_records_has_no_answer_from_the_centre(settings: KeeperConfig) -> None:
    """Its receipt names the box's record; what its keeper shows the centre is one that commits to nobody. The control:
    whoever looks at the records alone finds that nobody was looked up, and writes nothing into the log.
    """
    good = evidence_of(plan_of_persons(side_of_persons(settings), "looked up there"))
    assert len(looked_up(good)) == ASKED
    place = next(at for at, each in enumerate(good.parties) if each.plan.domain == joint_house.OWN)
    shown = replace(good.parties[place], records=reported(good.parties[place].plan, {}))
    bad = replace(good, parties=(*good.parties[:place], shown, *good.parties[place + 1 :]))
    assert commitments_of([StageRecord.read(each.statement.body) for each in shown.records]) == ()
    with pytest.raises(HashMismatch):
        looked_up(bad)


def test_79_whoever_checks_evidence_reads_what_it_is_about(settings: KeeperConfig, tmp_path: Path) -> None:
    """That everything fits says nothing to somebody who was handed the evidence of another question."""
    plan = plan_of(side_of(settings), "inspected")
    file = tmp_path / "evidence"
    file.write_bytes(evidence_of(plan).canonical())
    roots = [word for domain, key in roots_of(plan).items() for word in ("--root", f"{domain}={key}")]
    made = CliRunner().invoke(app, ["joint", "verify", "--file", str(file), *roots])
    assert made.exit_code == 0, made.output
    for said in (plan.task.statement, plan.request.member, f"the airlock of {plan.task.inspector} sees"):
        assert said in made.stderr
