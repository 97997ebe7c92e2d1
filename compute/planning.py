"""From a request to a plan: have it read, decide, derive what runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compute import forecast
from keys import api as keys
from plans.box import Entry, Limits
from plans.decision import Decision, Outcome
from plans.errors import NotFound
from plans.manifest import Manifest
from plans.plan import Plan, PlanKind
from plans.reading import Reading
from plans.request import Request
from policies import api as policies
from sandbox import api as sandbox
from store import api as store


@dataclass(frozen=True, slots=True)
class House:
    """Which image the centre's plans name, and which limits; owners accept their own only."""

    image: str
    limits: Mapping[Entry, Limits]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the centre made of a request: the decision, and the plan if it is not a denial."""

    domain: store.DomainRow
    decision: Decision
    plan: Plan | None


def propose(database: store.Database, house: House, request: Request, signature: str) -> Proposal:
    """Have a request read in a checker box, decide on it, and make its plan.

    Raises:
        SqlSyntax, SqlUnsupported: the readers refuse the statement.
        NotFound: there is no dataset at all, or its owner has published no policies.
        Unreachable, BoxFailed: no checker box could answer.
    """
    with database.reading() as session:
        domains = forecast.mentioned(session, request.statement)
        manifests = forecast.all_manifests(session)
        if not domains:
            domains = _any_owner(session, manifests)
    reading = _read(domains, house, request.statement, manifests)
    with database.reading() as session:
        owner = forecast.owner(session, domains[0], request.member)
    decision = _with_foreign(owner, manifests).decide(request, reading, int(time.time()))
    if decision.outcome is Outcome.DENY:
        return Proposal(owner.domain, decision, None)
    return Proposal(owner.domain, decision, _plan(owner, house, request, signature, (reading, decision)))


def _any_owner(session: store.Session, manifests: tuple[Manifest, ...]) -> tuple[store.DomainRow, ...]:
    if not manifests:
        raise NotFound("there is no dataset yet", "catalog", "Ask an owner to ingest one.")
    first = min(manifest.dataset.rpartition("/")[0] for manifest in manifests)
    return (store.domains.get(session, first),)


def _read(
    domains: tuple[store.DomainRow, ...], house: House, statement: str, manifests: tuple[Manifest, ...]
) -> Reading:
    """Have the statement read by the first owner's launcher.

    With one owner in sight the shadows are exactly those that its keeper uses, so that the keeper finds its
    own launcher's record of the very same check plan when it derives the reading again.
    """
    first = domains[0]
    if len(domains) == 1:
        own = tuple(m for m in manifests if m.dataset.rpartition("/")[0] == first.name)
        manifests = own or manifests
    launcher = sandbox.LauncherClient(Path(first.launcher_socket))
    shadows = tuple(manifest.shadow() for manifest in manifests)
    limits = house.limits[Entry.CHECK]
    check = sandbox.check_plan(first.name, house.image, limits, statement, shadows)
    return sandbox.read_statement(launcher, check, statement)


def _with_foreign(owner: forecast.Owner, manifests: tuple[Manifest, ...]) -> forecast.Owner:
    """Let the decision see other owners' relations too, so that it can say whose they are."""
    own = {manifest.relation for manifest in owner.manifests}
    foreign = tuple(m for m in manifests if m.relation not in own)
    return forecast.Owner(owner.domain, owner.roster, owner.bundle, owner.manifests + foreign, owner.grants)


def _plan(
    owner: forecast.Owner, house: House, request: Request, signature: str, found: tuple[Reading, Decision]
) -> Plan:
    reading, decision = found
    if decision.obligations is None:
        raise NotFound("a decision without obligations makes no plan", "decision")
    program = policies.program(reading, owner.bundle, owner.manifests)
    tier = decision.obligations.tier
    boxes = policies.sql_boxes(program, owner.manifests, house.image, tier, house.limits)
    return Plan(
        kind=PlanKind.SQL,
        domain=owner.domain.name,
        request=request,
        request_signature=signature,
        decision=decision,
        program=program,
        material="",
        stages=boxes,
        nonce=keys.fresh_nonce(),
        made_at=int(time.time()),
    )
