"""Links to other parties are joined to the own agent, in joint plans only, and carry every byte both ways."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from plans import frames, frames_async
from plans.box import BoxSpec, Entry, Limits, Link
from plans.decision import Tier
from plans.errors import TierMissing
from plans.plan import Plan, PlanKind
from sandbox import images
from sandbox.links import Exchange, header, require_joinable
from sandbox.shelf import StageName

LIMITS = Limits(256, 16, 0, 16, 60, 60, 16, 64, 1)
DIGEST = "sha256:" + "a" * 64
LINK = Link("peer-1", "party:nm/health")
PARTY = BoxSpec(Entry.PARTY, DIGEST, (), LIMITS, Tier.T1, links=(LINK,))
JOINT = Plan(PlanKind.JOINT, "nm/tax", None, "", None, None, "{}", (PARTY,), "0" * 32, 0)
NAME = StageName(DIGEST, Entry.PARTY, 2)


def linked(peer: str, kind: PlanKind = PlanKind.JOINT) -> tuple[Plan, BoxSpec]:
    spec = replace(PARTY, links=(Link("peer-1", peer),))
    if kind is PlanKind.JOINT:
        return replace(JOINT, stages=(spec,)), spec
    ingest = replace(spec, entry=Entry.INGEST)
    return replace(JOINT, kind=kind, stages=(ingest,)), ingest


@pytest.mark.parametrize(
    ("peer", "kind", "agent"),
    [
        ("party:nm/health", PlanKind.JOINT, False),
        ("party:nm/tax", PlanKind.JOINT, True),
        ("party:nm/health", PlanKind.INGEST, True),
        ("stage:extract", PlanKind.JOINT, True),
        ("stage:party", PlanKind.JOINT, True),
    ],
    ids=["no agent", "to itself", "no joint plan", "a stage that is not there", "its own stage"],
)
def test_links_that_lead_nowhere_are_refused(peer: str, kind: PlanKind, agent: bool) -> None:
    with pytest.raises(TierMissing):
        require_joinable(*linked(peer, kind), agent)


def test_a_link_to_another_party_of_a_joint_plan_is_joined() -> None:
    require_joinable(*linked("party:nm/health"), True)


async def carried(agent: Path, spec: BoxSpec, box: socket.socket, ours: socket.socket) -> bytes:
    """Hold the conversation of a box that sends one block, ends, and reads until the end."""
    exchange = Exchange(agent)
    loop = asyncio.get_running_loop()
    box.setblocking(False)
    async with exchange.joined(NAME, spec, {"peer-1": SimpleNamespace(ours=ours)}):  # type: ignore[dict-item]
        ours.close()
        await loop.sock_sendall(box, b"from the box")
        box.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(ConnectionResetError):  # what nobody read is lost with the one who did not
            while block := await loop.sock_recv(box, 100):
                found += block
        return found


def test_bytes_pass_both_ways_after_a_header_that_says_whose_they_are(tmp_path: Path) -> None:
    async def run() -> None:
        heard: list[object] = []

        async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await frames_async.read_async(reader))
            heard.append(await reader.read())
            writer.write(b"from the agent")
            writer.close()

        path = tmp_path / "agent"
        server = await asyncio.start_unix_server(agent, path)
        box, ours = socket.socketpair()
        async with server, asyncio.timeout(60):
            with box:
                assert await carried(path, PARTY, box, ours) == b"from the agent"
        assert heard == [header(NAME, LINK), b"from the box"]
        assert header(NAME, LINK) == {
            "plan": DIGEST, "stage": "party", "attempt": 2, "link": "peer-1", "peer": "nm/health",
        }  # fmt: skip
        assert len(frames.pack(header(NAME, LINK))) < 1_000

    asyncio.run(run())


def test_an_agent_that_is_not_there_is_a_peer_that_has_left(tmp_path: Path) -> None:
    async def run() -> None:
        box, ours = socket.socketpair()
        async with asyncio.timeout(60):
            with box:
                assert await carried(tmp_path / "nobody", PARTY, box, ours) == b""

    asyncio.run(run())


def test_a_launcher_says_which_images_are_really_on_its_node(tmp_path: Path) -> None:
    """What an owner trusts may not have been built here; an agent finds that out before anything starts."""
    (tmp_path / ("b" * 64) / "root").mkdir(parents=True)
    trusted = ("sha256:" + "c" * 64, "sha256:" + "b" * 64)
    assert images.present(trusted, tmp_path) == ["sha256:" + "b" * 64]
