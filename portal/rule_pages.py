"""Pages that answer *why was this allowed or denied*, *what would this plan show* and *which rules exist*.

They show what the platform knows and change nothing: whoever approves signs on their own machine.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from catalog import api as catalog
from plans import names
from plans.errors import NotFound
from plans.manifest import Manifest
from plans.request import Request as Asked
from plans.request import RequestKind
from plans.statements import Bundle, DatasetPolicy, Signed
from plans.tasks import ComponentTask, PythonTask, task_of
from policies import api as policies
from portal import evidence
from portal.access import allowed_to, services_of
from portal.permissions import Action
from portal.services import Services
from portal.sessions import Caller
from portal.templates import page
from store import api as store

router = APIRouter(include_in_schema=False)
Serving = Annotated[Services, Depends(services_of)]
Asker = Annotated[Caller, Depends(allowed_to(Action.SEE_OWN_JOBS))]
Approver = Annotated[Caller, Depends(allowed_to(Action.READ_PLAN_TO_APPROVE))]
Reader = Annotated[Caller, Depends(allowed_to(Action.READ_CATALOG))]


@router.get("/jobs")
def jobs(request: Request, caller: Asker, services: Serving) -> Response:
    """List the caller's own jobs."""
    found = [job.plain() for job in services.jobs.jobs(caller.member.name)]
    return page(request, "jobs.html", caller.who, jobs=found, title=("Your jobs", "我的任务"), under="/jobs")


@router.get("/jobs/{number}")
def job(request: Request, number: str, caller: Asker, services: Serving) -> Response:
    """Show one of the caller's own jobs: where it stands, who has to act, and every rule that spoke."""
    found = services.jobs.job(caller.member.name, number).plain()
    reasons = (found["decision"] or {}).get("reasons", [])
    passed = [(state, int(at)) for at, state in map(str.split, found["timeline"])]
    task = _task(services, number)
    return page(request, "job.html", caller.who, job=found, reasons=reasons, passed=passed, task=task)


@router.get("/approvals")
def approvals(request: Request, caller: Approver, services: Serving) -> Response:
    """List the plans that wait for the caller."""
    found = [job.plain() for job in services.jobs.to_approve(caller.member.name)]
    title = ("Plans that wait for you", "待您审批的计划")
    return page(request, "jobs.html", caller.who, jobs=found, title=title, under="/approvals")


@router.get("/approvals/{number}")
def approval(request: Request, number: str, caller: Approver, services: Serving) -> Response:
    """Show a plan that waits for the caller, with its impact report."""
    plan = services.jobs.plan(caller.member.name, number)
    if not evidence.may_see_manifests(caller, plan) or plan.request is None:
        raise NotFound("there is no such plan, or it does not wait for you", number)
    with services.database.reading() as session:
        report = evidence.report(session, plan)
    return page(request, "plan.html", caller.who, number=number, plan=plan, report=report)


@router.get("/rules")
def rules(request: Request, caller: Reader, services: Serving) -> Response:
    """List the datasets whose rules can be read."""
    with services.database.reading() as session:
        found = [(row.dataset, row.title, row.domain) for row in store.manifests.all_current(session)]
    return page(request, "rules.html", caller.who, datasets=found)


@router.get("/rules/{dataset:path}")
def rules_of(request: Request, dataset: str, caller: Reader, services: Serving) -> Response:
    """Show the rules about a dataset, in the words of its owner's policy file."""
    names.require("dataset", dataset, "dataset")
    with services.database.reading() as session:
        row = store.manifests.current(session, dataset)
        if row is None:
            raise NotFound(f"there is no dataset {dataset}", "dataset", "See /rules.")
        bundle = next(iter(evidence.bundles(session, row.domain)), None)
        twin = catalog.released_twin(session, row)
    manifest = Manifest.read(dict(Signed.decode(row.signed.encode()).statement.body))
    return page(request, "rules_of.html", caller.who, dataset=row, rules=_rules(bundle, manifest), twin=twin)


def _task(services: Services, number: str) -> PythonTask | ComponentTask | None:
    """Return what a job of the caller's was asked to do, as they signed it; none for a statement."""
    with services.database.reading() as session:
        asked = Asked.decode(store.jobs.get(session, number).request.encode())
    return None if asked.kind is RequestKind.SQL else task_of(asked)


def _rules(bundle: Bundle | None, manifest: Manifest) -> dict[str, Any] | None:
    """Return what a template shows of a policy, or none if there is none."""
    policy = bundle.policy(manifest.dataset) if bundle else None
    if bundle is None or policy is None:
        return None
    return {
        "number": bundle.number,
        "settings": policies.settings_lines(policy),
        "access": [policies.access_line(rule) for rule in policy.access],
        "columns": [_column(policy, column.name, str(column.kind)) for column in manifest.columns],
        "tags": [(tag.name, policies.tag_line(tag)) for tag in bundle.tags],
    }


def _column(policy: DatasetPolicy, name: str, kind: str) -> dict[str, Any]:
    tags = next((tagged.tags for tagged in policy.tagged if tagged.column == name), ())
    rules = [policies.constraint_line(rule) for rule in policy.about(name)]
    return {"name": name, "kind": kind, "tags": tags, "rules": rules}
