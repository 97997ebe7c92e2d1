"""Jobs: durable states that several dispatchers move by compare-and-set.

A job is moved by one statement that names the state it must be in (`move`). Of two dispatchers that want the
same step one gets true; the other gets false and looks again. States themselves are the dispatcher's
business, not the table's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select

from plans.errors import Malformed
from store import tables
from store.database import Session
from store.lines import Lines


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job. Canonical texts and digests are empty until they exist.

    `timeline` is JSON: a list of [state, Unix seconds]. `records` are the launcher's signed records of a job whose
    output is held, `trial` the digest of the trial whose outcome was kept before the job met data, and `spent_s`
    the processor seconds of its boxes so far.
    """

    id: str
    member: str
    project: str
    state: str
    request: str
    request_signature: str
    created_at: int
    updated_at: int
    domain: str = ""
    plan_digest: str = ""
    plan: str = ""
    decision: str = ""
    verdict: str = ""
    release: str = ""
    problem: str = ""
    attempt: int = 0
    stage: str = ""
    timeline: str = "[]"
    records: str = ""
    trial: str = ""
    spent_s: int = 0


_table = tables.jobs
_lines = Lines(_table, JobRow, "id", "job")
get, find = _lines.get, _lines.find

CHANGEABLE = frozenset(
    {
        "domain", "plan_digest", "plan", "decision", "verdict", "release", "problem", "attempt", "stage",
        "records", "trial", "spent_s",
    }
)  # fmt: skip
"""What `move` may change beside the state; the rest of a job is fixed when it is added."""


def add(session: Session, row: JobRow) -> None:
    """Insert a job; an empty timeline starts with its state.

    Raises:
        StateConflict: there is one with this id.
    """
    timeline = row.timeline if row.timeline != "[]" else json.dumps([[row.state, row.created_at]])
    content = {name: getattr(row, name) for name in JobRow.__dataclass_fields__} | {"timeline": timeline}
    session.execute(_table.insert().values(content))


def of_member(session: Session, member: str, limit: int = 200) -> tuple[JobRow, ...]:
    """Return a member's newest jobs, newest first."""
    query = _lines.query(_table.c.member == member)
    return _lines.rows(session, query.order_by(_table.c.created_at.desc(), _table.c.id).limit(limit))


def in_states(session: Session, states: Iterable[str], limit: int = 100) -> tuple[JobRow, ...]:
    """Return the jobs that are in one of these states, oldest first."""
    query = _lines.query(_table.c.state.in_(sorted(set(states))))
    return _lines.rows(session, query.order_by(_table.c.created_at, _table.c.id).limit(limit))


def held(session: Session, projects: Iterable[str], limit: int = 200) -> tuple[JobRow, ...]:
    """Return the newest jobs of these projects whose output was held, whatever became of it; newest first."""
    was_held = _table.c.verdict.contains('"finding":"held"', autoescape=True)
    query = _lines.query(_table.c.project.in_(sorted(set(projects))), was_held)
    return _lines.rows(session, query.order_by(_table.c.created_at.desc(), _table.c.id).limit(limit))


def standing(session: Session, ids: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return for each of these jobs its state and when it last moved; those that are not there are left out."""
    query = select(_table.c.id, _table.c.state, _table.c.updated_at).where(_table.c.id.in_(sorted(set(ids))))
    return {row.id: (row.state, row.updated_at) for row in session.execute(query)}


def before(session: Session, row: JobRow, state: str) -> int:
    """Return how many jobs in this state are older than this one."""
    older = (_table.c.created_at < row.created_at) | (
        (_table.c.created_at == row.created_at) & (_table.c.id < row.id)
    )
    query = select(func.count()).select_from(_table).where(_table.c.state == state, older)
    return int(session.execute(query).scalar() or 0)


def run_under(session: Session, domain: str, member: str, grant: str) -> int:
    """Return how many of a member's jobs at a domain have begun to run under a grant, by the grant's digest."""
    decided = _table.c.decision.contains(grant, autoescape=True)
    begun = _table.c.timeline.contains('"running"', autoescape=True)
    whose = (_table.c.member == member, _table.c.domain == domain)
    query = select(func.count()).select_from(_table).where(*whose, decided, begun)
    return int(session.execute(query).scalar() or 0)


def cancelled_since(session: Session, moment: int) -> tuple[JobRow, ...]:
    """Return the jobs that were cancelled since, in Unix seconds, after they had begun to run."""
    query = _lines.query(_table.c.state == "cancelled", _table.c.updated_at >= moment, _table.c.stage != "")
    return _lines.rows(session, query)


def by_plan(session: Session, digest: str) -> JobRow | None:
    """Return the newest job with this plan, or none."""
    if not digest:
        return None
    query = _lines.query(_table.c.plan_digest == digest)
    return _lines.first(session, query.order_by(_table.c.created_at.desc(), _table.c.id))


def move(
    session: Session,
    id: str,
    expected_state: str,
    new_state: str,
    *,
    at: int | None = None,
    **changes: str | int,
) -> bool:
    """Move a job from one state to another, or within a state, if it still is where the caller saw it.

    Args:
        at: the moment in Unix seconds, by default the present.
        changes: members of `CHANGEABLE` to set in the same step.

    Returns:
        Whether the job was moved. A changed state is written to the timeline.

    Raises:
        Malformed: a change that is not allowed.
    """
    if unknown := sorted(set(changes) - CHANGEABLE):
        raise Malformed(f"a job's {unknown[0]!r} cannot be changed", "job")
    here = (_table.c.id == id, _table.c.state == expected_state)
    # Row lock (PostgreSQL) or write lock (SQLite): no timeline is read twice and then written once.
    text = session.execute(select(_table.c.timeline).where(*here).with_for_update()).scalar()
    if text is None:
        return False
    moment = int(time.time()) if at is None else at
    passed = [] if new_state == expected_state else [[new_state, moment]]
    fixed = {"state": new_state, "updated_at": moment, "timeline": json.dumps(json.loads(text) + passed)}
    return _lines.change(session, {**changes, **fixed}, *here) == 1
