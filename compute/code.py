"""What whoever approves a plan of Python reads beside it: the code, what was approved before it, and its trial."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from compute.jobs import JobState
from plans.errors import Malformed
from plans.plan import Plan
from plans.record import Record
from plans.request import Request, RequestKind
from plans.tasks import PythonTask, task_of
from plans.trial import Folder, TrialReport
from store import api as store


@dataclass(frozen=True, slots=True)
class Code(Record):
    """A folder that waits to be approved; `before` is the newest one of the same member that was, if there is one, and
    `trial` what came of it on made-up tables, none while that still runs.
    """

    KIND: ClassVar[str] = "code"

    folder: Folder
    before: Folder | None
    trial: TrialReport | None


def task_in(plan: Plan) -> PythonTask:
    """Return the task of a plan of Python.

    Raises:
        Malformed: the plan runs no code of a member.
    """
    task = task_of(plan.request) if plan.request and plan.request.kind is not RequestKind.SQL else None
    if not isinstance(task, PythonTask):
        raise Malformed(
            "this plan runs no code of a member", "plan", "Read it: darkroom approve ID --dry-run"
        )
    return task


def approved_before(session: store.Session, plan: Plan) -> Folder | None:
    """Return the folder of the newest job of the same member at the same owner that an approver let pass."""
    member = plan.request.member if plan.request else ""
    for row in store.jobs.of_member(session, member):
        if row.domain == plan.domain and row.plan_digest != plan.digest and _was_approved(row):
            task = task_of(Request.decode(row.request.encode()))
            kept = store.folders.find(session, task.folder) if isinstance(task, PythonTask) else None
            if kept is not None:
                return Folder.decode(kept.content.encode())
    return None


def _was_approved(row: store.JobRow) -> bool:
    passed = [state for state, _ in json.loads(row.timeline)]
    of_python = json.loads(row.request).get("kind") == RequestKind.PYTHON
    return of_python and JobState.WAITING in passed and JobState.QUEUED in passed
