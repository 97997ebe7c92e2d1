"""A town for end-to-end tests: one owner, a researcher, real processes, real boxes, a few hundred persons."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from darkroom.job import Job
from examples.story.people import Person, arrive
from plans.manifest import Manifest
from plans.statements import Duty, RosterEntry
from sandbox import api as sandbox
from server.enrolment import (
    Titles,
    add_owner,
    current_roster,
    enrol,
    found_site,
    offer_roster,
    register,
    sign_policies,
)
from server.settings import box_limits
from server.site import Owner, Site
from server.supervisor import Supervisor
from store import api as store

HERE = Path(__file__).parent
DOMAIN, DATASET, PROJECT, PURPOSE = "nm/tax", "nm/tax/income", "study", "A study of incomes"
CANARY = 777_123_457
"""An income that one person has: no channel but the owner's own files may ever show it."""

POLICY = """
["nm/tax/income"]
minimum_group = 10
rounding = 5

["nm/tax/income".columns]
league = ["group", "filter", "join"]
income = ["count", "sum", "avg"]

["nm/tax/audited"]
minimum_group = 10
rounding = 5
each_plan = true

["nm/tax/audited".columns]
league = ["group", "filter"]

["nm/tax/register"]
row_filter = "income < 31000"

[["nm/tax/register".access]]
parties = ["any"]
roles = ["researcher"]
actions = ["query", "read-rows"]
purposes = ["any"]

["nm/tax/register".columns]
league = ["select", "filter"]

[["nm/tax/register".columns.income]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
uses = ["select"]
mask = "bucket 500"

# A few hundred persons are asked about more often than one cell for ten of them.
["nm/tax/income".checks]
unsafe_exact_cells = true
"""


@dataclass(slots=True)
class Town:
    """A running site and its people."""

    site: Site
    supervisor: Supervisor
    folder: Path
    url: str
    people: dict[str, Person] = field(default_factory=dict)
    grant: str = ""

    @property
    def owner(self) -> Owner:
        """The tax service's side."""
        return self.site.owner(DOMAIN)

    @property
    def researcher(self) -> Person:
        """Who asks."""
        return self.people["wang"]

    def ask(self, statement: str) -> Job:
        """Submit a statement as the researcher."""
        return self.researcher.connection.sql(statement, project=PROJECT, purpose=PURPOSE)

    def give_grants(self) -> None:
        """Give the grants that every test may count on: figures of incomes, rows of the register."""
        self.grant = self.give_grant()
        self.give_grant(dataset="nm/tax/register")

    def give_grant(
        self, columns: tuple[str, ...] = ("league", "income"), uses: int = 100, dataset: str = DATASET
    ) -> str:
        """Apply and grant; return the grant's digest."""
        until = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")
        wang, li = self.researcher.connection, self.people["li"].connection
        wish = wang.apply(dataset, list(columns), PURPOSE, project=PROJECT, until=until, uses=uses)
        li.trust_member(self.researcher.name, self.researcher.fingerprint)
        statement = li.grant(str(wish["id"]))
        li.hand_in(statement, str(wish["id"]))
        return statement.digest

    def ingest(self, source: Path, description: str) -> Manifest:
        """Ingest at the owner's desk."""
        from keeper.api import DeskClient

        return register(self.site, DeskClient(self.owner.desk).ingest(source, description))


def found_town(home: Path, port: int, database_url: str = "") -> Site:
    """Make the site and its owner's side, without starting anything."""
    site = found_site(home, port, database_url)
    limits = box_limits(store.load_settings(site.settings))
    add_owner(site, DOMAIN, Titles("Tax Service", "税务局"), sandbox.find("sql").digest, limits)
    return site


def settle(town: Town) -> None:
    """Let people arrive, data come in, policies be signed and one grant be given."""
    for name, role in (("wang", "researcher"), ("li", "approver"), ("zhao", "steward")):
        town.people[name] = arrive(town.site, town.url, town.folder / "people", f"{name}@{DOMAIN}", (role,))
    offer_roster(town.owner)
    entries = [
        RosterEntry(f"li@{DOMAIN}", Duty.APPROVER, town.people["li"].keys.signing.public),
        RosterEntry(f"zhao@{DOMAIN}", Duty.STEWARD, town.people["zhao"].keys.signing.public),
    ]
    enrol(town.owner, entries)
    source = write_incomes(town.folder / "incomes.csv")
    description = (HERE / "small.toml").read_text()
    town.ingest(source, description)
    for other in ("audited", "register"):
        town.ingest(source, description.replace('"nm/tax/income"', f'"nm/tax/{other}"'))
    policy = town.folder / "tax.toml"
    policy.write_text(POLICY)
    sign_policies(town.owner, policy, town.people["zhao"].keys)
    keeper = next(e.key for e in current_roster(town.owner).entries if e.duty is Duty.KEEPER)
    town.researcher.connection.trust_keeper(DOMAIN, keeper)
    town.give_grants()


def write_incomes(path: Path, persons: int = 600) -> Path:
    """Write a small table: three leagues of about two hundred persons, one of three; one canary income."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id18", "league", "income"])
        for number in range(persons):
            league = "阿拉善" if number < 3 else ("呼和浩特", "包头", "赤峰")[number % 3]
            income = CANARY if number == 0 else 30_000 + 137 * number
            writer.writerow([f"99999919900101{number:04d}", league, income])
    return path
