"""What the doctor says of joint computations: the agent of a side, and what its keeper holds of peers."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

from mpc.agent.config import AgentConfig
from plans.errors import DarkroomError
from plans.statements import Signed, Type
from server.parties import has_agent
from server.party_view import agent_of, peers_of
from server.site import Owner
from store import api as store

PATIENCE_S = 5.0

_PEER = struct.Struct("3i")

Found = tuple[str, bool, str]
"""What was looked at, whether it is good, and how that was found out or what to do."""


def examine(owner: Owner, database: store.Database | None) -> Iterator[Found]:
    """Yield what there is to say of a side; nothing of one that has no agent. Without a database the letter box is not
    compared.
    """
    if not has_agent(owner):
        return
    yield _agent(owner)
    peers = peers_of(owner)
    if not peers:
        yield (
            f"peers of {owner.domain}",
            False,
            f"none; darkroom-server party trust {owner.domain} PEER ROOTKEY",
        )
    for domain, peer in peers.items():
        yield (
            f"{domain} at {owner.domain}",
            *_peer(peer, newest(database, domain, peer["root"]) if database else {}),
        )


def newest(database: store.Database, domain: str, root: str) -> dict[str, int]:
    """Return the highest numbers of a domain's roster and description in the letter box that its root key signed."""
    found = {}
    for kind in (Type.ROSTER, Type.PARTY):
        with database.reading() as session:
            rows = store.statements.of_type(session, domain, kind.value)
        numbers = (
            Signed.decode(row.signed.encode()).statement.sequence for row in rows if row.signer == root
        )
        found[kind.value] = max(numbers, default=0)
    return found


def _agent(owner: Owner) -> Found:
    what = f"agent of {owner.domain}"
    try:
        config = AgentConfig.load(owner.agent_settings)
        host, port = config.place
    except DarkroomError as problem:
        return what, False, problem.what
    status = agent_of(owner)
    if not status["answers"]:
        return what, False, f"{status['why']}; see {owner.agent_log}"
    if not _listens(host, port):
        return what, False, f"answers at its door, but not at {config.listen}"
    user = _user(owner)
    if user == 0:
        return what, False, "runs as root; give it a user of its own: darkroom-server party add"
    whose = "a user of its own" if user != os.geteuid() else "the user that started it"
    return what, True, f"listens at {config.listen}; runs as {whose}"


def _peer(held: dict[str, object], offered: dict[str, int]) -> tuple[bool, str]:
    for kind, name in (("roster", "roster"), ("party", "description")):
        number = held[kind]
        if not isinstance(number, int):
            return False, "the keeper does not answer, or was started before it was told; start it anew"
        if not number:
            return False, f"the keeper holds no {name}; ask that domain, then: darkroom-server party offer"
        if number < offered.get(kind, 0):
            return False, f"the keeper holds {name} {number}, and {offered[kind]} is in the letter box"
    return True, f"roster {held['roster']}, description {held['party']}"


def _listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there; from this machine, so firewalls are not seen."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        socket.create_connection((here, port), PATIENCE_S).close()
    except OSError:
        return False
    return True


def _user(owner: Owner) -> int:
    """Return the user id of the process that listens at the agent's door (SO_PEERCRED, unix(7))."""
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(str(owner.agent_door))
        user: int = _PEER.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[1]
        return user
