"""The agent of a party: keeps joint plans, runs attempts at them, and answers the agents of other parties.

What the centre says is not believed. A joint plan names the parties' addresses and the hashes of their certificates,
and nobody is dialled before the own keeper says that an own approver has signed exactly this plan: else whoever reaches
the door could send this agent to any address. Peers see a version, a clock, and that an attempt is asked for, until the
own keeper has given the own box its keys (`keeper.joint`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from keys.tls import Identity
from mpc.agent.attempt import Attempt, Dialler, Outcome, Work
from mpc.agent.boxes import link_of
from mpc.agent.handing import GoodEnd, recalled
from mpc.agent.owner import Side
from mpc.agent.table import Times
from mpc.links import Connection, Control, Listener, dial
from plans import names
from plans.box import Entry
from plans.errors import LinkBroken, Malformed, NotFound, PeerLost, StateConflict, TooLarge
from plans.joint import MOST_ATTEMPTS, JointPlan
from plans.plan import Plan
from plans.statements import Signed

T = TypeVar("T")

MOST_PLANS, MOST_RUNNING, MOST_CLOSED = 64, 8, 64
"""Joint plans that are kept, attempts that run at a time, and attempts that have ended and are remembered."""

OPENING_S = 10.0
"""Seconds that a peer may take to say what a connection is for."""

LARGEST_OPENING = 2**12

Name = tuple[str, int]
"""An attempt: the joint plan's digest, and its number."""


class Agent:
    """See the module. `log` hears what is for the owner alone."""

    def __init__(
        self, side: Side, identity: Identity, platform: str, times: Times, log: Callable[[str], None]
    ) -> None:
        self.side, self._identity, self._platform, self._times, self._log = (
            side,
            identity,
            platform,
            times,
            log,
        )
        self._plans: OrderedDict[str, tuple[JointPlan, Plan]] = OrderedDict()
        self._attempts: OrderedDict[Name, Attempt] = OrderedDict()
        self._running: dict[Name, asyncio.Task[Outcome]] = {}
        self.listener = Listener(identity, self._welcome, self._serve)

    # --- what the centre asks -----------------------------------------------------

    def put(self, joint: JointPlan) -> str:
        """Keep a joint plan, and return its digest.

        Raises:
            Malformed: this side takes no part in it.
        """
        joint.party(self.side.domain)
        if joint.party(self.side.domain).agent != self._identity.fingerprint:
            raise Malformed(
                "the plan knows this party by another certificate than its agent has",
                self.side.domain,
                "Make the plan anew with the newest statement of every party.",
            )
        if joint.digest not in self._plans:
            self._plans[joint.digest] = joint, self.side.derive(joint)
        self._plans.move_to_end(joint.digest)
        in_use = {name[0] for name in self._running}
        for digest in [digest for digest in self._plans if digest not in in_use]:
            if len(self._plans) > MOST_PLANS:
                del self._plans[digest]
        return joint.digest

    async def order(self, joint: str, number: int) -> Attempt:
        """Begin an attempt that the own side has approved, or return the one that was begun.

        Raises:
            PolicyDenied: no own approver has signed the plan, so that nobody in it is dialled.
            Unreachable: the own keeper does not answer.
            DarkroomError: as `run`.
        """
        if (joint, number) not in self._attempts:
            plan, _ = self._plan(joint)
            await _aside(partial(self.side.keeper.approved, plan))
        return self.run(joint, number)

    def run(self, joint: str, number: int) -> Attempt:
        """Begin an attempt, or return the one that was begun; whether the own side approved it is for `order` to ask.

        Raises:
            NotFound: the plan was not put.
            StateConflict: a later attempt was begun before, or one still runs.
            TooLarge: too many run.
        """
        known = self._attempts.get((joint, number))
        if known is not None:
            return known
        plan, own = self._plan(joint)
        self._require_next(joint, number)
        work = Work(plan, own, number, self._platform)
        dialler = Dialler(
            lambda peer: self._dial_control(work, peer), lambda peer: self._dial_box(work, peer)
        )
        attempt = Attempt(self.side, work, dialler, self._times, self._log)
        self._attempts[joint, number] = attempt
        task = self._running[joint, number] = asyncio.create_task(attempt.run())
        task.add_done_callback(lambda _: self._ended((joint, number)))
        return attempt

    def _require_next(self, joint: str, number: int) -> None:
        if not 1 <= number <= MOST_ATTEMPTS:
            raise Malformed(f"a joint plan has attempts 1 to {MOST_ATTEMPTS}", "attempt")
        earlier = [name[1] for name in self._attempts if name[0] == joint]
        if any(name[0] == joint for name in self._running) or (earlier and number <= max(earlier)):
            raise StateConflict(
                "an attempt at this plan runs, or a later one has been begun", "attempt", "Cancel it first."
            )
        if len(self._running) >= MOST_RUNNING:
            raise TooLarge("the agent runs as many attempts as it takes", "agent", "Try again shortly.")

    def attempt(self, joint: str, number: int) -> Attempt:
        """Return an attempt; raises `NotFound`, also if an earlier life of the agent began it."""
        found = self._attempts.get((joint, number))
        if found is None:
            raise NotFound(
                "this agent does not know this attempt; one that was restarted forgets those that ran",
                f"attempt {number}",
                "Order the next attempt.",
            )
        return found

    async def good_end(self, joint: str, number: int, brought: Sequence[Signed]) -> GoodEnd:
        """Return what is known of an attempt that ended well; the own keeper knows those that this agent forgot, or
        that ended well after this side had lost its peers.

        Raises:
            StateConflict: it has not ended well.
            NotFound: neither the agent nor its keeper knows of an end.
        """
        attempt = self._attempts.get((joint, number))
        if attempt is not None and attempt.outcome is None:
            raise StateConflict("the attempt has not ended", "joint result", "Ask again when it has.")
        if attempt is not None and attempt.outcome is not None and attempt.outcome.well:
            receipts = tuple(attempt.outcome.receipts.values())
            return GoodEnd(attempt.work.joint, attempt.work.plan, number, receipts)
        return await _aside(partial(recalled, self.side.keeper, joint, number, brought))

    async def forgotten(self, joint: str, number: int) -> GoodEnd | None:
        """Return the good end of an attempt that an earlier life of this agent ran; none if there was none.

        Raises:
            NotFound: the plan was not put.
            Unreachable: the own keeper does not answer.
        """
        self._plan(joint)
        if (joint, number) in self._attempts:
            return None
        with contextlib.suppress(NotFound, StateConflict):
            return await self.good_end(joint, number, ())
        return None

    def status(self) -> dict[str, Any]:
        """Return who this is, and where every attempt stands."""
        attempts = [
            {
                "joint": joint,
                "attempt": number,
                "state": attempt.state.value,
                "failure": failure_of(attempt.outcome),
            }
            for (joint, number), attempt in self._attempts.items()
        ]
        return {
            "domain": self.side.domain,
            "agent": self._identity.fingerprint,
            "platform": self._platform,
            "plans": list(self._plans),
            "attempts": attempts,
        }

    async def close(self) -> None:
        """Stop every attempt, as cancelled, and listen to nobody any more."""
        for name in self._running:
            await self._attempts[name].cancel()
        running = list(self._running.values())
        if running:
            await asyncio.wait(running, timeout=self._times.round + 4 * self._times.grace)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.listener.close()

    def _ended(self, name: Name) -> None:
        self._running.pop(name, None)
        closed = [each for each in self._attempts if each not in self._running]
        for each in closed[: max(0, len(closed) - MOST_CLOSED)]:
            del self._attempts[each]

    def _plan(self, joint: str) -> tuple[JointPlan, Plan]:
        found = self._plans.get(names.require("digest", joint, "joint"))
        if found is None:
            raise NotFound("this agent does not have this joint plan", joint[:19] + "…", "Put it first.")
        return found

    # --- the own box's links -----------------------------------------------------

    async def carry(
        self, head: dict[str, Any], box: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        """Carry a link of the own box, of which its launcher told by this frame (`sandbox.links.header`).

        Raises:
            NotFound: no attempt with this box runs, or its plan has no such link.
            StateConflict: it has this link already.
        """
        for attempt in self._attempts.values():
            work = attempt.work
            named = (head.get("plan"), head.get("attempt"), head.get("stage"))
            if attempt.outcome is None and named == (work.plan.digest, work.number, Entry.PARTY.value):
                peer = str(head.get("peer"))
                link_of(work.plan, str(head.get("link")), peer)
                await attempt.links.from_launcher(peer, box)
                return
        raise NotFound("no attempt with this box runs here", "box.links")

    # --- other agents -----------------------------------------------------

    def _welcome(self, fingerprint: str) -> bool:
        """Whether a certificate is that of a party of some plan that was put."""
        return any(
            party.agent == fingerprint and party.domain != self.side.domain
            for joint, _ in self._plans.values()
            for party in joint.parties
        )

    async def _serve(self, connection: Connection) -> None:
        """Answer one connection of another agent."""
        opening = await connection.receive(OPENING_S, LARGEST_OPENING)
        joint, number, peer = self._opened(opening, connection)
        attempt = self._attempts.get((joint, number))
        await connection.send({"go": attempt is not None})
        if attempt is None:
            return
        if opening["open"] == "box":
            await attempt.links.from_peer(peer, connection)
        elif attempt.outcome is not None:
            await attempt.answer(Control(connection))
        else:
            await attempt.table.attach(peer, Control(connection))
            await connection.closed.wait()

    def _opened(self, opening: dict[str, Any], connection: Connection) -> tuple[str, int, str]:
        """Return the attempt that a connection is for, and whose it is: the certificate says so, not the message.

        Raises:
            LinkBroken: it names another party than the one whose certificate was proven, or nothing that is known.
        """
        wanted = (opening.get("joint"), opening.get("attempt"), opening.get("from"), opening.get("to"))
        known = {
            (joint.digest, party.domain)
            for joint, _ in self._plans.values()
            for party in joint.parties
            if party.agent == connection.peer
        }
        joint, number, peer, to = wanted
        right = (joint, peer) in known and to == self.side.domain and type(number) is int
        if not right or opening.get("open") not in ("control", "box"):
            raise LinkBroken("a connection is not opened as parties of a plan do", "link")
        return str(joint), int(str(number)), str(peer)

    async def _dial(self, work: Work, peer: str, what: str) -> tuple[Connection, bool]:
        party = work.joint.party(peer)
        connection = await dial(self._identity, party.address, party.agent)
        with contextlib.ExitStack() as unfinished:
            unfinished.callback(connection.abort)
            await connection.send(
                {
                    "open": what,
                    "joint": work.joint.digest,
                    "attempt": work.number,
                    "from": self.side.domain,
                    "to": peer,
                }
            )
            answer = await connection.receive(OPENING_S, LARGEST_OPENING)
            unfinished.pop_all()
        return connection, answer.get("go") is True

    async def _dial_control(self, work: Work, peer: str) -> Control | None:
        connection, goes = await self._dial(work, peer, "control")
        if not goes:
            connection.close()
            return None
        return Control(connection)

    async def _dial_box(self, work: Work, peer: str) -> Connection:
        connection, goes = await self._dial(work, peer, "box")
        if not goes:
            connection.close()
            raise PeerLost("the party does not run this attempt", peer)
        return connection


async def _aside(work: Callable[[], T]) -> T:
    """Ask the own side from a thread, since it blocks."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


def failure_of(outcome: Outcome | None) -> dict[str, Any] | None:
    """Return how an attempt failed as everybody may know it, as a problem document; none if it did not."""
    if outcome is None or outcome.failure is None:
        return None
    return outcome.failure.error().problem()
