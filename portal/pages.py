"""The first page: sign in, see who you are and what you may do, sign out. No script, one stylesheet, a session
by cookie.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from plans.errors import DarkroomError, Malformed, NotSignedIn
from portal import sessions
from portal.access import (
    address_of,
    caller_of,
    counter_of,
    require_own_page,
    services_of,
    session_cookie,
)
from portal.permissions import Action, Role, Who, may
from portal.sessions import Opened
from portal.templates import FOLDER, page
from portal.way_back import way_back

FORM = "application/x-www-form-urlencoded"

router = APIRouter(include_in_schema=False)


@router.get("/")
def home(request: Request) -> Response:
    """Show who is signed in, or the form."""
    try:
        return _page(request, who=caller_of(request).who)
    except NotSignedIn:
        return _page(request)


@router.get("/sign-in")
def sign_in_page(request: Request) -> Response:
    """Show the form, which leads to the page that was wanted; who is signed in already is led there at once."""
    back = way_back(request.query_params.get("next", ""))
    try:
        caller_of(request)
    except NotSignedIn:
        return _page(request, back=back)
    return RedirectResponse(back or "/", 303)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Begin a session by cookie. Only our own form may: a forged sign-in would let somebody act in another's
    name.
    """
    require_own_page(request)
    member, password, back = _fields(request, await request.body())
    counter = counter_of(request)
    try:
        opened = await run_in_threadpool(sessions.sign_in, counter, member, password, address_of(request))
    except NotSignedIn as problem:
        return _page(request, problem=problem, back=back)
    await run_in_threadpool(_end_old_session, request)
    return _with_cookie(request, RedirectResponse(back or "/", 303), opened)


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    """End the session, here and in the browser."""
    sessions.sign_out(counter_of(request), caller_of(request))
    answer = RedirectResponse("/", 303)
    site = services_of(request).site
    answer.delete_cookie(site.cookie, path="/", secure=site.secure, httponly=True, samesite="strict")
    return answer


@router.get("/style.css")
def style() -> Response:
    """Return the stylesheet."""
    return Response((FOLDER / "style.css").read_text(), media_type="text/css")


def _page(
    request: Request, who: Who | None = None, problem: DarkroomError | None = None, back: str = ""
) -> Response:
    actions = [action.word for action in Action if who and may(who, action)]
    roles = [role.word for role in Role if who and role in who.roles]
    status = problem.status if problem else 200
    return page(
        request, "sign_in.html", who, status, problem=problem, actions=actions, roles=roles, back=back
    )


def _fields(request: Request, body: bytes) -> tuple[str, str, str]:
    """Return member and password of the form, each given once, and the page to which the way leads back."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != FORM:
        raise Malformed("this page takes the fields of its form", "Content-Type")
    try:
        fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=10)
        (member,), (password,) = fields["member"], fields["password"]
    except (KeyError, ValueError):
        raise Malformed("the form holds a member and a password, each once", "form") from None
    if len(password) > services_of(request).limits.longest_password:
        raise Malformed("this password is too long to be one", "password")
    return member, password, way_back("".join(fields.get("next", ())))


def _end_old_session(request: Request) -> None:
    """End the session that the browser came with: a planted one must not live on beside the new one
    (fixation).
    """
    old = session_cookie(request)
    if old:
        try:
            sessions.sign_out(counter_of(request), sessions.caller(counter_of(request), old))
        except NotSignedIn:
            return


def _with_cookie(request: Request, answer: Response, opened: Opened) -> Response:
    services = services_of(request)
    answer.set_cookie(
        services.site.cookie,
        opened.token,
        max_age=services.limits.session_lasts,
        path="/",
        secure=services.site.secure,
        httponly=True,
        samesite="strict",
    )
    return answer
