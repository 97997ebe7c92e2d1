"""Setting up parties of joint computations: their agents, how they describe themselves, and who knows whom.

Root keys of other domains are brought by people, who compare them out of band (`trust`); everything else is signed, so
that it does not matter who carries it (`server.carrying`). A description is signed where the root key lies.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keeper.api import KeeperClient, KeeperConfig
from keeper.api import load as load_keeper
from keys import api as keys
from mpc.agent.config import AgentConfig
from plans import names
from plans.box import Entry, Limits
from plans.errors import NotFound, SettingsWrong, Unreachable
from plans.joint import Party
from plans.statements import Duty, Signed, Type
from sandbox import api as sandbox
from server.enrolment import UIDS_PER_OWNER, keep_statement
from server.site import Owner, Site, write_private

_NOT_YET = "sha256:" + "0" * 64
"""In place of the fingerprint of a key that is still to be made."""

_ANYWHERE = ("0.0.0.0", "::", "[::]")


@dataclass(frozen=True, slots=True)
class Described:
    """What a domain says of itself: who administers and hosts it, and who signs its software."""

    administration: str
    hosting: str
    software: str = "Darkroom"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent listens, and how others reach it, as `host:port`; empty to keep it, or for a port on loopback."""

    listen: str = ""
    address: str = ""


def add_party(owner: Owner, said: Described, place: Place | None = None) -> Signed:
    """Give a side its agent, or change what is said of it, and sign its description with the root key.

    Processes of this side that run take it in when they are started again.

    Raises:
        NotFound: there is no such side, or its root key is not here.
        SettingsWrong, Malformed: an address or a line of the description is not right.
    """
    body, listen = described(owner, said, place or Place())
    root = _root(owner)
    fresh = not owner.agent_identity.exists()
    identity = (keys.make_identity if fresh else _kept_identity)(owner.agent_identity, owner.domain)
    launcher = _launcher_with_agent(owner)
    agent = launcher.side_group
    if agent is not None:
        os.chown(owner.agent_identity, agent, agent)
    owner.make_run_folders()
    launcher.save(owner.launcher_settings)
    AgentConfig(
        domain=owner.domain,
        identity=owner.agent_identity,
        listen=listen,
        door=owner.agent_door,
        links=owner.agent_links,
        keeper_socket=owner.keeper_socket,
        launcher_socket=owner.launcher_socket,
        user=agent,
        launcher_uids=() if launcher.user is None else (launcher.user,),
        askers=(),
        limits=joint_limits(load_keeper(owner.keeper_settings)),
    ).save(owner.agent_settings)
    body = replace(body, agent=identity.fingerprint)
    draft = keys.Draft(Type.PARTY, owner.domain, Duty.ROOT, body, body.number, int(time.time()))
    signed = keys.sign(draft, root)
    write_private(owner.party_file, signed.canonical())
    return signed


def described(owner: Owner, said: Described, place: Place) -> tuple[Party, str]:
    """Return how a side will describe itself next, and where its agent will listen; nothing is written.

    Raises:
        NotFound: there is no such side.
        SettingsWrong, Malformed: an address or a line of the description is not right.
    """
    if not owner.folder.exists():
        raise NotFound("there is no owner's side of this domain", owner.domain)
    old = description(owner)
    listened = AgentConfig.load(owner.agent_settings).listen if has_agent(owner) else ""
    listen = place.listen or listened or f"127.0.0.1:{_free_port()}"
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise SettingsWrong("an agent listens at host:port", "--listen", "Such as 0.0.0.0:8471.")
    address = place.address or (old.address if old and not place.listen else listen)
    if address.rpartition(":")[0] in _ANYWHERE:
        raise SettingsWrong(
            "others cannot reach an agent by this address",
            "--address",
            "Say by which name and port they reach it.",
        )
    number = old.number + 1 if old else 1
    agent = (
        keys.load_identity(owner.agent_identity).fingerprint if owner.agent_identity.exists() else _NOT_YET
    )
    facts = (said.administration, said.hosting, said.software)
    return Party(owner.domain, number, *facts, agent, address), listen


def description(owner: Owner) -> Party | None:
    """Return how a side describes itself at present; none if it takes part in no joint computations."""
    if not owner.party_file.exists():
        return None
    return Party.read(Signed.decode(owner.party_file.read_bytes()).statement.body)


def publish(owner: Owner, signed: Signed) -> bool:
    """Bring a side's own description to its own keeper and to the centre's letter box; return whether that keeper runs.

    From the letter box it is carried to the peers, and to the own keeper if that does not run now.

    Raises:
        EvidenceBroken, Outdated: the own keeper does not believe it; nobody else hears of it.
    """
    runs = True
    try:
        KeeperClient(owner.keeper_socket).meet(signed)
    except Unreachable:
        runs = False
    keep_statement(owner.site, signed)
    return runs


def trusted(owner: Owner, peer: str) -> str:
    """Return the root key of another domain that a keeper's settings have, or nothing."""
    return load_keeper(owner.keeper_settings).peers.get(names.require("domain", peer, "peer"), "")


def trust(owner: Owner, peer: str, root: str) -> None:
    """Write another domain's root key into a keeper's settings; it counts once the keeper is started again.

    Raises:
        Malformed: the domain's name or the key is not well-formed.
        SettingsWrong: it is the own domain.
    """
    config = load_keeper(owner.keeper_settings)
    names.require("domain", peer, "peer")
    replace(config, peers={**config.peers, peer: names.require("signing key", root, "root key")}).save(
        owner.keeper_settings
    )


def distrust(owner: Owner, peer: str) -> None:
    """Take another domain's root key out of a keeper's settings; raises `NotFound` if it is not there."""
    config = load_keeper(owner.keeper_settings)
    if peer not in config.peers:
        raise NotFound(f"the keeper of {owner.domain} was told no root key of this domain", peer)
    others = {domain: root for domain, root in config.peers.items() if domain != peer}
    replace(config, peers=others).save(owner.keeper_settings)


def spoken(root: str) -> str:
    """Return what two administrators compare by telephone: SHA-256 of a root key, its first 160 bits in fours."""
    digest = hashlib.sha256(bytes.fromhex(root.removeprefix("ed25519:"))).hexdigest()[:40]
    return " ".join(digest[at : at + 4] for at in range(0, len(digest), 4))


def offer_to(owner: Owner, signed: Signed) -> None:
    """Offer a peer's roster or description to a keeper, and if it believes it, to the centre as a copy.

    Raises:
        EvidenceBroken, Outdated: the keeper does not.
    """
    KeeperClient(owner.keeper_socket).meet(signed)
    keep_statement(owner.site, signed)


def introduce(owners: Sequence[Owner]) -> None:
    """Write into every keeper's settings the root keys of the others, as between folders of one machine."""
    for owner in owners:
        for other in owners:
            if other.domain != owner.domain:
                trust(owner, other.domain, load_keeper(other.keeper_settings).root)


def exchange(site: Site, owners: Sequence[Owner]) -> None:
    """Bring every side's roster and description to all keepers, and the descriptions to the centre's letter box.

    Whoever witnesses heads does the same from then on (`server.carrying`); the keepers must run.
    """
    parties = {owner.domain: Signed.decode(owner.party_file.read_bytes()) for owner in owners}
    rosters = {owner.domain: Signed.decode((owner.folder / "roster").read_bytes()) for owner in owners}
    for owner in owners:
        keeper = KeeperClient(owner.keeper_socket)
        for domain in parties:
            if domain != owner.domain:
                keeper.meet(rosters[domain])
            keeper.meet(parties[domain])
    for signed in parties.values():
        keep_statement(site, signed)


def joint_limits(keeper: KeeperConfig) -> dict[Entry, Limits]:
    """Return the limits of an owner's boxes in joint computations, as its keeper derives plans with them."""
    return {entry: keeper.limits[entry] for entry in (Entry.EXTRACT, Entry.PARTY)}


def has_agent(owner: Owner) -> bool:
    """Whether a side takes part in joint computations."""
    return owner.agent_settings.exists()


def _launcher_with_agent(owner: Owner) -> sandbox.LauncherConfig:
    """Return the settings of a side's launcher with the agent's socket, and its user where root starts both.

    The last user id of the side is the agent's, so that no box has it.
    """
    config = replace(sandbox.LauncherConfig.load(owner.launcher_settings), agent_socket=owner.agent_links)
    if config.user is None:
        return config
    agent = config.user + UIDS_PER_OWNER - 1
    boxes = min(config.uid_count, agent - config.first_uid)
    return replace(config, side_group=agent, uid_count=boxes)


def _kept_identity(file: Path, _: str) -> keys.Identity:
    return keys.load_identity(file)


def _root(owner: Owner) -> keys.SigningKey:
    try:
        return keys.SigningKey.from_bytes(bytes.fromhex(owner.root_key.read_text()))
    except OSError:
        raise NotFound(
            "the root key is not here, and a description is signed with it",
            str(owner.root_key),
            "Bring its medium back for as long as this takes.",
        ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
