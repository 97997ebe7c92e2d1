"""The form of an application: filled in by a link from a lab, read and sent by the member.

What a link says is only what stands in the fields at first. The member sees it, and their own session sends it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from plans import names
from plans.errors import DarkroomError, Malformed
from plans.manifest import Kind, Manifest
from plans.statements import Signed
from policies.api import ASKING_ROLES
from portal.access import allowed_to, services_of
from portal.forms import body_fields, fields
from portal.permissions import Action
from portal.services import Services
from portal.sessions import Caller
from portal.templates import page
from sharing import api as sharing
from store import api as store

router = APIRouter(include_in_schema=False)
Serving = Annotated[Services, Depends(services_of)]
Applicant = Annotated[Caller, Depends(allowed_to(Action.APPLY))]
Seer = Annotated[Caller, Depends(allowed_to(Action.SEE_OWN_APPLICATIONS))]
SEVERAL = ("columns",)
PLAIN = ("dataset", "project", "purpose", "until", "uses", "role")
DAYS, USES = 90, 20
"""What the form proposes until the member says otherwise."""


@router.get("/apply")
def form(request: Request, caller: Applicant, services: Serving) -> Response:
    """Show the form, filled in as the link says; without a dataset, the datasets to choose from."""
    said = _said(fields(request.url.query.encode(), SEVERAL))
    if not said["until"]:
        said["until"] = (
            (datetime.fromtimestamp(services.clock(), UTC) + timedelta(days=DAYS)).date().isoformat()
        )
    said["uses"] = said["uses"] or str(USES)
    return _form(request, caller, said)


@router.post("/apply")
async def apply(request: Request, caller: Applicant, services: Serving) -> Response:
    """Take the application that the form makes. Only our own page may (`portal.access`)."""
    said = _said(await body_fields(request, SEVERAL))
    try:
        row = await run_in_threadpool(_apply, services, caller, said)
    except DarkroomError as problem:
        return await run_in_threadpool(_form, request, caller, said, problem)
    return RedirectResponse(f"/apply/{row.id}", 303)


@router.get("/apply/{number}")
def application(request: Request, number: str, caller: Seer, services: Serving) -> Response:
    """Show one of the caller's own applications, and who has to act."""
    row = sharing.visible(services.office, caller.member, number)
    owner = names.domain_of(row.dataset)
    return page(request, "application.html", caller.who, application=row, owner=owner)


def _apply(services: Services, caller: Caller, said: dict[str, Any]) -> store.ApplicationRow:
    if not said["uses"].isascii() or not said["uses"].isdigit() or len(said["uses"]) > 9:
        raise Malformed("uses are a whole number", "uses")
    what = (said["dataset"], tuple(said["columns"]), said["project"], said["purpose"])
    wish = sharing.Wish(*what, _end_of(said["until"]), int(said["uses"]), said["role"])
    return sharing.apply(services.office, caller.member, wish)


def _said(given: dict[str, list[str]]) -> dict[str, Any]:
    """Return what the fields say; columns may stand in one field with commas, as a link has them, or in several."""
    said: dict[str, Any] = {name: given.get(name, [""])[0].strip() for name in PLAIN}
    listed = (column.strip() for text in given.get("columns", []) for column in text.split(","))
    return said | {"columns": list(dict.fromkeys(column for column in listed if column))}


def _end_of(day: str) -> int:
    """Return the moment (Unix seconds) at which a day has ended, in UTC."""
    try:
        following = date.fromisoformat(day) + timedelta(days=1)
        return int(datetime(following.year, following.month, following.day, tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        raise Malformed("a day is written YYYY-MM-DD", "until") from None


def _form(
    request: Request, caller: Caller, said: dict[str, Any], problem: DarkroomError | None = None
) -> Response:
    services = services_of(request)
    with services.database.reading() as session:
        row = _current(session, said["dataset"])
        listed = [] if row else [(each.dataset, each.title) for each in store.manifests.all_current(session)]
        projects = [each.name for each in store.projects.of_member(session, caller.member.name)]
    shown = {
        "dataset": row,
        "columns": _columns(row) if row else [],
        "datasets": listed,
        "projects": projects,
        "roles": [role for role in ASKING_ROLES if role in caller.member.roles],
        "enrolled": bool(caller.member.signing_key),
        "said": said,
        "problem": problem,
    }
    return page(request, "apply.html", caller.who, problem.status if problem else 200, **shown)


def _current(session: store.Session, dataset: str) -> store.ManifestRow | None:
    try:
        names.require("dataset", dataset, "dataset")
    except Malformed:
        return None
    return store.manifests.current(session, dataset)


def _columns(row: store.ManifestRow) -> list[tuple[str, str]]:
    """Return the columns that can be applied for, with their units or types; identifiers never can."""
    manifest = Manifest.read(dict(Signed.decode(row.signed.encode()).statement.body))
    return [(c.name, c.unit or c.type) for c in manifest.columns if c.kind is not Kind.IDENTIFIER]
