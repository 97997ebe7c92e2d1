"""Signing in and out, and what concerns oneself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from portal import bodies, enrolling, sessions, views
from portal.access import address_of, allowed_to, caller_of, counter_of, services_of
from portal.permissions import Action
from portal.services import Services
from portal.sessions import Caller

router = APIRouter(prefix="/api/v1")
Serving = Annotated[Services, Depends(services_of)]


@router.post("/sign-in")
def sign_in(request: Request, body: bodies.SignIn) -> dict[str, Any]:
    """Begin a session and return its token, once."""
    opened = sessions.sign_in(counter_of(request), body.member, body.password, address_of(request))
    return {"token": opened.token, "expires_at": opened.expires_at}


@router.post("/sign-out")
def sign_out(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> dict[str, Any]:
    """End the session or token that was shown."""
    sessions.sign_out(counter_of(request), caller)
    return {"signed_out": True}


@router.get("/me")
def me(caller: Annotated[Caller, Depends(allowed_to(Action.SEE_SELF))]) -> dict[str, Any]:
    """Return who calls, with roles, scopes and enrolled keys."""
    return views.me(caller)


@router.post("/me/keys")
def enrol(
    body: bodies.Keys, caller: Annotated[Caller, Depends(allowed_to(Action.ENROL_KEYS))], services: Serving
) -> dict[str, Any]:
    """Enrol the caller's public keys. Possible once: whoever steals a session must not swap keys."""
    enrolling.enrol(services, caller, body.signing_key, body.opening_key)
    return {"signing_key": body.signing_key, "opening_key": body.opening_key}


@router.post("/me/password")
def change_password(
    request: Request,
    body: bodies.NewPassword,
    caller: Annotated[Caller, Depends(allowed_to(Action.CHANGE_PASSWORD))],
) -> dict[str, Any]:
    """Change the caller's password; every other session and token of theirs ends."""
    sessions.change_password(counter_of(request), caller, (body.old, body.new), address_of(request))
    return {"changed": True}


@router.post("/me/tokens")
def make_token(
    request: Request, body: bodies.NewToken, caller: Annotated[Caller, Depends(allowed_to(Action.MAKE_TOKEN))]
) -> dict[str, Any]:
    """Make a token with some scopes, for a notebook or a program, and return it, once."""
    opened = sessions.make_token(counter_of(request), caller, tuple(body.scopes), body.label, body.lasts)
    return {"token": opened.token, "expires_at": opened.expires_at}
