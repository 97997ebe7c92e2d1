"""Who is calling: passwords become sessions, sessions become tokens, and only a token's hash is kept.

Two kinds of tokens are made elsewhere and follow the same rules: JupyterHub's (`portal.entrance`), worth nothing once
the session has ended under which it was made, and that of a lab (`portal.lab_tokens`), worth nothing once its member
may not have a lab in its project any more.

A token is 256 random bits; the database holds its SHA-256, so a stolen table signs nobody in, and a look-up
by hash tells nothing through its duration. Roles are read from the member's row at every call: taking a role
away works at once.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

from plans import names
from plans.errors import DarkroomError, Malformed, NotSignedIn
from portal.permissions import TOKEN_SCOPES, Scope, Who
from portal.projects import may_have_lab
from portal.services import Counter
from store import api as store
from store.api import MemberRow, SessionRow

ALL_SCOPES = tuple(str(scope) for scope in Scope)
LONGEST_LABEL = 80
KINDS = frozenset({store.sessions.SESSION, store.sessions.TOKEN, store.sessions.ENTRANCE, store.sessions.LAB})


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session or token: the secret, shown once, and when it ends (Unix seconds)."""

    token: str = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class Caller:
    """The member behind a call, what they may do, the hash and the kind of what they showed, and when that ends (Unix
    seconds).
    """

    member: MemberRow
    who: Who
    token_hash: str
    kind: str = store.sessions.SESSION
    expires_at: int = 0


def sign_in(counter: Counter, name: str, password: str, address: str) -> Opened:
    """Begin a session.

    The answer and the work are the same for a wrong password, an unknown member and a name that cannot be
    one.

    Raises:
        TooManyTries: too many failed before.
        NotSignedIn: member and password do not fit.
    """
    services = counter.services
    counter.attempts.begin(name, address)
    member = _member(counter, name)
    if not counter.passwords.fits(password, member.password_hash if member else None) or member is None:
        raise NotSignedIn(
            "member and password do not fit",
            "sign-in",
            "Check both; an administrator can set a new password.",
        )
    counter.attempts.succeed(name, address)
    opened = Opened(secrets.token_urlsafe(32), int(services.clock()) + services.limits.session_lasts)
    with services.database.session() as session:
        store.sessions.end_expired(session, int(services.clock()))
        store.sessions.add(session, _row(counter, member, opened, ("session", ALL_SCOPES, "")))
        services.office.record(member, "session.begun", member.name)
    return opened


def change_password(counter: Counter, caller: Caller, passwords: tuple[str, str], address: str) -> None:
    """Replace the caller's password (old, new) and end every other session and token of theirs.

    Raises:
        TooManyTries: too many failed before.
        NotSignedIn: the old password is not right.
        Malformed: the new one is too short.
    """
    old, new = passwords
    name = caller.member.name
    counter.attempts.begin(name, address)
    if not counter.passwords.fits(old, caller.member.password_hash):
        raise NotSignedIn("the old password is not right", "password", "Type it again.")
    counter.attempts.succeed(name, address)
    hashed = counter.passwords.hash(new)
    with counter.services.database.session() as session:
        store.members.set_password(session, name, hashed)
        for each in store.sessions.of_member(session, name):
            if each.token_hash != caller.token_hash:
                store.sessions.end(session, each.token_hash)
        counter.services.office.record(caller.member, "password.changed", name)


def make_token(counter: Counter, caller: Caller, scopes: tuple[str, ...], label: str, lasts: int) -> Opened:
    """Make a token that may do less than its member, and ends.

    Raises:
        Malformed: a scope is not one that tokens have, none is named, or it would last too long.
    """
    services = counter.services
    if not scopes or not set(scopes) <= set(TOKEN_SCOPES):
        raise Malformed(f"a token's scopes are among {', '.join(TOKEN_SCOPES)}, and at least one", "scopes")
    if not 1 <= len(label) <= LONGEST_LABEL or not label.isprintable():
        raise Malformed(f"a label is one line of at most {LONGEST_LABEL} characters", "label")
    if not 60 <= lasts <= services.limits.token_lasts:
        raise Malformed(
            f"a token lasts between a minute and {services.limits.token_lasts // 86_400} days", "lasts"
        )
    opened = Opened(secrets.token_urlsafe(32), int(services.clock()) + lasts)
    with services.database.session() as session:
        store.sessions.add(
            session, _row(counter, caller.member, opened, ("token", tuple(sorted(set(scopes))), label))
        )
        services.office.record(caller.member, "token.made", caller.member.name)
    return opened


def caller(counter: Counter, token: str) -> Caller:
    """Return who shows this token.

    Raises:
        NotSignedIn: nobody, or no longer.
    """
    hashed, now = hash_of(token), int(counter.services.clock())
    with counter.services.database.reading() as session:
        row = store.sessions.get(session, hashed, now)
        member = store.members.find(session, row.member)
        if row.kind == store.sessions.ENTRANCE:
            store.sessions.get(session, row.parent, now)
        project = store.projects.find(session, row.label) if row.kind == store.sessions.LAB else None
    if member is None or row.kind not in KINDS:
        raise NotSignedIn("you are not signed in, or your session has ended")
    if row.kind == store.sessions.LAB and not may_have_lab(project, member, now):
        raise NotSignedIn(
            "this lab's project has ended, or you are not in it any more",
            row.label,
            "Your files stay; ask an administrator to add you to the project.",
        )
    scopes = ALL_SCOPES if row.kind == store.sessions.SESSION else row.scopes
    who = Who(member.name, member.domain, frozenset(member.roles), frozenset(scopes))
    return Caller(member, who, hashed, row.kind, row.expires_at)


def sign_out(counter: Counter, leaving: Caller) -> None:
    """End the session or token that was shown, and what ends with it."""
    with counter.services.database.session() as session:
        store.sessions.end(session, leaving.token_hash)
        store.sessions.end_children(session, leaving.token_hash)
        counter.services.office.record(leaving.member, "session.ended", leaving.member.name)


def hash_of(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _member(counter: Counter, name: str) -> MemberRow | None:
    try:
        names.require("member", name)
    except DarkroomError:
        return None
    with counter.services.database.reading() as session:
        return store.members.find(session, name)


def _row(
    counter: Counter, member: MemberRow, opened: Opened, kind: tuple[str, tuple[str, ...], str]
) -> SessionRow:
    name, scopes, label = kind
    now = int(counter.services.clock())
    return SessionRow(hash_of(opened.token), member.name, name, scopes, label, now, opened.expires_at)
