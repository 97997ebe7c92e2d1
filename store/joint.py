"""Joint computations: durable states of what several parties compute together, moved by compare-and-set."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from plans.errors import Malformed
from store import tables
from store.database import Session
from store.lines import Lines


@dataclass(frozen=True, slots=True)
class JointRow:
    """A joint computation. Canonical texts are empty until they exist.

    `parties` are the domains that take part, `plan` the joint plan, `results` JSON of what was handed over at the end:
    receipts of all parties, and each server's sealed shares. `timeline` is JSON: a list of [state, Unix seconds].
    """

    id: str
    member: str
    project: str
    state: str
    request: str
    request_signature: str
    created_at: int
    updated_at: int
    parties: tuple[str, ...] = ()
    digest: str = ""
    plan: str = ""
    problem: str = ""
    attempt: int = 0
    timeline: str = "[]"
    results: str = ""


_table = tables.joint
_lines = Lines(_table, JointRow, "id", "joint computation")
get, find = _lines.get, _lines.find

CHANGEABLE = frozenset({"parties", "digest", "plan", "problem", "attempt", "results"})
"""What `move` may change beside the state."""


def add(session: Session, row: JointRow) -> None:
    """Insert a computation; its timeline starts with its state.

    Raises:
        StateConflict: there is one with this id.
    """
    content = {name: getattr(row, name) for name in JointRow.__dataclass_fields__}
    session.execute(_table.insert().values(content | {"timeline": json.dumps([[row.state, row.created_at]])}))


def of_member(session: Session, member: str, limit: int = 200) -> tuple[JointRow, ...]:
    """Return a member's newest computations, newest first."""
    query = _lines.query(_table.c.member == member)
    return _lines.rows(session, query.order_by(_table.c.created_at.desc(), _table.c.id).limit(limit))


def in_states(session: Session, states: Iterable[str], limit: int = 100) -> tuple[JointRow, ...]:
    """Return the computations that are in one of these states, oldest first."""
    query = _lines.query(_table.c.state.in_(sorted(set(states))))
    return _lines.rows(session, query.order_by(_table.c.created_at, _table.c.id).limit(limit))


def cancelled_since(session: Session, moment: int) -> tuple[JointRow, ...]:
    """Return the computations that were cancelled since, in Unix seconds, after an attempt had begun."""
    query = _lines.query(_table.c.state == "cancelled", _table.c.updated_at >= moment, _table.c.attempt > 0)
    return _lines.rows(session, query)


def by_digest(session: Session, digest: str) -> JointRow | None:
    """Return the newest computation with this joint plan, or none."""
    if not digest:
        return None
    query = _lines.query(_table.c.digest == digest)
    return _lines.first(session, query.order_by(_table.c.created_at.desc(), _table.c.id))


def move(
    session: Session, id: str, expected_state: str, new_state: str, **changes: str | int | tuple[str, ...]
) -> bool:
    """Move a computation from one state to another, or within a state, if it still is where the caller saw it.

    Raises:
        Malformed: a change that is not allowed.
    """
    if unknown := sorted(set(changes) - CHANGEABLE):
        raise Malformed(f"a joint computation's {unknown[0]!r} cannot be changed", "joint")
    here = (_table.c.id == id, _table.c.state == expected_state)
    text = session.execute(select(_table.c.timeline).where(*here).with_for_update()).scalar()
    if text is None:
        return False
    now = int(time.time())
    passed = [] if new_state == expected_state else [[new_state, now]]
    fixed = {"state": new_state, "updated_at": now, "timeline": json.dumps(json.loads(text) + passed)}
    return _lines.change(session, {**changes, **fixed}, *here) == 1
