"""Members' folders on their way from a submission to a plan: checked once, kept once, put back into the plan."""

from __future__ import annotations

import json

from plans.errors import Malformed
from plans.plan import Plan, PlanKind
from plans.request import Request, RequestKind
from plans.tasks import PythonTask, task_of
from plans.trial import Folder
from store import api as store


def require_folder(request: Request, folder: Folder | None) -> None:
    """Check that a submission brings exactly the folder that its request names by hash; other kinds bring none.

    Raises:
        Malformed: it does not, or the request holds no task.
    """
    task = None if request.kind is RequestKind.SQL else task_of(request)
    if not isinstance(task, PythonTask):
        if folder is not None:
            raise Malformed("only a task of Python brings a folder", "job.folder", "Leave it out.")
        return
    if folder is None:
        raise Malformed(
            "a task of Python brings its folder", "job.folder", "Send it along: darkroom run FOLDER"
        )
    if folder.digest != task.folder:
        raise Malformed(
            "the folder is not the one that the request names", "job.folder", "Sign the folder as it is now."
        )
    if (folder.main, folder.arguments) != (task.main, task.arguments):
        raise Malformed(
            "the folder starts something else than the request says", "job.folder", "Make both anew."
        )


def keep(session: store.Session, folder: Folder | None) -> None:
    """Keep a folder for the plans that will be made of it."""
    if folder is not None:
        store.folders.keep(session, folder.digest, folder.canonical().decode())


def material_of(session: store.Session, request: Request) -> str:
    """Return the folder that a request names, in canonical form, or nothing for other kinds."""
    if request.kind is not RequestKind.PYTHON:
        return ""
    task = task_of(request)
    return store.folders.get(session, task.folder).content if isinstance(task, PythonTask) else ""


def without(plan: Plan) -> str:
    """Return a plan as the database keeps it beside its job: without the folder, which it names by hash."""
    if plan.kind is not PlanKind.PYTHON:
        return plan.canonical().decode()
    return json.dumps(plan.plain() | {"material": ""}, ensure_ascii=False)


def plan_of(session: store.Session, row: store.JobRow) -> Plan:
    """Return the plan of a job, whole; the digest beside it says whether it still is the same."""
    plain = json.loads(row.plan)
    if plain.get("kind") == PlanKind.PYTHON:
        request = Request.decode(row.request.encode())
        plain["material"] = material_of(session, request)
    return Plan.read(plain)
