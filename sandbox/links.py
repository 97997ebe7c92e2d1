"""Joining the links of boxes: bytes from the one end to the other, and nothing else.

A link is named in the plan by both its ends: stage `query` says `rows → stage:python`, stage `python` says
`rows → stage:query`. The launcher joins two ends only if plan, attempt and name are the same and each names the
other; it copies bytes both ways and reads none of them. When the one ends, the other sees the end of the stream, also
if it comes only afterwards; an end whose peer never comes waits until its box reaches a limit.

A link to another party (`party:nm/tax`) is joined to this side's own agent (`mpc.agent`), who carries it there: the
launcher connects to the agent's socket, says in one frame (`header`) whose link it is, and copies both ways as ever.
There are such links in joint plans only, and only where the launcher's settings name an agent.

A link to a service (`service:hub`, of labs) is served while its box lives (`sandbox.services`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plans import frames
from plans.box import BoxSpec, Entry, Link
from plans.errors import TierMissing
from plans.plan import Plan, PlanKind
from sandbox import services
from sandbox.contract import Ends
from sandbox.joining import join
from sandbox.shelf import StageName

MOST_GONE = 1024
"""How many ends that left before their peers came are remembered."""

AGENT_S = 10.0
"""Seconds that the own agent may take to accept a link."""


@dataclass(frozen=True, slots=True)
class _Name:
    """Both ends of a link have the same name here."""

    plan: str
    attempt: int
    link: str
    between: frozenset[Entry]


def require_joinable(plan: Plan, spec: BoxSpec, agent: bool, known: Collection[str] = ()) -> None:
    """Check that every link of a stage leads to a stage of its plan that has the same link back, or to a party of a
    joint plan, where this launcher has an agent to carry it, or to a service that is `known` here.

    Raises:
        TierMissing: one leads to whom this launcher cannot reach, or to nobody.
    """
    for link in spec.links:
        kind, _, whom = link.peer.partition(":")
        if kind == "service":
            _require_service(link, known)
            continue
        if kind == "party":
            _require_party(plan, whom, agent)
            continue
        back = Link(link.name, f"stage:{spec.entry}")
        peers = [stage for stage in plan.stages if stage.entry == whom and whom != spec.entry]
        if not any(back in stage.links for stage in peers):
            raise TierMissing("a link of the plan leads to a stage that has no link back", "box.links")


def _require_service(link: Link, known: Collection[str]) -> None:
    if link.service not in known:
        raise TierMissing(
            "this launcher has no such service for labs",
            link.service,
            "Name the service's socket in the launcher's settings (services).",
        )


def _require_party(plan: Plan, whom: str, agent: bool) -> None:
    if plan.kind is not PlanKind.JOINT or whom == plan.domain:
        raise TierMissing("only boxes of a joint plan have links to other parties", "box.links")
    if not agent:
        raise TierMissing(
            "this launcher has no agent that carries links to other parties",
            "box.links",
            "Name the agent's socket in the launcher's settings (agent_socket).",
        )


def header(name: StageName, link: Link) -> dict[str, Any]:
    """Return the frame by which the launcher tells its agent whose link a connection is."""
    return {
        "plan": name.plan,
        "stage": name.stage.value,
        "attempt": name.attempt,
        "link": link.name,
        "peer": link.peer.partition(":")[2],
    }


class Exchange:
    """Joins ends as they come; one per launcher.

    `agent` is the socket of this side's agent, none for no agent; `services` are those of labs, by name.
    """

    def __init__(self, agent: Path | None = None, services: Mapping[str, Path] | None = None) -> None:
        self.agent, self.services = agent, dict(services or {})
        self._waiting: dict[_Name, socket.socket] = {}
        self._gone: dict[_Name, None] = {}
        self._joined: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def joined(self, name: StageName, spec: BoxSpec, ends: Mapping[str, Ends]) -> AsyncIterator[None]:
        """Offer a box's ends to those of its peers while the body runs; what it wrote still arrives afterwards."""
        mine = {}
        for link in spec.links:
            kind, _, whom = link.peer.partition(":")
            if kind == "service":
                continue
            end = ends[link.name].ours.dup()
            if kind == "party":
                self._keep(_to_agent(end, self.agent, header(name, link)))
                continue
            both = frozenset((name.stage, Entry(whom)))
            mine[_Name(name.plan, name.attempt, link.name, both)] = end
        for each, end in mine.items():
            self._offer(each, end)
        well = False
        serving = list(self._serving(name, spec, ends))
        try:
            yield
            well = True
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
            for each, end in mine.items():
                if self._waiting.get(each) is end:
                    self._waiting.pop(each).close()
                    if well:  # a stage that something outside stopped may be run again
                        self._gone[each] = None
            while len(self._gone) > MOST_GONE:
                del self._gone[next(iter(self._gone))]

    def _serving(
        self, name: StageName, spec: BoxSpec, ends: Mapping[str, Ends]
    ) -> Iterator[asyncio.Task[None]]:
        """Begin to let a lab's connections in to the services that it has links to."""
        for link in spec.links:
            if link.service:
                head = services.header(name.plan, link)
                work = services.serve(ends[link.name].ours, self.services[link.service], head)
                yield asyncio.create_task(work)

    def _offer(self, name: _Name, end: socket.socket) -> None:
        end.setblocking(False)
        if name in self._gone:
            del self._gone[name]
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            return
        peer = self._waiting.pop(name, None)
        if peer is None:
            self._waiting[name] = end
            return
        self._keep(join(end, peer))

    def _keep(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._joined.add(task)
        task.add_done_callback(self._joined.discard)


async def _to_agent(end: socket.socket, agent: Path | None, head: dict[str, Any]) -> None:
    """Join a box's end to the agent; one that is not there is, for the box, a peer that has left."""
    end.setblocking(False)
    with end, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as carrier:
        carrier.setblocking(False)
        try:
            async with asyncio.timeout(AGENT_S):
                await asyncio.get_running_loop().sock_connect(carrier, str(agent))
                await asyncio.get_running_loop().sock_sendall(carrier, frames.pack(head))
        except (OSError, TimeoutError):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            return
        await join(end, carrier)
