"""What members do with joint computations: ask, look, cancel, fetch. Each change is logged before it is visible.

    submitted ──► waiting-approval ──► running ──► released        each but the last ──► refused | failed | cancelled

The centre carries plans, approvals and sealed bytes between parties, and is believed by none of them: every party's
side derives the plan again from its own policies and data descriptions, and computes only what its own approvers
signed. Whoever is not the recipient finds nothing but ciphertext here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from audit import api as audit
from compute.enrolled import require_enrolled
from compute.jobs import JobState
from compute.joint_planning import propose_jointly
from compute.planning import House
from keys import api as keys
from plans.errors import Malformed, NotFound, StateConflict
from plans.joint import JointPlan, joint_task_of
from plans.record import Record
from plans.request import Request, RequestKind
from plans.statements import Type
from store import api as store


@dataclass(frozen=True, slots=True)
class JointView(Record):
    """A joint computation as a person sees it; `approved` are the parties whose approval is known here."""

    KIND: ClassVar[str] = "joint"

    id: str
    member: str
    project: str
    state: JobState
    sentence: str
    waits_for: str
    statement: str
    parties: tuple[str, ...]
    approved: tuple[str, ...]
    plan_digest: str
    problem: Mapping[str, Any] | None
    attempt: int
    timeline: tuple[str, ...]


_SENTENCES: Mapping[JobState, tuple[str, str]] = {
    JobState.SUBMITTED: ("The statement is being read, and its plan made.", "the platform"),
    JobState.WAITING: ("The joint plan waits until every party has approved it.", "approvers"),
    JobState.RUNNING: ("The parties compute, each beside its own data.", "the parties"),
    JobState.RELEASED: ("What the recipient opens is here, sealed to it, with all receipts.", ""),
    JobState.REFUSED: ("A rule refused the computation; the reasons say which, and what would help.", ""),
    JobState.FAILED: ("The computation ended without a result; nothing of it was released.", ""),
    JobState.CANCELLED: ("The computation was cancelled.", ""),
}


_TOGETHER = 25
"""Commitments in one event, whose details are short."""


@dataclass(frozen=True, slots=True)
class JointService:
    """The joint computations of one centre."""

    database: store.Database
    log: audit.Log
    most_per_member: int = 20
    house: House = House("", {})

    def submit(self, request: Request, signature: str) -> JointView:
        """Take a signed request. The same request again gives the same computation.

        Raises:
            Malformed: the request asks for something else.
            SignatureWrong: not signed by the member's enrolled key.
            StateConflict: the member has too many computations that have not ended.
        """
        keys.verify_request(request.signer, request.canonical(), signature)
        _require_joint(request)
        with self.database.session() as session:
            require_enrolled(session, request)
            known = store.joint.find(session, joint_id(request))
            if known is None:
                self._require_room(session, request.member)
                row = _new_row(request, signature)
                self.log.append(_submitted(row, request))
                store.joint.add(session, row)
        return self.computation(request.member, joint_id(request))

    def explain(self, request: Request, signature: str) -> JointPlan:
        """Return the plan that a request would get that was signed as a dry run, with its table of who would see what.
        Nothing is kept, and no row is read; no keeper takes the plan, since the signature in it is none to run by.

        Raises:
            SignatureWrong: not signed by the member's enrolled key, or signed to be run.
            DarkroomError: as `joint_planning.propose_jointly`; the sentence says which rule, clause or party.
        """
        keys.verify_dry_run(request.signer, request.canonical(), signature)
        _require_joint(request)
        with self.database.reading() as session:
            require_enrolled(session, request)
        return propose_jointly(self.database, self.house, request, signature)

    def computations(self, member: str) -> tuple[JointView, ...]:
        """Return a member's own computations, newest first."""
        with self.database.reading() as session:
            return tuple(_view(session, row) for row in store.joint.of_member(session, member))

    def to_approve(self, approver: str) -> tuple[JointView, ...]:
        """Return what waits for an approval of this member's domain, the member's own left out."""
        with self.database.reading() as session:
            domain = store.members.get(session, approver).domain
            found = store.joint.in_states(session, [JobState.WAITING.value])
            views = tuple(_view(session, row) for row in found if domain in row.parties)
        return tuple(each for each in views if each.member != approver and domain not in each.approved)

    def computation(self, member: str, number: str) -> JointView:
        """Return one of a member's own computations, or one in which the approver's domain takes part."""
        with self.database.reading() as session:
            return _view(session, self._visible(session, member, number))

    def plan(self, member: str, number: str) -> JointPlan:
        """Return the joint plan, to its member and to the parties' approvers.

        Raises:
            NotFound: there is no such computation, it is not theirs to see, or it has no plan yet.
        """
        with self.database.reading() as session:
            row = self._visible(session, member, number)
        if not row.plan:
            raise NotFound("this computation has no plan yet", number, "Look at its state first.")
        return JointPlan.decode(row.plan.encode())

    def results(self, member: str, number: str) -> dict[str, Any]:
        """Return what its member opens and verifies: receipts of all parties, and what was left for the member, sealed.

        Raises:
            StateConflict: it is not released.
        """
        with self.database.reading() as session:
            row = _own(session, member, number)
        if row.state != JobState.RELEASED:
            raise StateConflict(
                f"the computation is {row.state}; {_SENTENCES[JobState(row.state)][0]}", number
            )
        self.log.append(_drafted(row, "joint.fetched", row.member, audit.Retention.STATISTICS))
        found: dict[str, Any] = json.loads(row.results)
        return found

    def cancel(self, member: str, number: str) -> JointView:
        """Cancel a computation, unless it has ended; the parties end their boxes. What was charged stays charged.

        Raises:
            StateConflict: it has ended, or moved in this moment.
        """
        with self.database.session() as session:
            row = _own(session, member, number)
            if JobState(row.state).ended:
                raise StateConflict(f"the computation is {row.state} and can no longer be cancelled", number)
            if not store.joint.move(session, row.id, row.state, JobState.CANCELLED.value):
                raise StateConflict(
                    "the computation has moved on in this moment", number, "Look at it again."
                )
            self.log.append(_drafted(row, "joint.cancelled", row.member, audit.Retention.GRANTS))
        return self.computation(member, number)

    def _visible(self, session: store.Session, member: str, number: str) -> store.JointRow:
        row = store.joint.find(session, number)
        reader = store.members.get(session, member)
        takes_part = row is not None and "approver" in reader.roles and reader.domain in row.parties
        if row is None or (row.member != member and not takes_part):
            raise NotFound("there is no such joint computation, or it is not yours", number)
        return row

    def _require_room(self, session: store.Session, member: str) -> None:
        found = store.joint.of_member(session, member)
        active = [row for row in found if not JobState(row.state).ended]
        if len(active) >= self.most_per_member:
            raise StateConflict(
                f"{len(active)} of your joint computations wait or run already, as many as one member may have",
                "joint",
                "Wait for one to end, or cancel one: darkroom joint list",
            )


def _require_joint(request: Request) -> None:
    if request.kind is not RequestKind.JOINT:
        raise Malformed("this request is none for a joint computation", "request.kind")
    joint_task_of(request)


def joint_id(request: Request) -> str:
    """Return the number of the computation that a request asks for."""
    return request.digest.removeprefix("sha256:")[:20]


def moved(row: store.JointRow, state: JobState, changes: Mapping[str, Any]) -> audit.Draft:
    """Return the event of a move; a joint plan is named by its digest."""
    problem = json.loads(str(changes.get("problem") or "{}"))
    details: dict[str, Any] = {"from": row.state, "attempt": int(changes.get("attempt", row.attempt))}
    details |= {"code": problem["code"]} if "code" in problem else {}
    details |= {"parties": " ".join(changes["parties"])} if "parties" in changes else {}
    retention = audit.Retention.STATISTICS if state is JobState.RELEASED else audit.Retention.GRANTS
    return _drafted(
        row, f"joint.{state.value}", "dispatcher", retention, details, str(changes.get("digest", ""))
    )


def looked_up(row: store.JointRow, commitments: Sequence[str]) -> list[audit.Draft]:
    """Return the events of hidden lookups: a salted commitment to each person, of which the log can tell nothing.

    Whoever was handed the answer can show that a commitment is to a person (`plans.joint_persons`), and to
    no other; so it is held to whom it looked up.
    """
    parts = [commitments[start : start + _TOGETHER] for start in range(0, len(commitments), _TOGETHER)]
    return [
        _drafted(
            row, "joint.looked-up", "dispatcher", audit.Retention.STATISTICS,
            {"attempt": row.attempt, "persons": " ".join(part)},
        )
        for part in parts
    ]  # fmt: skip


def approved_by(session: store.Session, digest: str) -> tuple[str, ...]:
    """Return the domains of which an approval of this joint plan is known, and no revocation of it."""
    found = store.statements.about(session, digest, Type.APPROVAL.value) if digest else ()
    standing = [
        row for row in found if not store.statements.about(session, row.digest, Type.REVOCATION.value)
    ]
    return tuple(sorted({row.domain for row in standing}))


def _drafted(
    row: store.JointRow,
    action: str,
    actor: str,
    retention: audit.Retention,
    details: Mapping[str, Any] | None = None,
    digest: str = "",
) -> audit.Draft:
    return audit.Draft(
        actor=actor,
        domain=row.member.partition("@")[2],
        action=action,
        object=row.id,
        retention=retention,
        plan=digest or row.digest,
        details=dict(details or {}),
    )


def _submitted(row: store.JointRow, request: Request) -> audit.Draft:
    return audit.Draft(
        actor=request.member,
        domain=request.member.partition("@")[2],
        action="joint.submitted",
        object=row.id,
        retention=audit.Retention.GRANTS,
        details={"request": request.digest, "project": request.project},
        personal={"statement": request.statement, "purpose": request.purpose},
    )


def _new_row(request: Request, signature: str) -> store.JointRow:
    now = int(time.time())
    return store.JointRow(
        id=joint_id(request),
        member=request.member,
        project=request.project,
        state=JobState.SUBMITTED.value,
        request=request.canonical().decode(),
        request_signature=signature,
        created_at=now,
        updated_at=now,
    )


def _own(session: store.Session, member: str, number: str) -> store.JointRow:
    row = store.joint.find(session, number)
    if row is None or row.member != member:
        raise NotFound("there is no such joint computation, or it is not yours", number)
    return row


def _view(session: store.Session, row: store.JointRow) -> JointView:
    state = JobState(row.state)
    sentence, waits_for = _SENTENCES[state]
    approved = approved_by(session, row.digest)
    if state is JobState.WAITING:
        waits_for = "approvers of " + ", ".join(party for party in row.parties if party not in approved)
    return JointView(
        id=row.id,
        member=row.member,
        project=row.project,
        state=state,
        sentence=sentence,
        waits_for=waits_for,
        statement=joint_task_of(Request.decode(row.request.encode())).statement,
        parties=row.parties,
        approved=approved,
        plan_digest=row.digest,
        problem=json.loads(row.problem) if row.problem else None,
        attempt=row.attempt,
        timeline=tuple(f"{at} {passed}" for passed, at in json.loads(row.timeline)),
    )
