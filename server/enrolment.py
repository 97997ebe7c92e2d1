"""Setting up: the centre, owners' sides, members, rosters and policies.

What is out of band in a real installation (carrying a root key's roster to a keeper, reading a member's key
aloud) happens here between folders of one machine, by the same signed statements.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keeper.api import KeeperClient, KeeperConfig, Keyring
from keys import api as keys
from plans import names
from plans.box import Entry, Limits
from plans.errors import SettingsWrong, StateConflict
from plans.manifest import Manifest
from plans.statements import (
    Bundle,
    Duty,
    Roster,
    RosterEntry,
    Signed,
    Type,
)
from portal import api as portal
from sandbox import api as sandbox
from server import users
from server.bundles import require_fitting
from server.events import record
from server.images import work_images
from server.policy_files import read_policies
from server.site import LABS, Owner, Site, make_folders, write_private
from store import api as store

UIDS_PER_OWNER = 64
"""User ids of an owner's side on its node: the first is its launcher's, the last its agent's, the others its boxes'."""
WARM_KINDS = 6

USUAL_PORT, MOST_PORT = 8470, 65_535
"""The portal's; a site on another one has its labs on the port after it, so that two sites can be up side by side."""


@dataclass(frozen=True, slots=True)
class Titles:
    """A domain's names for people."""

    english: str
    chinese: str


def found_site(home: Path, port: int, database_url: str = "") -> Site:
    """Make a new site: folders, settings, the log's key, the database.

    Raises:
        StateConflict: there is one already.
    """
    site = Site(home.resolve())
    if site.settings.exists():
        raise StateConflict("there is a Darkroom here already", str(home), "Name another folder with --home.")
    site = make_folders(home)
    write_private(site.log_key, keys.SigningKey.fresh().unsafe_secret())
    users.take(site)
    lines = ['data_folder = "centre"', f"port = {port}"]
    lines += [f"database_url = {json.dumps(database_url)}"] if database_url else []
    lines += ["[labs]", f"port = {port + 1}"] if 0 < port < MOST_PORT and port != USUAL_PORT else []
    write_private(site.settings, ("\n".join(lines) + "\n").encode())
    store.migrate(open_store(site))
    for path in site.centre.glob("centre.db*"):
        path.chmod(0o600)  # SQLite gives its journal the mode of the database
    return site


def open_store(site: Site) -> store.Database:
    """Open the centre's database."""
    return store.open_database(store.load_settings(site.settings).database)


def log_key(site: Site) -> keys.SigningKey:
    """Return the key that signs heads of the log."""
    return keys.SigningKey.from_bytes(site.log_key.read_bytes())


def add_owner(site: Site, domain: str, titles: Titles, image: str, limits: Mapping[Entry, Limits]) -> Owner:
    """Make an owner's side: root key, keyring, launcher key, settings of both, and the first roster.

    The keeper and launcher are started by the supervisor; `offer_roster` then brings the roster to the
    keeper.
    """
    owner = site.owner(names.require("domain", domain))
    if domain == LABS:
        raise StateConflict(
            "this name is taken by the launcher of labs", domain, "Name the domain differently."
        )
    if owner.folder.exists():
        raise StateConflict(
            "there is an owner's side of this domain already",
            domain,
            f"Enrol its people: darkroom-server domain enrol {domain} …",
        )
    ids = _launcher_ids(site)
    owner.make_folders(ids.user if os.geteuid() == 0 else None)
    keyring = Keyring.create(owner.folder / "keyring")
    root, launcher = keys.SigningKey.fresh(), keys.SigningKey.fresh()
    write_private(owner.root_key, root.unsafe_secret().hex().encode())
    write_private(owner.node / "key", launcher.unsafe_secret().hex().encode())
    _keeper_config(owner, root.public, image, limits).save(owner.keeper_settings)
    _launcher_config(owner, ids, image, limits).save(owner.launcher_settings)
    entries = (
        RosterEntry("keeper", Duty.KEEPER, keyring.signer.public),
        RosterEntry("launcher:node1", Duty.LAUNCHER, launcher.public),
    )
    write_private(owner.folder / "roster", _signed_roster(owner, Roster(domain, 1, entries)).canonical())
    record(site, "domain.added", domain, domain, keeper=keyring.signer.public)
    with open_store(site).session() as session:
        sockets = (str(owner.keeper_socket), str(owner.launcher_socket))
        row = store.DomainRow(domain, titles.english, titles.chinese, keyring.signer.public, *sockets)
        store.domains.put(session, row)
    write_private(owner.folder / "domain", domain.encode())
    return owner


def enrol(owner: Owner, entries: Sequence[RosterEntry]) -> Signed:
    """Sign a new roster with the root key: today's entries, those given added or replaced by name and duty."""
    roster = current_roster(owner)
    replaced = {(entry.name, entry.duty) for entry in entries}
    kept = tuple(entry for entry in roster.entries if (entry.name, entry.duty) not in replaced)
    signed = _signed_roster(owner, Roster(roster.domain, roster.number + 1, kept + tuple(entries)))
    offer(owner, signed)
    write_private(owner.folder / "roster", signed.canonical())
    return signed


def offer_roster(owner: Owner) -> None:
    """Bring the roster that lies in the owner's folder to the keeper and to the centre's letter box."""
    offer(owner, Signed.decode((owner.folder / "roster").read_bytes()))


def offer(owner: Owner, signed: Signed) -> None:
    """Hand a statement to the keeper, and if it believes it, to the centre as a copy."""
    KeeperClient(owner.keeper_socket).submit(signed)
    keep_statement(owner.site, signed)


def keep_statement(site: Site, signed: Signed) -> None:
    """Put a copy of a statement into the centre's letter box, once."""
    statement = signed.statement
    row = store.StatementRow(
        digest=statement.digest,
        type=statement.type.value,
        domain=statement.domain,
        signer=statement.signer,
        subject_of=statement.subject,
        signed=signed.canonical().decode(),
        received_at=int(time.time()),
    )
    with open_store(site).session() as session:
        if store.statements.find(session, row.digest) is None:
            number = statement.sequence
            record(site, f"{row.type}.in-force", row.digest, row.domain, number=number, signer=row.signer)
            store.statements.add(session, row)


def current_roster(owner: Owner) -> Roster:
    """Return the roster that lies in the owner's folder."""
    return Roster.read(Signed.decode((owner.folder / "roster").read_bytes()).statement.body)


def draft_policies(owner: Owner, file: Path) -> tuple[Bundle, Bundle | None]:
    """Return the next bundle as a TOML file describes it, not yet signed, and the one that is in force.

    Raises:
        SettingsWrong: the file is not right, or does not fit the domain's datasets; it says on which line and what.
    """
    written = read_policies(file)
    with open_store(owner.site).reading() as session:
        offered = store.statements.of_type(session, owner.domain, Type.BUNDLE.value)
        rows = [row for row in store.manifests.all_current(session) if row.domain == owner.domain]
    in_force = KeeperClient(owner.keeper_socket).status()["bundle"]
    bundles = (Bundle.read(Signed.decode(row.signed.encode()).statement.body) for row in offered)
    old = next((bundle for bundle in bundles if bundle.number == in_force), None)
    manifests = tuple(Manifest.read(Signed.decode(row.signed.encode()).statement.body) for row in rows)
    bundle = written.bundle(owner.domain, in_force + 1)
    require_fitting(written, bundle, manifests)
    return bundle, old


def sign_policies(owner: Owner, file: Path, steward: keys.MemberKeys) -> Signed:
    """Have a steward sign the next bundle, as a TOML file describes it, and offer it.

    Raises:
        SettingsWrong: as `draft_policies`.
    """
    return sign_bundle(owner, draft_policies(owner, file)[0], steward)


def sign_bundle(owner: Owner, bundle: Bundle, steward: keys.MemberKeys) -> Signed:
    """Have a steward sign exactly this bundle, and offer it."""
    draft = keys.Draft(Type.BUNDLE, owner.domain, Duty.STEWARD, bundle, bundle.number, int(time.time()))
    signed = keys.sign(draft, steward.signing)
    offer(owner, signed)
    return signed


def register(site: Site, signed: Signed) -> Manifest:
    """Tell the centre's catalog of a manifest that a keeper signed."""
    manifest = Manifest.read(signed.statement.body)
    row = store.ManifestRow(
        digest=manifest.digest,
        dataset=manifest.dataset,
        version=manifest.version,
        relation=manifest.relation,
        domain=signed.statement.domain,
        grade=manifest.grade.value,
        title=manifest.title,
        signed=signed.canonical().decode(),
        created_at=manifest.created,
    )
    require_free_name(site, manifest.dataset)
    with open_store(site).session() as session:
        if store.manifests.find(session, row.digest) is None:
            record(
                site,
                "dataset.ingested",
                manifest.dataset,
                row.domain,
                version=row.version,
                manifest=row.digest,
            )
            store.manifests.add(session, row)
    return manifest


def require_free_name(site: Site, dataset: str) -> None:
    """Refuse a dataset whose name in SQL another dataset has already: one name must not mean two things.

    Raises:
        StateConflict: it is taken.
    """
    relation = names.relation_of(dataset)
    with open_store(site).reading() as session:
        taken = [row.dataset for row in store.manifests.all_current(session) if row.relation == relation]
    if taken and taken != [dataset]:
        raise StateConflict(
            f"{relation} is the name of {taken[0]} in SQL already", dataset, "Name it differently."
        )


def add_member(site: Site, name: str, roles: Sequence[str], password: str) -> None:
    """Make an account. The member enrols keys at the first sign-in, from their own machine.

    Raises:
        StateConflict: there is one of this name.
    """
    for role in roles:
        if role not in {known.value for known in portal.Role}:
            raise SettingsWrong(
                f"there is no role {role!r}", "roles", "One of: " + ", ".join(portal.Role) + "."
            )
    hashed = portal.Passwords(1).hash(password)
    domain = names.require("member", name).partition("@")[2]
    row = store.MemberRow(name, domain, tuple(roles), hashed, "", "", int(time.time()))
    with open_store(site).session() as session:
        store.members.add(session, row)
        record(site, "member.added", name, domain, roles=" ".join(roles))


def _signed_roster(owner: Owner, roster: Roster) -> Signed:
    root = keys.SigningKey.from_bytes(bytes.fromhex(owner.root_key.read_text()))
    draft = keys.Draft(Type.ROSTER, owner.domain, Duty.ROOT, roster, roster.number, int(time.time()))
    return keys.sign(draft, root)


def _keeper_config(owner: Owner, root: str, image: str, limits: Mapping[Entry, Limits]) -> KeeperConfig:
    return KeeperConfig(
        domain=owner.domain,
        home=owner.folder / "home",
        keyring=owner.folder / "keyring",
        data=owner.data,
        socket=owner.keeper_socket,
        desk=owner.desk,
        launcher_home=owner.launcher_home,
        launcher_socket=owner.launcher_owner_socket,
        root=root,
        log_key=log_key(owner.site).public,
        images=(image,),
        limits=limits,
        work_images=work_images(),
    )


def _launcher_ids(site: Site) -> sandbox.OwnIds:
    """Return the ids of a new owner's launcher and boxes: 64 of the site's without the last, which an agent has.

    Raises:
        StateConflict: the site has as many owners' sides as its block has ids for.
    """
    place = len(site.owners())
    if place >= users.most_owners(site):
        raise StateConflict("this site has no user ids left for another owner's side", str(site.home))
    first = users.owners_of(site) + UIDS_PER_OWNER * place
    return sandbox.OwnIds(first, first + 1, UIDS_PER_OWNER - 2)


def _launcher_config(
    owner: Owner, ids: sandbox.OwnIds, image: str, limits: Mapping[Entry, Limits]
) -> sandbox.LauncherConfig:
    return sandbox.LauncherConfig(
        domain=owner.domain,
        node="node1",
        home=owner.launcher_home,
        socket=owner.launcher_socket,
        owner_socket=owner.launcher_owner_socket,
        key_file=owner.node / "key",
        keeper_socket=owner.keeper_socket,
        data_folder=owner.data,
        images_folder=sandbox.images_folder(),
        user=ids.user if os.geteuid() == 0 else None,
        first_uid=ids.first,
        uid_count=ids.count,
        warm_kinds=WARM_KINDS,
        askers=(),
        ceilings=limits,
        images=tuple(dict.fromkeys((image, *(each for found in work_images().values() for each in found)))),
    )
