"""Jobs: a signed request in, states to look at, a sealed result out. A job of somebody else does not exist."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi import Request as Call
from starlette.concurrency import run_in_threadpool

from keys import api as keys
from plans.errors import NotAllowed, SignatureWrong, StateConflict
from plans.request import Request
from plans.tasks import PythonTask
from plans.trial import Folder
from portal import bodies, evidence
from portal.access import allowed_to, caller_of, counter_of, services_of
from portal.permissions import Action, may, require_one
from portal.services import Services
from portal.sessions import Caller
from portal.waiting import LONGEST_S
from store.api import MemberRow

router = APIRouter(prefix="/api/v1")
MOST_SEEN = 16

Serving = Annotated[Services, Depends(services_of)]
Submitter = Annotated[Caller, Depends(allowed_to(Action.SUBMIT_JOB))]
Owner = Annotated[Caller, Depends(allowed_to(Action.SEE_OWN_JOBS))]


@router.post("/jobs", status_code=202)
def submit(body: bodies.Job, caller: Submitter, services: Serving) -> dict[str, Any]:
    """Take a request that its member signed; the same one again is the same job."""
    request = Request.read(body.request)
    require_own_request(caller.member, request, body.signature)
    return services.jobs.submit(request, body.signature).plain()


@router.post("/jobs/python", status_code=202)
def submit_folder(body: bodies.FolderJob, caller: Submitter, services: Serving) -> dict[str, Any]:
    """Take a request for a task of Python with its folder; the same one again is the same job."""
    request = Request.read(body.request)
    require_own_request(caller.member, request, body.signature)
    return services.jobs.submit(request, body.signature, Folder.read(body.folder)).plain()


@router.post("/dry-runs")
def dry_run(body: bodies.Job, caller: Submitter, services: Serving) -> dict[str, Any]:
    """Return what would be answered to a request signed as a dry run, its price and its noise; nothing runs on data."""
    request = Request.read(body.request)
    require_own_request(caller.member, request, body.signature, keys.verify_dry_run)
    return services.jobs.dry_run(request, body.signature)


@router.get("/images")
def images(_: Annotated[Caller, Depends(allowed_to(Action.SUBMIT_JOB))], services: Serving) -> dict[str, Any]:
    """Return the images that a task may name, and the modules that a program can import in each."""
    return {"images": list(services.jobs.images())}


@router.get("/models")
def models(caller: Owner, services: Serving) -> dict[str, Any]:
    """Return the kept models of the caller's projects, and what a task that uses one has to read."""
    return {"models": list(services.jobs.models(caller.member.name))}


@router.get("/components")
def components(_: Submitter, services: Serving) -> dict[str, Any]:
    """Return the algorithm library: each entry's description, its parameters and what leaves."""
    return {"components": list(services.jobs.components())}


@router.post("/components/{name}")
def component(name: str, body: bodies.Component, _: Submitter, services: Serving) -> dict[str, Any]:
    """Return the task that a component with these parameters is, to be signed; nothing runs. `asking` says how it is
    asked as a statement instead, where figures leave with noise only; null where it is not.
    """
    task = services.jobs.component(name, body.parameters, body.relations)
    asking = services.jobs.asking(name, body.relations)
    return {"task": task.plain(), "asking": asking.plain() if asking else None}


@router.post("/trials")
def trial(body: bodies.Trial, _: Submitter, services: Serving) -> dict[str, Any]:
    """Try a folder on made-up tables. While it runs the report is null; asking again finds the same trial."""
    found = services.jobs.attempt(PythonTask.read(body.task), Folder.read(body.folder), LONGEST_S)
    return {"report": found.plain() if found else None}


@router.get("/jobs")
def jobs(
    caller: Annotated[Caller, Depends(allowed_to(Action.SEE_OWN_JOBS))], services: Serving
) -> dict[str, Any]:
    """Return the caller's own jobs."""
    return {"jobs": [job.plain() for job in services.jobs.jobs(caller.member.name)]}


@router.get("/approvals")
def to_approve(
    caller: Annotated[Caller, Depends(allowed_to(Action.READ_PLAN_TO_APPROVE))], services: Serving
) -> dict[str, Any]:
    """Return the jobs whose plans wait for the caller's approval."""
    return {"jobs": [job.plain() for job in services.jobs.to_approve(caller.member.name)]}


@router.get("/jobs/{number}")
async def job(
    number: str,
    call: Call,
    caller: Owner,
    seen: Annotated[list[str], Query(max_length=MOST_SEEN)] = [],  # noqa: B006 - FastAPI copies it
    wait: Annotated[float, Query(ge=0, le=LONGEST_S, allow_inf_nan=False)] = 0,
) -> dict[str, Any]:
    """Return one of the caller's own jobs; with `wait` (seconds), only when its state is none of the `seen` ones."""
    found = await run_in_threadpool(_own_job, call, number, caller)
    if not wait or found["state"] not in seen:
        return found
    await counter_of(call).waiting.moved(caller.member.name, number, frozenset(seen), wait)
    return await run_in_threadpool(_own_job, call, number)


def _own_job(call: Call, number: str, caller: Caller | None = None) -> dict[str, Any]:
    """Return a job of whoever calls; after a wait that is found out anew, since a session may have ended."""
    if caller is None:
        caller = caller_of(call)
        require_one(caller.who, Action.SEE_OWN_JOBS)
    return services_of(call).jobs.job(caller.member.name, number).plain()


@router.post("/jobs/{number}/cancel")
def cancel(
    number: str,
    body: bodies.Nothing,
    caller: Annotated[Caller, Depends(allowed_to(Action.CANCEL_JOB))],
    services: Serving,
) -> dict[str, Any]:
    """Cancel one of the caller's own jobs."""
    return services.jobs.cancel(caller.member.name, number).plain()


@router.post("/jobs/{number}/retry")
def retry(number: str, body: bodies.Nothing, caller: Submitter, services: Serving) -> dict[str, Any]:
    """Have one of the caller's own jobs that failed or was cancelled run anew."""
    return services.jobs.retry(caller.member.name, number).plain()


@router.get("/jobs/{number}/plan")
def plan(
    number: str,
    caller: Annotated[Caller, Depends(allowed_to(Action.SEE_OWN_JOBS, Action.READ_PLAN_TO_APPROVE))],
    services: Serving,
) -> dict[str, Any]:
    """Return a job's plan and its digest, which whoever signs it computes again; for its owner's approvers with the
    manifests that it names.
    """
    if not may(caller.who, Action.READ_PLAN_TO_APPROVE):
        services.jobs.job(
            caller.member.name, number
        )  # an approver's own roles do not help a token without that scope
    found = services.jobs.plan(caller.member.name, number)
    told: dict[str, Any] = {"plan": found.plain(), "digest": found.digest}
    if evidence.may_see_manifests(caller, found):
        with services.database.reading() as session:
            told["manifests"] = [each.plain() for each in evidence.manifests_of(session, found)]
    return told


@router.get("/approvals/{number}/code")
def code(
    number: str,
    caller: Annotated[Caller, Depends(allowed_to(Action.READ_PLAN_TO_APPROVE))],
    services: Serving,
) -> dict[str, Any]:
    """Return the code of a plan that waits for the caller, what was approved before it, and its trial."""
    return services.jobs.code(caller.member.name, number, LONGEST_S).plain()


@router.get("/jobs/{number}/result")
def result(
    number: str, caller: Annotated[Caller, Depends(allowed_to(Action.FETCH_RESULT))], services: Serving
) -> dict[str, Any]:
    """Return the keeper's signed release and the sealed bytes, which only the recipient's key opens."""
    release, sealed = services.jobs.result(caller.member.name, number)
    return {"release": release.plain(), "sealed": base64.b64encode(sealed).decode()}


def require_own_request(
    member: MemberRow,
    request: Request,
    signature: str,
    verify: Callable[[str, bytes, str], None] = keys.verify_request,
) -> None:
    """Check that a request is the member's own: name, enrolled keys, signature (ATTACKS 84). `verify` says as what it
    must be signed: to be run, or as a dry run.

    Raises:
        StateConflict: the member has not enrolled keys.
        NotAllowed: it names another member.
        SignatureWrong: it names other keys, or they did not sign it.
    """
    if request.member != member.name:
        raise NotAllowed("a member submits only requests of their own", "request.member")
    if not member.signing_key:
        raise StateConflict("you have not enrolled keys yet", member.name, "Make them: darkroom keys make")
    if (request.signer, request.recipient) != (member.signing_key, member.opening_key):
        raise SignatureWrong(
            "the request names other keys than you enrolled",
            "request",
            "`darkroom whoami` shows the enrolled ones.",
        )
    verify(request.signer, request.canonical(), signature)
