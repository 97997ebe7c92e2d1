"""The region of the story: three owners with one dataset each, and the policies that their stewards sign."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from examples.story.people import Person, arrive
from keys import api as keys
from plans.manifest import Manifest
from plans.statements import Duty, RosterEntry
from sandbox import api as sandbox
from server.enrolment import Titles, add_owner, enrol, found_site, register, sign_policies
from server.settings import box_limits
from server.site import Owner, Site
from server.twins import fetch
from store import api as store

HERE = Path(__file__).parent
OWNERS = {
    "nm/civil": Titles("Civil Affairs", "民政厅"),
    "nm/tax": Titles("Tax Service", "税务局"),
    "nm/health": Titles("Health Commission", "卫生健康委"),
}
STATISTICIAN = "wang@nm/stat"
REVIEWERS = ("sun", "zhou")
"""Of the Tax Service: they look at what a machine cannot judge."""


@dataclass(frozen=True, slots=True)
class Region:
    """A founded region, before or after its processes run."""

    site: Site
    url: str


def found(home: Path) -> Region:
    """Make the centre and three owners' sides on this machine, each with its own keys and folders."""
    port = _free_port()
    site = found_site(home, port)
    image = sandbox.find("sql").digest
    limits = box_limits(store.load_settings(site.settings))
    for domain, titles in OWNERS.items():
        add_owner(site, domain, titles, image, limits)
    return Region(site, f"http://127.0.0.1:{port}")


def arrivals(region: Region, folder: Path) -> dict[str, Person]:
    """Let everybody arrive: a researcher at the statistics office, an approver and a steward for every owner, and two
    reviewers of the Tax Service.
    """
    people = {"researcher": arrive(region.site, region.url, folder, STATISTICIAN, ("researcher",))}
    for domain in OWNERS:
        leaf = domain.rpartition("/")[2]
        approver = arrive(region.site, region.url, folder, f"li@{domain}", ("approver",))
        steward = arrive(region.site, region.url, folder, f"zhao@{domain}", ("steward",))
        people |= {f"{leaf} approver": approver, f"{leaf} steward": steward}
        entries = [
            RosterEntry(approver.name, Duty.APPROVER, approver.keys.signing.public),
            RosterEntry(steward.name, Duty.STEWARD, steward.keys.signing.public),
        ]
        for name in REVIEWERS if domain == "nm/tax" else ():
            reviewer = arrive(region.site, region.url, folder, f"{name}@{domain}", ("reviewer",))
            people[f"{leaf} {name}"] = reviewer
            entries.append(RosterEntry(reviewer.name, Duty.REVIEWER, reviewer.keys.signing.public))
        enrol(region.site.owner(domain), entries)
    return people


def ingest(owner: Owner, source: Path, description: Path) -> Manifest:
    """Ingest one file at the owner's desk and tell the catalog."""
    from keeper.api import DeskClient

    desk = DeskClient(owner.desk)
    manifest = register(owner.site, desk.ingest(source, description.read_text(encoding="utf-8")))
    fetch(owner.site, desk, manifest.dataset)
    return manifest


def set_policies(owner: Owner, steward: keys.MemberKeys) -> int:
    """Have the owner's steward sign the policies of the story; return the bundle's number."""
    leaf = owner.domain.rpartition("/")[2]
    return sign_policies(owner, HERE / "policies" / f"{leaf}.toml", steward).statement.sequence


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
