"""Kept models as the centre knows them: which a member may name, and the plans behind those that a request names.

Where a model lies is its owner's keeper, which decides again on what it holds itself; here it is looked up early, to
tell the member and to make the plan. The centre has no byte of a model.
"""

from __future__ import annotations

import json
import time
from typing import Any

from compute import folders
from plans.plan import Plan
from plans.request import Request
from plans.statements import Grant, Signed, Type
from plans.tasks import models_of
from plans.verdict import Finding, Verdict
from policies import api as policies
from store import api as store


def plans_behind(session: store.Session, request: Request) -> tuple[policies.KeptPlan, ...]:
    """Return the plans of the kept models that a request names, those of which an output was held."""
    rows = (store.jobs.by_plan(session, digest) for digest in sorted({m.plan for m in models_of(request)}))
    return tuple(
        policies.KeptPlan(folders.plan_of(session, row), verdict.content)
        for row in rows
        if row is not None and (verdict := _held(row)) is not None
    )


def listed(session: store.Session, member: str) -> tuple[dict[str, Any], ...]:
    """Return the models that were held in a member's projects, newest first: what a task writes to name one, and what
    the task has to read. Whether an owner still keeps it is for its keeper to say.
    """
    found = []
    for row in store.jobs.held(session, _projects(session, member)):
        verdict = _held(row)
        plan = folders.plan_of(session, row)
        for artifact in policies.models_left(plan) if verdict else ():
            found.append(_told(row, plan, (artifact, verdict.content if verdict else "")))
    return tuple(found)


def _told(row: store.JobRow, plan: Plan, left: tuple[str, str]) -> dict[str, Any]:
    relations = plan.program.relations if plan.program else ()
    return {
        "job": row.id,
        "plan": plan.digest,
        "artifact": left[0],
        "content": left[1],
        "member": row.member,
        "domain": row.domain,
        "project": row.project,
        "purpose": plan.request.purpose if plan.request else "",
        "tables": {relation.name: list(relation.columns) for relation in relations},
        "state": row.state,
    }


def _held(row: store.JobRow) -> Verdict | None:
    """Return the verdict on a job whose output was held, or none."""
    verdict = Verdict.read(json.loads(row.verdict)) if row.verdict else None
    return verdict if verdict is not None and verdict.finding is Finding.HELD else None


def _projects(session: store.Session, member: str) -> frozenset[str]:
    """Return the projects for which the member has a grant that stands."""
    rows = store.statements.about(session, member, Type.GRANT.value)
    found, now = set(), int(time.time())
    for row in rows:
        statement = Signed.decode(row.signed.encode()).statement
        taken_back = store.statements.revoked(session, row.domain, [statement.digest])
        ended = bool(statement.not_after) and statement.not_after <= now
        if statement.not_before <= now and not ended and not taken_back:
            found.add(Grant.read(statement.body).project)
    return frozenset(found)
