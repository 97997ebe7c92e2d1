"""Jobs and their states. Every state explains itself: what it means, and who has to act next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from plans.record import Record
from sandbox import api as sandbox
from store import api as store


class JobState(StrEnum):
    """Where a job stands. The last four are ends."""

    SUBMITTED = "submitted"
    WAITING = "waiting-approval"
    QUEUED = "queued"
    TRYING = "trying"
    RUNNING = "running"
    INSPECTING = "inspecting"
    HELD = "held"
    RELEASED = "released"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def sentence(self) -> str:
        """What a person reads."""
        return _SENTENCES[self][0]

    @property
    def waits_for(self) -> str:
        """Who has to act, empty when nobody has."""
        return _SENTENCES[self][1]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in ENDED


ENDED = frozenset({JobState.RELEASED, JobState.REFUSED, JobState.FAILED, JobState.CANCELLED})

_SENTENCES: Mapping[JobState, tuple[str, str]] = {
    JobState.SUBMITTED: ("The request is being read and decided on.", "the platform"),
    JobState.WAITING: ("The plan waits for an approver of the owning domain.", "an approver"),
    JobState.QUEUED: ("The plan waits for free capacity.", "the platform"),
    JobState.TRYING: ("The folder is tried on made-up tables before it meets data.", "the platform"),
    JobState.RUNNING: ("The job runs in a box beside the data.", "the platform"),
    JobState.INSPECTING: ("The output is being inspected before it may leave.", "the airlock"),
    JobState.HELD: ("The output is held until people of the owning domain have looked at it.", "reviewers"),
    JobState.RELEASED: ("The result was released, sealed to its recipient.", ""),
    JobState.REFUSED: ("A rule refused the job; the reasons say which, and what would help.", ""),
    JobState.FAILED: ("The job ended without a result.", ""),
    JobState.CANCELLED: ("The job was cancelled.", ""),
}


@dataclass(frozen=True, slots=True)
class JobView(Record):
    """A job as its member sees it. `decision`, `verdict` and `problem` are plain values, none while unknown.

    `position` is how many jobs wait before it while it is queued, `retries` whether it can be tried again, and `cost`
    the processor time of its boxes in one of few words (`sandbox.telling`), since exact times tell of data.
    """

    KIND: ClassVar[str] = "job"

    id: str
    member: str
    project: str
    state: JobState
    sentence: str
    waits_for: str
    domain: str
    plan_digest: str
    decision: Mapping[str, Any] | None
    verdict: Mapping[str, Any] | None
    problem: Mapping[str, Any] | None
    attempt: int
    timeline: tuple[str, ...]
    kind: str = "sql"
    position: int = 0
    retries: bool = False
    cost: str = ""


RETRIED = frozenset({JobState.FAILED, JobState.CANCELLED})
"""Ends after which the same request may be tried again: nothing was refused, and nothing was released."""


def view(row: store.JobRow, position: int = 0) -> JobView:
    """Return a stored job as its member sees it; each entry of the timeline reads `<Unix seconds> <state>`."""
    state = JobState(row.state)
    return JobView(
        id=row.id,
        member=row.member,
        project=row.project,
        state=state,
        sentence=state.sentence,
        waits_for=state.waits_for,
        domain=row.domain,
        plan_digest=row.plan_digest,
        decision=_plain(row.decision),
        verdict=_plain(row.verdict),
        problem=_plain(row.problem),
        attempt=row.attempt,
        timeline=tuple(f"{at} {passed}" for passed, at in json.loads(row.timeline)),
        kind=_kind(row.request),
        position=position,
        retries=state in RETRIED,
        cost=sandbox.bucket(row.spent_s) if row.stage else "",
    )


def _kind(request: str) -> str:
    return str(json.loads(request).get("kind", "sql"))


def _plain(text: str) -> Mapping[str, Any] | None:
    return json.loads(text) if text else None
