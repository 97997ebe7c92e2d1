"""The dispatcher: moves every job one durable state at a time, until it has ended.

    submitted ──► waiting-approval ──► queued ──► running ──► inspecting ──► released
        └──────────────┴──────────────────┴──────────┴────────────┴──► refused | failed

A step reads a job, does one thing, and moves it by compare-and-set; so a dispatcher that is killed between
two steps leaves a job that the next one takes up. Stages are idempotent at the launcher (plan, stage,
attempt), so a step that is done twice finds the same box or its record. Only a lost launcher or cluster is
worth another attempt; a box that failed by itself would fail again.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from audit import api as audit
from cluster import api as cluster
from compute import events, planning
from compute.jobs import JobState
from compute.service import result_name
from keeper.api import OLDEST_PLAN_S, KeeperClient
from plans.box import Entry
from plans.decision import Decision, Outcome
from plans.errors import (
    ClusterLost,
    DarkroomError,
    Defect,
    EvidenceBroken,
    HashMismatch,
    Malformed,
    Outdated,
    PolicyDenied,
    Refused,
    Unreachable,
)
from plans.plan import Plan
from plans.release import Release
from plans.request import Request
from plans.statements import Approval, Signed, StageRecord, Type
from plans.verdict import Finding, Verdict
from policies import api as policies
from sandbox import api as sandbox
from store import api as store

_MOVING = tuple(state.value for state in JobState if not state.ended and state is not JobState.WAITING)
_MOST_WAITING = 5_000
"""Jobs that may wait for approvals at a time and still be seen; each ends by itself after a day."""
_APPROVALS_EVERY_S = 0.5
_BRISK_FOR_S = 10.0
_REFUSALS = (Refused, Malformed, EvidenceBroken)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a dispatcher is told: image and limits of plans, where results go, where launchers keep outputs."""

    house: planning.House
    results: Path
    launcher_home: Callable[[str], Path]
    attempts: int = 3
    poll_s: float = 0.05
    brisk_poll_s: float = 0.02
    """The pause between looks for new jobs; the brisk one for `_BRISK_FOR_S` after something has moved."""
    workers: int = 32
    """Steps at a time. Most of them wait for a box; how many boxes run at a time is Ray's to say."""


class Overtaken(Exception):
    """Another step moved the job first; nothing is wrong, and nothing is left to do here."""


class Dispatcher:
    """One dispatcher; several may work on one database.

    `lost` is set when the cluster is gone: the process should end then, and be started anew with a new
    cluster.
    """

    def __init__(self, database: store.Database, log: audit.Log, settings: Settings) -> None:
        self._database, self._log, self._settings = database, log, settings
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._stepped = threading.Event()
        self.lost = threading.Event()
        self._steps: Mapping[JobState, Callable[[store.JobRow], None]] = {
            JobState.SUBMITTED: self._decide,
            JobState.QUEUED: self._run,
            JobState.RUNNING: self._run,
            JobState.INSPECTING: self._run,
        }

    def work(self, stop: threading.Event) -> None:
        """Move jobs until told to stop."""
        with ThreadPoolExecutor(self._settings.workers, thread_name_prefix="job") as pool:
            looked = moved = 0.0
            while not (stop.is_set() or self.lost.is_set()):
                now = time.monotonic()
                if now - looked > _APPROVALS_EVERY_S:
                    looked = now
                    self.queue_approved()
                for row in self.take():
                    moved = now
                    pool.submit(self._advance, row).add_done_callback(partial(self._after, row))
                brisk = now - moved < _BRISK_FOR_S
                self._stepped.wait(self._settings.brisk_poll_s if brisk else self._settings.poll_s)
                self._stepped.clear()

    def take(self) -> list[store.JobRow]:
        """Return jobs that can be moved and that no step holds yet; jobs that wait for people are not among them."""
        with self._database.reading() as session:
            rows = store.jobs.in_states(session, _MOVING)
        with self._lock:
            free = [row for row in rows if row.id not in self._busy]
            self._busy.update(row.id for row in free)
        return free

    def _advance(self, row: store.JobRow) -> None:
        try:
            self._steps[JobState(row.state)](row)
        except Overtaken:
            return
        except ClusterLost:
            self.lost.set()
        except Unreachable as problem:
            self._again(row, problem)
        except DarkroomError as problem:
            self._end(row, problem)

    def _after(self, row: store.JobRow, step: Future[None]) -> None:
        """A step has ended: let the next begin, and fail the job of one that nobody foresaw.

        What could not even be written down (a lost database, a job that another moved) is looked at again.
        """
        defect = step.exception()
        try:
            if defect is not None and not isinstance(defect, Overtaken | Unreachable):
                self._end(row, Defect("a step ended unforeseen", type(defect).__name__))
        finally:
            with self._lock:
                self._busy.discard(row.id)
            if defect is None:  # the next step may begin at once; after a defect the next look is soon enough
                self._stepped.set()

    # --- steps -----------------------------------------------------

    def _decide(self, row: store.JobRow) -> None:
        request = Request.decode(row.request.encode())
        house = self._settings.house
        proposal = planning.propose(self._database, house, request, row.request_signature)
        decision, domain = proposal.decision, proposal.domain.name
        text = decision.canonical().decode()
        if proposal.plan is None:
            problem = events.canonical_text(_denied(decision).problem() | _explained(proposal.explanation))
            self._move(row, JobState.REFUSED, decision=text, domain=domain, problem=problem)
            return
        plan, waits = proposal.plan, decision.outcome is Outcome.NEEDS_APPROVAL
        self._move(
            row,
            JobState.WAITING if waits else JobState.QUEUED,
            decision=text,
            domain=domain,
            plan=plan.canonical().decode(),
            plan_digest=plan.digest,
        )

    def queue_approved(self) -> None:
        """Queue the waiting jobs whose plans were approved, and end those that no approval could help any more."""
        with self._database.reading() as session:
            rows = store.jobs.in_states(session, [JobState.WAITING.value], _MOST_WAITING)
            approved = {plan for name in {row.domain for row in rows} for plan in _approved(session, name)}
        for row in rows:
            try:
                if row.plan_digest in approved:
                    self._move(row, JobState.QUEUED)
                elif row.updated_at < time.time() - OLDEST_PLAN_S:
                    self._end(
                        row,
                        Outdated("nobody approved the plan within a day", "plan", "Submit the job again."),
                    )
            except Overtaken:
                continue

    def _run(self, row: store.JobRow) -> None:
        plan = Plan.decode(row.plan.encode())
        with self._database.reading() as session:
            domain = store.domains.get(session, row.domain)
        attempt = max(row.attempt, 1)
        launcher = Path(domain.launcher_socket)
        sandbox.LauncherClient(launcher).put(plan)
        records = []
        for stage in (spec.entry for spec in plan.stages):
            state = JobState.RUNNING if stage is Entry.QUERY else JobState.INSPECTING
            row = self._move(row, state, stage=stage.value, attempt=attempt)
            task = cluster.Task(launcher, plan.digest, stage, attempt)
            records.append(cluster.run_stage(task, plan.stage(stage)).record)
        self._release(row, plan, records, KeeperClient(Path(domain.keeper_socket)))

    def _release(self, row: store.JobRow, plan: Plan, records: list[Signed], keeper: KeeperClient) -> None:
        judged = StageRecord.read(records[-1].statement.body)
        verdict = Verdict.read(judged.report.get("verdict"))
        text = verdict.canonical().decode()
        if verdict.finding is Finding.REFUSED:
            self._move(row, JobState.REFUSED, verdict=text, problem=events.refused_output(verdict))
            return
        release = keeper.release(plan, records).signed
        home = self._settings.launcher_home(plan.domain)
        name = sandbox.StageName(plan.digest, Entry.JUDGE, judged.attempt)
        with sandbox.open_output(home, name, policies.SEALED) as source:
            _keep(
                source,
                Release.read(release.statement.body).sealed,
                self._settings.results / result_name(plan.digest),
            )
        self._move(row, JobState.RELEASED, verdict=text, release=release.canonical().decode())

    # --- moves -----------------------------------------------------

    def _again(self, row: store.JobRow, problem: DarkroomError) -> None:
        """Something was not reachable: try anew with the next attempt, a few times and a little later."""
        with self._database.reading() as session:
            now = store.jobs.get(session, row.id)
        if now.attempt + 1 > self._settings.attempts:
            self._end(now, problem)
            return
        time.sleep(1 + now.attempt)
        state = JobState(now.state)
        back = state if state in (JobState.SUBMITTED, JobState.WAITING) else JobState.QUEUED
        self._move(now, back, attempt=now.attempt + 1)

    def _end(self, row: store.JobRow, problem: DarkroomError) -> None:
        """End a job with a problem, wherever it stands by now."""
        with self._database.reading() as session:
            now = store.jobs.get(session, row.id)
        if not JobState(now.state).ended:
            end = JobState.REFUSED if isinstance(problem, _REFUSALS) else JobState.FAILED
            self._move(now, end, problem=events.canonical_text(problem.problem()))

    def _move(self, row: store.JobRow, state: JobState, **changes: str | int) -> store.JobRow:
        """Move a job: first the event, durably, then the state that others see.

        Raises:
            Overtaken: somebody else moved it first, so this step's view of it is old.
        """
        with self._database.session() as session:
            current = store.jobs.get(session, row.id)
            if current.state != row.state:
                raise Overtaken(row.id)
            self._log.append(events.moved(row, state, changes=changes))
            store.jobs.move(session, row.id, row.state, state.value, at=None, **changes)
            return store.jobs.get(session, row.id)


def _denied(decision: Decision) -> PolicyDenied:
    """Return a denial as the member reads it: the first reason, and how many more there are."""
    first, more = decision.reasons[0], len(decision.reasons) - 1
    others = f", and {more} more: see `darkroom explain`" if more else ""
    return PolicyDenied(first.sentence.rstrip(".") + others, first.subject, first.help)


def _explained(explanation: policies.Explanation | None) -> dict[str, Any]:
    """Return what a denial's problem document says beside it: what would help, in words and as data."""
    if explanation is None:
        return {}
    told = {
        name: [remedy.plain() | {"sentence": remedy.sentence} for remedy in remedies]
        for name, remedies in (("remedies", explanation.remedies), ("alternatives", explanation.alternatives))
    }
    return {"explanation": told | {"complete": explanation.complete}}


def _approved(session: store.Session, domain: str) -> Iterator[str]:
    """Yield the digests of a domain's approved plans; whether an approval counts is for the keeper to say."""
    for row in store.statements.of_type(session, domain, Type.APPROVAL.value):
        yield Approval.read(Signed.decode(row.signed.encode()).statement.body).plan


def _keep(source: BinaryIO, sealed: str, target: Path) -> None:
    """Copy sealed bytes to where members fetch them, in one step.

    Raises:
        HashMismatch: these are not the bytes whose release the keeper signed.
    """
    content = source.read()
    if "sha256:" + hashlib.sha256(content).hexdigest() != sealed:
        raise HashMismatch(
            "the launcher's folder holds other bytes than those that were released", target.name
        )
    fresh = target.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)
