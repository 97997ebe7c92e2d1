"""The answer of a joint computation, opened after everything about it was checked: three servers' shares, or the table
of whoever opened first.

What is checked before anything is believed: the plan holds the member's own signed request, and is about what that
asks for, of whom it names; every party's keeper, as the member trusts it, signed a receipt of the same attempt at this
very plan, and none reports a failure; the sealed bytes have the hash that the receipt of whoever handed them over
names; they open with the member's key for this plan, attempt and party; every share that two servers hold is the same
from both; and a table is one of this plan.

What is not checked, since nobody can: that an owner computed on true data, that a server computed what the protocol
says, and that an inspector withheld and rounded as its rules say. The plan's model says who must not collude.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from darkroom.joint_judged import Judged, judged
from darkroom.joint_table import JointSheet, sheet_of, types_of
from darkroom.tabular import Tabular
from darkroom.trusting import not_pinned
from keys import api as keys
from plans.errors import EvidenceBroken, HashMismatch, Malformed, SignatureWrong
from plans.handover import unpadded
from plans.joint import JointPlan, Opened, Receipt
from plans.joint_answer import (
    JUDGED_INFO,
    OPENED_INFO,
    JointAnswer,
    Value,
    answer_of,
    judged_bound,
    opened_bound,
)
from plans.joint_evidence import require_asked_for
from plans.joint_guards import decimals_of, noise_scale, strictest_of
from plans.joint_rules import Opening
from plans.released import Released
from plans.statements import Duty, Signed, Type

KeeperOf = Callable[[str], str | None]
"""The keeper's key that the member trusts for a domain, or none."""


WITHHELD = "(withheld)"
UNDEFINED = "(not defined)"
ABSENT = "(nothing)"


@dataclass(frozen=True, slots=True)
class JointResult(Tabular):
    """A joint answer with the plan it answers and all receipts; a figure that was withheld, or is not defined, is none.

    `suppressed` says which of the two it is. `judged` is there where somebody else opened first. Rows have keys as text
    and figures as numbers.
    """

    answer: JointAnswer
    plan: JointPlan = field(repr=False)
    attempt: int = 1
    receipts: tuple[Signed, ...] = field(default=(), repr=False)
    judged: Judged | None = None

    @property
    def sheet(self) -> JointSheet:
        """The cells, with the types that follow from the plan."""
        return sheet_of(self.plan, self.answer)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names."""
        return self.answer.columns

    @property
    def types(self) -> tuple[str, ...]:
        """The columns' types, in DuckDB's words."""
        return types_of(self.plan)

    def texts(self) -> list[list[str]]:
        """Return every value as text for a person, as it was handed over; what has none says why."""
        cells: Sequence[Sequence[Value]] = self.answer.rows
        if self.judged is not None:
            cells = [[cell.v for cell in row] for row in self.judged.cells]
        missing = UNDEFINED if self.plan.reading.figures else ABSENT
        return [
            [
                WITHHELD if hidden else missing if cell is None else str(cell)
                for cell, hidden in zip(*row, strict=True)
            ]
            for row in zip(cells, self.answer.suppressed, strict=True)
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the table must know: what is withheld and why, how exact it is, and under which model."""
        trust = self.plan.trust
        return (
            *self._withheld(),
            *exactness(self.plan),
            *(self.judged.told if self.judged is not None else ()),
            f"Adversary model: {trust.adversary}",
            *(f"Collusion: {sentence}" for sentence in trust.collusions),
            f"Randomness: {trust.randomness}",
        )

    def _withheld(self) -> tuple[str, ...]:
        number, scheme = self.answer.withheld, self.plan.scheme
        if not self.plan.reading.figures:
            return ()
        told = f"{number} figures are" if number > 1 else f"{'One' if number else 'No'} figure is"
        if self.judged is not None:
            return (f"{told} withheld by the airlock of {self.plan.task.inspector}.",)
        return (
            f"{told} withheld. That is done where fewer than {scheme.minimum_group} persons stand behind a figure, or "
            f"two persons could be more than {scheme.dominance} % of a total.",
        )


def exactness(plan: JointPlan) -> tuple[str, ...]:
    """Return how far an answer of a plan is from the data: exact, rounded, or with noise of a scale that is said for
    each figure.
    """
    opening = plan.task.opening
    if opening in _EXACT:
        return (_EXACT[opening],)
    rounded = _rounding(plan) if opening is Opening.INSPECTED else ()
    if plan.scheme.noise_micro:
        return (*_noise(plan), *rounded)
    return rounded or (
        "Counts and sums are exact; a quotient or root is rounded once, to the nearest double.",
    )


_EXACT = {
    Opening.INTERSECTION: "The list is exact: each person stands in it whom all owners have under the same number.",
    Opening.SCORES: "Scores are exact, and rounded once, to the decimals that the statement says.",
    Opening.RECORDS: "Records stand as the register has them under the same number; an absent person has no values.",
}


def _rounding(plan: JointPlan) -> tuple[str, ...]:
    base = strictest_of([part.decision for part in plan.decisions]).rounding
    counts = f"Counts are rounded to multiples of {base}" if base > 1 else "Counts are not rounded"
    return (
        f"{counts} by the airlock of {plan.task.inspector}, and other figures to as many digits as the persons "
        "behind them support.",
    )


def _noise(plan: JointPlan) -> tuple[str, ...]:
    rate, reading = plan.scheme.noise_micro, plan.reading
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
        StateConflict: no keeper's key is pinned yet for a party.
        RederivationMismatch: the plan is about something else than the request asks for.
        EvidenceBroken, HashMismatch, SharesDisagree: what was handed over is not what the parties vouch for.
    """
    _require_own(plan, ring)
    receipts = tuple(Signed.read(each) for each in _list(results, "receipts"))
    told = _checked(plan, receipts, keeper_of)
    attempt = next(iter(told.values())).attempt
    sealed = {name: _bytes(text) for name, text in dict(results.get("sealed", {})).items()}
    handed = [_vouched(told[domain], sealed.get(domain, b"")) for domain in plan.handing]
    if plan.task.opening is not Opening.OBLIVIOUS:
        bound = judged_bound(plan.digest, attempt, plan.handing[0])
        found = judged(plan, Released.decode(unpadded(ring.opening.open(handed[0], JUDGED_INFO, bound))))
        return JointResult(found.answer, plan, attempt, receipts, found)
    opened = [_opened(plan, attempt, server, (content, ring)) for server, content in enumerate(handed)]
    return JointResult(answer_of(plan, attempt, opened), plan, attempt, receipts)


def _require_own(plan: JointPlan, ring: keys.MemberKeys) -> None:
    request = plan.request
    if (request.signer, request.recipient) != (ring.signing.public, ring.opening.public):
        raise SignatureWrong(
            "the joint plan answers a request with other keys than yours", "joint-plan.request"
        )
    keys.verify_request(request.signer, request.canonical(), plan.request_signature)
    require_asked_for(plan)


def _checked(plan: JointPlan, receipts: Sequence[Signed], keeper_of: KeeperOf) -> dict[str, Receipt]:
    """Return every party's receipt, by domain, all of one attempt that ended well."""
    found: dict[str, Receipt] = {}
    for signed in receipts:
        statement = keys.verify(signed)
        if (statement.type, statement.duty) != (Type.RECEIPT, Duty.KEEPER):
            raise SignatureWrong("a receipt is a keeper's statement", f"{statement.type} statement")
        if keeper_of(statement.domain) is None:
            raise not_pinned(statement.domain)
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


def _vouched(receipt: Receipt, sealed: bytes) -> bytes:
    """Return sealed bytes that have the hash in a party's receipt."""
    if "sha256:" + hashlib.sha256(sealed).hexdigest() != receipt.sealed:
        raise HashMismatch(
            "the sealed bytes are not those that the side which handed them over vouches for", receipt.party
        )
    return sealed


def _opened(plan: JointPlan, attempt: int, server: int, handed: tuple[bytes, keys.MemberKeys]) -> Opened:
    sealed, ring = handed
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
        raise Malformed("what was sealed is not base64", "results.sealed") from None
