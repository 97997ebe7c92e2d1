"""Applications: what a member asks an owner for, and how it was answered."""

from __future__ import annotations

from dataclasses import dataclass

from plans import names
from plans.errors import Malformed, StateConflict
from store import tables
from store.database import Session
from store.lines import Lines

OPEN, GRANTED, DECLINED = "open", "granted", "declined"


@dataclass(frozen=True, slots=True)
class ApplicationRow:
    """An application for columns of one dataset, in the role in which the member would use them. `until` is Unix
    seconds, `grant` a statement's digest.
    """

    id: str
    member: str
    role: str
    project: str
    purpose: str
    dataset: str
    columns: tuple[str, ...]
    until: int
    uses: int
    reason: str
    state: str
    decided_by: str
    grant: str
    created_at: int


_table = tables.applications
_lines = Lines(_table, ApplicationRow, "id", "application")
add, get, find = _lines.add, _lines.get, _lines.find


def of_member(session: Session, member: str) -> tuple[ApplicationRow, ...]:
    """Return a member's applications, newest first."""
    query = _lines.query(_table.c.member == member)
    return _lines.rows(session, query.order_by(_table.c.created_at.desc(), _table.c.id))


def open_for_domain(session: Session, domain: str) -> tuple[ApplicationRow, ...]:
    """Return the open applications for datasets that `domain` itself owns, oldest first."""
    query = _lines.query(_table.c.state == OPEN, _table.c.dataset.startswith(domain + "/", autoescape=True))
    found = _lines.rows(session, query.order_by(_table.c.created_at, _table.c.id))
    return tuple(row for row in found if names.domain_of(row.dataset) == domain)


def decide(
    session: Session, id: str, state: str, decided_by: str, grant: str = "", *, reason: str = ""
) -> None:
    """Close an open application as `GRANTED` (naming the grant) or `DECLINED` (with a reason for its member).

    Raises:
        Malformed: the state is neither, or a grant is missing or out of place.
        StateConflict: the application is not open.
    """
    if state not in (GRANTED, DECLINED) or bool(grant) != (state == GRANTED):
        raise Malformed("an application is granted by a grant, or declined without one", "application.state")
    changes = {"state": state, "decided_by": decided_by, "grant": grant, "reason": reason}
    if not _lines.change(session, changes, _table.c.id == id, _table.c.state == OPEN):
        raise StateConflict("the application is not open", "application")
