"""Applications: a member asks an owner for columns; an approver of the owner decides.

Each change is written to the audit log before its transaction ends, so nobody sees a result that the log does
not hold. A log that cannot be written rolls the change back.
"""

from __future__ import annotations

import secrets

from plans import names
from plans.errors import Malformed, NotFound
from plans.manifest import Manifest
from plans.statements import Signed
from sharing import rules
from sharing.office import Office
from sharing.rules import Wish
from store import api as store
from store.api import ApplicationRow, MemberRow

LONGEST_REASON = 500


def apply(office: Office, member: MemberRow, wish: Wish) -> ApplicationRow:
    """Take an application.

    Raises:
        NotFound: there is no such dataset.
        DarkroomError: a rule of `sharing.rules.require_wish`.
    """
    names.require("dataset", wish.dataset, "dataset")
    with office.database.session() as session:
        manifest = current(session, wish.dataset)
        if manifest is None:
            raise NotFound("there is no such dataset", "dataset", "List them with `darkroom datasets`.")
        rules.require_wish(wish, member, manifest, office.now)
        row = ApplicationRow(
            id="a-" + secrets.token_hex(8),
            member=member.name,
            role=rules.asking_role(wish.role, member),
            project=wish.project,
            purpose=wish.purpose,
            dataset=wish.dataset,
            columns=wish.columns,
            until=wish.until,
            uses=wish.uses,
            reason="",
            state=store.applications.OPEN,
            decided_by="",
            grant="",
            created_at=office.now,
        )
        store.applications.add(session, row)
        owner, personal = names.domain_of(wish.dataset), {"purpose": wish.purpose}
        office.record(member, "application.made", row.id, domain=owner, personal=personal)
    return row


def visible(office: Office, member: MemberRow, number: str) -> ApplicationRow:
    """Return an application that is the member's own, or one that the member may decide.

    Raises:
        NotFound: there is none, or it is somebody else's; the answer is the same.
    """
    with office.database.reading() as session:
        row = store.applications.find(session, number)
    if row is None or not (row.member == member.name or rules.allowed(rules.require_decider, member, row)):
        raise NotFound("there is no such application", "application")
    return row


def listed(office: Office, member: MemberRow, *, own: bool, to_decide: bool) -> tuple[ApplicationRow, ...]:
    """Return a member's own applications, and the open ones that the member may decide."""
    with office.database.reading() as session:
        mine = store.applications.of_member(session, member.name) if own else ()
        waiting = store.applications.open_for_domain(session, member.domain) if to_decide else ()
    return mine + tuple(row for row in waiting if rules.allowed(rules.require_decider, member, row))


def decline(office: Office, member: MemberRow, number: str, reason: str) -> ApplicationRow:
    """Decline an open application, with a reason that its member reads.

    Raises:
        NotFound: there is none that this member may see.
        NotAllowed: it is the member's own.
        StateConflict: it was decided already.
    """
    if not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise Malformed(f"a reason is one line of at most {LONGEST_REASON} printable characters", "reason")
    row = visible(office, member, number)
    rules.require_decider(member, row)
    with office.database.session() as session:
        store.applications.decide(session, number, store.applications.DECLINED, member.name, reason=reason)
        office.record(member, "application.declined", number, personal={"reason": reason})
    with office.database.reading() as session:
        return store.applications.get(session, number)


def gone(office: Office, row: ApplicationRow) -> tuple[str, ...]:
    """Return the columns of an application that could not be granted today; all, if its dataset is gone."""
    with office.database.reading() as session:
        return rules.gone(row.columns, current(session, row.dataset))


def current(session: store.Session, dataset: str) -> Manifest | None:
    """Return the current version of a dataset as its keeper describes it, or none."""
    row = store.manifests.current(session, dataset)
    return Manifest.read(dict(Signed.decode(row.signed.encode()).statement.body)) if row else None
