"""Signed statements as they arrived. The table is a letter box: whoever acts on one verifies it himself."""

from __future__ import annotations

from dataclasses import dataclass

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
