"""A finished joint computation is checked again from what its parties signed. Pure, and for whoever wants to know.

Whoever checks knows the root key of every party, from that party itself. From there on signatures carry: a root key
signs who approves, who launches boxes and who keeps; approvers signed the joint plan; launchers signed what came out of
the boxes of its stages; keepers signed what the attempt came to, and each keeps what the others signed.

It shows what was agreed, run and handed over, not that data were true or that a server computed as the protocol says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from plans.box import Entry
from plans.errors import (
    EvidenceBroken,
    HashMismatch,
    NotFound,
    Outdated,
    RederivationMismatch,
    SignatureWrong,
)
from plans.handover import OPENED
from plans.joint import JointPlan, Receipt, joint_of, joint_task_of
from plans.joint_reports import require_one_table, require_reports
from plans.plan import Plan, PlanKind
from plans.record import Record
from plans.request import Request, statement_digest
from plans.statements import Approval, Duty, Roster, Signed, StageRecord, Statement, Type


@dataclass(frozen=True, slots=True)
class PartyEvidence(Record):
    """What one party's side signed about a joint attempt: who speaks for it (roster), its approvers' yes, the plan of
    its boxes, its launchers' records of their stages, and its keeper's receipt.
    """

    roster: Signed
    approvals: tuple[Signed, ...]
    plan: Plan
    records: tuple[Signed, ...]
    receipt: Signed


@dataclass(frozen=True, slots=True)
class JointEvidence(Record):
    """All that was signed about an attempt; `results` are SHA-256 of what the recipient was handed, by who left it: the
    servers, or who opened first (`JointPlan.handing`).
    """

    joint: JointPlan
    parties: tuple[PartyEvidence, ...]
    results: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verifier:
    """How signatures are checked (`keys.api.verify` and `verify_request`); both raise `SignatureWrong`."""

    statement: Callable[[Signed], Statement]
    request: Callable[[str, bytes, str], None]


def verify_joint(
    evidence: JointEvidence, roots: Mapping[str, str], verifier: Verifier
) -> tuple[Receipt, ...]:
    """Return the receipts of all parties, in the order of the plan, if everything that was signed fits together.

    `roots` are the parties' root keys, as whoever checks has them from the parties themselves. An attempt that failed
    is checked as one that ended well: all parties say the same of it, and nothing was handed over.

    Raises:
        SignatureWrong: a signature does not hold, or its signer may not sign this.
        RederivationMismatch: the plan is about something else than the member signed.
        NotFound: a party's evidence, or its root key, is missing.
        HashMismatch: a box, record, receipt or result is of another plan or attempt, or the boxes of lookups were at
            different tables.
        EvidenceBroken: the receipts do not agree.
    """
    joint, request = evidence.joint, evidence.joint.request
    verifier.request(request.signer, request.canonical(), joint.request_signature)
    require_asked_for(joint)
    found = {each.plan.domain: each for each in evidence.parties}
    missing = [party.domain for party in joint.parties if party.domain not in found]
    if missing or len(found) != len(evidence.parties) or len(found) != len(joint.parties):
        where = missing[0] if missing else "parties"
        raise NotFound(
            "there is not exactly one set of evidence of each party", where, "Ask its keeper for it."
        )
    receipts = tuple(
        _party(found[party.domain], joint, roots.get(party.domain, ""), verifier) for party in joint.parties
    )
    ends = {(each.attempt, each.code, each.failed_at) for each in receipts}
    if len(ends) != 1:
        raise EvidenceBroken("the parties' receipts do not say the same of one attempt", "receipts")
    if not receipts[0].code:
        require_one_table(boxes_of(evidence), joint)
    handed = {each.party: each.sealed for each in receipts if each.sealed}
    if dict(evidence.results) != handed:
        raise HashMismatch(
            "what was handed to the recipient is not what the parties' sides vouch for", "results"
        )
    return receipts


def boxes_of(evidence: JointEvidence) -> dict[str, list[StageRecord]]:
    """Return the records of each party's boxes, as its launchers signed them."""
    return {
        each.plan.domain: [StageRecord.read(record.statement.body) for record in each.records]
        for each in evidence.parties
    }


def require_asked_for(joint: JointPlan) -> None:
    """Check that a plan is about what its member signed: task, statement, and relations that the statement names.

    The task says who serves, helps, opens first, finds and collects, so the keepers that vouch for an answer are those
    of whom the member named. Else whoever carries plans answers with one among parties of its own choice, who all
    vouch for it; no owner's keeper is asked then.

    Raises:
        RederivationMismatch: it is about something else.
        Malformed: the member asked for no joint computation.
    """
    task = joint_task_of(joint.request)
    if task != joint.task or joint.reading.statement != statement_digest(task.statement):
        raise RederivationMismatch("the plan is about another statement than the member signed", "task")
    text = task.statement.lower()  # as the centre finds whose relations a statement names
    for portion in joint.reading.portions:
        if portion.relation not in text:
            raise RederivationMismatch(
                "the plan is about a relation that the member's statement does not name", portion.relation
            )


def _party(each: PartyEvidence, joint: JointPlan, root: str, verifier: Verifier) -> Receipt:
    domain = each.plan.domain
    roster = _roster(verifier.statement(each.roster), domain, root)
    _require_approved(each.approvals, joint, roster, verifier)
    require_boxes_of(each.plan, joint)
    said = _by(verifier.statement(each.receipt), (Type.RECEIPT, Duty.KEEPER), roster)
    records = [
        _by(verifier.statement(record), (Type.STAGE, Duty.LAUNCHER), roster) for record in each.records
    ]
    receipt = Receipt.read(said.body)
    if (receipt.joint, receipt.party) != (joint.digest, domain):
        raise HashMismatch("a receipt is about another joint plan or party", domain)
    require_receipt_of(receipt, each.plan, records)
    return receipt


def _roster(statement: Statement, domain: str, root: str) -> Roster:
    if not root:
        raise NotFound("the root key of this party is not known here", domain, "Ask that domain for it.")
    roster = Roster.read(statement.body)
    if (statement.type, statement.duty, statement.signer) != (Type.ROSTER, Duty.ROOT, root):
        raise SignatureWrong("a roster is signed by the domain's root key", domain)
    if {statement.domain, roster.domain} != {domain}:
        raise SignatureWrong("a roster is another domain's", domain)
    return roster


def _by(statement: Statement, what: tuple[Type, Duty], roster: Roster) -> Statement:
    """Return a statement if it is of this type, by somebody whom the roster has in this duty."""
    kind, duty = what
    if (statement.type, statement.duty, statement.domain) != (kind, duty, roster.domain):
        raise SignatureWrong(f"this is no {kind} statement of this party", roster.domain)
    if not roster.holds(statement.signer, duty):
        raise SignatureWrong(f"the signer is no {duty} in the party's roster", roster.domain)
    return statement


def _require_approved(
    approvals: Sequence[Signed], joint: JointPlan, roster: Roster, verifier: Verifier
) -> None:
    """Check that an approver signed exactly this joint plan, who did not ask for it. One is enough: another may
    have left the roster meanwhile.
    """
    wrong = SignatureWrong("no approver of this party has signed the joint plan", roster.domain)
    for signed in approvals:
        try:
            statement = _by(verifier.statement(signed), (Type.APPROVAL, Duty.APPROVER), roster)
        except SignatureWrong as problem:
            wrong = problem
            continue
        same = Approval.read(statement.body).plan == joint.digest
        if same and not is_requester(statement.signer, joint.request, roster):
            return
    raise wrong


def is_requester(signer: str, request: Request, roster: Roster) -> bool:
    """Return whether a signer is who asked: by key, or by any name that the roster has for the signer's key."""
    named = {entry.name for entry in roster.entries if entry.key == signer}
    return signer == request.signer or request.member in named


# --- one party -----------------------------------------------------


def require_boxes_of(plan: Plan, joint: JointPlan) -> None:
    """Check that a party's plan is about a joint plan, with the boxes that a party of its kind has.

    Raises:
        HashMismatch: it is not. That every link and limit is right, a party's keeper has checked (`mpc.derive`).
    """
    if plan.kind is not PlanKind.JOINT or plan.material != joint.canonical().decode():
        raise HashMismatch("a party's plan is about another joint plan", plan.domain)
    owns, hands = joint.owns(plan.domain) is not None, plan.domain in joint.handing
    images = {Entry.PARTY: joint.party_image} | ({Entry.EXTRACT: joint.extract_image} if owns else {})
    if {spec.entry: spec.image for spec in plan.stages} != images:
        raise HashMismatch("a party's boxes are not those of the joint plan", plan.domain)
    if plan.stage(Entry.PARTY).outputs.names != ((OPENED,) if hands else ()):
        raise HashMismatch("a party's box leaves other files than its part has", plan.domain)


def require_receipt_of(receipt: Receipt, plan: Plan, records: Sequence[Statement]) -> None:
    """Check what a receipt says of an attempt against the launcher's records of it.

    A good end needs the records of all stages, and in them all that boxes of this form report (`joint_reports`); what
    failed may have fewer, and hands nothing on. Why it failed is the party's word: nobody else was there.

    Raises:
        HashMismatch: the records are not of this plan's stages and this attempt, or it says something else of them.
    """
    found = [StageRecord.read(statement.body) for statement in records]
    for record in found:
        _require_of(record, plan, receipt.attempt)
    stages, ran = [spec.entry for spec in plan.stages], [record.stage for record in found]
    if ran != [entry for entry in stages if entry in ran] or (not receipt.code and ran != stages):
        raise HashMismatch(f"a good end has the records of {', '.join(stages)}, in order", "receipt")
    if receipt.records != tuple(statement.digest for statement in records):
        raise HashMismatch("the receipt names other records", "receipt")
    left = [item.sha256 for record in found for item in record.outputs if item.name == OPENED]
    if receipt.sealed != ("" if receipt.code or not left else left[0]):
        raise HashMismatch(
            "the receipt names other bytes than its box left, or hands on after a failure", "receipt"
        )
    if bool(receipt.code) != bool(receipt.failed_at):
        raise HashMismatch("what failed says where, and what ended well does not", "receipt")
    if not receipt.code:
        require_reports(found, joint_of(plan.material), plan.domain)


def _require_of(record: StageRecord, plan: Plan, attempt: int) -> None:
    if record.plan != plan.digest:
        raise HashMismatch("a record is about another plan", "receipt")
    if record.attempt != attempt:
        raise Outdated("a record is about another attempt", "receipt")
    spec = plan.stage(record.stage)
    read = [(item.name, item.sha256) for item in record.inputs]
    if read != [(item.name, item.sha256) for item in spec.inputs]:
        raise HashMismatch("a box did not read the files that the plan names", "receipt")
    if tuple(item.name for item in record.outputs) != spec.outputs.names:
        raise HashMismatch("a box left something else than the plan says", "receipt")
