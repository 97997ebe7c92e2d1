"""What a member may be told about what is left, for each grant that stands. Nothing here depends on data.

Told are numbers that follow from what the member signed and was granted, and from rules that every member may read:

* uses of a grant, less the plans under it that have begun to run, as far as the centre knows (the keeper decides);
* the member's own jobs that wait or run, and how many may at a time;
* in the mode `private`: the budget of a period, the price of a question that names none, and what the member's own
  plans have reserved within it;
* in the mode `rules`: how many exact cells of a sensitive column may leave within a period.

Not told: what is left of a privacy budget or of a quota. All who ask share them, so a rest tells what others asked, and
how many cells left depends on the data. Only their owner sees it (`darkroom-server ledger budgets`).
"""

from __future__ import annotations

import json
from typing import Any

from plans.checks import Mode
from plans.statements import DatasetPolicy, Grant, Signed, Type
from policies import api as policies
from portal import evidence
from portal.services import Services
from store import api as store

DAY_S = 86_400


def told(services: Services, member: store.MemberRow) -> dict[str, Any]:
    """Return what a member may know about what is left."""
    now = services.office.now
    jobs = [job.plain() for job in services.jobs.jobs(member.name)]
    active = sum(str(job["state"]) not in ENDED for job in jobs)
    with services.database.reading() as session:
        grants = [
            _grant(session, row, member, now)
            for row in store.statements.about(session, member.name, Type.GRANT.value)
            if _stands(session, row, now)
        ]
    return {"jobs": {"active": active, "most": services.limits.jobs_per_member}, "grants": grants}


ENDED = frozenset({"released", "refused", "failed", "cancelled"})


def _stands(session: store.Session, row: store.StatementRow, now: int) -> bool:
    statement = Signed.decode(row.signed.encode()).statement
    ended = bool(statement.not_after) and statement.not_after <= now
    revoked = store.statements.revoked(session, row.domain, [statement.digest])
    return statement.not_before <= now and not ended and not revoked


def _grant(
    session: store.Session, row: store.StatementRow, member: store.MemberRow, now: int
) -> dict[str, Any]:
    statement = Signed.decode(row.signed.encode()).statement
    grant = Grant.read(dict(statement.body))
    used = store.jobs.run_under(session, row.domain, member.name, row.digest)
    bundle = next(iter(evidence.bundles(session, row.domain)), None)
    policy = bundle.policy(grant.dataset) if bundle else None
    return {
        "dataset": grant.dataset,
        "project": grant.project,
        "purpose": grant.purpose,
        "role": grant.role,
        "columns": list(grant.columns),
        "until": statement.not_after,
        "uses": grant.uses,
        "uses_left": max(0, grant.uses - used),
        "mode": str(policy.mode) if policy else "",
        "private": _private(session, policy, member, now) if policy else None,
        "exact": _exact(policy) if policy else None,
    }


def _private(
    session: store.Session, policy: DatasetPolicy, member: store.MemberRow, now: int
) -> dict[str, Any] | None:
    """Return the rule about the budget, and what the member's own plans reserved of it."""
    rule = policy.privacy
    if policy.mode is not Mode.PRIVATE or rule is None:
        return None
    since = now - rule.period_days * DAY_S
    own = sum(_spent(row, policy.dataset) for row in _own_since(session, member, since))
    return {
        "rho_micro": rule.rho_micro,
        "period_days": rule.period_days,
        "usual_price_micro": rule.rho_micro // policies.USUAL_SHARE,
        "own_micro": own,
    }


def _exact(policy: DatasetPolicy) -> dict[str, Any] | None:
    if policy.mode is not Mode.RULES:
        return None
    return {"cells": policy.checks.exact_cells, "period_days": policy.checks.period_days}


def _own_since(session: store.Session, member: store.MemberRow, since: int) -> list[store.JobRow]:
    """Return the member's newest jobs that moved since and have begun to run."""
    rows = store.jobs.of_member(session, member.name)
    return [row for row in rows if row.plan and row.updated_at >= since and '"running"' in row.timeline]


def _spent(row: store.JobRow, dataset: str) -> int:
    """Return what a job's plan reserved of a dataset's budget; the centre wrote its text itself."""
    private = ((json.loads(row.plan).get("program") or {}).get("private")) or {}
    return int(private.get("rho_micro", 0)) if dataset in private.get("datasets", ()) else 0
