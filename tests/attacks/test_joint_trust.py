"""Attacks on an owner's keeper in joint computations (ATTACKS 72, 74, 76, 78, 81, 84, and quotas as 33).

Who attacks: the centre, a peer's side, whoever carries statements. Each attack changes one thing about what gets keys
without the change; that it does is every time the control.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.config import KeeperConfig
from keeper.joint_quota import JointQuotas, pairs
from keeper.joint_rules import Told
from plans import canonical
from plans.box import Entry, Input
from plans.decision import Tier
from plans.errors import BudgetSpent, DarkroomError, NotFound, PeerLost, StateConflict
from plans.joint import JointPlan, JointReading, Party, PortionDecision, joint_of
from plans.joint_rules import Matching, Opening
from plans.plan import Plan
from plans.reading import Reading
from plans.statements import Duty, RosterEntry, Signed, StageInput, Type
from tests.keeper import house, joint_house
from tests.keeper.house import DAY, NOW
from tests.keeper.joint_house import CELLS, CIVIL, HEALTH, OFFICE, OWN, PEERS, JointSide

Change = Callable[[JointPlan], JointPlan]


@pytest.fixture
def settings(tmp_path: Path) -> KeeperConfig:
    """Settings of a keeper in a folder of its own."""
    return house.config(tmp_path)


@pytest.fixture
def side(settings: KeeperConfig) -> JointSide:
    return JointSide.make(settings)


def require_refused(side: JointSide, plan: JointPlan, code: str, approved: bool = True) -> DarkroomError:
    """Ask for the keys of both boxes; neither may have any, and both refusals are sentences with this code."""
    if approved:
        house.believe(side.keeper, house.approval(plan.digest))
    own = joint_house.party_plan(plan, OWN)
    for ask in (side.extract, side.party):
        with pytest.raises(DarkroomError) as refused:
            ask(own)
        assert refused.value.code == code, refused.value
        assert refused.value.what and refused.value.next_step
    return refused.value


def require_keys(side: JointSide, plan: JointPlan, attempt: int = 1) -> None:
    """The control: the unchanged thing gets the keys of both boxes."""
    house.believe(side.keeper, house.approval(plan.digest))
    own = joint_house.party_plan(plan, OWN)
    assert side.extract(own, attempt).inputs and side.party(own, attempt).peers


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


def with_party_box(plan: Plan, **changes: Any) -> Plan:
    return replace(plan, stages=(*plan.stages[:-1], replace(plan.stages[-1], **changes)))


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

    side.keeper._reader = meanwhile
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


# --- 76: who is at the other end -----------------------------------------------------


def stranger(**changes: Any) -> Callable[[JointPlan], Told]:
    vouch = house.Vouch(**({"signer": f"launcher of {HEALTH}", "domain": HEALTH} | changes))
    return lambda plan: joint_house.peer_box(HEALTH, plan, vouch=vouch)


def other_joint(plan: JointPlan) -> Told:
    return joint_house.peer_box(HEALTH, replace(plan, nonce="8" * 32))


def weaker(plan: JointPlan) -> Told:
    """The peer's plan says another image than the joint plan, and its box was made of that."""
    own = joint_house.party_plan(plan, HEALTH)
    changed = with_party_box(own, image=house.digest("image of a stranger"))
    vouch = house.Vouch(signer=f"launcher of {HEALTH}", domain=HEALTH)
    return Told(house.box(changed, "6" * 32, Entry.PARTY, vouch), changed)


def swapped(plan: JointPlan) -> Told:
    told = joint_house.peer_box(HEALTH, plan)
    body = {**told.signed.statement.body, "box_key": house.opening("attacker").public}
    subject = canonical.digest(Type.BOX.value, body)
    statement = replace(told.signed.statement, body=body, subject=subject)
    return Told(replace(told.signed, statement=statement), told.plan)


def extract_box(plan: JointPlan) -> Told:
    own = joint_house.party_plan(plan, HEALTH)
    vouch = house.Vouch(signer=f"launcher of {HEALTH}", domain=HEALTH)
    return Told(house.box(own, "6" * 32, Entry.EXTRACT, vouch), own)


ENDS: dict[str, tuple[Callable[[JointPlan], Told], str]] = {
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
    side: JointSide, made: Callable[[JointPlan], Told], code: str
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


# --- 33, 74: quotas -----------------------------------------------------


def narrow(settings: KeeperConfig, answers: int) -> JointSide:
    """A side whose terms have room for so many answers, and no other bound."""
    terms = replace(joint_house.TERMS, cells=CELLS * answers + CELLS - 1)
    checks = replace(joint_house.POLICY.checks, unsafe_exact_cells=True)
    return JointSide.make(settings, replace(joint_house.POLICY, joint=terms, checks=checks))


def asked(side: JointSide, count: int) -> list[Plan]:
    """Approved plans of the same statement, asked anew each time."""
    return [side.approved(joint_house.joint(side.keeper, joint_house.request(n))) for n in range(count)]


def race(side: JointSide, plans: list[Plan]) -> list[bool]:
    """Ask for the keys of all extract boxes at once; return which got them."""
    got, ready = [False] * len(plans), threading.Barrier(len(plans))

    def ask(place: int) -> None:
        statement = joint_house.own_box(side.keeper, plans[place], Entry.EXTRACT)
        ready.wait()
        try:
            side.keeper.unwrap(statement, plans[place])
        except BudgetSpent:
            return
        got[place] = True

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(plans))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return got


def test_33_a_quota_that_is_raced_is_kept(settings: KeeperConfig) -> None:
    side = narrow(settings, answers=3)
    assert sum(race(side, asked(side, 8))) == 3


def test_33_without_the_charge_all_of_them_would_have_their_keys(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = narrow(settings, answers=3)
    monkeypatch.setattr(JointQuotas, "take_in", lambda self, entry, at: None)
    assert sum(race(side, asked(side, 8))) == 8


def test_33_what_was_charged_stays_so_over_failures_and_restarts(settings: KeeperConfig) -> None:
    side = narrow(settings, answers=2)
    first, second, third = asked(side, 3)
    side.extract(first)
    failed = joint_house.receipt(first, ran=(), code="joint.peer-lost", failed_at="nm/civil share", sealed="")
    side.keeper.joint.receipt(failed, first, ())
    side.restart()
    side.extract(second)
    side.restart()
    with pytest.raises(BudgetSpent):
        side.extract(third)
    side.extract(first, 2)
    side.extract(second, 2)


def test_74_the_same_statement_over_a_version_with_one_row_changed_is_charged_again(
    settings: KeeperConfig,
) -> None:
    side = narrow(settings, answers=1)
    before = side.approved(joint_house.joint(side.keeper))
    side.extract(before)
    newer = joint_house.manifest(2)
    for file in newer.files:
        side.keeper.keyring.store_data_key(file.name, b"k" * 32)
    house.believe(side.keeper, house.signed_manifest(newer))
    with pytest.raises(DarkroomError) as refused:
        side.extract(before, 2)
    assert refused.value.code == "evidence.rederivation", "the older version is not read again"
    after = side.approved(joint_house.joint(side.keeper, joint_house.request(2)))
    statement = joint_house.own_box(side.keeper, after, Entry.EXTRACT)
    with pytest.raises(BudgetSpent):
        side.opened(statement, after)


def test_74_a_further_owner_opens_no_new_quota(side: JointSide) -> None:
    """Each pair is charged: the own lineage with every other one in the plan."""
    plan = joint_house.joint(side.keeper)
    third = replace(plan.reading.portions[0], domain="nm/edu", relation="edu.pupils", groups=())
    with_third = replace(plan.reading, portions=(*plan.reading.portions, third))
    quotas, terms = JointQuotas(), replace(joint_house.TERMS, cells=CELLS)
    wider = replace_reading(plan, with_third)
    line = quotas.charge(wider, 1, house.INCOME, terms, NOW)
    assert line and len(line["subjects"]) == 2
    quotas.take_in(line, NOW)
    with pytest.raises(BudgetSpent):
        quotas.charge(plan, 1, house.INCOME, terms, NOW)
    assert JointQuotas().charge(plan, 1, house.INCOME, terms, NOW), "the control: nobody asked before"


@pytest.mark.parametrize("unsafe", [False, True])
def test_34_of_few_persons_no_more_exact_cells_are_opened_jointly_than_otherwise(
    settings: KeeperConfig, unsafe: bool
) -> None:
    """Ninety persons have nine cells of a column in a period, with whomever they are computed, whatever the terms say;
    the control is an owner that waived it.
    """
    checks = replace(joint_house.POLICY.checks, unsafe_exact_cells=unsafe)
    side = JointSide.make(settings, replace(joint_house.POLICY, checks=checks))
    first, second = asked(side, 2)
    assert side.extract(first).inputs
    side.restart()
    if unsafe:
        assert side.extract(second).inputs
        return
    with pytest.raises(BudgetSpent, match="of this column") as refused:
        side.extract(second)
    assert refused.value.where == "tax.income.income"
    assert side.extract(first, 2).inputs, "a further attempt at the same plan is charged once"


def test_74_the_same_persons_under_another_name_open_no_new_quota(side: JointSide) -> None:
    """An owner that wants to know more ingests its persons once again, as another relation."""
    plan = joint_house.joint(side.keeper)
    quotas, terms = JointQuotas(), replace(joint_house.TERMS, cells=CELLS)

    def with_first(**changes: Any) -> JointPlan:
        portions = (replace(plan.reading.portions[0], **changes), *plan.reading.portions[1:])
        return replace(plan, reading=replace(plan.reading, portions=portions))

    line = quotas.charge(plan, 1, house.INCOME, terms, NOW)
    assert line
    quotas.take_in(line, NOW)
    with pytest.raises(BudgetSpent):
        quotas.charge(with_first(relation="health.visits_again"), 1, house.INCOME, terms, NOW)
    subjects = pairs(with_first(relation="health.visits_again"), 1, house.INCOME)
    assert subjects == pairs(plan, 1, house.INCOME)
    assert JointQuotas().charge(with_first(relation="health.visits_again"), 1, house.INCOME, terms, NOW), (
        "the control: nobody asked before"
    )


def replace_reading(plan: JointPlan, reading: JointReading) -> JointPlan:
    """A joint plan over three owners, of which the third is a party as well."""
    third = PortionDecision(
        "nm/edu", plan.decisions[0].decision, plan.decisions[0].relation, house.digest("identifiers")
    )
    parties = sorted((*plan.parties, joint_house.party("nm/edu")), key=lambda each: each.domain)
    return replace(plan, reading=reading, decisions=(*plan.decisions, third), parties=tuple(parties))
