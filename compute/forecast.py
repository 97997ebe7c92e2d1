"""What the centre expects an owner to decide: the same pure function, over the statements it has copies of.

It tells the member early and shapes the plan. It proves nothing: the keeper decides again from what it
verified itself, and counts uses, which the centre does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from plans.decision import Decision
from plans.errors import NotFound
from plans.manifest import Manifest
from plans.reading import Reading
from plans.request import Request
from plans.statements import Bundle, Duty, Grant, Roster, Signed, Type
from policies import api as policies
from store import api as store


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner as the centre knows it."""

    domain: store.DomainRow
    roster: Roster
    bundle: Bundle
    manifests: tuple[Manifest, ...]
    grants: tuple[policies.Granted, ...]

    def decide(self, request: Request, reading: Reading, now: int) -> Decision:
        """Return the decision that the owner's keeper should come to as well."""
        approvers = self.roster.named(Duty.APPROVER)
        return policies.decide(
            policies.Case(
                request, reading, self.bundle, self.manifests, self.grants, approvers, now, self.roster.number
            )
        )


def mentioned(session: store.Session, statement: str) -> tuple[store.DomainRow, ...]:
    """Return the domains whose relations a text mentions: a routing hint found without parsing it, nothing more."""
    text = statement.lower()
    rows = store.manifests.all_current(session)
    hit = sorted({row.domain for row in rows if row.relation in text})
    return tuple(store.domains.get(session, name) for name in hit)


def all_manifests(session: store.Session) -> tuple[Manifest, ...]:
    """Return the current manifests of every domain."""
    return tuple(_manifest(row) for row in store.manifests.all_current(session))


def owner(session: store.Session, domain: store.DomainRow) -> Owner:
    """Return what the centre knows of a domain.

    Raises:
        NotFound: the domain has no roster or no bundle yet, so it allows nothing.
    """
    name = domain.name
    rosters = _bodies(session, name, Type.ROSTER)
    bundles = _bodies(session, name, Type.BUNDLE)
    if not rosters or not bundles:
        raise NotFound(
            "the owner has published no roster and policies yet, so nothing is allowed",
            name,
            "Ask a steward of the owning domain to put policies in force: docs/policies.md.",
        )
    roster = max((Roster.read(item.statement.body) for item in rosters), key=lambda r: r.number)
    bundle = max((Bundle.read(item.statement.body) for item in bundles), key=lambda b: b.number)
    rows = store.manifests.all_current(session)
    manifests = tuple(_manifest(row) for row in rows if row.domain == name)
    return Owner(domain, roster, bundle, manifests, _grants(session, name, roster))


def _grants(session: store.Session, domain: str, roster: Roster) -> tuple[policies.Granted, ...]:
    revoked = {row.subject_of for row in store.statements.of_type(session, domain, Type.REVOCATION.value)}
    found = []
    for signed in _bodies(session, domain, Type.GRANT):
        statement = signed.statement
        if roster.holds(statement.signer, Duty.APPROVER):
            grant = Grant.read(statement.body)
            dead = statement.digest in revoked
            times = (statement.not_before, statement.not_after)
            left = grant.uses - store.jobs.run_under(session, domain, statement.digest)
            found.append(policies.Granted(statement.digest, grant, *times, dead, left))
    return tuple(sorted(found, key=lambda granted: granted.digest))


def _bodies(session: store.Session, domain: str, kind: Type) -> list[Signed]:
    rows = store.statements.of_type(session, domain, kind.value)
    return [Signed.decode(row.signed.encode()) for row in rows]


def _manifest(row: store.ManifestRow) -> Manifest:
    return Manifest.read(Signed.decode(row.signed.encode()).statement.body)
