"""Setting up parties of joint computations: their agents, how they describe themselves, and who knows whom.

In a real installation root keys are compared out of band by the administrators of two domains, and a description is
signed where the root key lies. Here all of it happens between folders of one machine, by the same signed statements.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keeper.api import KeeperClient, KeeperConfig
from keeper.api import load as load_keeper
from keys import api as keys
from mpc.agent.config import AgentConfig
from plans.box import Entry, Limits
from plans.errors import NotFound
from plans.joint import Party
from plans.statements import Duty, Signed, Type
from sandbox import api as sandbox
from server.enrolment import keep_statement
from server.site import Owner, Site, write_private


@dataclass(frozen=True, slots=True)
class Described:
    """What a domain says of itself: who administers and hosts it, and who signs its software."""

    administration: str
    hosting: str
    software: str = "Darkroom"


def add_party(owner: Owner, said: Described, number: int = 1) -> Signed:
    """Give a side its agent, and sign its description with the root key; before its processes are started.

    Raises:
        NotFound: there is no such side.
    """
    if not owner.folder.exists():
        raise NotFound("there is no owner's side of this domain", owner.domain)
    identity = keys.make_identity(owner.agent_identity, owner.domain)
    address = f"127.0.0.1:{_free_port()}"
    keeper = load_keeper(owner.keeper_settings)
    launcher = sandbox.LauncherConfig.load(owner.launcher_settings)
    replace(launcher, agent_socket=owner.agent_links).save(owner.launcher_settings)
    AgentConfig(
        domain=owner.domain,
        identity=owner.agent_identity,
        listen=address,
        door=owner.agent_door,
        links=owner.agent_links,
        keeper_socket=owner.keeper_socket,
        launcher_socket=owner.launcher_socket,
        launcher_home=owner.launcher_home,
        launcher_uids=() if launcher.user is None else (launcher.user,),
        askers=(),
        limits=joint_limits(keeper),
    ).save(owner.agent_settings)
    body = Party(
        owner.domain,
        number,
        said.administration,
        said.hosting,
        said.software,
        identity.fingerprint,
        address,
    )
    signed = keys.sign(
        keys.Draft(Type.PARTY, owner.domain, Duty.ROOT, body, number, int(time.time())), _root(owner)
    )
    write_private(owner.party_file, signed.canonical())
    return signed


def introduce(owners: Sequence[Owner]) -> None:
    """Write into every keeper's settings the root keys of the others; before the keepers are started."""
    roots = {owner.domain: _root(owner).public for owner in owners}
    for owner in owners:
        config = load_keeper(owner.keeper_settings)
        others = {domain: root for domain, root in roots.items() if domain != owner.domain}
        replace(config, peers=others).save(owner.keeper_settings)


def exchange(site: Site, owners: Sequence[Owner]) -> None:
    """Bring every side's roster and description to all keepers, and the descriptions to the centre's letter box.

    To be done again whenever one has a newer roster; the keepers must run.
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


def agents(site: Site) -> tuple[Path, ...]:
    """Return the settings of every agent of this site."""
    return tuple(owner.agent_settings for owner in site.owners() if has_agent(owner))


def _root(owner: Owner) -> keys.SigningKey:
    return keys.SigningKey.from_bytes(bytes.fromhex(owner.root_key.read_text()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
