"""What operators do on an owner's side, by folder and domain."""

from __future__ import annotations

import time
from pathlib import Path

from keeper.api import DeskClient
from plans import names
from plans.errors import NotFound, SettingsWrong
from plans.statements import Duty, Erasure, RosterEntry, Signed
from sandbox import api as sandbox
from server.enrolment import Titles, add_owner, enrol, offer_roster, open_store
from server.events import record
from server.settings import box_limits
from server.site import Owner, Site, open_site
from server.supervisor import wait_for
from store import api as store


def add(home: Path, domain: str, title: str, title_zh: str) -> Owner:
    """Make an owner's side; if the platform runs, wait until its keeper has the first roster."""
    site = open_site(home)
    settings = store.load_settings(site.settings)
    image = sandbox.find("sql").digest
    return add_owner(site, domain, Titles(title, title_zh), image, box_limits(settings))


def enrol_person(home: Path, domain: str, person: tuple[str, str, str]) -> int:
    """Put a person (name, duty, signing key) on the roster and return the roster's number."""
    member, duty, key = person
    if duty not in (Duty.APPROVER, Duty.STEWARD, Duty.REVIEWER):
        raise SettingsWrong(
            f"nobody is enrolled as {duty!r}", "duty", "Use --duty approver, steward or reviewer."
        )
    owner = side_of(home, domain)
    wait_for(owner.keeper_socket, 10)
    offer_roster(owner)
    signed = enrol(owner, [RosterEntry(names.require("member", member), Duty(duty), key)])
    return signed.statement.sequence


def desk_of(home: Path, domain: str) -> tuple[Site, DeskClient]:
    """Return the site and the desk of a domain."""
    owner = side_of(home, domain)
    return owner.site, DeskClient(owner.desk)


def erase(home: Path, dataset: str, version: int) -> Signed:
    """Erase a version at its owner's desk and tell the catalog."""
    site, desk = desk_of(home, names.domain_of(dataset))
    signed = desk.erase(dataset, version)
    body = Erasure.read(signed.statement.body)
    record(
        site,
        "dataset.erased",
        dataset,
        signed.statement.domain,
        version=version,
        certificate=signed.statement.digest,
    )
    with open_store(site).session() as session:
        store.manifests.mark_erased(session, body.manifest, int(time.time()))
    return signed


def require_file(path: Path) -> None:
    """Raise `NotFound` if there is no file of this name."""
    if not path.is_file():
        raise NotFound("there is no such file", str(path), "Check the path.")


def side_of(home: Path, domain: str) -> Owner:
    """Return an owner's side of this site; raises `NotFound`."""
    owner = open_site(home).owner(names.require("domain", domain))
    if not owner.folder.exists():
        raise NotFound(
            "there is no owner's side of this domain here", domain, "Make one: darkroom-server domain add …"
        )
    return owner
