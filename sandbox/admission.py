"""Who may have what run here, and how much at a time: decided before a box exists.

A launcher trusts no caller. What a plan with keys may do is the keeper's to say, who gives them or does not.
But a plan without keys (a check, a trial) runs for whoever reaches the socket, and even a box that will never
get a key costs something until it ends. So:

* there are two doors: `open`, for whoever carries plans, and `owner`, for the owner's own keeper. Ingests and twins are
  ordered, ended and heard of at the owner's door alone: an ingest's report counts rows, and a twin costs privacy;
* no box has limits above the ceiling of its program, and none runs for another domain;
* what comes through the open door runs in an image that the owner trusts or that has a name here, and a plan
  without keys has no argument, link, input or GPU (a lab has links to services, and may have a GPU);
* labs run where there are services for them, and nothing else runs there: what holds an owner's rows has no neighbour
  who works by hand. A lab has the home of the member whose it is, and no other;
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
from plans.errors import NotAllowed, TierMissing, Unreachable
from plans.labs import Lab, home_of
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
    """What this launcher runs: for which domain, up to which limits, and labs if it has services for them."""

    domain: str
    ceilings: Mapping[Entry, Limits]
    services: Collection[str] = ()


def require_admissible(plan: Plan, door: Door, rules: Rules, known: Collection[str]) -> None:
    """Refuse a plan that may not run here at all, whatever a keeper says; `known` are images that boxes may have.

    Raises:
        NotAllowed: says what is not.
    """
    if plan.domain != rules.domain:
        raise NotAllowed("this launcher runs plans of one domain, and the plan is another's", plan.domain)
    require_door(door, plan.kind in (PlanKind.INGEST, PlanKind.TWIN))
    _require_place(plan, rules)
    for spec in plan.stages:
        ceiling = rules.ceilings.get(spec.entry)
        if ceiling is None or not spec.limits.within(ceiling):
            raise NotAllowed(
                "a box of the plan has higher limits than this launcher gives to its program",
                spec.entry.value,
                "Ask the administrator for a higher ceiling (docs/settings.md).",
            )
        lab = plan.kind is PlanKind.LAB
        if plan.kind.keyless and (spec.arguments or spec.inputs or not lab and (spec.links or spec.gpus)):
            raise NotAllowed("a plan without keys has no argument, link, input or GPU", spec.entry.value)
        if door is not Door.OWNER and spec.image not in known:
            raise NotAllowed(
                "a box runs in an image that the owner trusts or that has a name here",
                spec.entry.value,
                "Build the image here, or ask for one that was.",
            )


def _require_place(plan: Plan, rules: Rules) -> None:
    """Refuse a lab where there are no services for it, anything else where there are, and a lab with another's home."""
    lab = plan.kind is PlanKind.LAB
    if lab != bool(rules.services):
        raise NotAllowed(
            "labs have a launcher of their own, which runs nothing else",
            plan.kind.value,
            "Ask the launcher for labs (docs/labs.md)." if lab else "Ask the owner's own launcher.",
        )
    if not lab:
        return
    home = plan.stages[0].home
    if home is None or home.name != home_of(Lab.decode(plan.material.encode()).member):
        raise NotAllowed("a lab has the home of the member whose it is", "box.home")
    if any(link.service not in rules.services for link in plan.stages[0].links):
        raise NotAllowed("a lab has links to the services that its launcher has, and no other", "box.links")


def require_door(door: Door, owners: bool) -> None:
    """Refuse whatever concerns an ingest or a twin at the open door; raises `NotAllowed`."""
    if owners and door is not Door.OWNER:
        raise NotAllowed(
            "ingests and twins are the owner's own, ordered and ended at the owner's desk", "door"
        )


def require_operator(door: Door) -> None:
    """Refuse whatever an administrator does with homes at the open door; raises `NotAllowed`."""
    if door is not Door.OWNER:
        raise NotAllowed("homes are listed and erased by the administrator of this machine", "door")


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


def lab_places(uid_count: int, spare: int) -> int:
    """Return the same for a launcher that runs labs, and nothing else."""
    return max(1, uid_count - min(spare, max(1, uid_count // 4)))


class Places:
    """Gives each line its places, first come first served; several at once, or none of them."""

    def __init__(self, sizes: Mapping[Line, int]) -> None:
        self._sizes = dict(sizes)
        self._free = dict(sizes)
        self._waiting: dict[Line, deque[tuple[asyncio.Future[None], int]]] = {line: deque() for line in sizes}

    @asynccontextmanager
    async def place(self, line: Line) -> AsyncIterator[None]:
        """Hold a place for the time of the body, waiting for it if need be.

        Raises:
            Unreachable: too many wait already.
        """
        await self.take(line, 1)
        try:
            yield
        finally:
            self.give_back(line, 1)

    async def take(self, line: Line, count: int) -> None:
        """Take so many places at once, waiting until all are free; whoever comes later waits behind.

        Raises:
            Unreachable: too many wait already.
            TierMissing: the line never has so many.
        """
        if count > self._sizes[line]:
            advice = "Give it more user ids for boxes (uid_count, docs/settings.md)."
            raise TierMissing("the launcher cannot run so many boxes side by side", line, advice)
        waiting = self._waiting[line]
        if not waiting and self._free[line] >= count:
            self._free[line] -= count
            return
        if len(waiting) >= MOST_WAITING:
            raise Unreachable(
                "the launcher has as many questions waiting as it takes", line, "Try again shortly."
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append((turn, count))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(line, count)
            else:
                waiting.remove((turn, count))
                self.give_back(line, 0)  # those behind may fit
            raise

    def give_back(self, line: Line, count: int) -> None:
        """Give places back, to those who wait in their order."""
        waiting = self._waiting[line]
        self._free[line] += count
        while waiting and (waiting[0][0].done() or waiting[0][1] <= self._free[line]):
            turn, wanted = waiting.popleft()
            if not turn.done():
                self._free[line] -= wanted
                turn.set_result(None)


class Together:
    """The places of stages that run side by side: taken all at once by whoever comes first, so that no two batches
    wait for each other with half of their places; each is given back as its stage ends, the rest with the last.
    """

    def __init__(self, places: Places, line: Line, count: int) -> None:
        self._places, self._line, self._count = places, line, count
        self._taking: asyncio.Task[None] | None = None
        self._users = self._left = 0

    @property
    def idle(self) -> bool:
        """Whether no stage holds or awaits a place."""
        return self._users == 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one of the places for the time of the body; raises as `Places.take`."""
        if self._taking is None:
            self._taking = asyncio.create_task(self._places.take(self._line, self._count))
            self._left = self._count
        self._users += 1
        taking = self._taking
        try:
            await asyncio.shield(taking)
            yield
        finally:
            self._users -= 1
            self._leave(taking)

    def _leave(self, taking: asyncio.Task[None]) -> None:
        taken = taking.done() and not taking.cancelled() and taking.exception() is None
        back = min(1, self._left) if self._users else self._left
        if taken:
            self._places.give_back(self._line, back)
            self._left -= back
        elif not self._users:
            taking.cancel()
        if not self._users:
            self._taking = None
