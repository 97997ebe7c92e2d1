"""What is left: of a member's grants, of the places for jobs, and what owners' rules bound."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from portal import budgets
from portal.access import allowed_to, services_of
from portal.permissions import Action, require
from portal.services import Services
from portal.sessions import Caller

router = APIRouter(prefix="/api/v1")
Serving = Annotated[Services, Depends(services_of)]
Reader = Annotated[Caller, Depends(allowed_to(Action.READ_CATALOG))]


@router.get("/budgets")
def of_member(caller: Reader, services: Serving) -> dict[str, Any]:
    """Return what is left of the caller's grants, as far as the centre knows, and the rules that bound the rest."""
    require(caller.who, Action.SEE_OWN_JOBS)
    return budgets.told(services, caller.member)
