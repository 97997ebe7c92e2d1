"""Applications, grants and statements: who asked for what, and who said yes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from plans.errors import NotFound
from plans.statements import Signed
from portal import bodies, views
from portal.access import allowed_to, services_of
from portal.permissions import Action, may
from portal.services import Services
from portal.sessions import Caller
from sharing import api as sharing
from store import api as store

router = APIRouter(prefix="/api/v1")
Serving = Annotated[Services, Depends(services_of)]
Seer = Annotated[Caller, Depends(allowed_to(Action.SEE_OWN_APPLICATIONS, Action.SEE_APPLICATIONS_TO_DECIDE))]


@router.post("/applications", status_code=201)
def apply(
    body: bodies.Application, caller: Annotated[Caller, Depends(allowed_to(Action.APPLY))], services: Serving
) -> dict[str, Any]:
    """Apply for columns of a dataset."""
    what = (body.dataset, tuple(body.columns), body.project, body.purpose)
    wish = sharing.Wish(*what, body.until, body.uses, body.role)
    return views.application(sharing.apply(services.office, caller.member, wish))


@router.get("/applications")
def applications(caller: Seer, services: Serving) -> dict[str, Any]:
    """Return the caller's own applications, and those that wait for the caller's decision."""
    own, to_decide = (
        may(caller.who, action) for action in (Action.SEE_OWN_APPLICATIONS, Action.SEE_APPLICATIONS_TO_DECIDE)
    )
    found = sharing.listed(services.office, caller.member, own=own, to_decide=to_decide)
    return {"applications": [views.application(row) for row in found]}


@router.get("/applications/{number}")
def application(number: str, caller: Seer, services: Serving) -> dict[str, Any]:
    """Return one application, with the public keys that a grant has to name, and the columns that are gone."""
    row = sharing.visible(services.office, caller.member, number)
    own = row.member == caller.member.name
    if not may(caller.who, Action.SEE_OWN_APPLICATIONS if own else Action.SEE_APPLICATIONS_TO_DECIDE):
        raise NotFound("there is no such application", "application")
    with services.database.reading() as session:
        applicant = store.members.get(session, row.member)
    return views.application(row) | views.to_grant(applicant, sharing.gone(services.office, row))


@router.post("/applications/{number}/decline")
def decline(
    number: str,
    body: bodies.Decline,
    caller: Annotated[Caller, Depends(allowed_to(Action.DECLINE))],
    services: Serving,
) -> dict[str, Any]:
    """Decline an application, with a reason."""
    return views.application(sharing.decline(services.office, caller.member, number, body.reason))


@router.post("/statements")
def hand_in(
    body: bodies.Statement,
    caller: Annotated[Caller, Depends(allowed_to(Action.HAND_IN_STATEMENT))],
    services: Serving,
) -> dict[str, Any]:
    """Hand in a grant, approval or revocation that was signed on its signer's own machine."""
    signed = Signed.read(body.signed)
    return views.statement(sharing.hand_in(services.office, caller.member, signed, body.application))


@router.get("/grants")
def grants(caller: Seer, services: Serving) -> dict[str, Any]:
    """Return the grants that serve the caller; for an approver, all of the domain."""
    office = services.office
    of_domain = may(caller.who, Action.SEE_APPLICATIONS_TO_DECIDE)
    found = sharing.grants(office, caller.member, of_domain=of_domain)
    return {
        "grants": [
            views.grant(row, revoked=sharing.is_revoked(office, row.digest), now=office.now) for row in found
        ]
    }
