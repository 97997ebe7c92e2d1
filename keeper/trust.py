"""What a keeper believes, and why: the trusted set of one domain.

No input or output happens here: statements go in, each is verified against what is trusted already, or
raises. The journal replays the same statements through the same rules when the keeper starts, so a changed
journal does not load.

Rules:

1.  A roster is signed by the domain's root key, is about this domain, and has a higher number than any before.
2.  A bundle is signed by a steward of the roster and has a higher number than any before.
3.  A manifest is signed by a keeper key of the roster; its version is the dataset's next.
4.  A grant is signed by an approver, who is not the member that it serves, about a dataset of this domain.
5.  An approval is signed by an approver; that it is not the requester's own is checked where it is used.
6.  A revocation is signed by an approver or a steward. It is never taken back.
7.  A statement arrives within its validity; a grant's validity is checked again at every use.
8.  A statement counts only while its signer still has the duty in the *current* roster.
9.  The clock does not run backwards: a time more than `CLOCK_SLACK_S` before the latest seen is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from keys import api as keys
from plans import names
from plans.errors import Outdated, SignatureWrong, StateConflict
from plans.manifest import Manifest
from plans.statements import (
    Approval,
    Bundle,
    Duty,
    Erasure,
    Grant,
    Revocation,
    Roster,
    RosterEntry,
    Signed,
    Statement,
    Type,
)
from policies.api import Granted

CLOCK_SLACK_S = 120
MOST_RUNS = 5


@dataclass(slots=True)
class TrustedSet:
    """Everything that one keeper has verified. Changed only by its methods; read freely."""

    domain: str
    root: str
    roster: Roster | None = None
    bundle: Bundle | None = None
    manifests: dict[str, list[Manifest]] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    grants: dict[str, Statement] = field(default_factory=dict)
    approvals: dict[str, list[Statement]] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    uses: dict[str, set[str]] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    head: Signed | None = None
    latest: int = 0

    # --- statements -----------------------------------------------------

    def add(self, signed: Signed, now: int) -> None:
        """Verify a statement and believe it.

        Raises:
            SignatureWrong: wrong signature, or the signer has not the duty.
            Outdated: expired, not yet valid, or not newer than what is known.
        """
        statement = keys.verify(signed)
        if statement.domain != self.domain:
            raise SignatureWrong(
                f"the statement is about {statement.domain}, not {self.domain}", statement.type
            )
        self._in_time(statement, now)
        believe = {
            Type.ROSTER: self._roster,
            Type.BUNDLE: self._bundle,
            Type.MANIFEST: self._manifest,
            Type.GRANT: self._grant,
            Type.APPROVAL: self._approval,
            Type.REVOCATION: self._revocation,
            Type.ERASURE: self._erasure,
        }.get(statement.type)
        if believe is None:
            raise SignatureWrong("a keeper does not take statements of this type", statement.type)
        believe(statement)

    def tick(self, now: int) -> None:
        """Note the time, and refuse one that runs backwards (rule 9)."""
        if now < self.latest - CLOCK_SLACK_S:
            raise Outdated(
                "the clock stands before a time that this keeper has seen", "clock", "Set the clock right."
            )
        self.latest = max(self.latest, now)

    def use(self, grants: tuple[str, ...], request: str) -> None:
        """Count one run of a request against its grants. A request counts once, whatever its plans and attempts.

        Raises:
            Outdated: the request has been run `MOST_RUNS` times already (a centre that repeats it, or a
            defect).
        """
        if self.runs.get(request, 0) >= MOST_RUNS:
            raise Outdated(f"this request has been run {MOST_RUNS} times", "request", "Ask anew.")
        self.runs[request] = self.runs.get(request, 0) + 1
        for grant in grants:
            self.uses.setdefault(grant, set()).add(request)

    def _in_time(self, statement: Statement, now: int) -> None:
        if statement.not_before > now + CLOCK_SLACK_S:
            raise Outdated("the statement is not valid yet", statement.type)
        if statement.not_after and statement.not_after <= now:
            raise Outdated("the statement has expired", statement.type)

    def _roster(self, statement: Statement) -> None:
        roster = Roster.read(statement.body)
        if statement.signer != self.root or statement.duty is not Duty.ROOT:
            raise SignatureWrong("a roster is signed by the domain's root key", "roster")
        if roster.domain != self.domain or (self.roster and roster.number <= self.roster.number):
            raise Outdated("the roster is not newer than the one in force", "roster")
        self.roster = roster

    def _bundle(self, statement: Statement) -> None:
        bundle = Bundle.read(statement.body)
        self._duty(statement, Duty.STEWARD)
        if bundle.domain != self.domain or (self.bundle and bundle.number <= self.bundle.number):
            raise Outdated("the bundle is not newer than the one in force", "bundle")
        self.bundle = bundle

    def _manifest(self, statement: Statement) -> None:
        manifest = Manifest.read(statement.body)
        self._duty(statement, Duty.KEEPER)
        versions = self.manifests.setdefault(manifest.dataset, [])
        if names.domain_of(manifest.dataset) != self.domain or manifest.version != len(versions) + 1:
            raise Outdated("the manifest is not the dataset's next version", manifest.dataset)
        versions.append(manifest)

    def _grant(self, statement: Statement) -> None:
        grant = Grant.read(statement.body)
        approver = self._duty(statement, Duty.APPROVER)
        if approver.name == grant.member or statement.signer == grant.signer:
            raise SignatureWrong("nobody approves their own application", "grant", "Ask another approver.")
        if names.domain_of(grant.dataset) != self.domain:
            raise SignatureWrong("the dataset belongs to another domain", "grant")
        if not statement.not_after:
            raise Outdated("a grant has an end", "grant", "Sign it again with an end date.")
        self.grants.setdefault(statement.digest, statement)

    def _approval(self, statement: Statement) -> None:
        self._duty(statement, Duty.APPROVER)
        self.approvals.setdefault(Approval.read(statement.body).plan, []).append(statement)

    def _revocation(self, statement: Statement) -> None:
        self._duty(statement, Duty.APPROVER, Duty.STEWARD)
        self.revoked.add(Revocation.read(statement.body).revoked)

    def _erasure(self, statement: Statement) -> None:
        self._duty(statement, Duty.KEEPER)
        self.erased.add(Erasure.read(statement.body).manifest)

    def _duty(self, statement: Statement, *duties: Duty) -> RosterEntry:
        """Return the signer's entry if it may sign this (rule 8)."""
        entries = self.roster.entries if self.roster else ()
        for entry in entries:
            if entry.key == statement.signer and entry.duty is statement.duty and entry.duty in duties:
                return entry
        raise SignatureWrong(
            f"the signer is not in the roster of {self.domain} as {' or '.join(duties)}",
            statement.type,
            "Check who signed it; the domain's root key signs a new roster when people change.",
        )

    # --- what follows from them -----------------------------------------------------

    def in_force(self) -> tuple[Roster, Bundle]:
        """Return roster and bundle; without both, nothing is allowed."""
        if self.roster is None or self.bundle is None:
            raise StateConflict(
                f"{self.domain} has no roster and bundle in force, so nothing is allowed", "keeper"
            )
        return self.roster, self.bundle

    def current_manifests(self) -> tuple[Manifest, ...]:
        """Return the newest version of every dataset, erased ones left out."""
        newest = (versions[-1] for versions in self.manifests.values() if versions)
        return tuple(sorted((m for m in newest if m.digest not in self.erased), key=lambda m: m.dataset))

    def granted(self, request: str) -> tuple[Granted, ...]:
        """Return the grants whose signer is still an approver. A use by `request` itself is not counted against it."""
        found = []
        for digest, statement in sorted(self.grants.items()):
            if not self._still(statement, Duty.APPROVER):
                continue
            grant = Grant.read(statement.body)
            left = grant.uses - len(self.uses.get(digest, set()) - {request})
            revoked = digest in self.revoked
            found.append(Granted(digest, grant, statement.not_before, statement.not_after, revoked, left))
        return tuple(found)

    def approved(self, plan: str, requester: str, now: int) -> tuple[str, ...]:
        """Return the standing approvals of exactly this plan by approvers who are not the requester."""
        roster, _ = self.in_force()
        found = []
        for statement in self.approvals.get(plan, []):
            signer = {entry.name for entry in roster.entries if entry.key == statement.signer}
            standing = not statement.not_after or now < statement.not_after
            unrevoked = statement.digest not in self.revoked
            if standing and unrevoked and self._still(statement, Duty.APPROVER) and requester not in signer:
                found.append(statement.digest)
        return tuple(found)

    def _still(self, statement: Statement, duty: Duty) -> bool:
        return self.roster is not None and self.roster.holds(statement.signer, duty)
