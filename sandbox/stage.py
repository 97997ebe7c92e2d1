"""One attempt at one stage of a plan, from the plan on the shelf to the signed record.

    created ► started ► hello ► keys ► done ► collected

A box that had waited (`sandbox.pool`) and is lost before its hello is made once more, cold: it had the plan, and no
key. After hello nothing is tried again here.

The box is built from the plan and nothing else. The launcher vouches for what it knows itself: that this box,
of this image, with these inputs, holds the private half of this key (`BoxStatement`); and what came out of it
(`StageRecord`). It sees sealed keys, encrypted inputs and encrypted outputs, never a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keys.signing import Draft, SigningKey, sign
from plans.box import BoxSpec, BoxState, Entry
from plans.decision import Tier
from plans.errors import (
    BoxFailed,
    BoxLimit,
    DarkroomError,
    NotFound,
    OutputRefused,
    StateConflict,
)
from plans.key import SealedKeys
from plans.plan import Plan, PlanKind
from plans.record import Record
from plans.statements import BoxStatement, Duty, StageInput, StageOutput, StageRecord, Type
from sandbox import conversation, pairing, telling
from sandbox.config import LauncherConfig
from sandbox.contract import Box, Boxes, Cause, Conversation
from sandbox.conversation import Failure
from sandbox.homes import Homes
from sandbox.lease import Keeper, LeaseTimes, finish, hold
from sandbox.links import Exchange, require_joinable
from sandbox.shelf import Shelf, StageName
from sandbox.telling import Tried

STATEMENT_S = 60
"""Seconds for which a box statement is worth something: as long as the keeper may take to answer."""

ENDING_S = 5.0
"""Seconds that a box may take to end whose conversation broke off, before it is ended."""

LEAVING_S = conversation.HELLO_S
"""Seconds that a box may take to end after its report: as long as to come up, since what it did is done."""

_LESS = "Ask for less data, or ask the administrator for a higher limit (docs/settings.md)."

KILLED = {
    Cause.MEMORY: ("the box reached its limit of memory", _LESS),
    Cause.CPU: ("the box reached its limit of processor time", _LESS),
    Cause.WALL: ("the box reached its limit of time", _LESS),
    Cause.OUTPUT: ("the box reached its limit of output, or of what its engine may spill", _LESS),
    Cause.HOME: (
        "the lab reached the limit of its home, so it was ended; nothing in the home was lost",
        "Start the lab again and delete files, or ask the administrator for a profile with a larger home.",
    ),
    Cause.CANCELLED: ("the box was cancelled", "Submit the statement again if it is still wanted."),
    Cause.REVOKED: (
        "the owner's keeper ended the box: what it ran under was revoked",
        "See what stands with `darkroom grants`, and apply again.",
    ),
    Cause.LEASE: (
        "the owner's keeper could not be reached for too long, so the box was ended",
        "Submit it again shortly; `darkroom-server doctor` says what is down.",
    ),
    Cause.LAUNCHER: ("the launcher stopped, and its boxes with it", "Submit it again shortly."),
    Cause.PEER: (
        "the box beside it ended without a result, and this one with it",
        "See why the other one ended, and submit the job again.",
    ),
}
"""Why a box was killed, as a sentence, and what to do."""


_LOST = (Cause.PROTOCOL, Cause.MEMORY, Cause.CPU, Cause.WALL, conversation.START)
"""How a box ends that was killed, or hung, while it waited: without a word, or in a way that looks like a limit."""


class _LostWaiting(Exception):
    """A box that had waited is gone before it has said hello."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every stage of a launcher uses."""

    config: LauncherConfig
    key: SigningKey
    boxes: Boxes
    shelf: Shelf
    keeper: Keeper | None
    times: LeaseTimes
    exchange: Exchange = field(default_factory=Exchange)
    homes: Homes | None = None
    """Where labs run: their homes."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done: the stage, its plan and box, and the inputs as they were found."""

    name: StageName
    plan: Plan
    spec: BoxSpec
    files: dict[str, Path]
    inputs: tuple[StageInput, ...]
    tried: Tried | None = None
    """What came of the trial of a member's folder, as it was known before the folder met data."""


class StageRun:
    """A stage while it runs. `tell` hears every state of its box."""

    def __init__(self, workshop: Workshop, name: StageName, tell: Callable[[BoxState], None]) -> None:
        self._shop, self.name, self._tell = workshop, name, tell
        self._box: Box | None = None
        self._cancelled = Cause.NONE
        self._facts: dict[str, str | int] = {}
        self._began = time.monotonic()
        self._timings: dict[str, int] = {}

    @property
    def state(self) -> BoxState:
        """The present state of the box."""
        return self._box.state if self._box else BoxState.CREATED

    async def answer(self) -> dict[str, Any]:
        """Run the stage and return its answer: `ok` with record and timings, or `error` with facts and timings."""
        try:
            record = await self._run_once_more(self._prepare())
        except DarkroomError as problem:
            answer = {"error": problem.problem(), "facts": self._facts, "timings": self._timings}
            if _is_final(self.name.stage, problem):
                self._shop.shelf.keep_result(self.name, answer)
                self._shop.shelf.forget_handed_over(self.name)
            return answer
        signed = sign(self._draft(Type.STAGE, record), self._shop.key)
        answer = {"ok": {"record": signed.plain(), "timings": self._timings}}
        self._shop.shelf.keep_result(self.name, answer)
        if self.name.stage is self._shop.shelf.plan(self.name.plan).ends:
            self._shop.shelf.forget_handed_over(self.name)
        return answer

    async def kill(self, cause: Cause) -> None:
        """End the stage."""
        self._cancelled = self._cancelled or cause
        if self._box is not None:
            await self._box.kill(cause)

    def _prepare(self) -> Work:
        """Find the plan and every input of the stage."""
        plan = self._shop.shelf.plan(self.name.plan)
        spec = plan.stage(self.name.stage)
        exchange = self._shop.exchange
        require_joinable(plan, spec, exchange.agent is not None, exchange.services)
        handed = self._shop.shelf.handed_over(plan, spec, self.name.attempt)
        files: dict[str, Path] = {}
        inputs = []
        for item in spec.inputs:
            path, sha256 = (
                (self._data_file(item.name, plan.kind), item.sha256)
                if item.sha256
                else handed.get(item.name, (None, ""))
            )
            if path is None:
                raise NotFound("no stage before this one has written this input", item.name)
            files[item.name] = path
            inputs.append(StageInput(item.name, sha256))
        tried = pairing.tried(self._shop.shelf, plan) if spec.entry is Entry.PYTHON else None
        return Work(self.name, plan, spec, files, tuple(inputs), tried)

    def _data_file(self, name: str, kind: PlanKind) -> Path:
        """Return a file of the owner. What is staged in clear is for ingests, which only the owner's desk orders."""
        folder = self._shop.config.data_folder
        path = (folder / "staging" if kind is PlanKind.INGEST else folder) / name
        if path.is_file():
            return path
        raise NotFound("a file that the plan names is not in the owner's data folder", name)

    async def _run_once_more(self, work: Work) -> StageRecord:
        """Run the stage in a box; where that one had waited and was lost so, in a fresh one."""
        try:
            return await self._run(work, cold=False)
        except _LostWaiting:
            self._timings["again"] = self._passed_ms()
        return await self._run(work, cold=True)

    async def _run(self, work: Work, *, cold: bool) -> StageRecord:
        box = self._box = self._shop.boxes.create(work.spec, work.files, cold=cold)
        self._mark("created", BoxState.CREATED)
        try:
            if self._cancelled:
                await box.kill(self._cancelled)
                raise _killed(self._cancelled)
            report = await self._live(work, box)
            outputs = await box.collect(self._shop.shelf.fresh_collection(self.name))
            self._mark("collected", box.state)
            return _record(work, outputs, report)
        except (BoxFailed, StateConflict) as problem:
            explained = await _explained(box, problem)
            if not cold and self._is_lost(box, explained):
                raise _LostWaiting from None
            raise explained from None
        finally:
            await box.kill(Cause.CANCELLED)
            self._tell(box.state)
            await box.destroy()

    def _is_lost(self, box: Box, problem: DarkroomError) -> bool:
        """Whether a box was lost while it waited, or at its first words: before hello, and nobody wanted it to end."""
        return (
            box.waited
            and "hello" not in self._timings
            and not self._cancelled
            and isinstance(problem, BoxFailed)
            and problem.where in _LOST
        )

    async def _live(self, work: Work, box: Box) -> dict[str, Any]:
        """Start the box, hold the conversation, and return its report once it has ended well."""
        self._tell(BoxState.STARTING)
        pipes = await box.start()
        self._mark("started", box.state)
        start = {
            "plan": work.plan.plain(),
            "stage": work.spec.entry.value,
            "attempt": work.name.attempt,
            "inputs": [item.plain() for item in work.inputs],
        }
        box_key = await conversation.begin(pipes, start)
        self._mark("hello", box.state)
        async with (
            self._shop.exchange.joined(work.name, work.spec, pipes.links),
            self._keys_and_lease(work, box, pipes, box_key),
        ):
            self._mark("keys", box.state)
            trial = work.plan.kind is PlanKind.TRIAL
            found = await conversation.outcome(pipes, work.spec.entry, trial=trial)
        self._mark("done", box.state)
        if isinstance(found, Failure):
            raise self._gave_up(work, found)
        pipes.to_box.close()
        try:
            async with asyncio.timeout(LEAVING_S):
                await box.wait()
        except TimeoutError:
            raise BoxFailed("the box did not end after its report", Cause.PROTOCOL) from None
        return found

    def _gave_up(self, work: Work, failure: Failure) -> DarkroomError:
        """Return the error of a box that gave up. Where a member's program failed on data is kept, and not told."""
        if work.plan.kind is PlanKind.PYTHON and work.spec.entry is Entry.PYTHON:
            kept = {"code": failure.code, "facts": dict(failure.facts)}
            self._shop.shelf.keep_private(self.name, kept)
            if failure.code in telling.SENTENCES:
                return pairing.explained(failure, work.plan, work.tried)
        if work.spec.entry in conversation.SPEAKS_OF_FACTS:
            self._facts = dict(failure.facts)
        return conversation.given_up(failure)

    @contextlib.asynccontextmanager
    async def _keys_and_lease(
        self, work: Work, box: Box, pipes: Conversation, box_key: str
    ) -> AsyncIterator[None]:
        """Bring the keys to the box, and hold the lease while the body runs. A plan without data has neither."""
        keeper = self._shop.keeper
        if work.plan.kind.keyless:
            yield
            return
        if keeper is None:
            raise NotFound("this launcher has no keeper, and the stage needs keys", work.spec.entry.value)
        challenge = await keeper.ask({"op": "challenge", "plan": work.plan.digest}, STATEMENT_S)
        statement = self._statement(work, box.tier, box_key, str(challenge.get("nonce")))
        signed = sign(self._draft(Type.BOX, statement), self._shop.key)
        question = {"op": "unwrap", "statement": signed.plain(), "plan": work.plan.plain()}
        sealed = SealedKeys.read(await keeper.ask(question, STATEMENT_S))
        holder = asyncio.create_task(hold(keeper, sealed.lease, box, self._shop.times))
        try:
            await conversation.give_keys(pipes, sealed.sealed, statement.plain())
            yield
        finally:
            holder.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await holder
            await finish(keeper, sealed.lease)

    def _statement(self, work: Work, tier: Tier, box_key: str, challenge: str) -> BoxStatement:
        return BoxStatement(
            plan=work.plan.digest,
            stage=work.spec.entry,
            attempt=work.name.attempt,
            spec=work.spec.digest,
            image=work.spec.image,
            tier=tier,
            inputs=work.inputs,
            box_key=box_key,
            node=self._shop.config.node,
            challenge=challenge,
        )

    def _draft(self, kind: Type, body: Record) -> Draft:
        now = int(time.time())
        end = now + STATEMENT_S if kind is Type.BOX else 0
        return Draft(kind, self._shop.config.domain, Duty.LAUNCHER, body, 0, now, end)

    def _mark(self, step: str, state: BoxState) -> None:
        self._timings[step] = self._passed_ms()
        self._tell(state)

    def _passed_ms(self) -> int:
        return round((time.monotonic() - self._began) * 1000)


async def _explained(box: Box, problem: BoxFailed | StateConflict) -> DarkroomError:
    """Return what really ended the box: a limit or a kill shows as a conversation that broke off."""
    if problem.where not in (Cause.PROTOCOL, "box"):
        return problem
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDING_S):
            await box.wait()
    await box.kill(Cause.PROTOCOL)
    cause = (await box.wait()).cause
    return _killed(cause) if cause in KILLED else BoxFailed("the box ended without a result", Cause.PROTOCOL)


def _killed(cause: Cause) -> BoxFailed:
    return (BoxLimit if cause.is_limit else BoxFailed)(KILLED[cause][0], cause, KILLED[cause][1])


def _record(work: Work, outputs: tuple[StageOutput, ...], report: dict[str, Any]) -> StageRecord:
    return StageRecord(work.plan.digest, work.spec.entry, work.name.attempt, work.inputs, outputs, report)


def _is_final(stage: Entry, problem: DarkroomError) -> bool:
    """Whether this answer is the stage's for ever: what lies outside its box may be better next time.

    A check is the same plan for everybody who asks the same, so one box of it that was killed must not end the
    statement for all.
    """
    if stage is Entry.CHECK:
        return False
    passing = (Cause.LEASE, Cause.LAUNCHER, Cause.PEER, conversation.START)
    return isinstance(problem, (BoxFailed, OutputRefused)) and problem.where not in passing
