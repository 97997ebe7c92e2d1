"""Pages about joint computations: which there are, and for each who would see what at which step.

They show what the platform knows and change nothing: whoever approves signs on their own machine, where the same table
is read from the plan's own bytes.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from plans.joint_sights import together
from portal.access import allowed_to, services_of
from portal.joint_routes import seen as seen_by
from portal.permissions import Action, may
from portal.services import Services
from portal.sessions import Caller
from portal.templates import page

router = APIRouter(include_in_schema=False)
Serving = Annotated[Services, Depends(services_of)]
Reader = Annotated[Caller, Depends(allowed_to(Action.SEE_OWN_JOBS, Action.READ_PLAN_TO_APPROVE))]


@router.get("/joint")
def computations(request: Request, caller: Reader, services: Serving) -> Response:
    """List the caller's own joint computations, and those that wait for an approval of the caller's domain."""
    name = caller.member.name
    own = services.joint.computations(name) if may(caller.who, Action.SEE_OWN_JOBS) else ()
    waiting = services.joint.to_approve(name) if may(caller.who, Action.READ_PLAN_TO_APPROVE) else ()
    lists = (
        ("Yours", "我的", [each.plain() for each in own]),
        ("Waiting for your approval", "待您审批", [each.plain() for each in waiting]),
    )
    return page(request, "joint_list.html", caller.who, lists=lists)


@router.get("/joint/{number}")
def computation(request: Request, number: str, caller: Reader, services: Serving) -> Response:
    """Show one: where it stands, who has to act, its plan, and its table of who sees what."""
    found = seen_by(services, caller, number).plain()
    plan = services.joint.plan(caller.member.name, number) if found["plan_digest"] else None
    passed = [(state, int(at)) for at, state in map(str.split, found["timeline"])]
    seen = together(plan.sights) if plan else ()
    return page(request, "joint.html", caller.who, joint=found, plan=plan, seen=seen, passed=passed)
