"""What JupyterHub asks with a member's entrance token: who this is, and a token for a lab."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from plans import names
from portal import bodies, lab_tokens, lab_views
from portal.access import allowed_to, counter_of, services_of
from portal.permissions import Action
from portal.services import Services
from portal.sessions import Caller

router = APIRouter(prefix="/api/v1/labs")
Serving = Annotated[Services, Depends(services_of)]
Opener = Annotated[Caller, Depends(allowed_to(Action.OPEN_LAB))]


@router.get("/me")
def me(caller: Opener, services: Serving) -> dict[str, Any]:
    """Return the member, the projects in which a lab may be opened, and the profiles."""
    services.labs.require_on()
    return lab_views.me(services, caller.member)


@router.post("/tokens", status_code=201)
def make_token(request: Request, body: bodies.LabToken, caller: Opener, services: Serving) -> dict[str, Any]:
    """Make the token of a lab in a project, and return it, once, with the project's purpose."""
    services.labs.require_on()
    names.require("project", body.project, "project")
    opened, project = lab_tokens.make(counter_of(request), caller, body.project)
    return {"token": opened.token, "expires_at": opened.expires_at, "purpose": project.purpose}
