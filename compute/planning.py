"""From a request to a plan: have it read, decide, derive what runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from compute import forecast, kept
from keys import api as keys
from plans.box import BoxSpec, Entry, Limits
from plans.decision import Decision, Outcome
from plans.errors import NotFound, StateConflict
from plans.manifest import Manifest
from plans.plan import Plan, PlanKind, Program, work_stages
from plans.reading import Reading, Shadow
from plans.request import Request, RequestKind
from plans.tasks import Task, task_of
from policies import api as policies
from sandbox import api as sandbox
from store import api as store


@dataclass(frozen=True, slots=True)
class House:
    """Which images the centre's plans name and which limits; owners accept their own only.

    `work_images` are those of the stages of tasks. A task names the image of its own stage, and may name any of that
    stage's; every other stage has its first. `names` are those of images, by digest, for people.
    """

    image: str
    limits: Mapping[Entry, Limits]
    work_images: Mapping[Entry, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def furnishing(self, task: Task) -> policies.Furnishing:
        """Return images and limits of the boxes of a task.

        Raises:
            NotFound: this site has no image for a stage, or not the one that the task names.
        """
        stages = work_stages(task)
        images = {stage: self._image(stage) for stage in stages} | {stages[1]: self._chosen(stages[1], task)}
        return policies.Furnishing(images, self.limits)

    def _image(self, stage: Entry) -> str:
        known = self.work_images.get(stage)
        if not known:
            raise NotFound(
                f"no image for the stage {stage} was built at this site",
                "image",
                "Ask the administrator: `python -m sandbox.images build` makes it (docs/images.md).",
            )
        return known[0]

    def _chosen(self, stage: Entry, task: Task) -> str:
        self._image(stage)
        if task.image not in self.work_images[stage]:
            raise NotFound(
                "the image that the task names is none of this site's",
                task.image[:19] + "…",
                "`darkroom images` lists those that there are; an image gets a new digest whenever it is rebuilt.",
            )
        return task.image


@dataclass(frozen=True, slots=True)
class Asked:
    """A signed request, and for a task of Python the canonical text of its folder."""

    request: Request
    signature: str
    material: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the centre made of a request: the decision, and the plan, or for a denial why and what would help."""

    domain: store.DomainRow
    decision: Decision
    plan: Plan | None
    explanation: policies.Explanation | None = None


def propose(database: store.Database, house: House, asked: Asked) -> Proposal:
    """Have a request read (SQL in a checker box, on what its member sees), decide on it, and make its plan.

    Raises:
        SqlSyntax, SqlUnsupported: the readers refuse the statement.
        NotFound: there is no dataset at all, its owner has published no policies, or an image is not here.
        StateConflict: what the member sees has changed while the statement was read.
        Unreachable, BoxFailed: no checker box could answer.
    """
    request = asked.request
    if request.kind is RequestKind.SQL:
        owner, reading, now = _read_sql(database, house, request)
    else:
        house.furnishing(task_of(request))  # what cannot run here is refused before anybody decides on it
        owner, reading, now = _seen(database, request), policies.reading_of_task(request), int(time.time())
    with database.reading() as session:
        manifests = forecast.all_manifests(session)
        behind = kept.plans_behind(session, request)
    case = replace(_with_foreign(owner, manifests).case(request, reading, now), models=behind)
    decision = policies.decide(case)
    if decision.outcome is Outcome.DENY:
        return Proposal(owner.domain, decision, None, policies.explain(case))
    return Proposal(owner.domain, decision, _plan(owner, house, case, (decision, asked)))


def _read_sql(
    database: store.Database, house: House, request: Request
) -> tuple[forecast.Owner, Reading, int]:
    """Return the owner, what two readers found in a statement, and the moment up to which it holds."""
    seen = _seen(database, request)
    shadows = seen.shadows(request, int(time.time()))
    reading = _read(seen.domain, house, request.statement, shadows)
    owner = _seen(database, request)
    now = int(time.time())
    if owner.shadows(request, now) != shadows:
        raise StateConflict(
            "a dataset, a policy or a grant changed while the statement was read", "job", "Submit it again."
        )
    return owner, reading, now


def _seen(database: store.Database, request: Request) -> forecast.Owner:
    """Return the first owner whose relations the request mentions, with all datasets on which it is to be read.

    With one owner in sight these are exactly those that its keeper uses, so that the keeper finds its own
    launcher's record of the very same check plan when it derives the reading again.
    """
    with database.reading() as session:
        domains = forecast.mentioned(session, _mentions(request))
        manifests = forecast.all_manifests(session)
        if not domains:
            domains = _any_owner(session, manifests)
        owner = forecast.owner(session, domains[0], request.member)
    return owner if len(domains) == 1 and owner.manifests else _with_foreign(owner, manifests)


def _mentions(request: Request) -> str:
    """Return the text in which a request names its relations; a task's arguments may say what they like."""
    if request.kind is RequestKind.SQL:
        return request.statement
    return " ".join(need.relation for need in task_of(request).needs)


def _any_owner(session: store.Session, manifests: tuple[Manifest, ...]) -> tuple[store.DomainRow, ...]:
    if not manifests:
        raise NotFound("there is no dataset yet", "catalog", "Ask an owner to ingest one.")
    first = min(manifest.dataset.rpartition("/")[0] for manifest in manifests)
    return (store.domains.get(session, first),)


def _read(domain: store.DomainRow, house: House, statement: str, shadows: tuple[Shadow, ...]) -> Reading:
    """Have the statement read by the owner's launcher."""
    launcher = sandbox.LauncherClient(Path(domain.launcher_socket))
    limits = house.limits[Entry.CHECK]
    check = sandbox.check_plan(domain.name, house.image, limits, statement, shadows)
    return sandbox.read_statement(launcher, check, statement)


def _with_foreign(owner: forecast.Owner, manifests: tuple[Manifest, ...]) -> forecast.Owner:
    """Let the owner's rules see other owners' relations too, so that a decision can say whose they are."""
    own = {manifest.relation for manifest in owner.manifests}
    foreign = tuple(m for m in manifests if m.relation not in own)
    return forecast.Owner(owner.domain, owner.roster, owner.bundle, owner.manifests + foreign, owner.grants)


def _plan(owner: forecast.Owner, house: House, case: policies.Case, made: tuple[Decision, Asked]) -> Plan:
    decision, asked = made
    if decision.obligations is None:
        raise NotFound("a decision without obligations makes no plan", "decision")
    program = policies.program_of(case)
    return Plan(
        kind=PlanKind(case.request.kind.value),
        domain=owner.domain.name,
        request=case.request,
        request_signature=asked.signature,
        decision=decision,
        program=program,
        material=asked.material,
        stages=_boxes(owner, house, (case.request, program, decision)),
        nonce=keys.fresh_nonce(),
        made_at=int(time.time()),
    )


def _boxes(
    owner: forecast.Owner, house: House, made: tuple[Request, Program, Decision]
) -> tuple[BoxSpec, ...]:
    request, program, decision = made
    if decision.obligations is None:
        raise NotFound("a decision without obligations makes no plan", "decision")
    tier = decision.obligations.tier
    if request.kind is RequestKind.SQL:
        return policies.sql_boxes(program, owner.manifests, house.image, tier, house.limits)
    task = task_of(request)
    return policies.work_boxes(task, program, owner.manifests, tier, house.furnishing(task))
