"""Attacks on who opens first, who finds persons, and who adds up: inspected answers, parts of a table, ciphertexts and
persons in common, at an owner's keeper and in evidence (ATTACKS 72, 78, 84, 96).

The centre makes plans that owners never agreed to in this form, or plans with another opener than the member signed;
a party's side leaves a file that is not its part. Each attack has its control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.config import KeeperConfig
from keeper.meeting import Shown
from keys import api as keys
from mpc import compile as compiling
from mpc import derive
from plans.box import Entry, Outputs
from plans.errors import DarkroomError, HashMismatch, PolicyDenied, RederivationMismatch, SignatureWrong
from plans.handover import OPENED
from plans.joint import JointPlan, joint_task_of
from plans.joint_evidence import JointEvidence, PartyEvidence, verify_joint
from plans.joint_rules import Matching, Opening
from plans.plan import Plan
from plans.statements import Duty, StageOutput, Type
from tests.keeper import house, joint_house
from tests.keeper.joint_forms_house import POLICY, TASKS, plan_of, side_of
from tests.keeper.joint_house import CIVIL, HEALTH, OFFICE, OWN, JointSide
from tests.keeper.joint_refused import Change, require_keys, require_refused, with_party_box
from tests.keeper.test_joint_verify import VERIFIER, name


@pytest.fixture
def settings(tmp_path: Path) -> KeeperConfig:
    """Settings of a keeper in a folder of its own."""
    return house.config(tmp_path)


# --- 78: a form that the own terms do not allow -------------------------------------------------

ONLY: dict[str, dict[str, Any]] = {
    "inspected": {"openings": (Opening.OBLIVIOUS,), "members": 0},
    "stacked and inspected": {"openings": (Opening.OBLIVIOUS,), "members": 0},
    "stacked": {"matchings": (Matching.HELPER,)},
    "ciphertexts": {"ciphertexts": False},
    "found by health": {"openings": (Opening.OBLIVIOUS, Opening.INSPECTED), "members": 0},
    "common": {"openings": (Opening.OBLIVIOUS, Opening.INSPECTED), "members": 0},
    "common of two": {"matchings": (Matching.HELPER,)},
}


@pytest.mark.parametrize("form", ONLY)
def test_78_a_form_that_the_own_terms_do_not_allow_gets_no_key_though_it_was_approved(
    settings: KeeperConfig, form: str
) -> None:
    """The centre compiles it by terms of its own invention; the terms that the own stewards signed say no."""
    side = side_of(settings)
    plan = plan_of(side, form)
    assert POLICY.joint is not None
    strict = replace(POLICY, joint=replace(POLICY.joint, **ONLY[form]))
    house.believe(side.keeper, house.bundle(2, (strict,)))
    own = side.approved(plan)
    with pytest.raises(PolicyDenied):
        side.extract(own)
    house.believe(side.keeper, house.bundle(3, (POLICY,)))
    assert side.extract(side.approved(plan_of(side, form, 1))).inputs, "the control: the terms that allow it"


# --- 84: another opener than the member signed --------------------------------------------------


def with_task(**changes: Any) -> Change:
    return lambda plan: replace(plan, task=replace(plan.task, **changes))


def everywhere(**changes: Any) -> Change:
    """The task is another in the request, too, which bears the old signature."""

    def change(plan: JointPlan) -> JointPlan:
        task = replace(plan.task, **changes)
        asked = replace(plan.request, statement=task.canonical().decode())
        return joint_house.remade(replace(plan, task=task, request=asked))

    return change


OPENERS: dict[str, tuple[str, Change, str]] = {
    "another inspector": ("inspected", with_task(inspector=HEALTH), "evidence.rederivation"),
    "another inspector of one table": (
        "stacked and inspected", with_task(inspector=HEALTH), "evidence.rederivation",
    ),
    "another inspector, in the request as well": ("inspected", everywhere(inspector=HEALTH), "evidence.signature"),
    "another holder of the key": ("ciphertexts", everywhere(inspector=HEALTH), "evidence.signature"),
    "another finder": ("common", with_task(finder=HEALTH), "evidence.rederivation"),
    "another finder, in the request as well": ("common", everywhere(finder=HEALTH), "evidence.signature"),
}  # fmt: skip


@pytest.mark.parametrize(("form", "change", "code"), OPENERS.values(), ids=OPENERS)
def test_84_another_opener_than_the_member_signed_gets_no_key(
    settings: KeeperConfig, form: str, change: Change, code: str
) -> None:
    side = side_of(settings)
    plan = plan_of(side, form)
    require_refused(side, change(plan), code)
    require_keys(side, plan)


def signed_by(plan: JointPlan, signer: str, **changes: Any) -> JointPlan:
    """The plan of another request, with a good signature by this key."""
    asked = replace(plan.request, signer=house.key(signer).public, **changes)
    signature = keys.sign_bytes("request", asked.canonical(), house.key(signer))
    return joint_house.remade(replace(plan, request=asked, request_signature=signature))


def test_84_who_asks_under_the_finders_members_name_with_another_key_finds_nobody(
    settings: KeeperConfig,
) -> None:
    """The name is no proof: the own grant names the member's keys, and it fits no others."""
    side = side_of(settings)
    plan = plan_of(side, "common")
    theirs = house.opening("stranger").public
    own = side.approved(signed_by(plan, "stranger", recipient=theirs))
    with pytest.raises(PolicyDenied, match="no-grant"):
        side.extract(own)
    require_keys(side, signed_by(plan, "member"))


@pytest.mark.parametrize("form", ["stacked", "common"])
def test_84_a_joint_plan_that_a_member_only_had_explained_gets_no_key(
    settings: KeeperConfig, form: str
) -> None:
    """The centre keeps the plan that it made for an explanation, and has it approved."""
    side = side_of(settings)
    plan = plan_of(side, form)
    tried = keys.sign_bytes("dry-run", plan.request.canonical(), house.key("member"))
    require_refused(side, joint_house.remade(replace(plan, request_signature=tried)), SignatureWrong.code)
    require_keys(side, plan)


@pytest.mark.parametrize("form", ["common", "found by health"])
def test_persons_in_common_are_found_for_members_of_the_finder_alone(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Else whoever is granted anything at an owner would learn of single persons there."""
    side = side_of(settings)
    monkeypatch.setattr(compiling, "require_possible", lambda *_: None)  # a centre that does not mind
    plan = plan_of(side, form, member=house.MEMBER)
    assert "is no member of it" in require_refused(side, plan, "policy.denied").what
    monkeypatch.setattr(derive, "require_possible", lambda *_: None)
    require_keys(side, plan)  # the control: nothing else is in the way


def test_a_condition_on_the_own_rows_tells_no_finder_who_fulfils_it(settings: KeeperConfig) -> None:
    side = side_of(settings)
    plan = plan_of(side, "found by health")
    theirs, own = plan.reading.portions
    rich = 'SELECT count(*) AS n FROM tax.income WHERE "income" > 1000'
    chosen = replace(plan.reading, portions=(theirs, replace(own, where='"income" > 1000', stand_in=rich)))
    side.readers.known[chosen.statement] = chosen
    refused = require_refused(side, joint_house.remade(replace(plan, reading=chosen)), "policy.denied")
    assert "would tell nm/health something of every person" in refused.what


# --- 96: one hand at both ends -------------------------------------------------------------------


def test_96_a_collector_in_the_hand_of_the_inspector_is_refused_by_the_owner_itself(
    settings: KeeperConfig,
) -> None:
    """It would send on every holder's ciphertexts instead of one total."""
    side = side_of(settings)
    plan = plan_of(side, "ciphertexts")
    together = joint_house.party(OFFICE, 2, administration=joint_house.party(OWN).administration)
    side.keeper.meet(joint_house.described(together))

    def by_one_hand(made: JointPlan) -> Plan:
        parties = tuple(together if party.domain == OFFICE else party for party in made.parties)
        return side.approved(joint_house.remade(replace(made, parties=parties)))

    own = by_one_hand(plan)
    with pytest.raises(PolicyDenied, match="demands separate administrations"):
        side.extract(own)
    assert POLICY.joint is not None
    trusting = replace(POLICY, joint=replace(POLICY.joint, separate=False))
    house.believe(side.keeper, house.bundle(2, (trusting,)))
    later = by_one_hand(plan_of(side, "ciphertexts", 1))
    assert side.extract(later).inputs, "the control: an owner who does not ask for it"


# --- 78: a box that leaves what is not its part --------------------------------------------------


def leaving(plan: Plan) -> Plan:
    """A party's plan whose box leaves a file for the recipient, though it is not its part."""
    assert plan.stage(Entry.PARTY).outputs == Outputs(0)
    return with_party_box(plan, outputs=Outputs(1, (OPENED,)))


@pytest.mark.parametrize(
    ("form", "whose"),
    [("inspected", CIVIL), ("stacked and inspected", HEALTH), ("ciphertexts", OFFICE), ("common", OFFICE)],
)
def test_78_a_peers_box_that_would_leave_a_file_of_its_own_ends_no_link(
    settings: KeeperConfig, form: str, whose: str
) -> None:
    """A server that leaves its shares beside the inspector's table would hand on what was to be judged."""
    side = side_of(settings)
    plan = plan_of(side, form)
    side.approved(plan)
    changed = leaving(joint_house.party_plan(plan, whose))
    vouch = house.Vouch(signer=f"launcher of {whose}", domain=whose)
    bad = Shown(house.box(changed, "6" * 32, Entry.PARTY, vouch), changed)
    with pytest.raises(RederivationMismatch, match="not those that follow"):
        side.keeper.joint.bring(plan.digest, 1, (bad,))
    side.keeper.joint.bring(plan.digest, 1, (joint_house.peer_box(whose, plan),))


def test_78_the_own_box_leaves_nothing_where_another_finds(settings: KeeperConfig) -> None:
    side = side_of(settings)
    own = side.approved(plan_of(side, "found by health"))
    with pytest.raises(RederivationMismatch):
        side.party(leaving(own))
    assert side.party(own).peers


# --- receipts that name another file -------------------------------------------------------------


def sealed_as(side: JointSide, plan: JointPlan, **changes: Any) -> None:
    own = side.approved(plan)
    ran = joint_house.records(own)
    side.keeper.joint.receipt(joint_house.receipt(own, ran=ran, **changes), own, ran)


@pytest.mark.parametrize("form", ["inspected", "ciphertexts", "common", "common of two"])
def test_the_openers_receipt_names_the_file_that_its_box_left(settings: KeeperConfig, form: str) -> None:
    side = side_of(settings)
    plan = plan_of(side, form)
    for wrong in (house.digest("another table"), ""):
        with pytest.raises(HashMismatch, match="names other bytes"):
            sealed_as(side, plan, sealed=wrong)
    sealed_as(side, plan)


def test_who_leaves_nothing_names_no_file(settings: KeeperConfig) -> None:
    side = side_of(settings)
    plan = plan_of(side, "found by health")
    with pytest.raises(HashMismatch, match="names other bytes"):
        sealed_as(side, plan, sealed=house.digest(f"{OPENED} of {HEALTH}"))
    sealed_as(side, plan)


def evidence_of(plan: JointPlan) -> JointEvidence:
    """What all parties sign about a good end."""
    parties = []
    for domain in (party.domain for party in plan.parties):
        own = joint_house.party_plan(plan, domain)
        ran = joint_house.records(own, signer=name("launcher", domain))
        signer = name("keeper", domain)
        said = house.signed(
            Type.RECEIPT, Duty.KEEPER, joint_house.receipt(own, ran=ran), signer, domain=domain
        )
        roster = house.roster() if domain == OWN else joint_house.peer_roster(domain)
        approval = house.approval(plan.digest, name("approver", domain), domain=domain)
        parties.append(PartyEvidence(roster, (approval,), own, ran, said))
    handed = {domain: house.digest(f"{OPENED} of {domain}") for domain in plan.handing}
    return JointEvidence(plan, tuple(parties), handed)


def roots_of(plan: JointPlan) -> dict[str, str]:
    return {party.domain: house.key(joint_house.root_name(party.domain)).public for party in plan.parties}


@pytest.mark.parametrize("form", TASKS)
def test_a_finished_computation_of_every_form_is_checked_again(settings: KeeperConfig, form: str) -> None:
    plan = plan_of(side_of(settings), form)
    good = evidence_of(plan)
    receipts = verify_joint(good, roots_of(plan), VERIFIER)
    assert {each.party for each in receipts if each.sealed} == set(plan.handing)


def with_another_table(evidence: JointEvidence) -> JointEvidence:
    return replace(evidence, results=dict.fromkeys(evidence.results, house.digest("another table")))


def with_a_servers_file(evidence: JointEvidence) -> JointEvidence:
    return replace(evidence, results={**evidence.results, CIVIL: house.digest(f"{OPENED} of {CIVIL}")})


def without_the_table(evidence: JointEvidence) -> JointEvidence:
    return replace(evidence, results={})


def with_a_servers_box_that_left_one(evidence: JointEvidence) -> JointEvidence:
    """A server's whole side says that its box left a file, which is not its part in this plan."""
    domains = [party.domain for party in evidence.joint.parties]
    place = domains.index(CIVIL)
    own = leaving(evidence.parties[place].plan)
    left = (StageOutput(OPENED, house.digest(f"{OPENED} of {CIVIL}"), 100),)
    ran = joint_house.records(own, signer=f"launcher of {CIVIL}", outputs=left)
    body = joint_house.receipt(own, ran=ran)
    said = house.signed(Type.RECEIPT, Duty.KEEPER, body, f"keeper of {CIVIL}", domain=CIVIL)
    changed = replace(evidence.parties[place], plan=own, records=ran, receipt=said)
    parties = (*evidence.parties[:place], changed, *evidence.parties[place + 1 :])
    return with_a_servers_file(replace(evidence, parties=parties))


@pytest.mark.parametrize(
    "change",
    [with_another_table, with_a_servers_file, without_the_table, with_a_servers_box_that_left_one],
)
def test_what_the_inspector_did_not_leave_is_no_result(
    settings: KeeperConfig, change: Callable[[JointEvidence], JointEvidence]
) -> None:
    plan = plan_of(side_of(settings), "inspected")
    good = evidence_of(plan)
    with pytest.raises(DarkroomError) as refused:
        verify_joint(change(good), roots_of(plan), VERIFIER)
    assert refused.value.code == "evidence.hash"
    verify_joint(good, roots_of(plan), VERIFIER)
    assert joint_task_of(plan.request).inspector == OWN
