"""Attacks on an owner's keeper in joint computations by plans (ATTACKS 72, 78, 84).

Who attacks: the centre, a peer's side, whoever carries statements. Each attack changes one thing about what gets keys
without the change; that it does is every time the control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.config import KeeperConfig
from plans.box import Input
from plans.decision import Tier
from plans.errors import DarkroomError, PeerLost, StateConflict
from plans.joint import JointPlan, PortionDecision, joint_of
from plans.joint_rules import Matching, Opening
from plans.plan import Plan
from plans.reading import Reading
from plans.statements import Duty, RosterEntry, Signed
from tests.keeper import house, joint_house
from tests.keeper.house import DAY, NOW
from tests.keeper.joint_house import CIVIL, HEALTH, OWN, JointSide
from tests.keeper.joint_refused import Change, require_keys, require_refused, with_party_box


@pytest.fixture
def settings(tmp_path: Path) -> KeeperConfig:
    """Settings of a keeper in a folder of its own."""
    return house.config(tmp_path)


@pytest.fixture
def side(settings: KeeperConfig) -> JointSide:
    return JointSide.make(settings)


# --- 72: not approved, or changed afterwards -----------------------------------------------------


def test_72_a_plan_that_no_own_approver_has_signed_gets_no_key(side: JointSide) -> None:
    plan = joint_house.joint(side.keeper)
    require_refused(side, plan, "policy.denied", approved=False)
    assert side.readers.asked == 0, "nothing of it was read either"
    require_keys(side, plan)


NOT_OURS: dict[str, Callable[[JointPlan], Signed]] = {
    "another plan's": lambda plan: house.approval(house.digest("another plan")),
    "of the plan of our boxes": lambda plan: house.approval(joint_house.party_plan(plan, OWN).digest),
}


@pytest.mark.parametrize("made", NOT_OURS.values(), ids=NOT_OURS)
def test_72_an_approval_of_something_else_is_none(
    side: JointSide, made: Callable[[JointPlan], Signed]
) -> None:
    plan = joint_house.joint(side.keeper)
    house.believe(side.keeper, made(plan))
    require_refused(side, plan, "policy.denied", approved=False)
    require_keys(side, plan)


@pytest.mark.parametrize("signer", [f"approver of {HEALTH}", "steward", "member", "stranger"])
def test_72_nobody_else_approves_for_this_owner(side: JointSide, signer: str) -> None:
    plan = joint_house.joint(side.keeper)
    with pytest.raises(DarkroomError, match="not in the roster"):
        house.believe(side.keeper, house.approval(plan.digest, signer))
    require_refused(side, plan, "policy.denied", approved=False)


def test_59_the_requester_approves_nothing_of_its_own(side: JointSide) -> None:
    entries = (*house.ENTRIES, RosterEntry(house.MEMBER, Duty.APPROVER, house.key("member").public))
    house.believe(side.keeper, house.roster(2, entries))
    plan = joint_house.joint(side.keeper)
    house.believe(side.keeper, house.approval(plan.digest, "member"))
    require_refused(side, plan, "policy.denied", approved=False)
    require_keys(side, plan)


CHANGED: dict[str, Change] = {
    "smaller groups": lambda plan: replace(plan, scheme=replace(plan.scheme, minimum_group=1)),
    "another model": lambda plan: replace(plan, trust=replace(plan.trust, adversary="nobody")),
    "other sights": lambda plan: replace(plan, sights=()),
    "another nonce": lambda plan: replace(plan, nonce="9" * 32),
    "a later time": lambda plan: replace(plan, made_at=NOW + 1),
    "another image": lambda plan: replace(plan, party_image=house.digest("image of a stranger")),
    "another party": lambda plan: replace(plan, parties=(replace(plan.parties[0], number=2), *plan.parties[1:])),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_72_a_plan_that_is_changed_after_approval_is_another_plan(side: JointSide, change: Change) -> None:
    plan = joint_house.joint(side.keeper)
    house.believe(side.keeper, house.approval(plan.digest))
    own = joint_house.party_plan(change(plan), OWN)
    for ask in (side.extract, side.party):
        with pytest.raises(DarkroomError) as refused:
            ask(own)
        assert refused.value.code in ("policy.denied", "evidence.outdated", "evidence.rederivation")
    require_keys(side, plan)


# --- 78: approved by mistake, and still not what this owner derives ------------------------------


def own_decision(change: Callable[[PortionDecision], PortionDecision]) -> Change:
    return lambda plan: replace(plan, decisions=(plan.decisions[0], change(plan.decisions[1])))


def with_obligations(**changes: Any) -> Callable[[PortionDecision], PortionDecision]:
    def changed(said: PortionDecision) -> PortionDecision:
        assert said.decision.obligations
        weaker = replace(said.decision.obligations, **changes)
        return replace(said, decision=replace(said.decision, obligations=weaker))

    return changed


def with_relation(**changes: Any) -> Callable[[PortionDecision], PortionDecision]:
    return lambda said: replace(said, relation=replace(said.relation, **changes))


FORGED: dict[str, Change] = {
    "smaller groups in the decision": own_decision(with_obligations(minimum_group=1)),
    "another grant": own_decision(
        lambda said: replace(said, decision=replace(said.decision, grants=(house.digest("grant"),)))
    ),
    "no row filter": own_decision(with_relation(row_filter="")),
    "more columns": own_decision(with_relation(columns=("income", "region"))),
    "another file": own_decision(with_relation(file=house.digest("file"))),
    "another version": own_decision(with_relation(manifest=house.digest("manifest"))),
    "other identifiers": own_decision(lambda said: replace(said, identifiers=house.digest("x"))),
    "a wider range than the statement gives": lambda plan: joint_house.with_range(plan, 7),
    "an image that is not ours": lambda plan: replace(plan, party_image=house.digest("stranger")),
    "another extract image": lambda plan: replace(plan, extract_image=house.digest("stranger")),
}  # fmt: skip


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_78_what_this_owner_derives_otherwise_gets_no_key_though_it_was_approved(
    side: JointSide, change: Change
) -> None:
    plan = joint_house.joint(side.keeper)
    require_refused(side, change(plan), "evidence.rederivation")
    require_keys(side, plan)


BOXES: dict[str, Callable[[Plan], Plan]] = {
    "another peer's link": lambda plan: with_party_box(plan, links=plan.stages[-1].links[:-1]),
    "an input for the party box": lambda plan: with_party_box(
        plan, inputs=(Input("income-v1-attributes.parquet", house.digest("x")),)
    ),
    "another tier": lambda plan: with_party_box(plan, tier=Tier.T2),
    "no extract": lambda plan: replace(plan, stages=plan.stages[1:]),
    "more memory": lambda plan: with_party_box(
        plan, limits=replace(plan.stages[-1].limits, memory_mb=1_000_000)
    ),
    "another time": lambda plan: replace(plan, made_at=NOW - 1),
    "another owner's plan": lambda plan: joint_house.party_plan(
        joint_of(plan.material), HEALTH, house.LIMITS
    ),
}


@pytest.mark.parametrize("change", BOXES.values(), ids=BOXES)
def test_78_boxes_that_do_not_follow_from_the_joint_plan_get_no_key(
    side: JointSide, change: Callable[[Plan], Plan]
) -> None:
    own = side.approved(joint_house.joint(side.keeper))
    with pytest.raises(DarkroomError) as refused:
        side.party(change(own))
    assert refused.value.code in ("evidence.rederivation", "evidence.hash")
    assert side.party(own).peers


def test_a_policy_that_changes_while_the_statement_is_read_gives_no_key(
    side: JointSide, tmp_path: Path
) -> None:
    """Else what was read on one view of the data would count for another."""
    later = house.bundle(3, (joint_house.POLICY,))
    other = JointSide.make(house.config(tmp_path / "other"))
    house.believe(other.keeper, later)
    own = side.approved(joint_house.joint(other.keeper))
    house.believe(side.keeper, house.bundle(2, (replace(joint_house.POLICY, row_filter=""),)))
    read = side.readers.own

    def meanwhile(check: Plan, statement: str) -> Reading:
        house.believe(side.keeper, later)
        return read(check, statement)

    side.keeper.readings.reader = meanwhile
    with pytest.raises(StateConflict, match="changed while the statement was read"):
        side.extract(own)
    assert side.extract(own).inputs, "the control: it is read again"


def test_the_owners_terms_are_asked_each_time(side: JointSide) -> None:
    plan = joint_house.joint(side.keeper)
    require_keys(side, plan)
    terms = (
        replace(joint_house.TERMS, matchings=(Matching.DIFFIE_HELLMAN,)),
        replace(joint_house.TERMS, openings=(Opening.INSPECTED,)),
        None,
    )
    for number, joint in enumerate(terms, 2):
        house.believe(side.keeper, house.bundle(number, (replace(joint_house.POLICY, joint=joint),)))
        with pytest.raises(DarkroomError) as refused:
            side.extract(joint_house.party_plan(plan, OWN), number)
        assert refused.value.code == "policy.denied"


# --- 84: what the member signed -----------------------------------------------------


def asked_otherwise(**changes: Any) -> Change:
    return lambda plan: replace(plan, request=replace(plan.request, **changes))


SWAPPED: dict[str, Change] = {
    "the recipient's key": asked_otherwise(recipient=house.opening("attacker").public),
    "the member's name": asked_otherwise(member="mo@nm/uni"),
    "the purpose": asked_otherwise(purpose="curiosity"),
    "another signature": lambda plan: replace(plan, request_signature="0" * 128),
}


@pytest.mark.parametrize("change", SWAPPED.values(), ids=SWAPPED)
def test_84_what_the_member_did_not_sign_gets_no_key(side: JointSide, change: Change) -> None:
    plan = joint_house.joint(side.keeper)
    require_refused(side, change(plan), "evidence.signature")
    require_keys(side, plan)


def test_84_another_task_than_the_one_that_was_signed_gets_no_key(side: JointSide) -> None:
    plan = joint_house.joint(side.keeper)
    lies = replace(plan.task, servers=plan.task.servers[::-1])
    require_refused(side, replace(plan, task=lies), "evidence.rederivation")
    other = replace(plan.reading, statement=house.digest("another statement"))
    require_refused(side, replace(plan, reading=other), "evidence.rederivation")
    require_keys(side, plan)


def test_84_a_server_without_data_computes_no_other_statement_than_the_one_that_was_signed(
    side: JointSide, tmp_path: Path
) -> None:
    """It reads no statement itself: that the owners' readers do. It sees that the plan says which one they read."""
    plan, civil = joint_house.joint(side.keeper), joint_house.server_without_data(tmp_path / "civil")
    vouch = house.Vouch(signer=f"launcher of {CIVIL}", domain=CIVIL)

    def ask(about: JointPlan) -> DarkroomError:
        house.believe(civil, house.approval(about.digest, f"approver of {CIVIL}", domain=CIVIL))
        own = joint_house.party_plan(about, CIVIL)
        with pytest.raises(DarkroomError) as refused:
            civil.unwrap(joint_house.own_box(civil, own, vouch=vouch), own)
        return refused.value

    other = replace(plan.reading, statement=house.digest("another statement"))
    assert ask(joint_house.remade(replace(plan, reading=other))).code == "evidence.rederivation"
    assert isinstance(ask(plan), PeerLost), "the control: it only waits for its peers"


def test_a_plan_is_good_for_a_week(side: JointSide) -> None:
    old = joint_house.joint(side.keeper)
    side.clock.now += 7 * DAY + 1
    require_refused(side, old, "evidence.outdated")
    early = joint_house.joint(side.keeper, made_at=int(side.clock.now) + 200)
    require_refused(side, early, "evidence.outdated")
