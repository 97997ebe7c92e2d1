"""What the portal stands on. Everything that decides, signs or runs is behind this seam, and is handed in by
`server`.

`Jobs` is `compute.api` with its database and log already given; `sharing.Keepers` reaches each owner's
keeper. The tests' fakes follow the same contracts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from audit import api as audit
from plans.asking import Asking
from plans.joint import JointPlan
from plans.plan import Plan
from plans.request import Request
from plans.statements import Signed
from plans.tasks import ComponentTask, PythonTask
from plans.trial import Folder, TrialReport
from portal.attempts import Attempts
from portal.codes import Codes
from portal.limits import Labs, Limits, Site
from portal.passwords import Passwords
from portal.waiting import Waiting
from sharing import api as sharing
from store import api as store


class JobView(Protocol):
    """A job as its member sees it; a record of `compute`."""

    def plain(self) -> dict[str, Any]:
        """Return id, member, project, state, sentence, waits_for, plan_digest, decision, verdict, problem,
        timeline.
        """
        ...


class Jobs(Protocol):
    """The jobs of `compute`. A job that is not there and a job of somebody else are the same `NotFound`."""

    def submit(self, request: Request, signature: str, folder: Folder | None = None) -> JobView:
        """Take a signed request, for a task of Python with its folder; the same one again is the same job. The event
        is durable before this returns.
        """
        ...

    def dry_run(self, request: Request, signature: str) -> dict[str, Any]:
        """Return what would be answered to a request signed as a dry run, and what it would cost; nothing runs."""
        ...

    def retry(self, member: str, job_id: str) -> JobView:
        """Have one of a member's own jobs that failed or was cancelled run anew."""
        ...

    def images(self) -> tuple[dict[str, Any], ...]:
        """Return the images that tasks may name."""
        ...

    def models(self, member: str) -> tuple[dict[str, Any], ...]:
        """Return the kept models that a member's tasks may name."""
        ...

    def components(self) -> tuple[dict[str, Any], ...]:
        """Return the descriptions of the algorithm library."""
        ...

    def component(self, name: str, parameters: Mapping[str, Any], relations: Sequence[str]) -> ComponentTask:
        """Return the task that a component with these parameters is."""
        ...

    def asking(self, name: str, relations: Sequence[str]) -> Asking | None:
        """Return how a component is asked of these relations as a statement instead; none where it runs."""
        ...

    def attempt(self, task: PythonTask, folder: Folder, patience_s: float) -> TrialReport | None:
        """Return what comes of a folder on made-up tables, or none while it still runs."""
        ...

    def jobs(self, member: str) -> tuple[JobView, ...]:
        """Return a member's own jobs, newest first."""
        ...

    def to_approve(self, approver: str) -> tuple[JobView, ...]:
        """Return the jobs whose plans wait for an approver of this member's domain, the member's own left
        out.
        """
        ...

    def job(self, member: str, job_id: str) -> JobView:
        """Return one of a member's own jobs."""
        ...

    def standing(self, ids: tuple[str, ...]) -> Mapping[str, tuple[str, int]]:
        """Return state and moment of the last move (Unix seconds) of jobs that a waiting call may see."""
        ...

    def cancel(self, member: str, job_id: str) -> JobView:
        """Cancel one of a member's own jobs."""
        ...

    def code(self, approver: str, job_id: str, patience_s: float) -> JobView:
        """Return the code of a plan that waits for an approver, what was approved before it, and its trial."""
        ...

    def plan(self, member: str, job_id: str) -> Plan:
        """Return the plan of a member's own job, or of one that waits for the member as an approver."""
        ...

    def result(self, member: str, job_id: str) -> tuple[Signed, bytes]:
        """Return the signed release and the sealed bytes of a member's own finished job."""
        ...


class Joint(Protocol):
    """The joint computations of `compute`. One that is not there and one of others are the same `NotFound`."""

    def submit(self, request: Request, signature: str) -> JobView:
        """Take a signed request; the same one again is the same computation."""
        ...

    def explain(self, request: Request, signature: str) -> JointPlan:
        """Return the plan that a request signed as a dry run would get; nothing is kept, and no row is read."""
        ...

    def computations(self, member: str) -> tuple[JobView, ...]:
        """Return a member's own computations, newest first."""
        ...

    def to_approve(self, approver: str) -> tuple[JobView, ...]:
        """Return what waits for an approval of this member's domain, the member's own left out."""
        ...

    def computation(self, member: str, number: str) -> JobView:
        """Return one of a member's own computations, or one in which the approver's domain takes part."""
        ...

    def plan(self, member: str, number: str) -> JointPlan:
        """Return the joint plan, to its member and to the parties' approvers."""
        ...

    def cancel(self, member: str, number: str) -> JobView:
        """Cancel one of a member's own computations."""
        ...

    def results(self, member: str, number: str) -> dict[str, Any]:
        """Return what was handed over, sealed, and the receipts of all parties, of a member's own computation."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms that the portal calls, its site and limits, and the clock (Unix seconds)."""

    database: store.Database
    log: audit.Log
    jobs: Jobs
    joint: Joint
    keepers: sharing.Keepers
    site: Site
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.time
    labs: Labs = field(default_factory=Labs)

    @property
    def office(self) -> sharing.Office:
        """The surroundings of `sharing`."""
        return sharing.Office(self.database, self.log, self.keepers, self.clock)


@dataclass(frozen=True, slots=True)
class Counter:
    """The services, and what one running portal remembers beside them: password checks, failed tries, waiting
    calls, codes on their way to JupyterHub."""

    services: Services
    passwords: Passwords
    attempts: Attempts
    waiting: Waiting
    codes: Codes

    @classmethod
    def of(cls, services: Services) -> Counter:
        """Return a fresh counter."""
        limits = services.limits
        return cls(
            services,
            Passwords(limits.hashes_at_once),
            Attempts(limits, services.clock),
            Waiting(lambda ids: services.jobs.standing(ids)),
            Codes(services.clock),
        )
