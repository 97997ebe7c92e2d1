"""The own boxes of an attempt, and their links to the boxes of peers.

A stage is asked for at the launcher from a thread of its own, since asking blocks for as long as the box lives. A box's
link comes in from the launcher; of a pair, the party whose name is first dials the other one for it. The agent
copies what passes and counts the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from mpc.agent.failure import PEER_ENDED, STOPPED
from mpc.agent.owner import Launcher
from mpc.links import BEAT, Beat, Carried, Connection, carry
from plans.box import Entry
from plans.errors import DarkroomError, LinkBroken, NotFound, PeerLost, StateConflict
from plans.plan import Plan
from sandbox import api as sandbox

LINK_S = 90.0
"""Seconds that a box's link waits for the one at the other end."""


class Boxes:
    """The stages of this side's plan in one attempt. `wake` is called whenever one has ended."""

    def __init__(
        self, launcher: Launcher, plan: Plan, attempt: int, wake: Callable[[], Awaitable[None]]
    ) -> None:
        self._launcher, self.plan, self._attempt, self._wake = launcher, plan, attempt, wake
        self._threads = ThreadPoolExecutor(len(plan.stages) + 1, "boxes")
        self._running: dict[Entry, asyncio.Task[None]] = {}
        self.results: dict[Entry, sandbox.StageResult] = {}
        self.problems: dict[Entry, DarkroomError] = {}

    def start(self) -> None:
        """Have all stages run side by side."""
        for spec in self.plan.stages:
            self._running[spec.entry] = asyncio.create_task(self._run(spec.entry))

    async def _run(self, stage: Entry) -> None:
        try:
            self.results[stage] = await self._aside(
                partial(self._launcher.run, self.plan.digest, stage, self._attempt)
            )
        except DarkroomError as problem:
            self.problems[stage] = problem
        await self._wake()

    @property
    def over(self) -> bool:
        """Whether one ended without a result by itself, or all have ended."""
        return self.problem is not None or len(self.results) == len(self.plan.stages)

    @property
    def problem(self) -> tuple[Entry, DarkroomError] | None:
        """The stage that failed, and with what: the cause, where one was ended because of another."""
        order = {PEER_ENDED: 2, PeerLost.code: 1}
        found = sorted(self.problems.items(), key=lambda item: (order.get(item[1].where, 0), item[0]))
        if not found or (found[0][1].where == PEER_ENDED and not self._ended):
            return None  # the one beside it has not said yet what ended it
        return found[0]

    @property
    def _ended(self) -> bool:
        return len(self.problems) + len(self.results) == len(self.plan.stages)

    async def settle(self, grace_s: float) -> tuple[Entry, DarkroomError] | None:
        """End all that still runs, after a moment in which they may end by themselves; return what failed by itself.

        Whoever failed first is often heard of last: a box that lost its peer ends at once, while the one that was
        killed is still being cleared away.
        """
        running = [task for task in self._running.values() if not task.done()]
        if running:
            await asyncio.wait(running, timeout=grace_s)
        found = self.problem
        for stage, task in self._running.items():
            if not task.done():
                with contextlib.suppress(
                    DarkroomError, TimeoutError
                ):  # a launcher that hangs holds nobody up
                    async with asyncio.timeout(grace_s):
                        ask = partial(self._launcher.cancel, self.plan.digest, stage, self._attempt)
                        await self._aside(ask)
        running = [task for task in self._running.values() if not task.done()]
        if running:
            await asyncio.wait(running, timeout=grace_s)
        self._threads.shutdown(wait=False, cancel_futures=True)
        return found if found and found[1].where not in (PEER_ENDED, STOPPED[1]) else None

    async def close(self) -> None:
        """Forget what runs; the launcher ends it."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _aside(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class BoxLinks:
    """The links of the own box of the protocol, one per peer. `cut` hears of one that did not come to its end."""

    def __init__(
        self,
        own: str,
        dial: Callable[[str], Awaitable[Connection]],
        cut: Callable[[str, DarkroomError], Awaitable[None]],
        beat: Beat = BEAT,
    ) -> None:
        self._own, self._dial, self._cut, self._beat = own, dial, cut, beat
        self._arrived: dict[str, asyncio.Future[Connection]] = {}
        self._begun: set[str] = set()
        self._open: set[Connection] = set()
        self._over = asyncio.Event()
        self.carried: dict[str, Carried] = {}

    async def from_peer(self, peer: str, connection: Connection) -> None:
        """Take a peer's connection for its box's link, and hold it until it is closed.

        Raises:
            StateConflict: this peer has a link already, or is to be dialled.
        """
        arrived = self._arrival(peer)
        if arrived.done() or self._own < peer or self._over.is_set():
            raise StateConflict("a pair of boxes has one link", peer)
        arrived.set_result(connection)
        self._open.add(connection)
        await connection.closed.wait()

    async def from_launcher(self, peer: str, box: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Carry the own box's link to a peer until both directions have ended.

        Raises:
            StateConflict: the box has this link already.
        """
        if peer in self._begun or self._over.is_set():
            raise StateConflict("a box opens a link once", peer)
        self._begun.add(peer)
        carrying = asyncio.create_task(self._carry(peer, box))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({carrying, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (carrying, over):
                task.cancel()
            await asyncio.gather(carrying, over, return_exceptions=True)

    async def _carry(self, peer: str, box: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        count = self.carried[peer] = Carried()
        try:
            connection = await self._connection(peer)
            self._open.add(connection)
            try:
                await carry(connection, box, count, self._beat)
                connection.close()
            finally:
                self._open.discard(connection)
                if not connection.closed.is_set():
                    connection.abort()
        except (PeerLost, LinkBroken) as problem:
            if not self._over.is_set():
                await self._cut(peer, problem)

    async def _connection(self, peer: str) -> Connection:
        if self._own < peer:
            return await self._dial(peer)
        try:
            async with asyncio.timeout(LINK_S):
                return await self._arrival(peer)
        except TimeoutError:
            raise PeerLost("no box came at the other end of a link", peer) from None

    def _arrival(self, peer: str) -> asyncio.Future[Connection]:
        if peer not in self._arrived:
            self._arrived[peer] = asyncio.get_running_loop().create_future()
        return self._arrived[peer]

    def end(self) -> None:
        """Cut what is still open."""
        self._over.set()
        for connection in list(self._open):
            connection.abort()
        for arrived in self._arrived.values():
            arrived.cancel()


def link_of(plan: Plan, link: str, peer: str) -> None:
    """Check that the box of the protocol has this link to this peer; raises `NotFound`."""
    links = plan.stage(Entry.PARTY).links
    if not any((each.name, each.peer) == (link, f"party:{peer}") for each in links):
        raise NotFound("the plan's box has no such link", "box.links")
