"""What an owner's administrator sees of taking part in joint computations, on the owner's own machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keeper.api import KeeperClient
from keeper.api import load as load_keeper
from keys import api as keys
from mpc.api import AgentClient
from plans.errors import DarkroomError, NotFound
from plans.joint import Party
from plans.statements import Roster, Signed, Type
from server.parties import description, has_agent, spoken
from server.site import Owner

TOLD_LINES = 20
"""How many of the agent's last words are shown."""

_TAIL = 2**16


def show(owner: Owner) -> dict[str, Any]:
    """Return how a side describes itself, whom its keeper knows, how its agent is, and why attempts failed here.

    The last is for the owner alone: it may depend on the data.
    """
    config = load_keeper(owner.keeper_settings)
    said = description(owner)
    return {
        "domain": owner.domain,
        "root": config.root,
        "spoken": spoken(config.root),
        "description": said.plain() if said else None,
        "files": [str(path) for path in (owner.folder / "roster", owner.party_file) if path.exists()],
        "agent": agent_of(owner),
        "peers": peers_of(owner),
        "told": told(owner),
    }


def agent_of(owner: Owner) -> dict[str, Any]:
    """Return what a side's agent says of itself, or why it does not."""
    if not has_agent(owner):
        return {"answers": False, "why": "none; make one with darkroom-server party add"}
    try:
        return {"answers": True, **AgentClient(owner.agent_door).status()}
    except DarkroomError as problem:
        return {"answers": False, "why": problem.what}


def peers_of(owner: Owner) -> dict[str, Any]:
    """Return the domains whose root keys a keeper was told, and the numbers of what it holds of each.

    Numbers are none where the keeper does not answer, or was started before it was told.
    """
    try:
        held = KeeperClient(owner.keeper_socket).status()["peers"]
    except DarkroomError:
        held = {}
    nothing = {"roster": None, "party": None}
    return {
        domain: {"root": root, "spoken": spoken(root), **held.get(domain, nothing)}
        for domain, root in sorted(load_keeper(owner.keeper_settings).peers.items())
    }


def told(owner: Owner) -> list[str]:
    """Return the last lines that the agent wrote to its owner."""
    if not owner.agent_log.exists():
        return []
    with owner.agent_log.open("rb") as file:
        file.seek(max(0, owner.agent_log.stat().st_size - _TAIL))
        lines = file.read().decode(errors="replace").splitlines()
    return lines[-TOLD_LINES:]


def read(path: Path) -> Signed:
    """Return a peer's roster or description from a file, its signature verified; whether to believe it says a keeper.

    Raises:
        NotFound: there is no such file.
        Malformed, SignatureWrong: it holds nothing of the kind.
    """
    try:
        signed = Signed.decode(path.read_bytes())
    except OSError:
        raise NotFound("there is no such file", str(path), "Check the path.") from None
    keys.verify(signed)
    return signed


def line_of(signed: Signed) -> str:
    """Return in a line what a peer's statement says."""
    statement = signed.statement
    if statement.type is Type.PARTY:
        return "; ".join(party_lines(Party.read(statement.body)))
    names = ", ".join(f"{entry.name} ({entry.duty})" for entry in Roster.read(statement.body).entries)
    return f"roster {statement.sequence} of {statement.domain}: {names}"


def party_lines(party: Party) -> Iterator[str]:
    """Yield a description as people read it."""
    yield f"description {party.number} of {party.domain}"
    yield f"administered by {party.administration}"
    yield f"hosted by {party.hosting}"
    yield f"software of {party.software}"
    yield f"agent {party.agent} at {party.address}"


def lines_of(shown: dict[str, Any]) -> Iterator[str]:
    """Yield `show` as text."""
    yield f"root key of {shown['domain']}: {shown['root']}"
    yield f"  to read out: {shown['spoken']}"
    if shown["description"]:
        for line in party_lines(Party.read(shown["description"])):
            yield f"  {line}"
        yield f"  files for the others: {', '.join(shown['files'])}"
    agent = shown["agent"]
    yield "agent: answers" if agent["answers"] else f"agent: does not answer ({agent['why']})"
    for each in agent.get("attempts", ()):
        failed = f", {each['failure']['code']} at {each['failure']['where']}" if each["failure"] else ""
        yield f"  attempt {each['attempt']} of {each['joint'][:19]}…: {each['state']}{failed}"
    for domain, peer in shown["peers"].items():
        numbers = f"roster {peer['roster']}, description {peer['party']}"
        if peer["roster"] is None:
            numbers = "the keeper that runs does not know it: start it anew"
        yield f"peer {domain}: {numbers}"
        yield f"  root key {peer['spoken']}"
    if shown["told"]:
        yield "what the agent said, for the owner alone:"
        yield from (f"  {line}" for line in shown["told"])
