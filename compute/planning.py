"""From a request to a plan: have it read, decide, derive what runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compute import forecast
from keys import api as keys
from plans.box import Entry, Limits
from plans.decision import Decision, Outcome
from plans.errors import NotFound, StateConflict
from plans.manifest import Manifest
from plans.plan import Plan, PlanKind
from plans.reading import Reading, Shadow
from plans.request import Request
from policies import api as policies
from sandbox import api as sandbox
from store import api as store


@dataclass(frozen=True, slots=True)
class House:
    """Which image the centre's plans name, for tasks by stage, and which limits; owners accept their own only."""

    image: str
    limits: Mapping[Entry, Limits]
    work_images: Mapping[Entry, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the centre made of a request: the decision, and the plan, or for a denial why and what would help."""

    domain: store.DomainRow
    decision: Decision
    plan: Plan | None
    explanation: policies.Explanation | None = None


def propose(database: store.Database, house: House, request: Request, signature: str) -> Proposal:
    """Have a request read in a checker box on what its member sees, decide on it, and make its plan.

    Raises:
        SqlSyntax, SqlUnsupported: the readers refuse the statement.
        NotFound: there is no dataset at all, or its owner has published no policies.
        StateConflict: what the member sees has changed while the statement was read.
        Unreachable, BoxFailed: no checker box could answer.
    """
    seen = _seen(database, request)
    shadows = seen.shadows(request, int(time.time()))
    reading = _read(seen.domain, house, request.statement, shadows)
    owner = _seen(database, request)
    now = int(time.time())
    if owner.shadows(request, now) != shadows:
        raise StateConflict(
            "a dataset, a policy or a grant changed while the statement was read", "job", "Submit it again."
        )
    with database.reading() as session:
        manifests = forecast.all_manifests(session)
    case = _with_foreign(owner, manifests).case(request, reading, now)
    decision = policies.decide(case)
    if decision.outcome is Outcome.DENY:
        return Proposal(owner.domain, decision, None, policies.explain(case))
    return Proposal(owner.domain, decision, _plan(owner, house, case, (decision, signature)))


def _seen(database: store.Database, request: Request) -> forecast.Owner:
    """Return the first owner whose relations the statement mentions, with all datasets on which it is to be read.

    With one owner in sight these are exactly those that its keeper uses, so that the keeper finds its own
    launcher's record of the very same check plan when it derives the reading again.
    """
    with database.reading() as session:
        domains = forecast.mentioned(session, request.statement)
        manifests = forecast.all_manifests(session)
        if not domains:
            domains = _any_owner(session, manifests)
        owner = forecast.owner(session, domains[0], request.member)
    return owner if len(domains) == 1 and owner.manifests else _with_foreign(owner, manifests)


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


def _plan(owner: forecast.Owner, house: House, case: policies.Case, made: tuple[Decision, str]) -> Plan:
    decision, signature = made
    if decision.obligations is None:
        raise NotFound("a decision without obligations makes no plan", "decision")
    program = policies.program_of(case)
    tier = decision.obligations.tier
    return Plan(
        kind=PlanKind.SQL,
        domain=owner.domain.name,
        request=case.request,
        request_signature=signature,
        decision=decision,
        program=program,
        material="",
        stages=policies.sql_boxes(program, owner.manifests, house.image, tier, house.limits),
        nonce=keys.fresh_nonce(),
        made_at=int(time.time()),
    )
