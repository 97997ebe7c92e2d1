"""From a joint statement to a joint plan. Pure: the same in the centre and wherever else somebody makes one.

What the readers found, what each owner decided about its own portion, and how parties describe themselves come in; a
plan comes out that every party can derive again (`mpc.derive`), or a refusal that says what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mpc.derive import require_sizes, require_terms
from mpc.possible import require_no_own_part, require_noised, require_possible
from mpc.scheme import scheme_of
from mpc.visibility import sights
from mpc.visibility_trust import trust
from plans.decision import Outcome
from plans.errors import Malformed, NotFound, PolicyDenied, RederivationMismatch
from plans.joint import (
    JointPlan,
    JointReading,
    JointTask,
    Party,
    PortionDecision,
    Trust,
    joint_task_of,
)
from plans.joint_rules import JointRules
from plans.joint_shadows import JointShadow
from plans.request import Request, RequestKind, statement_digest


@dataclass(frozen=True, slots=True)
class Owner:
    """What one owner says of its own portion: the likeness on which the statement was read, its decision with the
    relation and files that its box reads, its terms.
    """

    shadow: JointShadow
    decision: PortionDecision
    rules: JointRules | None


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A joint request with its member's signature."""

    request: Request
    signature: str


@dataclass(frozen=True, slots=True)
class Making:
    """What a plan has beside what it says: the images of its boxes (digests), a fresh nonce, and when it is made."""

    extract_image: str
    party_image: str
    nonce: str
    made_at: int


def compile_joint(
    signed: SignedRequest,
    reading: JointReading,
    owners: Sequence[Owner],
    parties: Sequence[Party],
    making: Making,
) -> JointPlan:
    """Return the joint plan of a request.

    Args:
        signed: the request; its statement is a `JointTask`.
        reading: what both readers found in the task's statement.
        owners: one for each portion of the reading, in its order.
        parties: descriptions of all domains that take part; others may be among them.
        making: images, nonce and time.

    Raises:
        Malformed: the request is of another kind.
        RederivationMismatch: the reading is of another statement.
        NotFound: a domain that takes part has not described itself.
        PolicyDenied: an owner's decision or terms, or the parties, do not allow it; the sentence says what would help.
        RangeTooWide: sums may be wider than any ring (ATTACKS 75), or than ciphertexts.
        Malformed, TooLarge: another figure of ciphertexts or lookups does not fit.
    """
    task = _task(signed, reading)
    require_possible(task, reading, signed.request.member)
    for portion, owner in zip(reading.portions, owners, strict=True):
        _require_yes(portion.domain, owner)
    noise = _noise(owners, task, reading)
    draft = JointPlan(
        request=signed.request,
        request_signature=signed.signature,
        task=task,
        parties=_parties(task, reading, parties),
        reading=reading,
        decisions=tuple(owner.decision for owner in owners),
        scheme=scheme_of(reading, [owner.decision.decision for owner in owners], noise, task),
        sights=(),
        trust=Trust("", (), ""),
        extract_image=making.extract_image,
        party_image=making.party_image,
        nonce=making.nonce,
        made_at=making.made_at,
        shadows=tuple(owner.shadow for owner in owners),
    )
    _require_drafted(draft, owners)
    return replace(draft, sights=sights(draft), trust=trust(draft))


def _noise(owners: Sequence[Owner], task: JointTask, reading: JointReading) -> int:
    """Return the smallest rate of noise that an owner's terms ask for, in millionths; 0 where none asks for any, or
    there are no sums.
    """
    asked = [owner.rules.noise_micro for owner in owners if owner.rules is not None]
    noise = min(filter(None, asked), default=0)
    if not noise or not reading.figures:
        return 0
    require_noised(task, reading)
    return noise


def _require_drafted(draft: JointPlan, owners: Sequence[Owner]) -> None:
    """Check what only a whole plan shows: whose part could be taken away, sizes, and what each owner's terms say."""
    require_no_own_part(draft)
    require_sizes(draft)
    for owner in owners:
        if owner.rules is not None:
            require_terms(draft, owner.rules, owner.decision.domain)


def _task(signed: SignedRequest, reading: JointReading) -> JointTask:
    if signed.request.kind is not RequestKind.JOINT:
        raise Malformed("this request is none for a joint computation", "request.kind")
    task = joint_task_of(signed.request)
    if reading.statement != statement_digest(task.statement):
        raise RederivationMismatch("the reading is of another statement than the member signed", "reading")
    return task


def _require_yes(domain: str, owner: Owner) -> None:
    """Check that an owner's answer is about its own portion, and is no denial."""
    said = owner.decision
    if {said.domain, owner.shadow.domain} != {domain}:
        raise RederivationMismatch(f"the decision of {said.domain} is no answer about {domain}", "decisions")
    if said.decision.outcome is Outcome.DENY:
        rules = ", ".join(sorted({reason.rule for reason in said.decision.reasons}))
        raise PolicyDenied(
            f"{domain} does not allow its part of the statement: {rules}",
            "joint-plan.decisions",
            "`darkroom explain` says what would help.",
        )
    if owner.rules is None:
        raise PolicyDenied(
            f"{domain} has no terms of joint computations for its data",
            "joint-plan.decisions",
            "Ask a steward of the owning domain for a table joint in its policy.",
        )


def _parties(task: JointTask, reading: JointReading, described: Sequence[Party]) -> tuple[Party, ...]:
    needed = {portion.domain for portion in reading.portions}
    needed |= {*task.servers, *task.others}
    found = {party.domain: party for party in described}
    missing = sorted(needed - set(found))
    if missing:
        raise NotFound(
            f"{', '.join(missing)} has not described itself as a party to joint computations",
            "joint-plan.parties",
            "Ask its administrators to sign a description: darkroom-server party add.",
        )
    return tuple(found[domain] for domain in sorted(needed))
