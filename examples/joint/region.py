"""Agencies with registers, an office that owns nothing, and a bureau that only asks; all on one machine.

What they are called and what their registers look like a `Scenery` says, so that other stories play in the same way.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from examples.joint.data import Sizes, write
from examples.joint.stories import OPERATOR, TITLES, Register, Story, parties_of, registers_of
from examples.story.people import Person, arrive
from keeper.api import DeskClient, KeeperClient
from plans.manifest import Manifest
from plans.statements import Duty, RosterEntry
from sandbox import api as sandbox
from server.enrolment import Titles, add_owner, enrol, found_site, register, sign_policies
from server.parties import Described, add_party, exchange, introduce
from server.settings import box_limits
from server.site import Owner, Site
from store import api as store

Writer = Callable[[Path, tuple[str, ...]], Mapping[str, Path]]
"""Writes the files of registers by their names into a folder, and returns their paths."""


@dataclass(frozen=True)
class Scenery:
    """What the parties are called, and where `<register>.toml` and `policies/<register>.toml` lie."""

    titles: Mapping[str, Titles]
    folder: Path


PLAIN = Scenery(TITLES, Path(__file__).parent)
"""Of the stories here."""


def of_sizes(sizes: Sizes) -> Writer:
    """Return who writes the registers of the stories here, in these sizes."""
    return partial(write, sizes=sizes)


@dataclass
class Agencies:
    """The site, its people, and what each owner registered, by the name of the register's file."""

    site: Site
    url: str
    stories: tuple[Story, ...]
    scenery: Scenery = PLAIN
    people: dict[str, Person] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)

    @property
    def parties(self) -> tuple[str, ...]:
        """The domains of all parties, the office last."""
        return parties_of(self.stories)

    @property
    def owners(self) -> list[Owner]:
        """The sides of all parties, the office among them."""
        return [self.site.owner(domain) for domain in self.parties]

    @property
    def operator(self) -> Person:
        """Gao, who asks most questions."""
        return self.people[OPERATOR]

    @property
    def askers(self) -> tuple[str, ...]:
        """Who asks any of the questions, or may."""
        return tuple(dict.fromkeys((OPERATOR, *(story.asker for story in self.stories))))

    def asker(self, story: Story) -> Person:
        """Who asks this question."""
        return self.people[story.asker]

    def approver(self, domain: str) -> Person:
        """The approver of a party."""
        return self.people[f"approver of {domain}"]


def found(home: Path, stories: tuple[Story, ...], scenery: Scenery = PLAIN) -> Agencies:
    """Make the centre and the sides of all who take part, each with its own keys, agent and administrators."""
    port = _free_port()
    site = found_site(home, port)
    image = sandbox.find("sql").digest
    limits = box_limits(store.load_settings(site.settings))
    agencies = Agencies(site, f"http://127.0.0.1:{port}", stories, scenery)
    for domain in agencies.parties:
        titles = scenery.titles[domain]
        owner = add_owner(site, domain, titles, image, limits)
        add_party(owner, Described(f"staff of {titles.english}", f"machine room of {titles.english}"))
    introduce(agencies.owners)
    return agencies


def arrivals(agencies: Agencies, folder: Path) -> None:
    """Let everybody arrive: who asks, and an approver and a steward of every party; then let the parties meet."""
    site, people = agencies.site, agencies.people
    roles = {name: (name, "operator") for name in agencies.askers}
    for domain in agencies.parties:
        roles[f"approver of {domain}"] = (f"li@{domain}", "approver")
        roles[f"steward of {domain}"] = (f"zhao@{domain}", "steward")
    with ThreadPoolExecutor(2) as pool:  # passwords and key files take a third of a second each, of one core
        arriving = [
            pool.submit(arrive, site, agencies.url, folder, who, (role,)) for who, role in roles.values()
        ]
        people |= {called: each.result() for called, each in zip(roles, arriving, strict=True)}
    for domain in agencies.parties:
        approver, steward = people[f"approver of {domain}"], people[f"steward of {domain}"]
        enrol(
            site.owner(domain),
            [
                RosterEntry(approver.name, Duty.APPROVER, approver.keys.signing.public),
                RosterEntry(steward.name, Duty.STEWARD, steward.keys.signing.public),
            ],
        )
    exchange(site, agencies.owners)


def ingest(agencies: Agencies, folder: Path, write_files: Writer) -> None:
    """Have every owner ingest its registers at its own desk, and its steward sign what it allows."""
    registers = registers_of(agencies.stories)
    paths = write_files(folder, tuple(each.file for each in registers))
    described = agencies.scenery.folder
    for each in registers:
        owner = agencies.site.owner(each.domain)
        signed = DeskClient(owner.desk).ingest(paths[each.file], _of_owner(each, described))
        agencies.manifests[each.file] = register(owner.site, signed)
    for domain in dict.fromkeys(each.domain for each in registers):
        own = tuple(each for each in registers if each.domain == domain)
        rules = _policies(folder, own, described / "policies")
        steward = agencies.people[f"steward of {domain}"]
        sign_policies(agencies.site.owner(domain), rules, steward.keys)


def grant(agencies: Agencies) -> None:
    """Let whoever asks apply for the columns of every project, and each owner's approver sign."""
    until = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%d")
    wishes = {
        (story.project, story.purpose, story.asker, each): None
        for story in agencies.stories
        for each in story.registers
    }
    for project, purpose, name, each in wishes:
        asker = agencies.people[name]
        wish = asker.connection.apply(
            each.dataset, each.columns, purpose, project=project, until=until, role="operator"
        )
        approver = agencies.approver(each.domain).connection
        approver.trust_member(asker.name, asker.fingerprint)
        approver.hand_in(approver.grant(str(wish["id"])), str(wish["id"]))


def read_out_keys(agencies: Agencies) -> None:
    """Let each party read out its keeper's key to whoever asks."""
    for owner in agencies.owners:
        key = KeeperClient(owner.keeper_socket).status()["key"]
        for name in agencies.askers:
            agencies.people[name].connection.trust_keeper(owner.domain, key)


def _policies(folder: Path, registers: tuple[Register, ...], described: Path) -> Path:
    """Write the rules of an owner's registers into one file, since a bundle has all of them."""
    texts = [_of_owner(each, described) for each in registers]
    path = folder / f"policies-{registers[0].file}.toml"
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def _of_owner(register: Register, folder: Path) -> str:
    """Return the text about a register in a folder, with its owner's domain in it."""
    text = (folder / f"{register.name}.toml").read_text(encoding="utf-8")
    return text.replace("{domain}", register.domain)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
