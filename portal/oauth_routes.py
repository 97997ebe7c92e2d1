"""How a member comes from the portal to JupyterHub, and what JupyterHub asks in its own name (`portal.entrance`).

The portal's cookie is `SameSite=Strict`, so a visit that begins at another site, as the Hub is one, comes without it.
Such a visit is answered once with a page that goes to itself: the second time it is our own page that asks, and the
cookie comes along. Who is not signed in even then is led to the form.

The way to the Hub is a page, too, and no redirect: the policy `form-action 'self'` holds for whatever a form of ours is
answered with, and the sign-in form may come just before.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from plans.errors import DarkroomError, Malformed, NotAllowed, NotSignedIn
from portal import entrance, lab_views
from portal.access import caller_of, counter_of, services_of
from portal.forms import body_fields
from portal.permissions import Scope
from portal.templates import page, problem_page

router = APIRouter(include_in_schema=False)
AGAIN = "again"


@router.get(entrance.PATH)
def authorize(request: Request) -> Response:
    """Lead a signed-in member to JupyterHub with a code, and anybody else to the form first."""
    try:
        return _led(request)
    except NotSignedIn:
        raise
    except DarkroomError as problem:
        return problem_page(request, None, problem)


def _led(request: Request) -> Response:
    labs = services_of(request).labs
    labs.require_on()
    wanted = entrance.asked(request.url.query, labs.redirect_uri)
    if "authorization" in request.headers:
        raise NotAllowed("labs are opened in a browser, by a session", "Authorization", "Sign in there.")
    try:
        caller = caller_of(request)
    except NotSignedIn:
        if AGAIN in request.query_params:
            return RedirectResponse(f"/sign-in?next={quote(wanted.path, safe='/')}", 303)
        return page(request, "again.html", None, target=f"{wanted.path}&{AGAIN}=1")
    code = entrance.code_for(counter_of(request), caller, wanted)
    return page(request, "to_labs.html", caller.who, target=wanted.way_to(code))


@router.post("/oauth/token")
async def token(request: Request) -> Response:
    """Change a code for JupyterHub's token about a member (RFC 6749 section 4.1.3)."""
    try:
        form = await _from_hub(request)
        if form.get("grant_type") != "authorization_code":
            raise Malformed("only authorization codes are changed here", "grant_type")
        opened = await run_in_threadpool(entrance.exchange, counter_of(request), form)
    except DarkroomError as problem:
        return _refused(problem)
    return JSONResponse(
        {
            "access_token": opened.token,
            "token_type": "Bearer",
            "expires_in": max(0, opened.expires_at - int(services_of(request).clock())),
            "scope": str(Scope.LABS),
        }
    )


@router.post("/oauth/standing")
async def standing(request: Request) -> Response:
    """Tell JupyterHub in which projects a member may have a lab now, also while that member is not signed in. None:
    the lab has to end.
    """
    try:
        form = await _from_hub(request)
        told = await run_in_threadpool(lab_views.standing, services_of(request), form.get("member", ""))
    except DarkroomError as problem:
        return _refused(problem)
    return JSONResponse(told)


async def _from_hub(request: Request) -> dict[str, str]:
    services_of(request).labs.require_on()
    entrance.require_hub(counter_of(request), request.headers.get("authorization", ""))
    return {name: value for name, (value,) in (await body_fields(request)).items() if value}


def _refused(problem: DarkroomError) -> JSONResponse:
    """Return an error as RFC 6749 section 5.2 spells it, with our own problem document in it."""
    if isinstance(problem, NotSignedIn) and problem.where == "Authorization":
        error, status, headers = "invalid_client", 401, {"WWW-Authenticate": "Basic"}
    elif isinstance(problem, Malformed):
        unknown = problem.where == "grant_type"
        error, status, headers = "unsupported_grant_type" if unknown else "invalid_request", 400, {}
    elif isinstance(problem, (NotAllowed, NotSignedIn)):
        error, status, headers = "invalid_grant", 400, {}
    else:
        error, status, headers = "server_error", problem.status, {}
    told: dict[str, Any] = problem.problem() | {"status": status, "error": error}
    return JSONResponse(told | {"error_description": problem.what}, status, headers)
