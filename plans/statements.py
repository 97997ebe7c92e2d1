"""Signed statements: what carries trust between the owner's side, the centre and the asker's side.

A `Statement` names its type, the domain it is about, the digest of its body, its signer and the role in which
the signer speaks, a sequence number, its validity and a nonce. What is signed is the statement's canonical
bytes under a type-separated tag (`keys.signing`), so that no signature can be moved to another type: a login
challenge that looks like an approval's digest is not an approval (ATTACKS 79).

A statement is named by its own digest (`statement.digest`), which includes signer, validity and nonce: two
grants with the same body are two grants, and a revocation ends one of them. `subject` is the digest of the
body alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from plans import canonical, names
from plans.box import Entry
from plans.checks import Checks, Mode, Privacy
from plans.constraints import Access, Constraint, Share, Tag, Tagged
from plans.decision import Tier
from plans.errors import Malformed
from plans.joint_rules import JointRules
from plans.record import Record


class Type(StrEnum):
    """Every type of statement. Nobody makes a `sign-in` yet; it is named so that no other can be taken for one."""

    ROSTER = "roster"
    BUNDLE = "bundle"
    MANIFEST = "manifest"
    GRANT = "grant"
    APPROVAL = "approval"
    REVOCATION = "revocation"
    BOX = "box"
    STAGE = "stage"
    RELEASE = "release"
    HEAD = "head"
    ERASURE = "erasure"
    SIGN_IN = "sign-in"
    REVIEW = "review"
    REFUND = "refund"
    TWIN = "twin"
    PARTY = "party"
    RECEIPT = "receipt"


class Duty(StrEnum):
    """The role in which a signer speaks; the roster says who may."""

    ROOT = "root"
    APPROVER = "approver"
    REVIEWER = "reviewer"
    STEWARD = "steward"
    LAUNCHER = "launcher"
    KEEPER = "keeper"
    MEMBER = "member"
    CENTRE = "centre"


@dataclass(frozen=True, slots=True)
class Statement(Record):
    """A statement before or without its signature. Times are Unix seconds; `not_after` 0 means no end."""

    KIND: ClassVar[str] = "statement"

    type: Type
    domain: str
    subject: str
    signer: str
    duty: Duty
    sequence: int
    not_before: int
    not_after: int
    nonce: str
    body: Mapping[str, Any]

    def check(self) -> None:
        names.require("domain", self.domain, "statement.domain")
        names.require("signing key", self.signer, "statement.signer")
        names.require("nonce", self.nonce, "statement.nonce")
        if self.subject != canonical.digest(self.type.value, self.body):
            raise Malformed("the subject is not the digest of the body", "statement.subject")

    def signed_bytes(self) -> bytes:
        """Return exactly what is signed."""
        return canonical.separated("statement/" + self.type.value, self.canonical())


@dataclass(frozen=True, slots=True)
class Signed(Record):
    """A statement and its signature (Ed25519, RFC 8032), in hex."""

    KIND: ClassVar[str] = "signed"

    statement: Statement
    signature: str

    def check(self) -> None:
        names.require("signature", self.signature, "signed.signature")


# --- bodies -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class RosterEntry(Record):
    """Who may speak for a domain, in which duty, with which key. `name` is a member, or `launcher:node1`, `keeper`."""

    name: str
    duty: Duty
    key: str

    def check(self) -> None:
        names.require("signing key", self.key, "roster.entry")


@dataclass(frozen=True, slots=True)
class Roster(Record):
    """The domain's own list, signed by its root key. An empty one lets nobody do anything."""

    KIND: ClassVar[str] = "roster"

    domain: str
    number: int
    entries: tuple[RosterEntry, ...]

    def holds(self, key: str, duty: Duty) -> bool:
        """Return whether this key may speak in this duty."""
        return any(entry.key == key and entry.duty is duty for entry in self.entries)

    def named(self, duty: Duty) -> tuple[str, ...]:
        """Return the names of all who have a duty."""
        return tuple(entry.name for entry in self.entries if entry.duty is duty)


@dataclass(frozen=True, slots=True)
class DatasetPolicy(Record):
    """The owner's rules for one dataset. A column without a constraint may not be used, and nobody whom `access`
    does not name may do anything.

    `each_plan` asks for an approval of every single plan, beside the grant. `share` none needs a legal `basis`.
    `checks` are the numbers of the disclosure rules; `mode` and `privacy` say how the lineage protects its persons.
    `enterprise` names the column whose distinct values are counted beside persons, empty for none. `twin_rho_micro`
    is what a twin from noisy marginals may cost once, in millionths of rho; with 0 it is made of the schema alone.
    `joint` are the terms of joint computations; without them there are none.
    """

    dataset: str
    access: tuple[Access, ...]
    constraints: tuple[Constraint, ...]
    tagged: tuple[Tagged, ...]
    row_filter: str
    minimum_group: int
    rounding: int
    largest_result: int
    tier: Tier
    each_plan: bool
    share: Share = Share.CONDITIONAL
    basis: str = ""
    checks: Checks = Checks()
    mode: Mode = Mode.RULES
    privacy: Privacy | None = None
    enterprise: str = ""
    twin_rho_micro: int = 0
    joint: JointRules | None = None

    def check(self) -> None:
        names.require("dataset", self.dataset, "policy.dataset")
        if min(self.minimum_group, self.rounding, self.largest_result) < 1:
            raise Malformed("minimum group, rounding and largest result are at least 1", self.dataset)
        if (self.mode is Mode.PRIVATE) != (self.privacy is not None):
            raise Malformed("the mode private has a budget, and no other has", self.dataset)
        if self.enterprise:
            names.require("column", self.enterprise, self.dataset)
        if self.twin_rho_micro < 0:
            raise Malformed("what a twin may cost is not negative", self.dataset)
        if len({entry.column for entry in self.tagged}) != len(self.tagged):
            raise Malformed(
                "a column has one list of classes", self.dataset, "Put all of them into one list."
            )

    def about(self, column: str) -> tuple[Constraint, ...]:
        """Return the constraints on a column, in the order in which they are written."""
        return tuple(constraint for constraint in self.constraints if constraint.column == column)


@dataclass(frozen=True, slots=True)
class Bundle(Record):
    """The owner's numbered policies. A keeper refuses a number that is not higher than every one it has seen."""

    KIND: ClassVar[str] = "bundle"

    domain: str
    number: int
    policies: tuple[DatasetPolicy, ...]
    tags: tuple[Tag, ...] = ()

    def check(self) -> None:
        if len({policy.dataset for policy in self.policies}) != len(self.policies):
            raise Malformed("a dataset has one policy", "bundle", "Put all of its rules into one policy.")
        if len({tag.name for tag in self.tags}) != len(self.tags):
            raise Malformed("a class is described once", "bundle", "Leave one of the descriptions out.")

    def policy(self, dataset: str) -> DatasetPolicy | None:
        """Return the policy of a dataset, or none."""
        return next((policy for policy in self.policies if policy.dataset == dataset), None)


@dataclass(frozen=True, slots=True)
class Grant(Record):
    """A signed standing permission: this member, with these keys, for this project and purpose, these columns.

    `role` is the one in which the member asks, as the approver signed it; rules may be for one role only.
    `uses` is the largest number of plans that may run under it. `minimum_group` and `rounding` are the
    approver's own obligations for this grant; they can only be stricter than the policy's (0: the policy's).
    The statement's validity is the grant's.
    """

    KIND: ClassVar[str] = "grant"

    member: str
    signer: str
    recipient: str
    project: str
    purpose: str
    dataset: str
    columns: tuple[str, ...]
    uses: int
    minimum_group: int = 0
    rounding: int = 0
    role: str = "researcher"

    def check(self) -> None:
        names.require("member", self.member, "grant.member")
        names.require("signing key", self.signer, "grant.signer")
        names.require("opening key", self.recipient, "grant.recipient")
        names.require("dataset", self.dataset, "grant.dataset")
        if self.uses < 1 or not self.columns:
            raise Malformed("a grant allows at least one use of at least one column", "grant")
        if self.minimum_group < 0 or self.rounding < 0:
            raise Malformed("a grant's own obligations are not negative", "grant")


@dataclass(frozen=True, slots=True)
class Approval(Record):
    """A signed yes to exactly one plan."""

    KIND: ClassVar[str] = "approval"

    plan: str

    def check(self) -> None:
        names.require("digest", self.plan, "approval.plan")


@dataclass(frozen=True, slots=True)
class Revocation(Record):
    """A signed end of a grant or approval, by the digest of its statement."""

    KIND: ClassVar[str] = "revocation"

    revoked: str

    def check(self) -> None:
        names.require("digest", self.revoked, "revocation.revoked")


class Answer(StrEnum):
    """What a reviewer says of a held output: let it out, give it back for changes, or keep it in."""

    RELEASE = "release"
    RETURN = "return"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Review(Record):
    """A reviewer's signed opinion about one held output of one plan.

    `verdict` is the digest of the verdict that held it, `shown` the SHA-256 of the bytes that were looked at. An
    independent opinion has no `others`; the one that consolidates names the digests of the statements that it
    brings together, and it is the answer.
    """

    KIND: ClassVar[str] = "review"

    plan: str
    verdict: str
    shown: str
    answer: Answer
    comment: str
    others: tuple[str, ...] = ()

    def check(self) -> None:
        for value in (self.plan, self.verdict, self.shown, *self.others):
            names.require("digest", value, "review")
        if len(self.comment) > LONGEST_COMMENT or not self.comment.strip():
            raise Malformed(
                f"an opinion has a reason of 1 to {LONGEST_COMMENT} characters", "review.comment", "Say why."
            )


LONGEST_COMMENT = 4_000


@dataclass(frozen=True, slots=True)
class Refund(Record):
    """A keeper's signed word that it gave no key for a plan, so that what was reserved for it is free again."""

    KIND: ClassVar[str] = "refund"

    plan: str
    rho_micro: int

    def check(self) -> None:
        names.require("digest", self.plan, "refund.plan")


@dataclass(frozen=True, slots=True)
class StageInput(Record):
    """An input as the launcher found it."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class BoxStatement(Record):
    """What a launcher vouches for: this box, built from this plan, holds the private half of `box_key`.

    `challenge` is the keeper's nonce, so that an old statement is worth nothing.
    """

    KIND: ClassVar[str] = "box"

    plan: str
    stage: Entry
    attempt: int
    spec: str
    image: str
    tier: Tier
    inputs: tuple[StageInput, ...]
    box_key: str
    node: str
    challenge: str

    def check(self) -> None:
        names.require("digest", self.plan, "box-statement.plan")
        names.require("opening key", self.box_key, "box-statement.box_key")
        names.require("nonce", self.challenge, "box-statement.challenge")


@dataclass(frozen=True, slots=True)
class StageOutput(Record):
    """An output file that the launcher collected."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class StageRecord(Record):
    """What a launcher vouches for after a box has ended: its outputs by hash, and the box's own short report."""

    KIND: ClassVar[str] = "stage"

    plan: str
    stage: Entry
    attempt: int
    inputs: tuple[StageInput, ...]
    outputs: tuple[StageOutput, ...]
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Head(Record):
    """A head of the audit log: how many events, and the Merkle root over them in hex (RFC 6962 section 2.1)."""

    KIND: ClassVar[str] = "head"

    log: str
    size: int
    root: str
    made_at: int


@dataclass(frozen=True, slots=True)
class Erasure(Record):
    """The certificate of a crypto-erase: which version's keys are gone, and when the last copy becomes unreadable."""

    KIND: ClassVar[str] = "erasure"

    dataset: str
    version: int
    manifest: str
    files: tuple[str, ...]
    erased_at: int
    unreadable_from: int
