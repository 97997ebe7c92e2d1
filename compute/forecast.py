"""What the centre expects an owner to decide: the same pure function, over the statements it has copies of.

It tells the member early and shapes the plan. It proves nothing: the keeper decides again from what it
verified itself, and counts uses, which the centre only estimates from its jobs.

A domain may hold a million grants. The database's own index finds those of the one member who asks, at every
decision anew, so that a revocation counts in every process from the moment in which it is committed. What is
kept between decisions are statements that were read, by their digest: they cannot change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

from plans.decision import Decision
from plans.errors import NotFound
from plans.manifest import Manifest
from plans.reading import Reading, Shadow
from plans.record import Record
from plans.request import Request
from plans.statements import Bundle, Duty, Grant, Roster, Signed, Statement, Type
from policies import api as policies
from store import api as store

Body = TypeVar("Body", bound=Record)
Said = TypeVar("Said")


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner as the centre knows it."""

    domain: store.DomainRow
    roster: Roster
    bundle: Bundle
    manifests: tuple[Manifest, ...]
    grants: policies.Grants

    def case(self, request: Request, reading: Reading, now: int) -> policies.Case:
        """Return all that a decision about a request rests on."""
        approvers = self.roster.named(Duty.APPROVER)
        return policies.Case(
            request, reading, self.bundle, self.manifests, self.grants, approvers, now, self.roster.number
        )

    def decide(self, request: Request, reading: Reading, now: int) -> Decision:
        """Return the decision that the owner's keeper should come to as well."""
        return policies.decide(self.case(request, reading, now))

    def shadows(self, request: Request, now: int) -> tuple[Shadow, ...]:
        """Return what the request's member sees of the datasets, as the owner's keeper should make it as well."""
        return policies.shadows(request, self.bundle, self.manifests, self.grants, now)


def mentioned(session: store.Session, statement: str) -> tuple[store.DomainRow, ...]:
    """Return the domains whose relations a text mentions: a routing hint found without parsing it, nothing more."""
    text = statement.lower()
    rows = store.manifests.all_current(session)
    hit = sorted({row.domain for row in rows if row.relation in text})
    return tuple(store.domains.get(session, name) for name in hit)


def all_manifests(session: store.Session) -> tuple[Manifest, ...]:
    """Return the current manifests of every domain."""
    return tuple(_manifest(row.signed) for row in store.manifests.all_current(session))


def owner(session: store.Session, domain: store.DomainRow, member: str | None = None) -> Owner:
    """Return what the centre knows of a domain, and the grants of the member who asks.

    Without a member it is every grant of the domain, which takes seconds where there are many.

    Raises:
        NotFound: the domain has no roster or no bundle yet, so it allows nothing.
    """
    name = domain.name
    rosters = _bodies(session, name, Type.ROSTER, Roster)
    bundles = _bodies(session, name, Type.BUNDLE, Bundle)
    if not rosters or not bundles:
        raise NotFound(
            "the owner has published no roster and policies yet, so nothing is allowed",
            name,
            "Ask a steward of the owning domain to put policies in force: docs/policies.md.",
        )
    roster = max(rosters, key=lambda r: r.number)
    bundle = max(bundles, key=lambda b: b.number)
    rows = store.manifests.all_current(session)
    manifests = tuple(_manifest(row.signed) for row in rows if row.domain == name)
    approvers = (entry.key for entry in roster.entries if entry.duty is Duty.APPROVER)
    return Owner(domain, roster, bundle, manifests, _grants(session, name, member).signed_by(approvers))


def bundle(session: store.Session, domain: str) -> Bundle | None:
    """Return the policies of a domain, those with the highest number; none if it has published none."""
    found = _bodies(session, domain, Type.BUNDLE, Bundle)
    return max(found, key=lambda each: each.number, default=None)


def _grants(session: store.Session, domain: str, member: str | None) -> policies.Grants:
    found = store.statements.digests(session, domain, Type.GRANT.value, member)
    revoked = store.statements.revoked(session, domain, found)
    grants = (_read.get(session, digest, _granted) for digest in found)
    return policies.Grants(
        replace(
            granted,
            revoked=granted.digest in revoked,
            uses_left=granted.grant.uses
            - store.jobs.run_under(session, domain, granted.grant.member, granted.digest),
        )
        for granted in grants
    )


def _granted(statement: Statement) -> policies.Granted:
    """Return a grant as it was signed; whether it was revoked or used is another matter."""
    grant = Grant.read(statement.body)
    times = (statement.not_before, statement.not_after)
    return policies.Granted(
        statement.digest, grant, *times, revoked=False, uses_left=grant.uses, approver=statement.signer
    )


def _bodies(session: store.Session, domain: str, kind: Type, body: type[Body]) -> list[Body]:
    found = store.statements.digests(session, domain, kind.value)
    return [_read.get(session, digest, lambda statement: body.read(statement.body)) for digest in found]


@lru_cache(maxsize=1_000)
def _manifest(signed: str) -> Manifest:
    return Manifest.read(Signed.decode(signed.encode()).statement.body)


class _Read:
    """What statements say, by their digest, so that each is fetched and read once while it is asked for.

    Safe under threads: two that miss the same one both read it, and find the same.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._said: dict[str, Any] = {}

    def get(self, session: store.Session, digest: str, read: Callable[[Statement], Said]) -> Said:
        """Return what `read` makes of a statement; for one digest it is always the same function."""
        said: Said | None = self._said.get(digest)
        if said is None:
            row = store.statements.get(session, digest)
            said = read(Signed.decode(row.signed.encode()).statement)
            with self._lock:
                while len(self._said) >= self._most:
                    del self._said[next(iter(self._said))]
                self._said[digest] = said
        return said


_read = _Read(most=20_000)
"""Some 20 MB; who has not asked for long is read anew."""
