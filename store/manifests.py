"""Manifests: the keepers' signed descriptions of dataset versions, kept as the text that was signed."""

from __future__ import annotations

from dataclasses import dataclass

from plans.errors import NotFound
from store import tables
from store.database import Session
from store.lines import Lines


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A dataset version. `signed` is the signed statement's canonical text; `erased_at` 0: it lives."""

    digest: str
    dataset: str
    version: int
    relation: str
    domain: str
    grade: str
    title: str
    signed: str
    created_at: int
    erased_at: int = 0


_table = tables.manifests
_lines = Lines(_table, ManifestRow, "digest", "dataset version")
add, get, find = _lines.add, _lines.get, _lines.find


def current(session: Session, dataset: str) -> ManifestRow | None:
    """Return the newest version of a dataset, or none if there is none or it is erased."""
    query = _lines.query(_table.c.dataset == dataset)
    newest = _lines.first(session, query.order_by(_table.c.version.desc()))
    return newest if newest and newest.erased_at == 0 else None


def all_current(session: Session) -> tuple[ManifestRow, ...]:
    """Return the newest version of every dataset, by dataset; a dataset whose newest version is erased has none, as for
    its keeper: an older version does not come back by itself.
    """
    query = _lines.query().order_by(_table.c.dataset, _table.c.version)
    newest = {row.dataset: row for row in _lines.rows(session, query)}
    return tuple(row for row in newest.values() if row.erased_at == 0)


def mark_erased(session: Session, digest: str, erased_at: int) -> None:
    """Note that the keys of a version were destroyed. The first note stays.

    Raises:
        NotFound: there is no such version, or it is marked already.
    """
    if not _lines.change(
        session, {"erased_at": erased_at}, _table.c.digest == digest, _table.c.erased_at == 0
    ):
        raise NotFound("there is no such dataset version, or it was erased before", "dataset version")
