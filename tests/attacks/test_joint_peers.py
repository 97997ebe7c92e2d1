"""Attacks on an owner's keeper in joint computations by what peers' sides say (ATTACKS 76, 77, 81, 96).

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
from keeper.meeting import Shown
from plans import canonical
from plans.box import Entry
from plans.decision import Tier
from plans.errors import DarkroomError, NotFound, PeerLost, StateConflict
from plans.joint import JointPlan, Party
from plans.statements import Duty, StageInput, Type
from tests.keeper import house, joint_house
from tests.keeper.house import DAY, NOW
from tests.keeper.joint_house import CIVIL, HEALTH, OFFICE, OWN, PEERS, JointSide
from tests.keeper.joint_refused import require_keys, require_refused, with_party_box


@pytest.fixture
def settings(tmp_path: Path) -> KeeperConfig:
    """Settings of a keeper in a folder of its own."""
    return house.config(tmp_path)


@pytest.fixture
def side(settings: KeeperConfig) -> JointSide:
    return JointSide.make(settings)


# --- 76: who is at the other end -----------------------------------------------------


def stranger(**changes: Any) -> Callable[[JointPlan], Shown]:
    vouch = house.Vouch(**({"signer": f"launcher of {HEALTH}", "domain": HEALTH} | changes))
    return lambda plan: joint_house.peer_box(HEALTH, plan, vouch=vouch)


def other_joint(plan: JointPlan) -> Shown:
    return joint_house.peer_box(HEALTH, replace(plan, nonce="8" * 32))


def weaker(plan: JointPlan) -> Shown:
    """The peer's plan says another image than the joint plan, and its box was made of that."""
    own = joint_house.party_plan(plan, HEALTH)
    changed = with_party_box(own, image=house.digest("image of a stranger"))
    vouch = house.Vouch(signer=f"launcher of {HEALTH}", domain=HEALTH)
    return Shown(house.box(changed, "6" * 32, Entry.PARTY, vouch), changed)


def swapped(plan: JointPlan) -> Shown:
    told = joint_house.peer_box(HEALTH, plan)
    body = {**told.signed.statement.body, "box_key": house.opening("attacker").public}
    subject = canonical.digest(Type.BOX.value, body)
    statement = replace(told.signed.statement, body=body, subject=subject)
    return Shown(replace(told.signed, statement=statement), told.plan)


def extract_box(plan: JointPlan) -> Shown:
    own = joint_house.party_plan(plan, HEALTH)
    vouch = house.Vouch(signer=f"launcher of {HEALTH}", domain=HEALTH)
    return Shown(house.box(own, "6" * 32, Entry.EXTRACT, vouch), own)


ENDS: dict[str, tuple[Callable[[JointPlan], Shown], str]] = {
    "a launcher of nobody's": (stranger(signer="stranger"), "evidence.signature"),
    "another party's launcher": (stranger(signer=f"launcher of {CIVIL}"), "evidence.signature"),
    "our own launcher in its name": (stranger(signer="launcher"), "evidence.signature"),
    "its keeper instead": (stranger(signer=f"keeper of {HEALTH}"), "evidence.signature"),
    "another duty": (stranger(duty=Duty.KEEPER), "evidence.signature"),
    "another domain's name": (stranger(domain=OWN), "evidence.signature"),
    "a record instead of a box": (stranger(type=Type.STAGE), "evidence.signature"),
    "expired": (stranger(not_after=NOW - 120), "evidence.outdated"),
    "valid for too long": (stranger(not_after=NOW + DAY), "evidence.outdated"),
    "without end": (stranger(not_after=0), "evidence.outdated"),
    "the box's key swapped by a carrier": (swapped, "evidence.signature"),
    "an old attempt": (lambda plan: joint_house.peer_box(HEALTH, plan, 2), "evidence.outdated"),
    "another joint plan": (other_joint, "evidence.hash"),
    "another image in its plan": (weaker, "evidence.rederivation"),
    "another image in its box": (
        lambda plan: joint_house.peer_box(HEALTH, plan, image=house.digest("stranger")),
        "evidence.hash",
    ),
    "another specification": (
        lambda plan: joint_house.peer_box(HEALTH, plan, spec=house.digest("x")),
        "evidence.hash",
    ),
    "its extract box": (
        extract_box,
        "evidence.hash",
    ),
    "with an input": (
        lambda plan: joint_house.peer_box(HEALTH, plan, inputs=(StageInput("x", house.digest("x")),)),
        "evidence.hash",
    ),
}


@pytest.mark.parametrize(("made", "code"), ENDS.values(), ids=ENDS)
def test_76_a_box_that_is_not_the_peers_of_this_attempt_ends_no_link(
    side: JointSide, made: Callable[[JointPlan], Shown], code: str
) -> None:
    plan = joint_house.joint(side.keeper)
    own = side.approved(plan)
    with pytest.raises(DarkroomError) as refused:
        side.keeper.joint.bring(plan.digest, 1, (made(plan),))
    assert refused.value.code == code
    for told in joint_house.boxes(plan):
        if told.signed.statement.domain != HEALTH:
            side.keeper.joint.bring(plan.digest, 1, (told,))
    with pytest.raises(PeerLost, match=HEALTH):
        side.opened(joint_house.own_box(side.keeper, own), own)
    assert side.party(own, 2).peers, "the control: its own box, in the next attempt"


def test_76_a_box_of_a_lower_tier_than_the_plan_asks_for_ends_no_link(settings: KeeperConfig) -> None:
    side = JointSide.make(settings, replace(joint_house.POLICY, tier=Tier.T2))
    plan = joint_house.joint(side.keeper)
    side.approved(plan)
    with pytest.raises(DarkroomError, match="fewer walls"):
        side.keeper.joint.bring(plan.digest, 1, (joint_house.peer_box(HEALTH, plan, tier=Tier.T1),))
    side.keeper.joint.bring(plan.digest, 1, (joint_house.peer_box(HEALTH, plan, tier=Tier.T3),))


def test_76_a_second_box_of_a_party_in_one_attempt_is_refused(side: JointSide) -> None:
    plan = joint_house.joint(side.keeper)
    own = side.approved(plan)
    side.keeper.joint.bring(plan.digest, 1, joint_house.boxes(plan))
    other = joint_house.peer_box(HEALTH, plan, box_key=house.opening("attacker").public)
    with pytest.raises(StateConflict, match="two boxes in one attempt"):
        side.keeper.joint.bring(plan.digest, 1, (other,))
    parties = sorted((OWN, *PEERS))
    given = side.party(own).peers
    assert given[f"peer-{parties.index(HEALTH)}"] == house.opening(f"box of {HEALTH}").public


def test_76_boxes_of_a_plan_that_was_not_approved_are_not_even_kept(side: JointSide) -> None:
    plan = joint_house.joint(side.keeper)
    with pytest.raises(DarkroomError, match="nobody who may approve"):
        side.keeper.joint.bring(plan.digest, 1, joint_house.boxes(plan))
    with pytest.raises(NotFound):
        side.keeper.joint.own(plan.digest, 1)


# --- 81: older statements -----------------------------------------------------


def test_81_a_launcher_that_has_left_a_peers_roster_vouches_for_no_box(side: JointSide) -> None:
    plan = joint_house.joint(side.keeper)
    own = side.approved(plan)
    left = tuple(each for each in joint_house.peer_entries(HEALTH) if each.duty is not Duty.LAUNCHER)
    assert side.party(own).peers
    side.keeper.meet(joint_house.peer_roster(HEALTH, 2, left))
    with pytest.raises(DarkroomError, match="not a launcher of the roster of nm/health"):
        side.party(own, 2)
    with pytest.raises(DarkroomError, match="not newer"):
        side.keeper.meet(joint_house.peer_roster(HEALTH))
    with pytest.raises(DarkroomError, match="not a launcher of the roster of nm/health"):
        side.party(own, 3)


def test_81_a_plan_with_a_partys_older_description_gets_no_key(side: JointSide) -> None:
    plan = joint_house.joint(side.keeper)
    newer = joint_house.party(CIVIL, 2, hosting="another hall")
    side.keeper.meet(joint_house.described(newer))
    require_refused(side, plan, "evidence.outdated")
    with pytest.raises(DarkroomError, match="not newer"):
        side.keeper.meet(joint_house.described(joint_house.party(CIVIL)))
    require_keys(side, with_party(plan, newer))


def test_96_a_server_that_comes_under_anothers_administration_is_refused_by_the_owner_itself(
    side: JointSide,
) -> None:
    """The centre's compiler refuses it too; here the plan was made by one that does not."""
    plan = joint_house.joint(side.keeper)
    together = joint_house.party(CIVIL, 2, administration=joint_house.party(HEALTH).administration)
    side.keeper.meet(joint_house.described(together))
    own = side.approved(with_party(plan, together))
    with pytest.raises(DarkroomError, match="demands separate administrations") as refused:
        side.extract(own)
    assert refused.value.code == "policy.denied"
    terms = replace(joint_house.TERMS, separate=False)
    house.believe(side.keeper, house.bundle(2, (replace(joint_house.POLICY, joint=terms),)))
    later = with_party(joint_house.joint(side.keeper), together)
    assert side.extract(side.approved(later)).inputs, "the control: an owner who does not ask for it"


def with_party(plan: JointPlan, newer: Party) -> JointPlan:
    """The plan with a party described anew, and all that follows."""
    parties = tuple(newer if party.domain == newer.domain else party for party in plan.parties)
    return joint_house.remade(replace(plan, parties=parties))


def test_a_domain_without_a_root_key_in_the_settings_is_no_party(side: JointSide) -> None:
    plan, known = joint_house.joint(side.keeper), side.settings
    own = side.approved(plan)
    others = {domain: root for domain, root in known.peers.items() if domain != OFFICE}
    side.settings = replace(known, peers=others)
    side.restart()
    with pytest.raises(StateConflict, match=f"no valid description of the party {OFFICE}"):
        side.extract(own)
    side.settings = known
    side.restart()
    require_keys(side, plan)


# --- replays -----------------------------------------------------


def test_77_the_own_box_statement_is_worth_something_once(side: JointSide) -> None:
    plan = joint_house.joint(side.keeper)
    own = side.approved(plan)
    side.keeper.joint.bring(plan.digest, 1, joint_house.boxes(plan))
    statement = joint_house.own_box(side.keeper, own)
    side.opened(statement, own)
    with pytest.raises(DarkroomError, match="no open challenge"):
        side.opened(statement, own)


def test_a_peers_statement_of_an_earlier_attempt_is_worth_nothing_in_the_next(side: JointSide) -> None:
    plan = joint_house.joint(side.keeper)
    own = side.approved(plan)
    first = joint_house.boxes(plan)
    side.keeper.joint.bring(plan.digest, 1, first)
    side.opened(joint_house.own_box(side.keeper, own), own)
    with pytest.raises(DarkroomError, match="of another attempt"):
        side.keeper.joint.bring(plan.digest, 2, first)
    with pytest.raises(PeerLost):
        side.opened(joint_house.own_box(side.keeper, own, attempt=2), own)
