"""A result: opened from its release after everything about it was checked, and shown without doing anything.

What is checked before a byte is believed: the release is signed by the keeper that this member trusts for the
owner's domain; it is about this very plan, and the plan holds the member's own signed request; the sealed
bytes have the hash that the release names; they open with the member's key for this plan; and what is inside
has the digest that the judge vouched for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from darkroom.files import Files, require_declared
from darkroom.tabular import SUPPRESSED as SUPPRESSED
from darkroom.tabular import Tabular
from keys import api as keys
from plans.artifacts import ReleasedSet
from plans.errors import HashMismatch, SignatureWrong
from plans.plan import Plan, PlanKind
from plans.release import RELEASE_INFO, Release
from plans.released import Released
from plans.statements import Duty, Signed, Type


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the portal hands over for a job: its plan, the signed release, and the sealed bytes."""

    plan: Plan
    release: Signed
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Result(Tabular):
    """A released table. `rows` holds None where the data have no value *and* where a figure was suppressed;
    see `suppressed`.
    """

    released: Released
    plan: Plan = field(repr=False)
    keeper: str = field(default="", repr=False)
    """The public key of the keeper whose signature was verified; empty where none was."""

    @property
    def sheet(self) -> Released:
        """The cells as they were released."""
        return self.released

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the table before it left, one sentence each."""
        return tuple(note.sentence for note in self.released.notes)

    def __repr__(self) -> str:
        hidden = sum(map(sum, self.suppressed))
        size = f"{len(self.released.rows)} rows × {len(self.columns)} columns, {hidden} cells suppressed"
        return f"Result({', '.join(self.columns)}; {size}; plan {self.released.plan})"


def open_release(evidence: Evidence, member_keys: keys.MemberKeys, keeper_key: str) -> Result | Files:
    """Return the result inside a release, after checking all of the chain that the module's docstring lists: the
    table of a statement, or the files of a task.

    Raises:
        SignatureWrong: the release is not signed by the trusted keeper, or the plan's request not by this
            member.
        HashMismatch: the release, the sealed bytes or the content belong to something else.
        EvidenceBroken: the bytes were not sealed to this member for this plan.
    """
    release = _release(evidence, keeper_key)
    _require_own_plan(evidence.plan, member_keys)
    if release.plan != evidence.plan.digest or release.recipient != member_keys.opening.public:
        raise HashMismatch("the release is about another plan or for another recipient", "release")
    if "sha256:" + hashlib.sha256(evidence.sealed).hexdigest() != release.sealed:
        raise HashMismatch("the sealed bytes are not the ones that the release names", "release.sealed")
    plain = member_keys.opening.open(evidence.sealed, RELEASE_INFO, release.plan.encode())
    kind = Released if evidence.plan.kind is PlanKind.SQL else ReleasedSet
    released: Released | ReleasedSet = kind.decode(plain)
    if released.plan != release.plan or released.digest != release.content:
        raise HashMismatch("the content is not the one that was judged", "release.content")
    if isinstance(released, Released):
        return Result(released, evidence.plan, keeper_key)
    require_declared(released, evidence.plan)
    return Files(released, evidence.plan, keeper_key)


def _release(evidence: Evidence, keeper_key: str) -> Release:
    statement = keys.verify(evidence.release)
    expected = (Type.RELEASE, Duty.KEEPER, evidence.plan.domain, keeper_key)
    if (statement.type, statement.duty, statement.domain, statement.signer) != expected:
        raise SignatureWrong(
            "the release was not signed by the keeper that you trust for this owner", evidence.plan.domain
        )
    return Release.read(dict(statement.body))


def _require_own_plan(plan: Plan, member_keys: keys.MemberKeys) -> None:
    request = plan.request
    if request is None or request.signer != member_keys.signing.public:
        raise SignatureWrong("this plan does not hold a request of yours", "plan.request")
    keys.verify_request(request.signer, request.canonical(), plan.request_signature)
