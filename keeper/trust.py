"""What a keeper believes, and why: the trusted set of one domain.

No input or output happens here: statements go in, each is verified against what is trusted already, or
raises. The journal replays the same statements through the same rules when the keeper starts, so a changed
journal does not load.

Rules:

1.  A roster is signed by the domain's root key, is about this domain, and has a higher number than any before.
2.  A bundle is signed by a steward of the roster and has a higher number than any before. "Before" includes what a
    backup has forgotten: `floor` comes from the journal's mark, and a bundle below it is not in force.
3.  A manifest is signed by a keeper key of the roster; its version is the dataset's next. A dataset that was ever about
    persons stays so: rules and grants were written for figures that count them.
4.  A grant is signed by an approver, who is not the member that it serves, about a dataset of this domain.
5.  An approval is signed by an approver; that it is not the requester's own, neither by name nor by key, is checked
    where it is used.
6.  A review is signed by a reviewer; whether it counts is said where it is used (`keeper.reviews`).
7.  A revocation is signed by an approver or a steward. It is never taken back.
8.  A statement arrives within its validity; a grant's validity is checked again at every use.
9.  A roster, bundle, grant or approval counts only while its signer still has the duty in the *current* roster. A
    revocation and an erasure stay whatever becomes of their signers, and so do manifests: they say what is,
    not what may be done.
10. The clock does not run backwards: a time more than `CLOCK_SLACK_S` before the latest seen is refused.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace

from keys import api as keys
from plans import names
from plans.errors import Outdated, SignatureWrong, StateConflict
from plans.manifest import Manifest
from plans.request import Request
from plans.statements import (
    Approval,
    Bundle,
    Duty,
    Erasure,
    Grant,
    Review,
    Revocation,
    Roster,
    Signed,
    Statement,
    Type,
)
from policies.api import Granted, Grants

CLOCK_SLACK_S = 120
MOST_RUNS = 5


@dataclass(slots=True)
class TrustedSet:
    """Everything that one keeper has verified. Changed only by its methods; read freely.

    `grants` are all that were ever believed, with the uses that are left of each, whoever signed them;
    `granted` says which of them count. `under` are the grants that a request has used.
    """

    domain: str
    root: str
    roster: Roster | None = None
    bundle: Bundle | None = None
    manifests: dict[str, list[Manifest]] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    grants: Grants = field(default_factory=Grants)
    approvals: dict[str, list[Statement]] = field(default_factory=dict)
    reviews: dict[str, list[Statement]] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    uses: dict[str, set[str]] = field(default_factory=dict)
    under: dict[str, set[str]] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    head: Signed | None = None
    latest: int = 0
    bundle_signer: str = ""
    floor: dict[str, int] = field(default_factory=dict)
    believed: set[str] = field(default_factory=set)

    # --- statements -----------------------------------------------------

    def add(self, signed: Signed, now: int) -> None:
        """Verify a statement and believe it.

        Raises:
            Malformed: its body has not the form of its type.
            SignatureWrong: wrong signature, or the signer has not the duty.
            Outdated: expired, not yet valid, or not newer than what is known.
            StateConflict: a dataset about persons would be about nobody.
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
            Type.REVIEW: self._review,
            Type.REVOCATION: self._revocation,
            Type.ERASURE: self._erasure,
        }.get(statement.type)
        if believe is None:
            raise SignatureWrong("a keeper does not take statements of this type", statement.type)
        believe(statement)
        self.believed.add(statement.digest)

    def after(self, signed: Signed, now: int) -> dict[str, int]:
        """Return the highest numbers as they would be with this statement believed; nothing changes.

        Raises:
            DarkroomError: whatever `add` would raise.
        """
        changed = ("manifests", "erased", "approvals", "reviews", "revoked", "believed")
        trial = replace(self, **{name: copy(getattr(self, name)) for name in changed})
        trial.add(signed, now)
        return trial.numbers()

    def numbers(self) -> dict[str, int]:
        """Return the highest numbers of roster and bundle that were ever believed here."""
        known = {"roster": self.roster.number if self.roster else 0}
        known["bundle"] = self.bundle.number if self.bundle else 0
        return {name: max(number, self.floor.get(name, 0)) for name, number in known.items()}

    def tick(self, now: int) -> None:
        """Note the time, and refuse one that runs backwards (rule 10)."""
        if now < self.latest - CLOCK_SLACK_S:
            raise Outdated(
                "the clock stands before a time that this keeper has seen", "clock", "Set the clock right."
            )
        self.latest = max(self.latest, now)

    def require_run(self, request: str) -> None:
        """Check that a request may run once more; asked before the run is written down.

        Raises:
            Outdated: the request has been run `MOST_RUNS` times already (a centre that repeats it, or a
            defect).
        """
        if self.runs.get(request, 0) >= MOST_RUNS:
            raise Outdated(f"this request has been run {MOST_RUNS} times", "request", "Ask anew.")

    def use(self, grants: tuple[str, ...], request: str) -> None:
        """Count one run of a request against its grants. A request counts once, whatever its plans and attempts."""
        self.runs[request] = self.runs.get(request, 0) + 1
        for digest in grants:
            self.uses.setdefault(digest, set()).add(request)
            self.under.setdefault(request, set()).add(digest)
            granted = self.grants.get(digest)
            if granted is not None:
                left = self._uses_left(digest, granted.grant)
                self.grants = self.grants.with_(replace(granted, uses_left=left))

    def _in_time(self, statement: Statement, now: int) -> None:
        if statement.not_before > now + CLOCK_SLACK_S:
            raise Outdated("the statement is not valid yet", statement.type)
        if statement.not_after and statement.not_after <= now:
            raise Outdated("the statement has expired", statement.type)

    def _roster(self, statement: Statement) -> None:
        roster = Roster.read(statement.body)
        if statement.signer != self.root or statement.duty is not Duty.ROOT:
            raise SignatureWrong("a roster is signed by the domain's root key", "roster")
        if roster.domain != self.domain or roster.number <= self.numbers()["roster"]:
            raise Outdated("the roster is not newer than the one in force", "roster")
        self.roster = roster

    def _bundle(self, statement: Statement) -> None:
        bundle = Bundle.read(statement.body)
        self._duty(statement, Duty.STEWARD)
        known = self.bundle.number if self.bundle else 0
        if (
            bundle.domain != self.domain
            or bundle.number <= known
            or bundle.number < self.floor.get("bundle", 0)
        ):
            raise Outdated("the bundle is not newer than the one in force", "bundle")
        self.bundle, self.bundle_signer = bundle, statement.signer

    def _manifest(self, statement: Statement) -> None:
        manifest = Manifest.read(statement.body)
        self._duty(statement, Duty.KEEPER)
        versions = self.manifests.get(manifest.dataset, [])
        if names.domain_of(manifest.dataset) != self.domain or manifest.version != len(versions) + 1:
            raise Outdated("the manifest is not the dataset's next version", manifest.dataset)
        if not manifest.about_persons:
            self.require_nobody_before(manifest.dataset)
        self.manifests[manifest.dataset] = [*versions, manifest]

    def require_nobody_before(self, dataset: str) -> None:
        """Check that no version of a dataset was about persons, erased ones included.

        Raises:
            StateConflict: one was.
        """
        if any(manifest.about_persons for manifest in self.manifests.get(dataset, [])):
            raise StateConflict(
                f"{dataset} is about persons, and stays so in every version",
                dataset,
                "Give data about nobody a name of their own.",
            )

    def _grant(self, statement: Statement) -> None:
        grant = Grant.read(statement.body)
        self._duty(statement, Duty.APPROVER)
        if self._same_person(statement.signer, grant.member, grant.signer):
            raise SignatureWrong("nobody approves their own application", "grant", "Ask another approver.")
        if names.domain_of(grant.dataset) != self.domain:
            raise SignatureWrong("the dataset belongs to another domain", "grant")
        if not statement.not_after:
            raise Outdated("a grant has an end", "grant", "Sign it again with an end date.")
        if statement.digest not in self.grants:
            granted = Granted(
                digest=statement.digest,
                grant=grant,
                not_before=statement.not_before,
                not_after=statement.not_after,
                revoked=statement.digest in self.revoked,
                uses_left=self._uses_left(statement.digest, grant),
                approver=statement.signer,
            )
            self.grants = self.grants.with_(granted)

    def _approval(self, statement: Statement) -> None:
        self._duty(statement, Duty.APPROVER)
        plan = Approval.read(statement.body).plan
        self.approvals[plan] = [*self.approvals.get(plan, []), statement]

    def _review(self, statement: Statement) -> None:
        self._duty(statement, Duty.REVIEWER)
        plan = Review.read(statement.body).plan
        self.reviews[plan] = [*self.reviews.get(plan, []), statement]

    def _revocation(self, statement: Statement) -> None:
        self._duty(statement, Duty.APPROVER, Duty.STEWARD)
        revoked = Revocation.read(statement.body).revoked
        self.revoked.add(revoked)
        self.grants = self.grants.revoke(revoked)

    def _erasure(self, statement: Statement) -> None:
        self._duty(statement, Duty.KEEPER)
        self.erased.add(Erasure.read(statement.body).manifest)

    def _duty(self, statement: Statement, *duties: Duty) -> None:
        """Check that the signer may sign this, in the duty in which it does."""
        known = self.roster is not None and self.roster.holds(statement.signer, statement.duty)
        if not known or statement.duty not in duties:
            raise SignatureWrong(
                f"the signer is not in the roster of {self.domain} as {' or '.join(duties)}",
                statement.type,
                "Check who signed it; the domain's root key signs a new roster when people change.",
            )

    def _same_person(self, signer: str, member: str, key: str) -> bool:
        """Return whether a signer is a member: by key, or by any name that the roster has for the signer's key."""
        entries = self.roster.entries if self.roster else ()
        return signer == key or any(entry.key == signer and entry.name == member for entry in entries)

    # --- what follows from them -----------------------------------------------------

    def in_force(self) -> tuple[Roster, Bundle]:
        """Return roster and bundle; without both, nothing is allowed.

        Raises:
            StateConflict: there is none, the bundle's signer is a steward no more, or a newer one was
            forgotten.
        """
        if self.roster is None or self.bundle is None:
            raise StateConflict(
                f"{self.domain} has no roster and bundle in force, so nothing is allowed", "keeper"
            )
        signer_left = not self.roster.holds(self.bundle_signer, Duty.STEWARD)
        if signer_left or self.bundle.number < self.floor.get("bundle", 0):
            raise StateConflict(
                f"the bundle of {self.domain} is no longer in force, so nothing is allowed",
                "keeper",
                "A steward of the present roster signs the next bundle, or offers the newest again.",
            )
        return self.roster, self.bundle

    def current_manifests(self) -> tuple[Manifest, ...]:
        """Return the newest version of every dataset, erased ones left out."""
        newest = (versions[-1] for versions in self.manifests.values() if versions)
        return tuple(sorted((m for m in newest if m.digest not in self.erased), key=lambda m: m.dataset))

    def granted(self, request: str) -> Grants:
        """Return the grants whose signer is still an approver. A use by `request` itself is not counted against it."""
        found = self.grants.signed_by(self._keys(Duty.APPROVER))
        for digest in self.under.get(request, ()):
            used = found.get(digest)
            if used is not None:
                found = found.with_(replace(used, uses_left=used.uses_left + 1))
        return found

    def approved(self, plan: str, request: Request, now: int) -> tuple[str, ...]:
        """Return the standing approvals of exactly this plan by approvers who are not the requester."""
        return tuple(
            statement.digest
            for statement in self.approvals.get(plan, [])
            if self._in_force(statement, now)
            and not self._same_person(statement.signer, request.member, request.signer)
        )

    def standing(self, rests_on: tuple[str, ...], now: int) -> bool:
        """Return whether all that a running box rests on (grants, approvals, manifests, by digest) still stands."""
        approvals = {item.digest: item for found in self.approvals.values() for item in found}
        held = {m.digest for versions in self.manifests.values() for m in versions} - self.erased

        def stands(digest: str) -> bool:
            granted, approval = self.grants.get(digest), approvals.get(digest)
            if granted is not None:
                in_office = granted.approver in self._keys(Duty.APPROVER)
                return in_office and not granted.revoked and in_time(granted, now)
            return self._in_force(approval, now) if approval is not None else digest in held

        return all(stands(digest) for digest in rests_on)

    def _in_force(self, approval: Statement, now: int) -> bool:
        """Return whether an approval stands: within its validity, not revoked, its signer in office."""
        signed = approval.digest not in self.revoked and approval.signer in self._keys(Duty.APPROVER)
        return signed and in_time(approval, now)

    def _uses_left(self, digest: str, grant: Grant) -> int:
        return grant.uses - len(self.uses.get(digest, ()))

    def _keys(self, duty: Duty) -> frozenset[str]:
        """Return the keys that have a duty in the roster in force."""
        entries = self.roster.entries if self.roster else ()
        return frozenset(entry.key for entry in entries if entry.duty is duty)


def in_time(signed: Granted | Statement, now: int) -> bool:
    """Return whether something signed is within its validity; clocks differ by `CLOCK_SLACK_S` at its begin."""
    begun = signed.not_before <= now + CLOCK_SLACK_S
    return begun and (not signed.not_after or now < signed.not_after)
