"""Moving joint computations, one durable state at a time, until they have ended.

    submitted ──► waiting-approval ──► running ──► released        each but the last ──► refused | failed | cancelled

The centre tells every party's agent to run an attempt, and each runs it only with its own approvers' signatures in its
own keeper. What it gets back are receipts and bytes that only the recipient opens. An attempt that ended because
somebody was not reachable is ordered again a few times; masks are new in each, and nothing is charged twice.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from audit import api as audit
from compute import events, joint
from compute.jobs import JobState
from compute.joint_evidence import gathered, looked_up
from compute.joint_planning import propose_jointly
from compute.planning import House
from keeper.api import OLDEST_JOINT_S
from mpc.api import AgentClient, Left, PartyEnd
from plans.errors import (
    DarkroomError,
    Defect,
    EvidenceBroken,
    Malformed,
    NotFound,
    Outdated,
    PeerLost,
    Refused,
    StateConflict,
    Unreachable,
)
from plans.joint import JointPlan
from plans.joint_evidence import JointEvidence
from plans.request import Request
from plans.statements import Signed
from store import api as store

_REFUSALS = (Refused, Malformed, EvidenceBroken)
_AGAIN = (PeerLost, Unreachable)
LOOK_S = 0.3
"""Pause between two looks at what there is to do; people approve joint plans, and boxes take seconds."""


MOST_RUNNING = 16
"""Attempts that are followed at a time; what is planned or waits does not wait for them."""

CANCELLED_FOR_S = 900
"""How long after it was cancelled an attempt is still stopped."""

FETCHES = 30
"""How often what a good end left is asked for, while a party's side is being started anew."""

AGAIN_S = 2.0
"""Pause before the next attempt, longer after each; whoever ended is started anew meanwhile."""


@dataclass(frozen=True, slots=True)
class JointSettings:
    """What moving joint computations needs: images and limits, how to reach a party's agent, and how often to try."""

    house: House
    agent: Callable[[str], AgentClient]
    attempts: int = 3


class JointRunner:
    """Moves joint computations; one per centre."""

    def __init__(self, database: store.Database, log: audit.Log, settings: JointSettings) -> None:
        self._database, self._log, self._settings = database, log, settings
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._steps: Mapping[str, Callable[[store.JointRow], None]] = {
            JobState.SUBMITTED.value: self._plan,
            JobState.WAITING.value: self._await,
            JobState.RUNNING.value: self._run,
        }

    def work(self, stop: threading.Event) -> None:
        """Move computations until told to stop."""
        self.end_cancelled()
        with (
            ThreadPoolExecutor(4, thread_name_prefix="joint") as short,
            ThreadPoolExecutor(MOST_RUNNING, thread_name_prefix="joint-run") as long,
        ):
            while not stop.wait(LOOK_S):
                for row in self._take():
                    pool = long if row.state == JobState.RUNNING else short
                    pool.submit(self._advance, row).add_done_callback(partial(self._after, row.id))

    def end_cancelled(self) -> None:
        """Stop attempts of computations that were cancelled while nobody was here to tell their parties."""
        with self._database.reading() as session:
            rows = store.joint.cancelled_since(session, int(time.time()) - CANCELLED_FOR_S)
        for row in rows:
            self._stop(row, {domain: self._settings.agent(domain) for domain in row.parties})

    def _take(self) -> list[store.JointRow]:
        with self._database.reading() as session:
            rows = store.joint.in_states(session, self._steps)
        with self._lock:
            free = [row for row in rows if row.id not in self._busy]
            self._busy |= {row.id for row in free}
        return free

    def _advance(self, row: store.JointRow) -> None:
        try:
            self._steps[row.state](row)
        except DarkroomError as problem:
            self._end(row.id, problem)

    def _after(self, number: str, step: Future[None]) -> None:
        """A step has ended: fail the computation of one that nobody foresaw, and let the next begin."""
        defect = step.exception()
        try:
            if defect is not None:
                self._end(number, Defect("a step ended unforeseen", type(defect).__name__))
        finally:
            with self._lock:
                self._busy.discard(number)

    def _plan(self, row: store.JointRow) -> None:
        request = Request.decode(row.request.encode())
        plan = propose_jointly(self._database, self._settings.house, request, row.request_signature)
        self._move(
            row,
            JobState.WAITING,
            parties=tuple(party.domain for party in plan.parties),
            digest=plan.digest,
            plan=plan.canonical().decode(),
        )

    def _await(self, row: store.JointRow) -> None:
        """Begin once every party has approved; whether an approval counts is for each keeper to say."""
        with self._database.reading() as session:
            approved = joint.approved_by(session, row.digest)
        if set(row.parties) <= set(approved):
            self._move(row, JobState.RUNNING, attempt=1)
        elif row.updated_at < time.time() - OLDEST_JOINT_S:
            raise Outdated(
                "not every party approved the joint plan within a week", "joint", "Submit it again."
            )

    def _run(self, row: store.JointRow) -> None:
        """Run one attempt at all parties, and take what they hand over."""
        plan = JointPlan.decode(row.plan.encode())
        agents = {domain: self._settings.agent(domain) for domain in row.parties}
        threading.Thread(target=self._watch, args=(row, agents), daemon=True).start()
        with ThreadPoolExecutor(len(agents), thread_name_prefix="party") as pool:
            ended = list(pool.map(lambda agent: _ended(agent, plan, row.attempt), agents.values()))
        failures = [each.failure for each in ended if each.failure is not None]
        lost = all(isinstance(each, _AGAIN) for each in failures)
        if lost and len(failures) < len(ended):  # it ended well; who does not say so was lost since
            receipts = next(each.receipts for each in ended if each.failure is None)
            self._release(row, plan, agents, receipts)
        elif lost and row.attempt < self._settings.attempts:
            self._again(row)
        elif (earlier := _good_before(row, agents[plan.handing[0]])) is not None:
            number, known = earlier
            self._release(replace(row, attempt=number), plan, agents, known)
        else:
            raise next((each for each in failures if not isinstance(each, _AGAIN)), failures[0])

    def _again(self, row: store.JointRow) -> None:
        """Order the next attempt, after a pause.

        Raises:
            Unreachable: there were as many as there may be.
        """
        if row.attempt >= self._settings.attempts:
            raise Unreachable("a party was not there in any attempt", "joint", "Submit it again later.")
        time.sleep(AGAIN_S * row.attempt)
        self._move(row, JobState.RUNNING, attempt=row.attempt + 1)

    def _watch(self, row: store.JointRow, agents: Mapping[str, AgentClient]) -> None:
        """Stop the attempt at its parties when its member cancels it."""
        while True:
            time.sleep(LOOK_S)
            with self._database.reading() as session:
                now = store.joint.get(session, row.id)
            if now.state == JobState.CANCELLED.value:
                self._stop(row, agents)
            if (now.state, now.attempt) != (JobState.RUNNING.value, row.attempt):
                return

    def _stop(self, row: store.JointRow, agents: Mapping[str, AgentClient]) -> None:
        """Stop an attempt at its parties; one agent that hears it tells all others."""
        for agent in agents.values():
            try:
                agent.cancel(row.digest, row.attempt)
            except (NotFound, StateConflict, Unreachable):
                continue  # it has not begun there, or has ended

    def _release(
        self,
        row: store.JointRow,
        plan: JointPlan,
        agents: Mapping[str, AgentClient],
        receipts: Sequence[Signed],
    ) -> None:
        left, evidence = self._fetched(row, plan, agents, receipts)
        kept = {
            "attempt": row.attempt,
            "sealed": {domain: base64.b64encode(each.sealed).decode() for domain, each in left.items()},
            "receipts": [signed.plain() for signed in next(iter(left.values())).receipts],
            "evidence": evidence.plain(),
        }
        if drafts := joint.looked_up(row, looked_up(evidence)):
            self._log.append_all(drafts)
        self._move(row, JobState.RELEASED, results=json.dumps(kept, ensure_ascii=False))

    def _fetched(
        self,
        row: store.JointRow,
        plan: JointPlan,
        agents: Mapping[str, AgentClient],
        known: Sequence[Signed],
    ) -> tuple[dict[str, Left], JointEvidence]:
        """Return what a good end left: it is asked for again while somebody does not answer, since keepers let a joint
        plan end well once. `known` are receipts of a party that has all; another may have missed some.

        Raises:
            Unreachable: somebody did not answer for a minute.
            StateConflict: a party says that it did not end well.
        """
        for _ in range(FETCHES):
            try:
                left = {
                    domain: agents[domain].result(row.digest, row.attempt, known) for domain in plan.handing
                }
                receipts = next(iter(left.values())).receipts
                sealed = {domain: each.sealed for domain, each in left.items()}
                return left, gathered(self._database, plan, row.attempt, receipts, sealed)
            except Unreachable:
                time.sleep(AGAIN_S)
        raise Unreachable(
            "what the computation left was not handed over in time", "joint", "Submit it again later."
        )

    def _end(self, number: str, problem: DarkroomError) -> None:
        with self._database.reading() as session:
            now = store.joint.get(session, number)
        if not JobState(now.state).ended:
            end = JobState.REFUSED if isinstance(problem, _REFUSALS) else JobState.FAILED
            self._move(now, end, problem=events.canonical_text(problem.problem()))

    def _move(self, row: store.JointRow, state: JobState, **changes: str | int | tuple[str, ...]) -> None:
        """Move a computation, unless somebody else moved it first: its member, who cancelled it."""
        with self._database.session() as session:
            if store.joint.move(session, row.id, row.state, state.value, **changes):
                self._log.append(joint.moved(row, state, changes))


def agent_of(socket_of: Callable[[str], Path]) -> Callable[[str], AgentClient]:
    """Return how to reach a party's agent by its socket on this machine."""
    return lambda domain: AgentClient(socket_of(domain))


def _ended(agent: AgentClient, plan: JointPlan, attempt: int) -> PartyEnd:
    """Return how an attempt ended at one party; an agent that does not answer is a lost party."""
    try:
        agent.put(plan)
        return agent.run(plan.digest, attempt)
    except DarkroomError as problem:
        return PartyEnd(problem, ())


def _good_before(row: store.JointRow, agent: AgentClient) -> tuple[int, Sequence[Signed]] | None:
    """Return the earlier attempt that ended well after all, with its receipts, as one knows that hands something over.

    A party may have signed its good end and died before anybody heard of it; it says so before the next attempt, for
    which keepers then give no key.
    """
    for number in range(1, row.attempt):
        try:
            return number, agent.result(row.digest, number).receipts
        except DarkroomError:
            continue  # it did not end well, or nobody there knows
    return None
