"""Signed statements as they arrived. The table is a letter box: whoever acts on one verifies it himself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select

from store import tables
from store.database import Session
from store.lines import Lines


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A statement by its own digest (`Statement.digest`), with its canonical text.

    `subject_of` is what it speaks about: a plan's digest (approval), the revoked digest (revocation), a
    member (grant).
    """

    digest: str
    type: str
    domain: str
    signer: str
    subject_of: str
    signed: str
    received_at: int


_table = tables.statements
_lines = Lines(_table, StatementRow, "digest", "statement")
add, get, find = _lines.add, _lines.get, _lines.find


def of_type(session: Session, domain: str, type: str) -> tuple[StatementRow, ...]:
    """Return a domain's statements of one type, oldest first."""
    query = _lines.query(_table.c.domain == domain, _table.c.type == type)
    return _lines.rows(session, query.order_by(_table.c.received_at, _table.c.digest))


def about(session: Session, subject_of: str, type: str) -> tuple[StatementRow, ...]:
    """Return the statements of one type about a plan, a revoked digest or a member, oldest first."""
    query = _lines.query(_table.c.subject_of == subject_of, _table.c.type == type)
    return _lines.rows(session, query.order_by(_table.c.received_at, _table.c.digest))


def digests(session: Session, domain: str, type: str, subject_of: str | None = None) -> tuple[str, ...]:
    """Return the names of a domain's statements of one type, of those about one thing if that is given, in order.

    A statement's name says what it says, so whoever has read it once need not fetch it again.
    """
    conditions = [_table.c.domain == domain, _table.c.type == type]
    if subject_of is not None:
        conditions.append(_table.c.subject_of == subject_of)
    query = select(_table.c.digest).where(*conditions).order_by(_table.c.digest)
    return tuple(session.execute(query).scalars())


def revoked(session: Session, domain: str, digests: Iterable[str]) -> frozenset[str]:
    """Return which of these statements a domain has revoked."""
    found: set[str] = set()
    wanted = sorted(set(digests))
    for start in range(0, len(wanted), _AT_ONCE):
        some: ColumnElement[bool] = _table.c.subject_of.in_(wanted[start : start + _AT_ONCE])
        revocation = (_table.c.domain == domain, _table.c.type == "revocation")
        found |= set(session.execute(select(_table.c.subject_of).where(*revocation, some)).scalars())
    return frozenset(found)


_AT_ONCE = 500
"""How many names one query lists; databases bound the number of parameters."""
