"""Tying a call to a member: a bearer token for programs, a cookie for pages; and the rule against forged
calls.

A browser sends its cookie with calls that other sites make it send. So a call by cookie that changes anything
must come from a page of our own origin, by the `Origin` header that no page can forge (RFC 6454 section 7). A
call with a bearer token cannot be made by another site, and needs no such proof. A call that shows both is
refused: it would be unclear who acts. A cookie holds a session and nothing else: no token of a lab becomes one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from plans.errors import Malformed, NotAllowed, NotSignedIn
from portal import addresses, sessions
from portal.permissions import Action, require_one
from portal.services import Counter, Services
from portal.sessions import Caller
from store import api as store

SAFE = ("GET", "HEAD")


def counter_of(request: Request) -> Counter:
    """Return the counter of the running application."""
    counter: Counter = request.app.state.counter
    return counter


def services_of(request: Request) -> Services:
    """Return the services of the running application."""
    return counter_of(request).services


def caller_of(request: Request) -> Caller:
    """Return who calls.

    Raises:
        NotSignedIn: no token, or one that is not known or has ended.
        NotAllowed: a cookie came with a change that no page of ours asked for.
    """
    bearer, cookie = _bearer(request), session_cookie(request)
    if bearer is not None and cookie is not None:
        raise Malformed("a call shows a token or a cookie, not both", "Authorization")
    token = bearer or cookie
    if not token:
        raise NotSignedIn("you are not signed in")
    if bearer is None and request.method not in SAFE:
        require_own_page(request)
    found = sessions.caller(counter_of(request), token)
    if bearer is None and found.kind != store.sessions.SESSION:
        raise NotSignedIn("you are not signed in")
    return found


def session_cookie(request: Request) -> str | None:
    """Return what the session cookie holds, if it came under exactly its name, once.

    Starlette takes away all that Python holds for blanks around a name, among it the bytes 0x85 and 0xA0. Browsers do
    not: the answer of a lab can set a cookie called 0xA0 and `__Host-darkroom` for the domain above lab and portal,
    since to a browser that name has no prefix `__Host-`.
    """
    name = services_of(request).site.cookie
    pairs = [
        pair.strip(" ").partition("=") for pair in ";".join(request.headers.getlist("cookie")).split(";")
    ]
    found = [value for key, _, value in pairs if key == name]
    return found[0] if len(found) == 1 else None


def require_own_page(request: Request) -> None:
    """Check that a page of our own origin made this call.

    Raises:
        NotAllowed: another one did, or none that says so.
    """
    if request.headers.get("origin") != services_of(request).site.origin:
        raise NotAllowed(
            "this change was not asked for by a page of the portal",
            "Origin",
            "Open the portal itself and try again.",
        )


def allowed_to(*actions: Action) -> Callable[[Caller], Caller]:
    """Return a dependency that lets a caller pass who may do at least one of the actions."""

    def check(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        require_one(caller.who, *actions)
        return caller

    return check


def address_of(request: Request) -> str:
    """Return the address by which a caller's tries are counted; of what calls claim, only our own proxy's word counts
    (`portal.addresses`).
    """
    peer = request.client.host if request.client else ""
    said = request.headers.getlist("x-forwarded-for")
    return addresses.counted(peer, said, bool(services_of(request).site.inner))


def _bearer(request: Request) -> str | None:
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotSignedIn("the Authorization header holds no bearer token", "Authorization")
    return token.strip()
