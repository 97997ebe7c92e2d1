"""Which trial a job's failure may be compared with, and what is told of it then (`sandbox.telling`).

A job is paired with the plan of its one trial before it runs, and never with another: that the trial belongs to the
job's folder and that its outcome was there beforehand is checked here, by the launcher that ran both. A job that began
without a trial stays without one. The failing line is kept beside the results, for the owner, and leaves in no answer.
"""

from __future__ import annotations

from plans.box import Entry
from plans.errors import BoxFailed, DarkroomError, Malformed, NotFound, StateConflict
from plans.plan import Plan, PlanKind
from plans.statements import Signed, StageRecord
from plans.trial import Folder, Trial, TrialReport, trial_of
from sandbox import telling
from sandbox.conversation import Failure
from sandbox.shelf import Shelf, StageName
from sandbox.telling import Failed, Tried

NO_TRIAL = ""
"""What a job is paired with that began without a trial."""


def pair(shelf: Shelf, job: str, trial: str) -> None:
    """Pair a job's plan with a trial's plan, both on the shelf.

    Raises:
        NotFound: one of the plans is not here, or the trial has not ended.
        Malformed: the trial is not the one that belongs to the job's folder.
        StateConflict: the job is paired with another trial, or began without one.
    """
    plan, other = shelf.plan(job), shelf.plan(trial)
    if plan.kind is not PlanKind.PYTHON or other.kind is not PlanKind.TRIAL:
        raise Malformed("a job of Python is paired with a trial", "launcher")
    found = Trial.decode(other.material.encode())
    folder = Folder.decode(plan.material.encode())
    relations = tuple(relation.name for relation in plan.program.relations) if plan.program else ()
    if found != trial_of(folder, found.tables) or tuple(table.name for table in found.tables) != relations:
        raise Malformed("this is not the trial that belongs to the job's folder and tables", "trial")
    if shelf.result(StageName(trial, Entry.PYTHON, 1)) is None:
        raise NotFound("the trial has not ended", "trial", "Run it first.")
    if shelf.pair(job, trial) != trial:
        raise StateConflict(
            "the job has another trial, or began without one", "trial", "Submit it as a new job."
        )


def tried(shelf: Shelf, plan: Plan) -> Tried | None:
    """Return the outcome of the trial that a job is paired with, and let it have no other from now on.

    To be asked before the job runs.
    """
    if plan.kind is not PlanKind.PYTHON:
        return None
    paired = shelf.pair(plan.digest, NO_TRIAL)
    if paired == NO_TRIAL:
        return None
    try:
        trial = Trial.decode(shelf.plan(paired).material.encode())
        answer = shelf.result(StageName(paired, Entry.PYTHON, 1)) or {}
        record = StageRecord.read(Signed.read((answer.get("ok") or {}).get("record")).statement.body)
        return Tried(trial.digest, TrialReport.read(dict(record.report)))
    except DarkroomError:
        return None  # the trial ended without a report, or was swept: there is nothing to compare with


def explained(failure: Failure, plan: Plan, tried_before: Tried | None) -> BoxFailed:
    """Return the error of a Python job that failed on data: a code and a sentence, and a line if it is the trial's."""
    folder = Folder.decode(plan.material.encode())
    trial = tried_before.trial if tried_before else NO_TRIAL
    told = telling.told(Failed(failure.code, trial, telling.place_in(failure.facts, folder)), tried_before)
    where = f", at line {told.line.line} of {told.line.file}, as its trial did" if told.line else ""
    return BoxFailed(told.sentence + where, told.code, told.next_step)
