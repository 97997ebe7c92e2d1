"""What of a job is written to the audit log: moves and digests; the statement's text only as a salted commitment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airlock import api as airlock
from audit import api as audit
from compute.jobs import JobState
from plans import canonical
from plans.request import Request
from plans.verdict import Verdict
from store import api as store

_DISPATCHER = "dispatcher"


def submitted(row: store.JobRow, request: Request) -> audit.Draft:
    """A member handed in a signed request."""
    return audit.Draft(
        actor=request.member,
        domain=request.member.partition("@")[2],
        action="job.submitted",
        object=row.id,
        retention=audit.Retention.GRANTS,
        details={"request": request.digest, "project": request.project},
        personal={"statement": request.statement, "purpose": request.purpose},
    )


def moved(
    row: store.JobRow, state: JobState, *, actor: str = _DISPATCHER, changes: Mapping[str, Any] | None = None
) -> audit.Draft:
    """A job went from one state to another."""
    change = changes or {}
    decision = _decision(str(change.get("decision") or row.decision))
    problem = json.loads(str(change.get("problem") or "{}"))
    details = {"from": row.state, "to": state.value, "attempt": int(change.get("attempt", row.attempt))}
    details |= {"stage": str(change["stage"])} if "stage" in change else {}
    details |= {"code": problem["code"]} if "code" in problem else {}
    details |= _findings(str(change.get("verdict") or ""))
    return audit.Draft(
        actor=actor,
        domain=str(change.get("domain") or row.domain),
        action=f"job.{state.value}",
        object=row.id,
        retention=audit.Retention.STATISTICS if state is JobState.RELEASED else audit.Retention.GRANTS,
        plan=str(change.get("plan_digest") or row.plan_digest),
        decision=decision.get("outcome", ""),
        policy=int(decision.get("bundle_number", 0)),
        details=details,
    )


def fetched(row: store.JobRow) -> audit.Draft:
    """A member fetched a sealed result."""
    return audit.Draft(
        actor=row.member,
        domain=row.domain,
        action="result.fetched",
        object=row.id,
        retention=audit.Retention.STATISTICS,
        plan=row.plan_digest,
    )


def canonical_text(plain: Mapping[str, Any]) -> str:
    """Return a problem document as the text that the database keeps."""
    return canonical.encode(plain).decode()


def refused_output(verdict: Verdict) -> str:
    """Return the problem document of an output that does not leave: rule classes, no number."""
    return canonical_text(airlock.refusal(verdict).problem())


def _decision(text: str) -> Mapping[str, Any]:
    decision: Mapping[str, Any] = json.loads(text) if text else {}
    return decision


def _findings(text: str) -> dict[str, str]:
    if not text:
        return {}
    verdict = Verdict.read(json.loads(text))
    return {"finding": verdict.finding.value, "verdict": verdict.digest}
