"""Joint computations: a signed request in, a plan for the approvers of the parties, sealed answers and receipts out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from keys import api as keys
from plans.errors import NotFound
from plans.request import Request
from portal import bodies
from portal.access import allowed_to, services_of
from portal.job_routes import require_own_request
from portal.permissions import Action, may
from portal.services import JobView, Services
from portal.sessions import Caller

router = APIRouter(prefix="/api/v1")

Serving = Annotated[Services, Depends(services_of)]
Owner = Annotated[Caller, Depends(allowed_to(Action.SEE_OWN_JOBS))]
Reader = Annotated[Caller, Depends(allowed_to(Action.SEE_OWN_JOBS, Action.READ_PLAN_TO_APPROVE))]


@router.post("/joint", status_code=202)
def submit(
    body: bodies.Job, caller: Annotated[Caller, Depends(allowed_to(Action.SUBMIT_JOB))], services: Serving
) -> dict[str, Any]:
    """Take a request that its member signed; the same one again is the same computation."""
    request = Request.read(body.request)
    require_own_request(caller.member, request, body.signature)
    return services.joint.submit(request, body.signature).plain()


@router.post("/joint-plans")
def explain(
    body: bodies.Job, caller: Annotated[Caller, Depends(allowed_to(Action.SUBMIT_JOB))], services: Serving
) -> dict[str, Any]:
    """Return the plan that a request signed as a dry run would get, and its digest; nothing is kept, and no row is
    read.
    """
    request = Request.read(body.request)
    require_own_request(caller.member, request, body.signature, keys.verify_dry_run)
    found = services.joint.explain(request, body.signature)
    return {"plan": found.plain(), "digest": found.digest}


@router.get("/joint")
def computations(caller: Owner, services: Serving) -> dict[str, Any]:
    """Return the caller's own joint computations."""
    return {"joint": [each.plain() for each in services.joint.computations(caller.member.name)]}


@router.get("/joint-approvals")
def to_approve(
    caller: Annotated[Caller, Depends(allowed_to(Action.READ_PLAN_TO_APPROVE))], services: Serving
) -> dict[str, Any]:
    """Return the joint computations that wait for an approval of the caller's domain."""
    return {"joint": [each.plain() for each in services.joint.to_approve(caller.member.name)]}


@router.get("/joint/{number}")
def computation(number: str, caller: Reader, services: Serving) -> dict[str, Any]:
    """Return one of the caller's own joint computations, or one in which the approver's domain takes part."""
    return seen(services, caller, number).plain()


@router.get("/joint/{number}/plan")
def plan(number: str, caller: Reader, services: Serving) -> dict[str, Any]:
    """Return the joint plan and its digest, which whoever signs it computes again."""
    seen(services, caller, number)
    found = services.joint.plan(caller.member.name, number)
    return {"plan": found.plain(), "digest": found.digest}


@router.post("/joint/{number}/cancel")
def cancel(
    number: str,
    body: bodies.Nothing,
    caller: Annotated[Caller, Depends(allowed_to(Action.CANCEL_JOB))],
    services: Serving,
) -> dict[str, Any]:
    """Cancel one of the caller's own joint computations."""
    return services.joint.cancel(caller.member.name, number).plain()


@router.get("/joint/{number}/results")
def results(
    number: str, caller: Annotated[Caller, Depends(allowed_to(Action.FETCH_RESULT))], services: Serving
) -> dict[str, Any]:
    """Return what was handed over, sealed to the recipient's key, and the receipts of all parties."""
    return services.joint.results(caller.member.name, number)


def seen(services: Services, caller: Caller, number: str) -> JobView:
    """Return a computation that a caller may see: their own, or with what they showed also one that their domain's
    approvers read. A token without the scope of approvers does not show what its member reads as one of them.

    Raises:
        NotFound: there is none, or none to be seen.
    """
    found = services.joint.computation(caller.member.name, number)
    if found.plain()["member"] != caller.member.name and not may(caller.who, Action.READ_PLAN_TO_APPROVE):
        raise NotFound("there is no such joint computation, or it is not yours", number)
    return found
