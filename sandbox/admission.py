"""Who may have what run here, and how much at a time: decided before a box exists.

A launcher trusts no caller. What a plan with keys may do is the keeper's to say, who gives them or does not.
But a plan without keys (a check, a trial) runs for whoever reaches the socket, and even a box that will never
get a key costs something until it ends. So:

* there are two doors: `open`, for whoever carries plans, and `owner`, for the owner's own keeper. Ingests and twins are
  ordered, ended and heard of at the owner's door alone: an ingest's report counts rows, and a twin costs privacy;
* no box has limits above the ceiling of its program, and none runs for another domain;
* what comes through the open door runs in an image that the owner trusts or that has a name here, and a plan
  without keys has no argument, link, input or GPU;
* three lines wait for places of their own, each bounded, so that none can starve another: the owner's plans
  without keys (a keeper has statements read while a box waits for its keys), everybody's, and boxes with keys.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

from plans.box import Entry, Limits
from plans.errors import NotAllowed, Unreachable
from plans.plan import Plan, PlanKind
from sandbox.own_user import owners_trusted

MOST_WAITING = 64
"""How many stages may wait in a line; the next caller is told to come again."""

OWNERS_OWN = (Entry.INGEST, Entry.TWIN)
"""Programs that only the owner's desk has run."""

_PEER = struct.Struct("3i")


class Door(StrEnum):
    """The socket that a question came through."""

    OPEN = "open"
    OWNER = "owner"


class Line(StrEnum):
    """Who waits for whose places."""

    OWNER = "the owner's checks"
    OPEN = "checks"
    KEYED = "boxes with keys"


@dataclass(frozen=True, slots=True)
class Rules:
    """What this launcher runs: for which domain, up to which limits."""

    domain: str
    ceilings: Mapping[Entry, Limits]


def require_admissible(plan: Plan, door: Door, rules: Rules, known: Collection[str]) -> None:
    """Refuse a plan that may not run here at all, whatever a keeper says; `known` are images that boxes may have.

    Raises:
        NotAllowed: says what is not.
    """
    if plan.domain != rules.domain:
        raise NotAllowed("this launcher runs plans of one domain, and the plan is another's", plan.domain)
    require_door(door, plan.kind in (PlanKind.INGEST, PlanKind.TWIN))
    for spec in plan.stages:
        ceiling = rules.ceilings.get(spec.entry)
        if ceiling is None or not spec.limits.within(ceiling):
            raise NotAllowed(
                "a box of the plan has higher limits than this launcher gives to its program",
                spec.entry.value,
                "Ask the administrator for a higher ceiling (docs/settings.md).",
            )
        if plan.kind.keyless and (spec.arguments or spec.links or spec.inputs or spec.gpus):
            raise NotAllowed("a plan without keys has no argument, link, input or GPU", spec.entry.value)
        if door is not Door.OWNER and spec.image not in known:
            raise NotAllowed(
                "a box runs in an image that the owner trusts or that has a name here",
                spec.entry.value,
                "Build the image here, or ask for one that was.",
            )


def require_door(door: Door, owners: bool) -> None:
    """Refuse whatever concerns an ingest or a twin at the open door; raises `NotAllowed`."""
    if owners and door is not Door.OWNER:
        raise NotAllowed(
            "ingests and twins are the owner's own, ordered and ended at the owner's desk", "door"
        )


def line_of(plan: Plan, door: Door) -> Line:
    """Return the line in which a plan's stages wait."""
    if not plan.kind.keyless:
        return Line.KEYED
    return Line.OWNER if door is Door.OWNER else Line.OPEN


def require_peer(connection: socket.socket, boxes: range, askers: Collection[int]) -> None:
    """Refuse a caller who is a box, or nobody that was named (SO_PEERCRED, unix(7)).

    In a user namespace of its own a launcher sees every stranger as `OVERFLOW`; there the folder of the socket
    decides who gets here.

    Raises:
        NotAllowed: it is one of them.
    """
    peer = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[1]
    known = {os.geteuid(), *owners_trusted(), *askers}
    if peer in boxes and peer != os.geteuid() or peer not in known:
        raise NotAllowed("this user may not ask a launcher", "peer")


def places(uid_count: int, spare: int) -> Mapping[Line, int]:
    """Return how many boxes of each line may live at a time, of a launcher with so many user ids for boxes.

    `spare` of them are left to boxes that wait with no work (`sandbox.pool`), where there are enough.
    """
    quarter = max(1, uid_count // 4)
    spare = min(spare, quarter)
    return {Line.OWNER: quarter, Line.OPEN: quarter, Line.KEYED: max(1, uid_count - 2 * quarter - spare)}


class Places:
    """Gives each line its places, first come first served."""

    def __init__(self, sizes: Mapping[Line, int]) -> None:
        self._free = dict(sizes)
        self._waiting: dict[Line, deque[asyncio.Future[None]]] = {line: deque() for line in sizes}

    @asynccontextmanager
    async def place(self, line: Line) -> AsyncIterator[None]:
        """Hold a place for the time of the body, waiting for it if need be.

        Raises:
            Unreachable: too many wait already.
        """
        await self._take(line)
        try:
            yield
        finally:
            self._give_back(line)

    async def _take(self, line: Line) -> None:
        if self._free[line] > 0:
            self._free[line] -= 1
            return
        waiting = self._waiting[line]
        if len(waiting) >= MOST_WAITING:
            raise Unreachable(
                "the launcher has as many questions waiting as it takes", line, "Try again shortly."
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(line)
            else:
                waiting.remove(turn)
            raise

    def _give_back(self, line: Line) -> None:
        waiting = self._waiting[line]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free[line] += 1
