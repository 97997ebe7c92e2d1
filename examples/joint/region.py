"""Three agencies with a register each, an office that owns nothing, and a bureau that only asks; all on one machine."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path

from examples.joint.data import write
from examples.story.people import Person, arrive
from plans.manifest import Manifest
from plans.statements import Duty, RosterEntry
from sandbox import api as sandbox
from server.enrolment import (
    Titles,
    add_owner,
    enrol,
    found_site,
    register,
    sign_policies,
)
from server.parties import Described, add_party, exchange, introduce
from server.settings import box_limits
from server.site import Owner, Site
from store import api as store

HERE = Path(__file__).parent
OWNERS = {
    "nm/civil": Titles("Civil Affairs", "民政厅"),
    "nm/health": Titles("Health Commission", "卫生健康委"),
    "nm/tax": Titles("Tax Service", "税务局"),
}
HELPER, HELPER_TITLES = "nm/office", Titles("Office of Data", "大数据管理局")
REGISTERS = {"nm/civil": "residents", "nm/health": "patients", "nm/tax": "yearly"}
OPERATOR = "gao@nm/bureau"
"""Of a bureau that holds no data: it asks, and is the recipient."""


@dataclass
class Agencies:
    """The site, its people, and what each owner registered."""

    site: Site
    url: str
    people: dict[str, Person] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)

    @property
    def owners(self) -> list[Owner]:
        """The sides of all parties, the office among them."""
        return [self.site.owner(domain) for domain in (*OWNERS, HELPER)]

    @property
    def operator(self) -> Person:
        """Gao, who asks."""
        return self.people["operator"]


def found(home: Path) -> Agencies:
    """Make the centre and four parties' sides, each with its own keys, agent and administrators."""
    port = _free_port()
    site = found_site(home, port)
    image = sandbox.find("sql").digest
    limits = box_limits(store.load_settings(site.settings))
    for domain, titles in (*OWNERS.items(), (HELPER, HELPER_TITLES)):
        owner = add_owner(site, domain, titles, image, limits)
        add_party(owner, Described(f"staff of {titles.english}", f"machine room of {titles.english}"))
    agencies = Agencies(site, f"http://127.0.0.1:{port}")
    introduce(agencies.owners)
    return agencies


def arrivals(agencies: Agencies, folder: Path) -> None:
    """Let everybody arrive: the operator, and an approver and a steward of every party; then let the parties meet."""
    site, url, people = agencies.site, agencies.url, agencies.people
    people["operator"] = arrive(site, url, folder, OPERATOR, ("operator",))
    for domain in (*OWNERS, HELPER):
        approver = arrive(site, url, folder, f"li@{domain}", ("approver",))
        steward = arrive(site, url, folder, f"zhao@{domain}", ("steward",))
        people |= {f"approver of {domain}": approver, f"steward of {domain}": steward}
        enrol(
            site.owner(domain),
            [
                RosterEntry(approver.name, Duty.APPROVER, approver.keys.signing.public),
                RosterEntry(steward.name, Duty.STEWARD, steward.keys.signing.public),
            ],
        )
    exchange(site, agencies.owners)


def ingest(agencies: Agencies, folder: Path, persons: int) -> None:
    """Have every agency ingest its register at its own desk, and its steward sign what it allows."""
    from keeper.api import DeskClient

    paths = write(folder, persons)
    for domain, name in REGISTERS.items():
        owner = agencies.site.owner(domain)
        description = (HERE / f"{name}.toml").read_text(encoding="utf-8")
        signed = DeskClient(owner.desk).ingest(paths[name], description)
        agencies.manifests[domain] = register(owner.site, signed)
        steward = agencies.people[f"steward of {domain}"]
        leaf = domain.rpartition("/")[2]
        sign_policies(owner, HERE / "policies" / f"{leaf}.toml", steward.keys)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
