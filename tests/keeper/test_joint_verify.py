"""A finished joint computation is checked again by whoever has the parties' root keys; what was changed shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from keeper.config import KeeperConfig
from keys import api as keys
from plans.box import Entry
from plans.errors import DarkroomError
from plans.joint import JointPlan, joint_of
from plans.joint_evidence import JointEvidence, PartyEvidence, Verifier, verify_joint
from plans.plan import Plan
from plans.statements import Duty, RosterEntry, Signed, Type
from tests.keeper import house, joint_house
from tests.keeper.joint_house import CIVIL, HEALTH, OFFICE, OWN, PEERS, JointSide

Change = Callable[[JointEvidence], JointEvidence]
DOMAINS = sorted((OWN, *PEERS))
ROOTS = {domain: house.key(joint_house.root_name(domain)).public for domain in DOMAINS}
VERIFIER = Verifier(keys.verify, keys.verify_request)


def name(role: str, domain: str) -> str:
    """The name of the key of somebody's at a domain."""
    return role if domain == OWN else f"{role} of {domain}"


def party(domain: str, joint: JointPlan, attempt: int = 1, **changes: Any) -> PartyEvidence:
    """What one side signed about an attempt; `changes` are about its receipt."""
    plan = joint_house.party_plan(joint, domain)
    ran = joint_house.records(plan, attempt, name("launcher", domain))
    ran = ran[: changes.pop("ran", len(ran))]
    body = joint_house.receipt(plan, attempt, ran, **changes)
    return PartyEvidence(
        house.roster() if domain == OWN else joint_house.peer_roster(domain),
        (house.approval(joint.digest, name("approver", domain), domain=domain),),
        plan,
        ran,
        house.signed(Type.RECEIPT, Duty.KEEPER, body, name("keeper", domain), domain=domain),
    )


@pytest.fixture
def good(settings: KeeperConfig) -> JointEvidence:
    joint = joint_house.joint(JointSide.make(settings).keeper)
    results = {domain: house.digest(f"opened.bin of {domain}") for domain in joint.task.servers}
    return JointEvidence(joint, tuple(party(domain, joint) for domain in DOMAINS), results)


def with_party(evidence: JointEvidence, domain: str, **changes: Any) -> JointEvidence:
    place = DOMAINS.index(domain)
    changed = replace(evidence.parties[place], **changes)
    return replace(evidence, parties=(*evidence.parties[:place], changed, *evidence.parties[place + 1 :]))


def said_by(evidence: JointEvidence, domain: str, **changes: Any) -> JointEvidence:
    """The evidence with another receipt of one party, signed by its own keeper."""
    return with_party(evidence, domain, receipt=party(domain, evidence.joint, **changes).receipt)


def test_what_was_agreed_run_and_handed_over_fits_together(good: JointEvidence) -> None:
    receipts = verify_joint(good, ROOTS, VERIFIER)
    assert [each.party for each in receipts] == DOMAINS
    assert verify_joint(JointEvidence.decode(good.canonical()), ROOTS, VERIFIER) == receipts, "as a file, too"


def test_a_failure_is_evidence_as_well_and_nothing_was_handed_over(good: JointEvidence) -> None:
    why: dict[str, Any] = {"code": "joint.peer-lost", "failed_at": f"{CIVIL} compute", "sealed": ""}
    parties = tuple(party(domain, good.joint, ran=0, **why) for domain in DOMAINS)
    failed = replace(good, parties=parties, results={})
    assert {each.code for each in verify_joint(failed, ROOTS, VERIFIER)} == {"joint.peer-lost"}
    with pytest.raises(DarkroomError, match="what was handed to the recipient"):
        verify_joint(replace(failed, results=good.results), ROOTS, VERIFIER)


def old_approval(evidence: JointEvidence, signer: str, plan: str = "", **changes: Any) -> JointEvidence:
    signed = house.approval(plan or evidence.joint.digest, signer, domain=HEALTH, **changes)
    return with_party(evidence, HEALTH, approvals=(signed,))


def requester(evidence: JointEvidence) -> JointEvidence:
    member = RosterEntry(house.MEMBER, Duty.APPROVER, house.key("member").public)
    entries = (*joint_house.peer_entries(HEALTH), member)
    changed = with_party(evidence, HEALTH, roster=joint_house.peer_roster(HEALTH, entries=entries))
    return old_approval(changed, "member")


def of_joint(evidence: JointEvidence, change: Callable[[JointPlan], JointPlan]) -> JointEvidence:
    """One party's plan is about another joint plan."""
    other = party(HEALTH, change(evidence.joint))
    return with_party(evidence, HEALTH, plan=other.plan, records=other.records, receipt=other.receipt)


def with_image(evidence: JointEvidence) -> JointEvidence:
    plan: Plan = evidence.parties[DOMAINS.index(HEALTH)].plan
    stages = tuple(replace(spec, image=house.digest("stranger")) for spec in plan.stages)
    return rerun(evidence, replace(plan, stages=stages))


def without_extract(evidence: JointEvidence) -> JointEvidence:
    plan = evidence.parties[DOMAINS.index(HEALTH)].plan
    return rerun(evidence, replace(plan, stages=(plan.stage(Entry.PARTY),)))


def rerun(evidence: JointEvidence, plan: Plan) -> JointEvidence:
    ran = joint_house.records(plan, 1, f"launcher of {HEALTH}")
    body = joint_house.receipt(plan, 1, ran)
    signed = house.signed(Type.RECEIPT, Duty.KEEPER, body, f"keeper of {HEALTH}", domain=HEALTH)
    return with_party(evidence, HEALTH, plan=plan, records=ran, receipt=signed)


def by_stranger(evidence: JointEvidence) -> JointEvidence:
    plan = evidence.parties[DOMAINS.index(HEALTH)].plan
    ran = joint_house.records(plan, 1, "stranger")
    body = joint_house.receipt(plan, 1, ran)
    signed = house.signed(Type.RECEIPT, Duty.KEEPER, body, f"keeper of {HEALTH}", domain=HEALTH)
    return with_party(evidence, HEALTH, records=ran, receipt=signed)


def forged(signed: Signed) -> Signed:
    return replace(signed, signature="0" * 128)


def receipt_by(evidence: JointEvidence, signer: str, **changes: Any) -> JointEvidence:
    body = joint_house.receipt(evidence.parties[DOMAINS.index(HEALTH)].plan, 1,
                               evidence.parties[DOMAINS.index(HEALTH)].records)  # fmt: skip
    draft = {"domain": HEALTH} | changes
    return with_party(
        evidence, HEALTH, receipt=house.signed(Type.RECEIPT, Duty.KEEPER, body, signer, **draft)
    )


WRONG: dict[str, tuple[Change, str]] = {
    "a party is missing": (lambda good: replace(good, parties=good.parties[1:]), "not exactly one set"),
    "a party is there twice": (lambda good: replace(good, parties=(*good.parties, good.parties[0])), "exactly one"),
    "the request is not signed": (
        lambda good: replace(good, joint=replace(good.joint, request_signature="0" * 128)), "signature"),
    "a roster by another root": (
        lambda good: with_party(good, HEALTH, roster=joint_house.peer_roster(HEALTH, signer="stranger")), "root key"),
    "another domain's roster": (
        lambda good: with_party(good, HEALTH, roster=joint_house.peer_roster(CIVIL)), "root key"),
    "nobody approved": (lambda good: with_party(good, HEALTH, approvals=()), "no approver"),
    "another plan was approved": (
        lambda good: old_approval(good, f"approver of {HEALTH}", house.digest("other")), "no approver"),
    "somebody else approved": (lambda good: old_approval(good, f"keeper of {HEALTH}"), "no approver in"),
    "the requester approved": (requester, "no approver of this party"),
    "an approval is forged": (
        lambda good: with_party(good, OWN, approvals=(forged(good.parties[-1].approvals[0]),)), "signature"),
    "another joint plan was run": (
        lambda good: of_joint(good, lambda joint: replace(joint, nonce="9" * 32)), "another joint plan"),
    "another image was run": (with_image, "not those of the joint plan"),
    "rows were never extracted": (without_extract, "not those of the joint plan"),
    "a stranger's records": (by_stranger, "no launcher in"),
    "a record is missing": (
        lambda good: with_party(good, HEALTH, records=good.parties[DOMAINS.index(HEALTH)].records[:1]), "good end"),
    "a receipt by a stranger": (lambda good: receipt_by(good, "stranger"), "no keeper in"),
    "a receipt by another party's keeper": (lambda good: receipt_by(good, f"keeper of {CIVIL}"), "no keeper in"),
    "a receipt in another's name": (lambda good: receipt_by(good, f"keeper of {HEALTH}", domain=CIVIL), "no receipt"),
    "one party says another attempt": (
        lambda good: with_party(good, OFFICE, **vars_of(party(OFFICE, good.joint, 2))), "do not say the same"),
    "one party says that it failed": (
        lambda good: said_by(good, HEALTH, code="box.failed", failed_at="x", sealed=""), "do not say the same"),
    "a server says other bytes": (lambda good: said_by(good, HEALTH, sealed=house.digest("x")), "other bytes"),
    "the recipient was handed other bytes": (
        lambda good: replace(good, results={**good.results, HEALTH: house.digest("x")}), "vouch for"),
    "the recipient was handed less": (
        lambda good: replace(good, results={HEALTH: good.results[HEALTH]}), "vouch for"),
}  # fmt: skip


def vars_of(each: PartyEvidence) -> dict[str, Any]:
    return {"records": each.records, "receipt": each.receipt}


@pytest.mark.parametrize(("change", "why"), WRONG.values(), ids=WRONG)
def test_what_was_changed_shows(good: JointEvidence, change: Change, why: str) -> None:
    with pytest.raises(DarkroomError, match=why) as refused:
        verify_joint(change(good), ROOTS, VERIFIER)
    assert refused.value.next_step
    verify_joint(good, ROOTS, VERIFIER)


def test_an_approver_who_has_left_meanwhile_does_not_undo_the_yes_of_another(good: JointEvidence) -> None:
    (own,) = (each for each in good.parties if each.plan.domain == HEALTH)
    (gone,) = old_approval(good, f"keeper of {HEALTH}").parties[DOMAINS.index(HEALTH)].approvals
    verify_joint(with_party(good, HEALTH, approvals=(gone, *own.approvals)), ROOTS, VERIFIER)
    with pytest.raises(DarkroomError, match="no approver in"):
        verify_joint(with_party(good, HEALTH, approvals=(gone,)), ROOTS, VERIFIER)


def test_root_keys_come_from_whoever_checks(good: JointEvidence) -> None:
    with pytest.raises(DarkroomError, match="root key of this party is not known"):
        verify_joint(good, {domain: ROOTS[domain] for domain in (OWN, CIVIL, OFFICE)}, VERIFIER)
    with pytest.raises(DarkroomError, match="root key"):
        verify_joint(good, {**ROOTS, HEALTH: house.key("another root").public}, VERIFIER)


def test_an_own_keeper_hands_over_what_its_receipt_rests_on(settings: KeeperConfig) -> None:
    side = JointSide.make(settings)
    plan = side.approved(joint_house.joint(side.keeper))
    about = joint_of(plan.material)
    with pytest.raises(DarkroomError, match="no receipt of this attempt"):
        side.keeper.joint.ran(about.digest, 1)
    side.keeper.joint.receipt(joint_house.receipt(plan), plan, joint_house.records(plan))
    side.restart()
    boxes, records = side.keeper.joint.ran(about.digest, 1)
    own = party(OWN, about)
    (receipt,) = side.keeper.joint.receipts(about.digest, 1)
    told = replace(own, plan=Plan.read(boxes), records=tuple(map(Signed.read, records)), receipt=receipt)
    parties = tuple(told if domain == OWN else party(domain, about) for domain in DOMAINS)
    results = {domain: house.digest(f"opened.bin of {domain}") for domain in about.task.servers}
    assert verify_joint(JointEvidence(about, parties, results), ROOTS, VERIFIER)


def test_a_keeper_signs_no_receipt_in_the_name_of_another_plan_or_party(settings: KeeperConfig) -> None:
    side = JointSide.make(settings)
    plan = side.approved(joint_house.joint(side.keeper))
    other = side.approved(joint_house.joint(side.keeper, joint_house.request(2)))
    ran = joint_house.records(plan)
    good = joint_house.receipt(plan, ran=ran)
    for lies in (replace(good, joint=joint_of(other.material).digest), replace(good, party=HEALTH)):
        with pytest.raises(DarkroomError, match="another joint plan or party"):
            side.keeper.joint.receipt(lies, plan, ran)
    assert side.keeper.joint.receipt(good, plan, ran)
