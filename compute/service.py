"""What members do with jobs: submit, look, cancel, fetch. Each change is logged before its result is visible."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from audit import api as audit
from compute import events, folders, images, kept, library
from compute.code import Code, approved_before, task_in
from compute.dry_runs import dry_run
from compute.enrolled import require_enrolled
from compute.jobs import RETRIED, JobState, JobView, view
from compute.planning import Asked, House
from compute.trials import tryout
from keeper.api import OLDEST_PLAN_S
from keys import api as keys
from plans.asking import Asking
from plans.errors import (
    BoxFailed,
    HashMismatch,
    Malformed,
    NotFound,
    Outdated,
    StateConflict,
    Unreachable,
)
from plans.plan import Plan
from plans.release import Release
from plans.request import Request, RequestKind
from plans.statements import Signed
from plans.tasks import ComponentTask, PythonTask
from plans.trial import Folder, TrialReport
from store import api as store


@dataclass(frozen=True, slots=True)
class JobService:
    """The jobs of one centre. `results` holds sealed bytes, one file per release; `house` is what tasks run on."""

    database: store.Database
    log: audit.Log
    results: Path
    jobs_per_member: int = 20
    house: House = House("", {})

    def submit(self, request: Request, signature: str, folder: Folder | None = None) -> JobView:
        """Take a signed request. The same request again gives the same job (its nonce makes the job's id).

        Raises:
            SignatureWrong: not signed by the member's enrolled key.
            Malformed: the folder is not the one that it names, or a component's parameter is wrong.
            StateConflict: the member has too many jobs that have not ended.
        """
        keys.verify_request(request.signer, request.canonical(), signature)
        folders.require_folder(request, folder)
        library.require_fitting(request)
        with self.database.session() as session:
            require_enrolled(session, request)
            known = store.jobs.find(session, _job_id(request))
            if known is None:
                self._require_room(session, request.member)
                row = _new_row(request, signature)
                folders.keep(session, folder)
                self.log.append(events.submitted(row, request))
                store.jobs.add(session, row)
                known = row
        return self.job(request.member, known.id)

    def jobs(self, member: str) -> tuple[JobView, ...]:
        """Return a member's own jobs, newest first."""
        with self.database.reading() as session:
            return tuple(view(row) for row in store.jobs.of_member(session, member))

    def to_approve(self, approver: str) -> tuple[JobView, ...]:
        """Return the jobs whose plans wait for an approver of this member's domain, the member's own left out."""
        with self.database.reading() as session:
            domain = store.members.get(session, approver).domain
            waiting = store.jobs.in_states(session, [JobState.WAITING.value])
        return tuple(view(row) for row in waiting if row.domain == domain and row.member != approver)

    def job(self, member: str, job_id: str) -> JobView:
        """Return one of a member's own jobs; another's is as unknown as none."""
        with self.database.reading() as session:
            row = _own(session, member, job_id)
            queued = row.state == JobState.QUEUED
            return view(row, store.jobs.before(session, row, row.state) if queued else 0)

    def standing(self, ids: tuple[str, ...]) -> dict[str, tuple[str, int]]:
        """Return state and moment of the last move of these jobs, for calls that wait; whose they are was checked."""
        with self.database.reading() as session:
            return store.jobs.standing(session, ids)

    def cancel(self, member: str, job_id: str) -> JobView:
        """Cancel a job, unless it has ended; the dispatcher ends its boxes. What was charged for it stays charged.

        Raises:
            StateConflict: it has ended, or moved in this moment.
        """
        with self.database.session() as session:
            row = _own(session, member, job_id)
            if JobState(row.state).ended:
                raise StateConflict(
                    f"the job is {row.state} and can no longer be cancelled",
                    job_id,
                    "Nothing runs any more; nobody has to fetch its result.",
                )
            self._move(session, row, JobState.CANCELLED)
        return self.job(member, job_id)

    def retry(self, member: str, job_id: str) -> JobView:
        """Have a job that failed or was cancelled planned and run anew.

        Raises:
            StateConflict: it has not ended, or with an answer that another try would not change; or it moved in this
                moment.
            Outdated: its request is too old for any keeper.
        """
        with self.database.session() as session:
            row = _own(session, member, job_id)
            if JobState(row.state) not in RETRIED:
                raise StateConflict(
                    f"the job is {row.state}; only one that failed or was cancelled is tried again",
                    job_id,
                    "Submit the request anew once what the job says was changed.",
                )
            if Request.decode(row.request.encode()).asked_at < time.time() - OLDEST_PLAN_S:
                raise Outdated(
                    "the request is older than a day, so no keeper would answer it", job_id, "Submit it anew."
                )
            self._require_room(session, member)
            self._move(session, row, JobState.SUBMITTED, _FORGOTTEN)
        return self.job(member, job_id)

    def _move(
        self,
        session: store.Session,
        row: store.JobRow,
        state: JobState,
        changes: Mapping[str, str | int] = MappingProxyType({}),
    ) -> None:
        """Move a member's job, unless it moved since it was looked at; then nothing is logged and nothing changes.

        The event is durable before anybody sees the move, which others do when the transaction ends.
        """
        if not store.jobs.move(session, row.id, row.state, state.value, **changes):
            raise StateConflict(
                "the job has moved on in this moment", row.id, "Look at it again, then decide: darkroom job"
            )
        self.log.append(events.moved(row, state, actor=row.member))

    def images(self) -> tuple[dict[str, Any], ...]:
        """Return the images that tasks may name, with the modules that each has."""
        return images.described(self.house)

    def models(self, member: str) -> tuple[dict[str, Any], ...]:
        """Return the kept models that a member's tasks may name: of the projects of the member's grants."""
        with self.database.reading() as session:
            return kept.listed(session, member)

    def components(self) -> tuple[dict[str, Any], ...]:
        """Return the description of every entry of the algorithm library."""
        return library.described()

    def component(self, name: str, parameters: Mapping[str, Any], relations: Sequence[str]) -> ComponentTask:
        """Return the task that a component with these parameters is.

        Raises:
            NotFound, Malformed: as `library.task`.
        """
        return library.task(self.house, name, parameters, relations)

    def asking(self, name: str, relations: Sequence[str]) -> Asking | None:
        """Return how a component is asked as a statement instead, of relations whose figures leave with noise; none
        where it runs, or where it cannot be asked so.

        Raises:
            NotFound: as `library.asking`.
        """
        with self.database.reading() as session:
            return library.asking(session, name, relations)

    def attempt(self, task: PythonTask, folder: Folder, patience_s: float) -> TrialReport | None:
        """Return what comes of a folder on made-up tables, or none while it still runs; asking again finds it.

        Raises:
            BoxLimit, BoxFailed: the box ended without a report.
            NotFound, Malformed: as `trials.tryout`.
        """
        tried = tryout(self.database, self.house, task, folder)
        try:
            return tried.report(patience_s)
        except Unreachable as problem:
            if problem.what.endswith(f"({NO_ANSWER})"):
                return None
            raise

    def dry_run(self, request: Request, signature: str) -> dict[str, Any]:
        """Return what would be answered to a request for a statement or a component that was signed as a dry run, and
        what it would cost; nothing runs.

        Raises:
            SignatureWrong: not signed by the member's enrolled key, or signed to be run.
            Malformed: it asks for a folder or a joint computation.
            DarkroomError: as `dry_runs.dry_run`.
        """
        keys.verify_dry_run(request.signer, request.canonical(), signature)
        if request.kind not in (RequestKind.SQL, RequestKind.COMPONENT):
            what = "a dry run is of a statement or a component"
            raise Malformed(what, "request.kind", "Try a folder: `darkroom try`.")
        library.require_fitting(request)
        return dry_run(self.database, self.house, Asked(request, signature))

    def code(self, approver: str, job_id: str, patience_s: float) -> Code:
        """Return the code of a plan that waits for an approver, with what was approved before and its trial.

        Raises:
            NotFound: there is no such job, or it does not wait for this member.
            Malformed: it runs no code of a member.
        """
        plan = self.plan(approver, job_id)
        task, folder = task_in(plan), Folder.decode(plan.material.encode())
        with self.database.reading() as session:
            before = approved_before(session, plan)
        try:
            trial = self.attempt(task, folder, patience_s)
        except BoxFailed as problem:
            trial = TrialReport(problem.where or problem.code, None, problem.what, "", ())
        return Code(folder, before, trial)

    def plan(self, member: str, job_id: str) -> Plan:
        """Return the plan of a member's own job, or of one that waits for the member as an approver."""
        with self.database.reading() as session:
            row = store.jobs.find(session, job_id)
            reader = store.members.get(session, member)
        waits = row is not None and row.state == JobState.WAITING and row.domain == reader.domain
        if row is None or (row.member != member and not (waits and "approver" in reader.roles)):
            raise NotFound("there is no such job, or it is not yours", job_id)
        if not row.plan:
            raise NotFound("this job has no plan yet", job_id, "Look at its state first.")
        with self.database.reading() as session:
            return folders.plan_of(session, row)

    def result(self, member: str, job_id: str) -> tuple[Signed, bytes]:
        """Return the signed release and the sealed bytes of a member's own released job.

        Raises:
            StateConflict: it is not released.
            HashMismatch: the stored bytes are not those that were released.
        """
        with self.database.reading() as session:
            row = _own(session, member, job_id)
        if row.state != JobState.RELEASED:
            raise StateConflict(f"the job is {row.state}; {JobState(row.state).sentence}", job_id)
        release = Signed.decode(row.release.encode())
        sealed = (self.results / result_name(row.plan_digest)).read_bytes()
        if Release.read(release.statement.body).sealed != "sha256:" + hashlib.sha256(sealed).hexdigest():
            raise HashMismatch("the stored result is not the one that was released", job_id)
        self.log.append(events.fetched(row))
        return release, sealed

    def _require_room(self, session: store.Session, member: str) -> None:
        """Let nobody fill the queue, whose places all members share."""
        active = [row for row in store.jobs.of_member(session, member) if not JobState(row.state).ended]
        if len(active) >= self.jobs_per_member:
            raise StateConflict(
                f"{len(active)} of your jobs wait or run already, as many as one member may have",
                "jobs",
                "Wait for one to end, or cancel one: darkroom jobs",
            )


NO_ANSWER = "no answer in time"
"""What a client of a launcher says when a stage has not ended while it listened (`sandbox.client`)."""

_FORGOTTEN: Mapping[str, str | int] = MappingProxyType(
    dict.fromkeys(
        ("domain", "plan_digest", "plan", "decision", "verdict", "problem", "stage", "records", "trial"), ""
    )
    | {"attempt": 0}
)
"""What a job forgets when it is tried again. What it cost so far, it keeps."""


def result_name(plan_digest: str) -> str:
    """Return the file name of a plan's sealed result."""
    return plan_digest.removeprefix("sha256:") + ".sealed"


def _job_id(request: Request) -> str:
    return request.digest.removeprefix("sha256:")[:20]


def _new_row(request: Request, signature: str) -> store.JobRow:
    now = int(time.time())
    return store.JobRow(
        id=_job_id(request),
        member=request.member,
        project=request.project,
        state=JobState.SUBMITTED.value,
        request=request.canonical().decode(),
        request_signature=signature,
        created_at=now,
        updated_at=now,
    )


def _own(session: store.Session, member: str, job_id: str) -> store.JobRow:
    row = store.jobs.find(session, job_id)
    if row is None or row.member != member:
        raise NotFound("there is no such job, or it is not yours", job_id)
    return row
