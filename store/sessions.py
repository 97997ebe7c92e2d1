"""Signed-in sessions and access tokens, by the hash of their secret: a stolen table signs nobody in."""

from __future__ import annotations

import time
from dataclasses import dataclass

from plans.errors import NotSignedIn
from store import tables
from store.database import Session
from store.lines import Lines

SESSION, TOKEN = "session", "token"
ENTRANCE, LAB = "entrance", "lab"
"""Kinds: a session that began with a password, a member's own token, what JupyterHub holds for a member who came from
the portal, and the token inside a lab."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session of the portal, or a token with its scopes. All of them end.

    `label` is what a member calls a token; of the token inside a lab it is the lab's project. `parent` is the hash of
    the session under which an entrance was made, which ends with it; empty for none.
    """

    token_hash: str
    member: str
    kind: str
    scopes: tuple[str, ...]
    label: str
    created_at: int
    expires_at: int
    parent: str = ""


_lines = Lines(tables.sessions, SessionRow, "token_hash", "session")
add = _lines.add


def find(session: Session, token_hash: str, now: int | None = None) -> SessionRow | None:
    """Return the session if there is one that is not expired at `now` (Unix seconds; else the present)."""
    found = _lines.find(session, token_hash)
    moment = int(time.time()) if now is None else now
    return found if found is not None and found.expires_at > moment else None


def get(session: Session, token_hash: str, now: int | None = None) -> SessionRow:
    """Return the session.

    Raises:
        NotSignedIn: there is none, or it has expired.
    """
    found = find(session, token_hash, now)
    if found is None:
        raise NotSignedIn("you are not signed in, or your session has ended")
    return found


def of_member(session: Session, member: str) -> tuple[SessionRow, ...]:
    """Return a member's sessions and tokens, newest first."""
    query = _lines.query(tables.sessions.c.member == member)
    return _lines.rows(session, query.order_by(tables.sessions.c.created_at.desc()))


def end(session: Session, token_hash: str) -> bool:
    """End a session; return whether there was one."""
    table = tables.sessions
    return session.execute(table.delete().where(table.c.token_hash == token_hash)).rowcount > 0


def end_children(session: Session, parent: str) -> int:
    """End what was made under a session and ends with it; return how many there were."""
    table = tables.sessions
    return session.execute(table.delete().where(table.c.parent == parent)).rowcount if parent else 0


def end_expired(session: Session, now: int | None = None) -> int:
    """Remove what has expired at `now`; return how many."""
    moment = int(time.time()) if now is None else now
    table = tables.sessions
    return session.execute(table.delete().where(table.c.expires_at <= moment)).rowcount
