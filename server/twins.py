"""Twins, between an owner's desk and the centre: ordered there, kept here as the statement that the keeper signed."""

from __future__ import annotations

import time
from pathlib import Path

from keeper.api import DeskClient
from plans import names
from plans.statements import Signed
from plans.twins import Twin, TwinReport
from server.enrolment import open_store
from server.events import record
from server.owners import desk_of
from server.site import Site
from store import api as store


def fetch(site: Site, desk: DeskClient, dataset: str, order: bool = False) -> tuple[Twin, TwinReport | None]:
    """Return the twin of a dataset's newest version, told to the centre, and what its owner alone may know of it.

    Raises:
        NotFound: there is no such dataset, or no twin of it and none is ordered.
        DarkroomError: whatever the desk refuses with.
    """
    signed, report = desk.twin(dataset, order)
    return register(site, signed), report


def ordered(home: Path, dataset: str, order: bool) -> tuple[Twin, TwinReport | None]:
    """Return the same, by folder; with `order` it is made anew where the owner's policy pays for that."""
    site, desk = desk_of(home, names.domain_of(dataset))
    return fetch(site, desk, dataset, order)


def register(site: Site, signed: Signed) -> Twin:
    """Tell the centre's catalog of a twin that a keeper signed."""
    statement = signed.statement
    twin = Twin.read(statement.body)
    row = store.StatementRow(
        digest=statement.digest,
        type=statement.type.value,
        domain=statement.domain,
        signer=statement.signer,
        subject_of=twin.manifest,
        signed=signed.canonical().decode(),
        received_at=int(time.time()),
    )
    with open_store(site).session() as session:
        if store.statements.find(session, row.digest) is None:
            record(
                site,
                "twin.released",
                twin.recipe.dataset,
                row.domain,
                version=twin.version,
                recipe=twin.recipe.digest,
            )
            store.statements.add(session, row)
    return twin
