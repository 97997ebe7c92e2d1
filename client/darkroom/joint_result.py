"""The answer of a joint computation: opened from three servers' shares, after everything about them was checked.

What is checked before a share is believed: the plan holds the member's own signed request; every party's keeper, as the
member trusts it, signed a receipt of the same attempt at this very plan, and none reports a failure; the sealed bytes
of each server have the hash that its receipt names; they open with the member's key for this plan, attempt and server;
and every share that two servers hold is the same from both.

What is not checked, since nobody can: that an owner computed on true data, and that a server computed what the protocol
says. The plan's model says who must not collude.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keys import api as keys
from plans.errors import EvidenceBroken, HashMismatch, Malformed, SignatureWrong
from plans.handover import unpadded
from plans.joint import JointPlan, Opened, Receipt
from plans.joint_answer import OPENED_INFO, JointAnswer, Value, answer_of, opened_bound
from plans.joint_guards import decimals_of, noise_scale
from plans.statements import Duty, Signed, Type

KeeperOf = Callable[[str], str | None]
"""The keeper's key that the member trusts for a domain, or none."""


@dataclass(frozen=True, slots=True)
class JointResult:
    """A joint answer with the plan it answers and all receipts; a figure that was withheld is none."""

    answer: JointAnswer
    plan: JointPlan = field(repr=False)
    attempt: int = 1
    receipts: tuple[Signed, ...] = field(default=(), repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names."""
        return self.answer.columns

    @property
    def rows(self) -> list[tuple[Value, ...]]:
        """The rows: keys as text, figures as numbers, none for a figure that was withheld."""
        return list(self.answer.rows)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the table must know: what is withheld and why, how exact it is, and under which model."""
        scheme, trust = self.plan.scheme, self.plan.trust
        withheld = (
            f"{self.answer.withheld} figures are withheld: fewer than {scheme.minimum_group} persons stand behind "
            f"them, or two persons could be more than {scheme.dominance} % of a total."
        )
        return (
            withheld,
            *exactness(self.plan),
            f"Adversary model: {trust.adversary}",
            *(f"Collusion: {sentence}" for sentence in trust.collusions),
            f"Randomness: {trust.randomness}",
        )


def exactness(plan: JointPlan) -> tuple[str, ...]:
    """Return how far figures of a plan are from the data: exact, or with noise of a scale that is said for each."""
    rate, reading = plan.scheme.noise_micro, plan.reading
    if not rate:
        return ("Counts and sums are exact; a quotient or root is rounded once, to the nearest double.",)
    told = []
    for figure in reading.figures:
        total = reading.sums[figure.sums[0]]
        scale = noise_scale(reading, total, rate) / 10 ** decimals_of(reading, total)
        of = "it" if figure.function in ("count", "sum") else "the total that it is made of"
        told.append(f"{figure.name}: discrete Laplace noise of scale {float(scale):,.4g} was added to {of}")
    return (
        f"Figures are NOT exact: the servers added noise to every sum, of the rate {rate / 1e6:g} for each.",
        *told,
    )


def open_joint(
    plan: JointPlan, results: Mapping[str, Any], ring: keys.MemberKeys, keeper_of: KeeperOf
) -> JointResult:
    """Check and open what the portal handed over.

    Raises:
        SignatureWrong: the request is not the member's own, or a receipt is not signed by a keeper that is trusted.
        EvidenceBroken, HashMismatch, SharesDisagree: what was handed over is not what the parties vouch for.
    """
    _require_own(plan, ring)
    receipts = tuple(Signed.read(each) for each in _list(results, "receipts"))
    told = _checked(plan, receipts, keeper_of)
    attempt = next(iter(told.values())).attempt
    sealed = {name: _bytes(text) for name, text in dict(results.get("sealed", {})).items()}
    opened = [
        _opened(plan, attempt, server, (told[domain], sealed.get(domain, b""), ring))
        for server, domain in enumerate(plan.task.servers)
    ]
    return JointResult(answer_of(plan, attempt, opened), plan, attempt, receipts)


def _require_own(plan: JointPlan, ring: keys.MemberKeys) -> None:
    request = plan.request
    if (request.signer, request.recipient) != (ring.signing.public, ring.opening.public):
        raise SignatureWrong(
            "the joint plan answers a request with other keys than yours", "joint-plan.request"
        )
    keys.verify_request(request.signer, request.canonical(), plan.request_signature)


def _checked(plan: JointPlan, receipts: Sequence[Signed], keeper_of: KeeperOf) -> dict[str, Receipt]:
    """Return every party's receipt, by domain, all of one attempt that ended well."""
    found: dict[str, Receipt] = {}
    for signed in receipts:
        statement = keys.verify(signed)
        if (statement.type, statement.duty) != (Type.RECEIPT, Duty.KEEPER):
            raise SignatureWrong("a receipt is a keeper's statement", f"{statement.type} statement")
        if keeper_of(statement.domain) != statement.signer:
            raise SignatureWrong(
                f"the receipt of {statement.domain} is not signed by a keeper that you trust",
                statement.domain,
                f"Ask that domain for its keeper's key, then: darkroom trust {statement.domain} --keeper-key KEY",
            )
        receipt = Receipt.read(statement.body)
        if receipt.party != statement.domain or receipt.joint != plan.digest:
            raise EvidenceBroken("a receipt is about another party or another plan", statement.domain)
        found[receipt.party] = receipt
    if set(found) != {party.domain for party in plan.parties}:
        raise EvidenceBroken("there is not one receipt of each party", "receipts")
    if len({receipt.attempt for receipt in found.values()}) != 1 or any(each.code for each in found.values()):
        raise EvidenceBroken("the receipts are not of one attempt that ended well everywhere", "receipts")
    return found


def _opened(
    plan: JointPlan, attempt: int, server: int, handed: tuple[Receipt, bytes, keys.MemberKeys]
) -> Opened:
    receipt, sealed, ring = handed
    if "sha256:" + hashlib.sha256(sealed).hexdigest() != receipt.sealed:
        raise HashMismatch(
            "the sealed shares are not those that the server's side vouches for", receipt.party
        )
    content = ring.opening.open(sealed, OPENED_INFO, opened_bound(plan.digest, attempt, server))
    return Opened.decode(unpadded(content))


def _list(results: Mapping[str, Any], name: str) -> list[Any]:
    found = results.get(name)
    if not isinstance(found, list):
        raise Malformed("the portal's answer has no list of this name", f"results.{name}")
    return found


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("the sealed shares are not base64", "results.sealed") from None
