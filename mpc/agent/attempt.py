"""One attempt at a joint plan at one party: the states that it goes through, and what each waits for.

    connecting ─► preflight ─► meeting ─► computing ─► receipts ─► closed (well)
        │             │           │           │            │
        └─────────────┴───────────┴─────┬─────┴────────────┘
                                        ▼
                          ending ─► receipts of the failure ─► closed (code, party, step)

    connecting  to every peer a control connection                              others' silence: PEER LOST
    preflight   greetings and clocks compared; own images, tier, memory, time   own fault: PREFLIGHT FAILED
    meeting     own boxes begin; the statement about the own box goes to the peers, theirs to the own keeper
    computing   boxes speak with each other over their links, until all have ended; everybody says `done`
    receipts    each keeper signs what its side did; receipts pass from everybody to everybody
    ending      own boxes are ended; all agree on one failure (`ending`)

What the own box left for the recipient is handed on only when the receipts of all parties are there and all say that
it ended well (`Outcome.well`): no part of a result ever leaves. An attempt is in memory only. An agent that dies
forgets it, and its peers find it lost; whoever orders the next attempt gives it the next number.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from mpc.agent import failure as failures
from mpc.agent import preflight
from mpc.agent.boxes import Boxes, BoxLinks
from mpc.agent.earlier import ends_of
from mpc.agent.ending import Agreement
from mpc.agent.failure import Failure, Told
from mpc.agent.owner import BoxOf, Side
from mpc.agent.preflight import Greeting
from mpc.agent.table import Ended, Over, Table, Times
from mpc.estimate import need
from mpc.links import PROTOCOL, Connection, Control
from plans.box import Entry
from plans.errors import (
    DarkroomError,
    EvidenceBroken,
    LinkBroken,
    Malformed,
    PartyFailed,
    PartyStopped,
    PeerLost,
    PreflightFailed,
)
from plans.joint import JointPlan, Receipt, Step
from plans.plan import Plan
from plans.statements import Signed, StageRecord

T = TypeVar("T")

MOST_TOLD = 32
"""Receipts in one message: those of all parties of an attempt, or of one party and all attempts, are fewer."""


class State(StrEnum):
    """Where an attempt stands at one party."""

    CONNECTING = "connecting"
    PREFLIGHT = "preflight"
    MEETING = "meeting"
    COMPUTING = "computing"
    RECEIPTS = "receipts"
    ENDING = "ending"
    CLOSED = "closed"


_STEPS = {
    State.CONNECTING: Step.CHECK,
    State.PREFLIGHT: Step.CHECK,
    State.MEETING: Step.EXTRACT,
    State.COMPUTING: Step.COMPUTE,
    State.RECEIPTS: Step.OPEN,
}
"""The step of the joint computation that each state is in, for failures; what lies between is the boxes' own."""


@dataclass(frozen=True, slots=True)
class Work:
    """What an attempt is about: the joint plan, this side's plan, the number, and the version of the platform."""

    joint: JointPlan
    plan: Plan
    number: int
    platform: str


@dataclass(frozen=True, slots=True)
class Dialler:
    """How a peer is dialled: for control, none if it does not run this yet; and for a box's link."""

    control: Callable[[str], Awaitable[Control | None]]
    box: Callable[[str], Awaitable[Connection]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended at this side: with no failure, and every party's receipt; or with one."""

    failure: Failure | None
    detail: str = ""
    receipts: Mapping[str, Signed] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Whether what was computed may be handed on."""
        return self.failure is None


class Attempt:
    """See the module. `tell` hears every state; `log` what is for the owner alone."""

    def __init__(
        self, side: Side, work: Work, dialler: Dialler, times: Times, log: Callable[[str], None]
    ) -> None:
        self._side, self.work, self._times, self._log = side, work, times, log
        peers = [party.domain for party in work.joint.parties if party.domain != side.domain]
        self.table = Table(side.domain, peers, dialler.control, times)
        self.boxes = Boxes(side.launcher, work.plan, work.number, self.table.wake)
        self.links = BoxLinks(side.domain, dialler.box, self._cut, times.beat)
        self.state = State.CONNECTING
        self._states: list[State] = []
        self._listeners: set[asyncio.Queue[State]] = set()
        self.outcome: Outcome | None = None
        self._cancelled = False
        self._cuts: list[tuple[str, DarkroomError]] = []
        self._receipts: dict[str, Signed] = {}

    async def run(self) -> Outcome:
        """Go through all states and return how it ended."""
        self._enter(State.CONNECTING)
        try:
            try:
                outcome = await self._through()
            except Ended as end:
                outcome = await self._fail(end.told)
            except Over as end:
                self._log(f"attempt {self.work.number}: {end.peer} was the first to say that it is over")
                outcome = await self._fail(None)
            self.outcome = outcome
            await self._leave(outcome)
        finally:
            self.links.end()
            await self.boxes.close()
            await self.table.close()
            self._enter(State.CLOSED)
        return outcome

    async def cancel(self) -> None:
        """Stop the attempt at all parties."""
        self._cancelled = True
        await self.table.wake()

    def listen(self) -> asyncio.Queue[State]:
        """Return a queue that hears every state, those before now first, until `forget`."""
        heard: asyncio.Queue[State] = asyncio.Queue()
        for past in self._states:
            heard.put_nowait(past)
        self._listeners.add(heard)
        return heard

    def forget(self, heard: asyncio.Queue[State]) -> None:
        """Let a queue hear no more."""
        self._listeners.discard(heard)

    async def answer(self, control: Control) -> None:
        """Tell a peer that comes after the attempt was closed how it ended."""
        if self.outcome is None:
            raise PeerLost("the attempt has not ended", "link")
        said: dict[str, Any] = {"well": True}
        if self.outcome.failure is not None:
            said = self.outcome.failure.plain()
        receipts = [signed.plain() for signed in self.outcome.receipts.values()]
        await control.send({"kind": "receipts", "content": {"receipts": receipts}})
        await control.send({"kind": "closed", "content": said})

    async def _through(self) -> Outcome:
        await self._connect()
        await self._check()
        await self._meet()
        await self._compute()
        return await self._confirm()

    # --- the states -----------------------------------------------------

    async def _connect(self) -> None:
        self.table.reach()
        if not await self._hear(lambda: self.table.complete, self._times.connect):
            away = [peer for peer in self.table.peers if not self.table.links[peer].alive]
            why = self.table.unreached.get(away[0], "it does not run this attempt")
            raise self.table.ended(away[0], PeerLost(why, away[0]))

    async def _check(self) -> None:
        self._enter(State.PREFLIGHT)
        try:
            await _aside(partial(self._side.launcher.put, self.work.plan))
            status = await _aside(self._side.launcher.status)
        except DarkroomError as problem:
            raise self._own(PreflightFailed.code, Step.CHECK, f"launcher: {problem}") from None
        faults = preflight.own_faults(self.work.plan, status, need(self.work.joint, self._side.domain))
        self._require(preflight.fault(self._side.domain, faults))
        mine = Greeting(PROTOCOL, self.work.platform, self.work.joint.digest, self.work.number)
        await self.table.say("greeting", mine.plain())
        links = self.table.links.values()
        await self._expect("greeting", self._times.preflight, lambda: all(link.clock for link in links))
        clocks = {link.domain: link.clock for link in links if link.clock}
        self._require(preflight.compared(self._side.domain, self._greetings(mine), clocks))
        await self._tell_earlier()
        await self.table.say("ready", {})
        await self._expect("ready", self._times.preflight)
        await self._note_receipts()

    async def _tell_earlier(self) -> None:
        """Tell how earlier attempts ended at this side, one of which others may have called good (`earlier`)."""
        try:
            told = await _aside(partial(ends_of, self._side.keeper, self.work.plan, self.work.number))
        except DarkroomError as problem:
            raise self._own(PreflightFailed.code, Step.CHECK, f"keeper: {problem}") from None
        if told:
            await self.table.say("receipts", {"receipts": [signed.plain() for signed in told]})

    def _greetings(self, mine: Greeting) -> dict[str, Greeting]:
        found = {self._side.domain: mine}
        for peer, said in self.table.said["greeting"].items():
            try:
                found[peer] = Greeting.read(dict(said))
            except Malformed as problem:
                raise self.table.ended(peer, LinkBroken(problem.what, peer)) from None
            if (found[peer].joint, found[peer].attempt) != (mine.joint, mine.attempt):
                raise self.table.ended(peer, LinkBroken("it greets for another attempt", peer))
        return found

    async def _meet(self) -> None:
        self._enter(State.MEETING)
        self.boxes.start()
        showing = asyncio.create_task(self._show())
        try:
            await self._expect("box", self._times.meet, lambda: showing.done())
            told = showing.result()
            if told is not None:
                raise Ended(told)
        finally:
            showing.cancel()
        for peer in self.table.peers:
            await self._bring(peer)

    async def _show(self) -> Told | None:
        """Tell the peers what this side's launcher says of its box, once the keeper has it; or what hindered it."""
        joint, number = self.work.joint.digest, self.work.number
        try:
            while (found := await _aside(partial(self._side.keeper.own, joint, number))) is None:
                await asyncio.sleep(0.05)
        except DarkroomError as problem:
            told = self._own(PreflightFailed.code, Step.EXTRACT, f"keeper: {problem}").told
            await self.table.wake()
            return told
        await self.table.say("box", found.plain())
        await self.table.wake()
        return None

    async def _bring(self, peer: str) -> None:
        """Give the own keeper what a peer says of its box; the keeper verifies it."""
        joint, number = self.work.joint.digest, self.work.number
        try:
            told = BoxOf.read(self.table.said["box"][peer])
            await _aside(partial(self._side.keeper.bring, joint, number, [told]))
        except (EvidenceBroken, Malformed) as problem:
            raise self.table.ended(peer, LinkBroken(f"its box is not vouched for: {problem}", peer)) from None
        except DarkroomError as problem:
            raise self._own(PreflightFailed.code, Step.EXTRACT, f"keeper: {problem}") from None

    async def _compute(self) -> None:
        self._enter(State.COMPUTING)
        await self._hear(lambda: self.boxes.over, None)
        digests = [result.record.statement.digest for result in self._results()]
        await self.table.say("done", {"records": digests})
        await self._expect("done", None)

    async def _confirm(self) -> Outcome:
        """Exchange receipts; every party sends on what it hears, so that one that dies leaves nobody in doubt."""
        self._enter(State.RECEIPTS)
        sealed = [output.sha256 for result in self._results() for output in self._outputs(result.record)]
        await self._sign(Receipt(
            joint=self.work.joint.digest, attempt=self.work.number, party=self._side.domain,
            records=tuple(result.record.statement.digest for result in self._results()),
            sealed=sealed[0] if sealed else "", sent_bytes=self._sent(),
        ))  # fmt: skip
        end = time.monotonic() + self._times.receipts
        while not self._complete:
            left = end - time.monotonic()
            heard = lambda: bool(not self.table.receipts.empty() or self.table.said["abort"])  # noqa: E731
            if left <= 0 or not await self.table.hear(heard, left, strict=False):
                missing = sorted(set(self.table.peers) - set(self._receipts))
                raise self.table.ended(missing[0], PeerLost("its receipt did not come", missing[0]))
            known = len(self._receipts)
            await self._note_receipts()
            if (
                len(self._receipts) > known
            ):  # what says nothing new is not passed on, or parties would never be quiet
                await self._say_receipts()
            if not self._complete and self.table.said["abort"] and self.table.receipts.empty():
                raise Over(next(iter(self.table.said["abort"])))
        return Outcome(None, "", dict(self._receipts))

    # --- the end -----------------------------------------------------

    async def _fail(self, told: Told | None) -> Outcome:
        self._enter(State.ENDING)
        if told is not None and told.uncertain:
            told = await self._news(told)
        self.links.end()  # a box that waits for bytes of others ends by that
        cause = await self.boxes.settle(self._times.grace)
        if cause is not None:
            told = self._cause(told, failures.of_box(*cause, self._side.domain, self._parties()))
        if told is not None:
            self._log(f"attempt {self.work.number} of {self.work.joint.digest[:19]}…: {told.detail}")
        final = await Agreement(self.table).reach(told)
        await self._note_receipts()
        if self._complete:  # somebody had all receipts before something broke, and has told us
            return Outcome(None, "", dict(self._receipts))
        await self._receipts_of(final.failure)
        return Outcome(final.failure, final.detail, dict(self._receipts))

    async def _receipts_of(self, failure: Failure) -> None:
        """Exchange receipts of a failure, as far as there are any."""
        records = [result.record for result in self._results()]
        try:
            await self._sign(Receipt(
                joint=self.work.joint.digest, attempt=self.work.number, party=self._side.domain,
                records=tuple(record.statement.digest for record in records), sealed="",
                code=failure.code, failed_at=failure.failed_at, sent_bytes=self._sent(),
            ))  # fmt: skip
        except Ended as problem:
            self._log(problem.told.detail)
            await self._say_receipts()
        heard: set[str] = set()

        def all_heard() -> bool:
            return not self.table.receipts.empty() or heard >= self._reachable()

        end = time.monotonic() + self._times.round
        while not heard >= self._reachable() and (left := end - time.monotonic()) > 0:
            await self.table.hear(all_heard, left, strict=False)
            heard |= await self._note_receipts()

    async def _leave(self, outcome: Outcome) -> None:
        """Tell all peers how it ended, and wait a moment for those that are still about to hear it."""
        await self._say_receipts()
        await self.table.say("closed", outcome.failure.plain() if outcome.failure else {"well": True})
        self.links.end()
        closed = self.table.said["closed"]
        await self.table.hear(lambda: self._reachable() <= set(closed), self._times.grace, strict=False)

    def _cause(self, told: Told | None, box: Told) -> Told | None:
        """Return what failed at this side, now that it is known what its boxes failed with."""
        if box.uncertain:  # that a box lost its link is not why, and everybody hears why
            return told
        return box if told is None or box.failure.rank < told.failure.rank else told

    async def _news(self, told: Told) -> Told | None:
        """Return why a link was lost, if a peer says so or is lost itself."""
        try:
            await self.table.hear(lambda: False, self._times.news)
        except Ended as end:
            return end.told
        except Over:
            return None
        return told

    # --- helpers -----------------------------------------------------

    def _enter(self, state: State) -> None:
        self.state = state
        self.table.step = _STEPS.get(state, self.table.step)
        self._states.append(state)
        for listener in self._listeners:
            listener.put_nowait(state)

    async def _hear(self, until: Callable[[], bool], timeout_s: float | None) -> bool:
        """Hear until a condition holds, while nothing of this side has failed."""
        held = await self.table.hear(lambda: until() or self._own_end() is not None, timeout_s)
        own = self._own_end()
        if own is not None:
            raise Ended(own)
        return held

    async def _expect(
        self, kind: str, timeout_s: float | None, also: Callable[[], bool] = lambda: True
    ) -> None:
        """Hear until every peer has said something; who has not in time is lost."""
        if await self._hear(lambda: not self.table.missing(kind) and also(), timeout_s):
            return
        missing = self.table.missing(kind)
        if not missing:
            raise self._own(
                PreflightFailed.code, self.table.step, f"this side was not ready in time ({kind})"
            )
        raise self.table.ended(missing[0], PeerLost(f"it did not say {kind!r} in time", missing[0]))

    def _own_end(self) -> Told | None:
        """Return what of this side has ended the attempt, if anything has."""
        if self._cancelled:
            return self._own(PartyStopped.code, self.table.step, "it was cancelled here").told
        if self.boxes.problem is not None:
            return failures.of_box(*self.boxes.problem, self._side.domain, self._parties())
        if self._cuts and not self.boxes.over:
            return replace(self.table.ended(*self._cuts[0]).told, uncertain=True)
        return None

    async def _cut(self, peer: str, problem: DarkroomError) -> None:
        self._cuts.append((peer, problem))
        await self.table.wake()

    def _require(self, told: Told | None) -> None:
        if told is not None:
            raise Ended(told)

    def _own(self, code: str, step: Step, detail: str) -> Ended:
        return Ended(Told(Failure(code, self._side.domain, step), detail))

    def _parties(self) -> list[str]:
        return [party.domain for party in self.work.joint.parties]

    def _reachable(self) -> set[str]:
        return {peer for peer, link in self.table.links.items() if link.alive}

    def _results(self) -> list[Any]:
        return [
            self.boxes.results[spec.entry]
            for spec in self.work.plan.stages
            if spec.entry in self.boxes.results
        ]

    def _outputs(self, record: Signed) -> list[Any]:
        body = StageRecord.read(record.statement.body)
        return list(body.outputs) if body.stage is Entry.PARTY else []

    def _sent(self) -> int:
        return sum(count.sent for count in self.links.carried.values())

    # --- receipts -----------------------------------------------------

    @property
    def _complete(self) -> bool:
        """Whether every party's receipt is there, and says that it ended well."""
        everybody = set(self._receipts) == set(self._parties())
        return everybody and not any(
            Receipt.read(each.statement.body).code for each in self._receipts.values()
        )

    async def _sign(self, receipt: Receipt) -> None:
        records = [result.record for result in self._results()]
        ask = partial(self._side.keeper.receipt, receipt, self.work.plan, records)
        try:
            self._receipts[self._side.domain] = await _aside(ask)
        except DarkroomError as problem:
            raise self._own(PartyFailed.code, self.table.step, f"keeper: {problem}") from None
        await self._say_receipts()

    async def _say_receipts(self) -> None:
        told = [signed.plain() for signed in self._receipts.values()]
        await self.table.say("receipts", {"receipts": told})

    async def _note_receipts(self) -> set[str]:
        """Keep the receipts that came; return who sent some. What is no receipt of this attempt is left out."""
        heard = set()
        while not self.table.receipts.empty():
            peer, content = self.table.receipts.get_nowait()
            heard.add(peer)
            told = content.get("receipts")
            for plain in told[:MOST_TOLD] if isinstance(told, list) else ():
                await self._note_receipt(plain)
        return heard

    async def _note_receipt(self, plain: object) -> None:
        try:
            signed = Signed.read(plain)
            body = Receipt.read(signed.statement.body)
            known = body.attempt == self.work.number and body.party in self._receipts
            stranger = body.joint != self.work.joint.digest or body.party not in self.table.peers
            if known or stranger or body.attempt > self.work.number:
                return
            await _aside(partial(self._side.keeper.keep, signed))
            if body.attempt == self.work.number:
                self._receipts[body.party] = signed
        except DarkroomError as problem:
            self._log(f"a receipt was not kept: {problem}")


async def _aside(work: Callable[[], T]) -> T:
    """Ask the own side from a thread, since it blocks."""
    return await asyncio.get_running_loop().run_in_executor(None, work)
