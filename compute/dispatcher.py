"""The dispatcher: moves every job one durable state at a time, until it has ended.

    submitted ──► waiting-approval ──► queued ──► trying ──► running ──► inspecting ──► held ──► released
        └──────────────┴──────────────────┴──────────┴──────────┴────────────┴─────────┴──► refused | failed

A step reads a job, does one thing, and moves it by compare-and-set; so a dispatcher that is killed between
two steps leaves a job that the next one takes up. Stages are idempotent at the launcher (plan, stage,
attempt), so a step that is done twice finds the same box or its record. Only a lost launcher or cluster is
worth another attempt; a box that failed by itself would fail again. Members cancel jobs by moving them
themselves; the dispatcher then ends what still runs.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from audit import api as audit
from cluster import api as cluster
from compute import events, folders, planning, trials
from compute.delivering import Shelf
from compute.jobs import JobState
from keeper.api import OLDEST_PLAN_S, KeeperClient
from plans.box import Entry
from plans.decision import Decision, Outcome
from plans.errors import (
    BoxFailed,
    ClusterLost,
    DarkroomError,
    Defect,
    EvidenceBroken,
    Malformed,
    NotFound,
    Outdated,
    PolicyDenied,
    Refused,
    StateConflict,
    Unreachable,
)
from plans.plan import Plan, PlanKind
from plans.request import Request
from plans.statements import Approval, Signed, StageRecord, Type
from plans.tasks import PythonTask, task_of
from plans.trial import Folder
from plans.verdict import Finding, Verdict
from policies import api as policies
from sandbox import api as sandbox
from store import api as store

_RUNNING = (JobState.QUEUED, JobState.TRYING, JobState.RUNNING, JobState.INSPECTING)
_MOVING = (JobState.SUBMITTED.value, JobState.TRYING.value, JobState.RUNNING.value, JobState.INSPECTING.value)
_MOST_WAITING = 5_000
"""Jobs that may wait for approvals at a time and still be seen; each ends by itself after a day."""
_APPROVALS_EVERY_S = 0.5
_HELD_EVERY_S, _HELD_AT_ONCE = 5.0, 16
"""How often a keeper is asked about held outputs, and about how many at a time."""
_BRISK_FOR_S = 10.0
_CANCELLED_FOR_S = 900
"""How long after it was cancelled a job's boxes are still looked for."""

_AT_DATA = frozenset({Entry.QUERY, Entry.LOAD, Entry.PYTHON, Entry.COMPONENT})
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
    at_once: int = 16
    """Jobs that run at a time, fewer than steps, so that others are decided on meanwhile; the rest are queued."""


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
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._stepped = threading.Event()
        self.lost = threading.Event()
        self._steps: Mapping[JobState, Callable[[store.JobRow], None]] = {
            JobState.SUBMITTED: self._decide,
            JobState.QUEUED: self._run,
            JobState.TRYING: self._run,
            JobState.RUNNING: self._run,
            JobState.INSPECTING: self._run,
            JobState.HELD: self._ask_again,
        }
        self._shelf = Shelf(settings.results, settings.launcher_home)
        self._asked: dict[str, float] = {}
        self._silenced: set[tuple[str, int]] = set()

    def work(self, stop: threading.Event) -> None:
        """Move jobs until told to stop."""
        with ThreadPoolExecutor(self._settings.workers, thread_name_prefix="job") as pool:
            looked = asked = moved = 0.0
            while not (stop.is_set() or self.lost.is_set()):
                now = time.monotonic()
                if now - looked > _APPROVALS_EVERY_S:
                    looked = now
                    self.queue_approved()
                    self.end_cancelled()
                held = now - asked > _HELD_EVERY_S
                asked = now if held else asked
                for row in (*self.take(), *(self.take_held() if held else ())):
                    moved = now
                    pool.submit(self._advance, row).add_done_callback(partial(self._after, row))
                brisk = now - moved < _BRISK_FOR_S
                self._stepped.wait(self._settings.brisk_poll_s if brisk else self._settings.poll_s)
                self._stepped.clear()

    def take(self) -> list[store.JobRow]:
        """Return jobs that can be moved and that no step holds yet; jobs that wait for people are not among them.

        Queued ones leave the queue in the order in which they came, as others end.
        """
        with self._lock:
            room = self._settings.at_once - len(self._running)
        with self._database.reading() as session:
            rows = store.jobs.in_states(session, _MOVING)
            queued = store.jobs.in_states(session, [JobState.QUEUED.value]) if room > 0 else ()
        taken = self._free(rows)
        first = self._free(queued, room - sum(row.state in _RUNNING for row in taken))
        with self._lock:
            self._running |= {row.id for row in (*taken, *first) if row.state in _RUNNING}
        return [*taken, *first]

    def take_held(self) -> list[store.JobRow]:
        """Return some jobs whose outputs are held, those first about which the keeper was asked longest ago."""
        with self._database.reading() as session:
            rows = store.jobs.in_states(session, [JobState.HELD.value], _MOST_WAITING)
        first = sorted(rows, key=lambda row: self._asked.get(row.id, 0.0))[:_HELD_AT_ONCE]
        self._asked = {row.id: self._asked.get(row.id, 0.0) for row in rows}
        self._asked.update(dict.fromkeys((row.id for row in first), time.monotonic()))
        return self._free(first)

    def _free(self, rows: Iterable[store.JobRow], most: int | None = None) -> list[store.JobRow]:
        """Take hold of those jobs that no step holds, of the first `most` of them."""
        with self._lock:
            free = [row for row in rows if row.id not in self._busy]
            free = free if most is None else free[: max(most, 0)]
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
                self._running.discard(row.id)
            if defect is None:  # the next step may begin at once; after a defect the next look is soon enough
                self._stepped.set()

    # --- steps -----------------------------------------------------

    def _decide(self, row: store.JobRow) -> None:
        request = Request.decode(row.request.encode())
        with self._database.reading() as session:
            material = folders.material_of(session, request)
        asked = planning.Asked(request, row.request_signature, material)
        proposal = planning.propose(self._database, self._settings.house, asked)
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
            plan=folders.without(plan),
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

    def end_cancelled(self) -> None:
        """End the boxes of jobs that were cancelled while they ran, and wipe outputs that were held.

        A box may come to be a moment after the job was cancelled, while its step does not know yet; so a job is
        looked at until no step of this dispatcher holds it.
        """
        with self._database.reading() as session:
            rows = store.jobs.cancelled_since(session, int(time.time()) - _CANCELLED_FOR_S)
            left = [row for row in rows if (row.id, row.updated_at) not in self._silenced]
            doors = {row.domain: store.domains.find(session, row.domain) for row in left}
        for row in left:
            with self._lock:
                held = row.id in self._busy
            door = doors[row.domain]
            if door is not None:
                _batch(row, Path(door.launcher_socket)).cancel()
            if not held:
                self._shelf.forget_held(row.plan_digest)
                self._silenced.add((row.id, row.updated_at))

    def _run(self, row: store.JobRow) -> None:
        with self._database.reading() as session:
            plan = folders.plan_of(session, row)
            domain = store.domains.get(session, row.domain)
        attempt = max(row.attempt, 1)
        launcher = Path(domain.launcher_socket)
        sandbox.LauncherClient(launcher).put(plan)
        row = self._tried(row, plan)
        records: list[Signed] = []
        for stages in plan.batches:
            state = JobState.RUNNING if _AT_DATA & set(stages) else JobState.INSPECTING
            row = self._move(row, state, stage="+".join(stages), attempt=attempt)
            batch = cluster.Batch(launcher, plan.digest, stages, attempt)
            records += self._placed(row, batch, plan)
        self._release(row, plan, records, KeeperClient(Path(domain.keeper_socket)))

    def _placed(self, row: store.JobRow, batch: cluster.Batch, plan: Plan) -> tuple[Signed, ...]:
        """Run a batch, and write down what it cost, however it ended."""
        boxes = [plan.stage(stage) for stage in batch.stages]
        seconds: tuple[float, ...] = ()
        try:
            placed = cluster.run_batch(batch, boxes)
            seconds = placed.seconds
        except DarkroomError as problem:
            seconds = getattr(problem, "seconds", ())
            raise
        finally:
            spent = sum(took * box.limits.cpus for took, box in zip(seconds, boxes, strict=False))
            self._spend(row, round(spent))
        return placed.records

    def _tried(self, row: store.JobRow, plan: Plan) -> store.JobRow:
        """Have the one trial of a folder run before the folder meets data, and remember that it has.

        The launcher keeps what comes of it, and compares a failure on data with it and with no other; a trial that
        ends without a report is no reason against the job.
        """
        task = task_of(plan.request) if plan.request and plan.kind is PlanKind.PYTHON else None
        if not isinstance(task, PythonTask) or row.trial:
            return row
        row = self._move(row, JobState.TRYING)
        folder = Folder.decode(plan.material.encode())
        tier = plan.stages[0].tier
        tryout = trials.tryout(self._database, self._settings.house, task, folder, tier)
        with contextlib.suppress(BoxFailed, NotFound):
            tryout.report(plan.stages[1].limits.wall_s + 120)
            sandbox.LauncherClient(tryout.launcher).pair(plan.digest, tryout.plan.digest)
        return self._move(row, JobState.TRYING, trial=tryout.trial)

    def _release(self, row: store.JobRow, plan: Plan, records: list[Signed], keeper: KeeperClient) -> None:
        judged = StageRecord.read(records[-1].statement.body)
        verdict = Verdict.read(judged.report.get("verdict"))
        text = verdict.canonical().decode()
        if verdict.finding is Finding.REFUSED:
            self._move(row, JobState.REFUSED, verdict=text, problem=events.refused_output(verdict))
            return
        if verdict.finding is Finding.HELD:
            self._shelf.hold(plan, judged.attempt)
            kept = json.dumps([record.plain() for record in records], ensure_ascii=False)
            row = self._move(row, JobState.HELD, verdict=text, records=kept)
            self._ask_again(row)
            return
        release = keeper.release(plan, records).signed
        self._shelf.take(plan, judged.attempt, release)
        self._move(row, JobState.RELEASED, verdict=text, release=release.canonical().decode())

    def _ask_again(self, row: store.JobRow) -> None:
        """Ask the keeper whether reviewers have let a held output out; while they have not, it says so."""
        with self._database.reading() as session:
            plan = folders.plan_of(session, row)
            domain = store.domains.get(session, row.domain)
        records = [Signed.read(plain) for plain in json.loads(row.records)]
        try:
            answer = KeeperClient(Path(domain.keeper_socket)).release(plan, records)
        except (StateConflict, Unreachable):
            return
        except Refused:
            self._shelf.forget_held(plan.digest)
            raise
        attempt = StageRecord.read(records[-1].statement.body).attempt
        self._shelf.let_go(plan, attempt, answer.signed, answer.held_key)
        self._move(row, JobState.RELEASED, release=answer.signed.canonical().decode(), records="")

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

    def _spend(self, row: store.JobRow, seconds: int) -> None:
        """Add processor seconds to what a job has cost; no move, so it is not logged."""
        if seconds <= 0:
            return
        with self._database.session() as session:
            now = store.jobs.get(session, row.id)
            spent = now.spent_s + seconds
            store.jobs.move(session, row.id, now.state, now.state, at=now.updated_at, spent_s=spent)

    def _end(self, row: store.JobRow, problem: DarkroomError) -> None:
        """End a job with a problem, wherever it stands by now."""
        with self._database.reading() as session:
            now = store.jobs.get(session, row.id)
        if not JobState(now.state).ended:
            end = JobState.REFUSED if isinstance(problem, _REFUSALS) else JobState.FAILED
            self._move(now, end, problem=events.canonical_text(problem.problem()))

    def _move(self, row: store.JobRow, state: JobState, **changes: str | int) -> store.JobRow:
        """Move a job: the event is durable before others see the state, which they do when the transaction ends.

        Raises:
            Overtaken: somebody else moved it first, so this step's view of it is old.
        """
        with self._database.session() as session:
            if not store.jobs.move(session, row.id, row.state, state.value, at=None, **changes):
                raise Overtaken(row.id)
            self._log.append(events.moved(row, state, changes=changes))
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


def _batch(row: store.JobRow, launcher: Path) -> cluster.Batch:
    """Return the batch of stages at which a job stands."""
    stages = tuple(Entry(name) for name in row.stage.split("+"))
    return cluster.Batch(launcher, row.plan_digest, stages, max(row.attempt, 1))
