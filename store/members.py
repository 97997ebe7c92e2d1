"""Members: who may sign in, and the public halves of their keys as the centre knows them."""

from __future__ import annotations

from dataclasses import dataclass

from plans.errors import NotFound
from store import tables
from store.database import Session
from store.lines import Lines


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member. The keys are `ed25519:…` and `x25519:…`, empty until the member enrols some."""

    name: str
    domain: str
    roles: tuple[str, ...]
    password_hash: str
    signing_key: str
    opening_key: str
    created_at: int


_lines = Lines(tables.members, MemberRow, "name", "member")
add, get, find = _lines.add, _lines.get, _lines.find


def all(session: Session) -> tuple[MemberRow, ...]:
    """Return every member, by name."""
    return _lines.rows(session, _lines.query().order_by(tables.members.c.name))


def set_keys(session: Session, name: str, signing_key: str, opening_key: str) -> None:
    """Replace a member's public keys.

    Raises:
        NotFound: there is no such member.
    """
    _set(session, name, {"signing_key": signing_key, "opening_key": opening_key})


def set_password(session: Session, name: str, password_hash: str) -> None:
    """Replace a member's password hash.

    Raises:
        NotFound: there is no such member.
    """
    _set(session, name, {"password_hash": password_hash})


def _set(session: Session, name: str, changes: dict[str, str]) -> None:
    if not _lines.change(session, dict(changes), tables.members.c.name == name):
        raise NotFound("there is no such member", "member")
