"""Joining the links of boxes: bytes from the one end to the other, and nothing else.

A link is named in the plan by both its ends: stage `query` says `rows → stage:python`, stage `python` says
`rows → stage:query`. The launcher joins two ends only if plan, attempt and name are the same and each names the
other; it copies bytes both ways and reads none of them. When the one ends, the other sees the end of the stream, also
if it comes only afterwards; an end whose peer never comes waits until its box reaches a limit.

Links to other parties (`party:…`) come with joint computations; until then a plan that has one is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from plans.box import BoxSpec, Entry, Link
from plans.errors import TierMissing
from plans.plan import Plan
from sandbox.contract import Ends
from sandbox.shelf import StageName

BLOCK = 2**18

MOST_GONE = 1024
"""How many ends that left before their peers came are remembered."""


@dataclass(frozen=True, slots=True)
class _Name:
    """Both ends of a link have the same name here."""

    plan: str
    attempt: int
    link: str
    between: frozenset[Entry]


def require_joinable(plan: Plan, spec: BoxSpec) -> None:
    """Check that every link of a stage leads to a stage of its plan that has the same link back.

    Raises:
        TierMissing: one leads to another party, which this launcher cannot reach yet, or to nobody.
    """
    for link in spec.links:
        kind, _, whom = link.peer.partition(":")
        back = Link(link.name, f"stage:{spec.entry}")
        if kind != "stage" or whom == spec.entry:
            raise TierMissing("links to other parties are not joined by this version", "box.links")
        peers = [stage for stage in plan.stages if stage.entry == whom]
        if not any(back in stage.links for stage in peers):
            raise TierMissing("a link of the plan leads to a stage that has no link back", "box.links")


class Exchange:
    """Joins ends as they come; one per launcher."""

    def __init__(self) -> None:
        self._waiting: dict[_Name, socket.socket] = {}
        self._gone: dict[_Name, None] = {}
        self._joined: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def joined(self, name: StageName, spec: BoxSpec, ends: Mapping[str, Ends]) -> AsyncIterator[None]:
        """Offer a box's ends to those of its peers while the body runs; what it wrote still arrives afterwards."""
        mine = {}
        for link in spec.links:
            peer = Entry(link.peer.partition(":")[2])
            both = frozenset((name.stage, peer))
            mine[_Name(name.plan, name.attempt, link.name, both)] = ends[link.name].ours.dup()
        for each, end in mine.items():
            self._offer(each, end)
        well = False
        try:
            yield
            well = True
        finally:
            for each, end in mine.items():
                if self._waiting.get(each) is end:
                    self._waiting.pop(each).close()
                    if well:  # a stage that something outside stopped may be run again
                        self._gone[each] = None
            while len(self._gone) > MOST_GONE:
                del self._gone[next(iter(self._gone))]

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
        task = asyncio.create_task(_join(end, peer))
        self._joined.add(task)
        task.add_done_callback(self._joined.discard)


async def _join(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until both streams have ended."""
    with one, other:
        await asyncio.gather(_copy(one, other), _copy(other, one))


async def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy until the end of the stream; where nobody reads any more, nobody may write."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while block := await loop.sock_recv(source, BLOCK):
            await loop.sock_sendall(target, block)
    for end, direction in ((source, socket.SHUT_RD), (target, socket.SHUT_WR)):
        with contextlib.suppress(OSError):
            end.shutdown(direction)
