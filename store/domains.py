"""Domains as the centre knows them: where their owner's side answers. It is no evidence; a roster is."""

from __future__ import annotations

from dataclasses import dataclass

from store import tables
from store.database import Session
from store.lines import Lines, values


@dataclass(frozen=True, slots=True)
class DomainRow:
    """A domain: titles, the keeper's public key, the sockets of its owner's side (empty: it owns no data)."""

    name: str
    title: str
    title_zh: str
    keeper_key: str
    keeper_socket: str
    launcher_socket: str


_lines = Lines(tables.domains, DomainRow, "name", "domain")
get, find = _lines.get, _lines.find


def put(session: Session, row: DomainRow) -> None:
    """Add a domain, or replace what is known of it."""
    if not _lines.change(session, values(row), tables.domains.c.name == row.name):
        _lines.add(session, row)


def all(session: Session) -> tuple[DomainRow, ...]:
    """Return every domain, by name."""
    return _lines.rows(session, _lines.query().order_by(tables.domains.c.name))
