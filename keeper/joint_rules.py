"""What a keeper asks of a joint plan and of what other parties' launchers and keepers signed. Pure.

A keeper believes nothing that a peer says about data. What it has to know of a peer is one thing: that the box at the
other end of a link is the box of *this* joint plan and attempt, on an image that the plan names, and that a launcher
vouches for it which that peer's own root key has enrolled.
"""

from __future__ import annotations

from collections.abc import Mapping

from keeper.evidence import require_record
from keeper.meeting import Shown
from keeper.peers import Peers
from keeper.rederive import trust_image
from keeper.trust import CLOCK_SLACK_S, TrustedSet
from keys import api as keys
from mpc import api as mpc
from plans import joint as joints
from plans.box import Entry, Limits
from plans.errors import HashMismatch, Malformed, Outdated, PolicyDenied, RederivationMismatch, SignatureWrong
from plans.joint import JointPlan, Receipt
from plans.joint_evidence import require_asked_for, require_receipt_of
from plans.plan import Plan
from plans.request import Request, RequestKind
from plans.statements import BoxStatement, Duty, Signed, Type

OLDEST_JOINT_S = 7 * 24 * 3600
"""Seconds after which a joint plan must be made anew. Longer than a day: approvers of several domains read it. Every
key rests on a decision that is derived anew.
"""

LONGEST_VALID_S = 600
"""Seconds for which a box statement may hold. A peer's clock may stand otherwise by `CLOCK_SLACK_S`: what makes its
statement worth something here is its joint plan and attempt, of which one box has keys, and not the time.
"""


def require_joint(plan: Plan, now: int) -> JointPlan:
    """Return the joint plan behind a party's plan if its member signed what it asks for, and it is fresh.

    Raises:
        SignatureWrong: not signed by the key that the request names; a changed recipient shows here (ATTACKS 84).
        Malformed: the member signed a request of another kind, on which other rules would decide (78).
        RederivationMismatch: the task or statement of the plan is not the one that was signed, or does not name a
            relation of the plan.
        Outdated: the plan or its request is too old, or from the future.
    """
    joint = joints.joint_of(plan.material)
    request: Request = joint.request
    keys.verify_request(request.signer, request.canonical(), joint.request_signature)
    if request.kind is not RequestKind.JOINT:
        raise Malformed("the member's request is none for a joint computation", "request.kind")
    require_asked_for(joint)
    for moment in (joint.made_at, request.asked_at):
        if not now - OLDEST_JOINT_S <= moment <= now + CLOCK_SLACK_S:
            raise Outdated(
                "the joint plan is older than a week, or from the future", "joint-plan", "Submit it again."
            )
    return joint


def require_boxes(plan: Plan, joint: JointPlan, domain: str, limits: Mapping[Entry, Limits]) -> None:
    """Check that a plan is the one that follows from the joint plan for a domain with these limits.

    Raises:
        RederivationMismatch: another plan follows.
    """
    if plan.canonical() != mpc.party_plan(joint, domain, limits).canonical():
        raise RederivationMismatch("the boxes are not those that follow from the joint plan", "stages")


def require_images(joint: JointPlan, domain: str, images: Mapping[Entry, tuple[str, ...]]) -> None:
    """Check that this house trusts the images of its own boxes.

    Raises:
        RederivationMismatch: it does not trust one.
    """
    needed = {Entry.PARTY: joint.party_image}
    if joint.owns(domain) is not None:
        needed[Entry.EXTRACT] = joint.extract_image
    for entry, image in needed.items():
        if image not in images.get(entry, ()):
            raise RederivationMismatch(
                "an image is not one that the owner trusts for its stage", entry.value, trust_image(domain)
            )


def require_approved(trusted: TrustedSet, joint: JointPlan, now: int) -> tuple[str, ...]:
    """Return the approvals of a joint plan by this domain's own approvers, who are not the requester (ATTACKS 72).

    Raises:
        PolicyDenied: there is none that stands.
    """
    approvals = trusted.approved(joint.digest, joint.request, now)
    if not approvals:
        raise PolicyDenied(
            f"nobody who may approve for {trusted.domain} has approved this joint plan",
            "keeper",
            "An approver reads its visibility table, and signs its digest.",
        )
    return approvals


def require_peer_box(told: Shown, joint: JointPlan, attempt: int, peers: Peers, now: int) -> BoxStatement:
    """Return a peer's box statement if it is about the box of that party for this joint plan and attempt (76).

    Raises:
        SignatureWrong: no launcher that the peer's root key has enrolled signed it.
        Outdated: it expired, or is about another attempt.
        HashMismatch: it is about another plan, box or image.
        RederivationMismatch: the peer's plan is not the one that follows from this joint plan.
    """
    statement = keys.verify(told.signed)
    if statement.type is not Type.BOX or statement.duty is not Duty.LAUNCHER:
        raise SignatureWrong("a party shows a box by its launcher's statement", f"{statement.type} statement")
    if not peers.holds(statement.domain, statement.signer, Duty.LAUNCHER, now):
        raise SignatureWrong(
            f"the signer is not a launcher of the roster of {statement.domain} that is held here",
            "box statement",
            "Offer the newest roster of that domain to this keeper.",
        )
    begun = statement.not_before <= now + CLOCK_SLACK_S
    if not begun or not now - CLOCK_SLACK_S < statement.not_after <= now + LONGEST_VALID_S:
        raise Outdated("a peer's box statement has expired, or claims to hold too long", "box statement")
    joint.party(statement.domain)
    limits = _limits_of(told.plan, owner=joint.owns(statement.domain) is not None)
    require_boxes(told.plan, joint, statement.domain, limits)
    return _box_of(told, attempt)


def _limits_of(plan: Plan, *, owner: bool) -> dict[Entry, Limits]:
    """Return the limits of a peer's boxes, all of which are there: how much it lets them use is its own."""
    found = {spec.entry: spec.limits for spec in plan.stages}
    if set(found) != ({Entry.EXTRACT, Entry.PARTY} if owner else {Entry.PARTY}):
        raise RederivationMismatch("a peer's boxes are not those that follow from the joint plan", "stages")
    return found


def _box_of(told: Shown, attempt: int) -> BoxStatement:
    """Return the body of a box statement about the party box of its plan, in this attempt."""
    box = BoxStatement.read(told.signed.statement.body)
    if box.attempt != attempt:
        raise Outdated(
            "a peer's box is of another attempt", "box statement", "All parties run the same attempt."
        )
    spec = told.plan.stage(Entry.PARTY)
    if (box.stage, box.plan, box.spec, box.image) != (Entry.PARTY, told.plan.digest, spec.digest, spec.image):
        raise HashMismatch("a peer's box was not built from its part of this joint plan", "box statement")
    if box.tier.level < spec.tier.level or box.inputs:
        raise HashMismatch(
            "a peer's box has fewer walls than the plan asks for, or an input", "box statement"
        )
    return box


def ends_of_links(plan: Plan, boxes: Mapping[str, BoxStatement]) -> dict[str, str]:
    """Return the public key of the box at the other end of each link to a party, by the link's name."""
    found = {}
    for link in plan.stage(Entry.PARTY).links:
        kind, _, domain = link.peer.partition(":")
        if kind == "party":
            found[link.name] = boxes[domain].box_key
    return found


# --- receipts -----------------------------------------------------


def require_receipt(receipt: Receipt, plan: Plan, records: tuple[Signed, ...], trusted: TrustedSet) -> None:
    """Check what the own agent says of an attempt against what the own launchers signed.

    Raises:
        SignatureWrong: a record was not made by a launcher of this owner.
        HashMismatch, Outdated: as `plans.joint_evidence.require_receipt_of`.
    """
    for signed in records:
        require_record(trusted, signed)
    require_receipt_of(receipt, plan, [signed.statement for signed in records])


def require_peer_receipt(signed: Signed, peers: Peers, now: int) -> Receipt:
    """Return a peer's receipt, signed by a keeper that the peer's root key has enrolled.

    Raises:
        SignatureWrong: nobody signed it who may.
        HashMismatch: it is about another party than its signer's.
    """
    statement = keys.verify(signed)
    if statement.type is not Type.RECEIPT or statement.duty is not Duty.KEEPER:
        raise SignatureWrong("a receipt is a keeper's statement", f"{statement.type} statement")
    if not peers.holds(statement.domain, statement.signer, Duty.KEEPER, now):
        raise SignatureWrong(
            f"the signer is not a keeper of the roster of {statement.domain} that is held here", "receipt"
        )
    receipt = Receipt.read(statement.body)
    if receipt.party != statement.domain:
        raise HashMismatch("a receipt is about its signer's own side", "receipt")
    return receipt
