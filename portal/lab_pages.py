"""Pages for what a lab's token cannot do, and the door to the labs: enrolling the keys that a lab shows, and `/labs`.

A page of keys is never filled in by a link: whoever made the link would choose the keys.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from plans.errors import DarkroomError
from portal import enrolling, lab_views
from portal.access import allowed_to, services_of
from portal.forms import body_fields
from portal.permissions import Action
from portal.services import Services
from portal.sessions import Caller
from portal.templates import page

router = APIRouter(include_in_schema=False)
Serving = Annotated[Services, Depends(services_of)]
Opener = Annotated[Caller, Depends(allowed_to(Action.OPEN_LAB))]
Enroller = Annotated[Caller, Depends(allowed_to(Action.ENROL_KEYS))]
HALVES = ("signing_key", "opening_key")


@router.get("/labs")
def labs(request: Request, caller: Opener, services: Serving) -> Response:
    """Show in which projects the caller may have a lab, and lead to JupyterHub."""
    known = services.labs
    found = [lab_views.project(services, row) for row in lab_views.projects(services, caller.member)]
    profiles = {name: lab_views.profile(name, each) for name, each in known.profiles.items()}
    return page(request, "labs.html", caller.who, hub=known.origin, projects=found, profiles=profiles)


@router.get("/keys")
def keys(request: Request, caller: Enroller) -> Response:
    """Show the caller's enrolled keys, or the form."""
    return page(
        request, "keys.html", caller.who, member=caller.member, problem=None, said=dict.fromkeys(HALVES, "")
    )


@router.post("/keys")
async def enrol(request: Request, caller: Enroller, services: Serving) -> Response:
    """Enrol the keys that the form names. Only our own page may (`portal.access`)."""
    form = {name: value.strip() for name, (value,) in (await body_fields(request)).items()}
    said = {name: form.get(name, "") for name in HALVES}
    try:
        await run_in_threadpool(enrolling.enrol, services, caller, said["signing_key"], said["opening_key"])
    except DarkroomError as problem:
        shown = {"member": caller.member, "problem": problem, "said": said}
        return page(request, "keys.html", caller.who, problem.status, **shown)
    return RedirectResponse("/keys", 303)
