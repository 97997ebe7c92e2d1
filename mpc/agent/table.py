"""All parties of an attempt, as one of them hears them: who said what, who is lost, and waiting for more.

Messages are kept by their kind, so a peer that is a step ahead waits for nobody; each kind comes once from each peer,
and what comes twice or is unknown ends the attempt. Of the two parties of a pair the one whose name is first dials.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mpc.agent.failure import Failure, Told
from mpc.agent.peers import MOST_UNREAD, Heard, PeerLink
from mpc.links import BEAT, Beat, Control
from plans.errors import DarkroomError, LinkBroken, PeerLost
from plans.joint import Step

ONCE = ("greeting", "ready", "box", "done", "abort", "agreed", "closed")
"""Messages that a party says once in an attempt."""

AGAIN = ("abort", "agreed", "closed")
"""Those that it repeats when a connection is made anew; the first one counts."""

MANY = ("receipts",)

MOST_TIMES = 32
"""How often a peer may say one of these: more often than receipts come; else what nobody reads yet fills the memory."""

RETRY_S = 0.25


@dataclass(frozen=True, slots=True)
class Times:
    """How long an attempt waits for what, in seconds.

    `connect` for all peers to run it; `preflight` for their greetings; `meet` for their boxes; `receipts` for their
    receipts; `round` for each round in which they agree on a failure; `grace` for the own boxes to end by
    themselves once another side has failed; `news` for a peer to say why a box lost its link.
    """

    connect: float = 30.0
    preflight: float = 20.0
    meet: float = 120.0
    receipts: float = 15.0
    round: float = 6.0
    grace: float = 2.0
    news: float = 12.0
    beat: Beat = field(default=BEAT)


class Ended(Exception):
    """The attempt is over: with an own failure, or with what a peer said."""

    def __init__(self, told: Told) -> None:
        super().__init__(told.failure.failed_at)
        self.told = told


class Table:
    """See the module. `dial` makes a control connection to a peer, or says none if that one does not run this yet."""

    def __init__(
        self, own: str, peers: Sequence[str], dial: Callable[[str], Awaitable[Control | None]], times: Times
    ) -> None:
        self.own, self.peers, self._dial, self.times = own, tuple(peers), dial, times
        self.inbox: asyncio.Queue[Heard] = asyncio.Queue(MOST_UNREAD)
        self.links = {peer: PeerLink(peer, self.inbox, times.beat) for peer in peers}
        self.said: dict[str, dict[str, Mapping[str, Any]]] = {kind: {} for kind in (*ONCE, *MANY)}
        self.receipts: asyncio.Queue[tuple[str, Mapping[str, Any]]] = asyncio.Queue()
        self._times: Counter[str] = Counter()
        self.step = Step.CHECK
        self._repeated: list[tuple[str, Mapping[str, Any]]] = []
        self._dialing: dict[str, asyncio.Task[None]] = {}
        self._attached: set[str] = set()
        self.gone: set[str] = set()
        """Peers that ran the attempt and say now that they do not know it: they were started anew."""
        self.unreached: dict[str, str] = {}
        """Why a peer could not be dialled the last time, for the owner."""

    # --- connections -----------------------------------------------------

    def reach(self) -> None:
        """Begin to dial every peer that this side dials and that is not there."""
        for peer in self.peers:
            running = self._dialing.get(peer)
            if self.own < peer and not self.links[peer].alive and (running is None or running.done()):
                self._dialing[peer] = asyncio.create_task(self._reach(peer))

    async def _reach(self, peer: str) -> None:
        while not self.links[peer].alive:
            control = None
            try:
                control = await self._dial(peer)
                if control is None and peer in self._attached:
                    self.gone.add(peer)
                    await self.wake()
            except (PeerLost, LinkBroken) as problem:  # whoever answers under a wrong name stays a stranger
                self.unreached[peer] = str(problem)
            if control is None:
                await asyncio.sleep(RETRY_S)
                continue
            await self.attach(peer, control)

    async def attach(self, peer: str, control: Control) -> None:
        """Use a connection to a peer; what is said again on a new one is said."""
        self.links[peer].attach(control)
        self._attached.add(peer)
        for kind, content in self._repeated:
            await self.links[peer].say(kind, content)
        await self.wake()

    @property
    def complete(self) -> bool:
        """Whether every peer has been reached once."""
        return self._attached == set(self.peers)

    def missing(self, kind: str) -> list[str]:
        """Return who has not said this yet, in the order of names."""
        return sorted(set(self.peers) - set(self.said[kind]))

    async def close(self) -> None:
        """Close all connections, and dial nobody any more."""
        for task in self._dialing.values():
            task.cancel()
        await asyncio.gather(*self._dialing.values(), return_exceptions=True)
        await asyncio.gather(*(link.close() for link in self.links.values()))

    # --- saying and hearing -----------------------------------------------------

    async def say(self, kind: str, content: Mapping[str, Any]) -> None:
        """Say something to every peer that is there."""
        if kind in AGAIN:
            self._repeated.append((kind, content))
        await asyncio.gather(*(link.say(kind, content) for link in self.links.values()))

    async def wake(self) -> None:
        """Have whoever hears look again at what it waits for."""
        await self.inbox.put(Heard(self.own, "woke", {}))

    async def hear(self, until: Callable[[], bool], timeout_s: float | None, *, strict: bool = True) -> bool:
        """Take what comes until a condition holds; return whether it does, or the time is over.

        While `strict`, that a peer is lost, breaks a rule or has ended the attempt ends it here too.

        Raises:
            Ended: that was so.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not until():
                    self._take(await self.inbox.get(), strict)
        except TimeoutError:
            return until()
        return True

    def _take(self, heard: Heard, strict: bool) -> None:
        if heard.lost is not None:
            if strict:
                raise self.ended(heard.peer, heard.lost)
            self.reach()
        elif heard.kind in MANY:
            self._note_again(heard, strict)
        elif heard.kind in ONCE:
            self._note(heard, strict)
        elif heard.kind not in ("clock", "woke"):
            self._broken(heard, "a message came that agents do not know", strict)

    def _note(self, heard: Heard, strict: bool) -> None:
        if heard.peer in self.said[heard.kind]:
            if heard.kind not in AGAIN:
                self._broken(heard, "a message came twice", strict)
            return
        self.said[heard.kind][heard.peer] = heard.content
        if strict and heard.kind in AGAIN:
            raise Over(heard.peer)

    def _note_again(self, heard: Heard, strict: bool) -> None:
        self._times[heard.peer] += 1
        if self._times[heard.peer] > MOST_TIMES:
            self._broken(heard, "a message came too often", strict)
            return
        self.receipts.put_nowait((heard.peer, heard.content))

    def _broken(self, heard: Heard, what: str, strict: bool) -> None:
        if strict:
            raise self.ended(heard.peer, LinkBroken(what, heard.peer))

    def ended(self, peer: str, problem: DarkroomError) -> Ended:
        """Return the end of the attempt by what is wrong with a peer or its connection."""
        code = LinkBroken.code if isinstance(problem, LinkBroken) else PeerLost.code
        return Ended(Told(Failure(code, peer, self.step), f"{peer}: {problem}"))


class Over(Exception):
    """A peer has ended the attempt; what it said stands on the table."""

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.peer = peer
