"""Tokens inside labs: what a lab can do in its member's name, which is to read the catalog and to run jobs.

Whatever runs in a lab has its token, so it is worth no more than that: it applies, approves, enrols and makes nothing.
It ends when it is signed out, when the member changes the password, leaves the project or is gone, and by itself.
"""

from __future__ import annotations

import secrets

from portal.permissions import Scope
from portal.projects import require_lab
from portal.services import Counter
from portal.sessions import Caller, Opened, hash_of
from store import api as store

SCOPES = tuple(sorted(map(str, (Scope.CATALOG, Scope.JOBS, Scope.RESULTS))))
MOST_AT_ONCE = 4
"""Tokens of labs that a member has at a time: there is one lab each, and some left over by crashes. The oldest end."""


def make(counter: Counter, caller: Caller, project: str) -> tuple[Opened, store.ProjectRow]:
    """Make the token of a lab in a project.

    Raises:
        NotAllowed: the caller may not have one there.
    """
    services = counter.services
    now = int(services.clock())
    with services.database.session() as session:
        found = require_lab(store.projects.find(session, project), caller.member, now)
        ends = now + services.labs.token_lasts
        opened = Opened(secrets.token_urlsafe(32), min(ends, found.until) if found.until else ends)
        _end_oldest(session, caller.member.name)
        row = store.SessionRow(
            hash_of(opened.token),
            caller.member.name,
            store.sessions.LAB,
            SCOPES,
            found.name,
            now,
            opened.expires_at,
        )
        store.sessions.add(session, row)
        services.office.record(caller.member, "token.lab", found.name)
    return opened, found


def _end_oldest(session: store.Session, member: str) -> None:
    labs = [row for row in store.sessions.of_member(session, member) if row.kind == store.sessions.LAB]
    for row in labs[MOST_AT_ONCE - 1 :]:
        store.sessions.end(session, row.token_hash)
