"""From a joint request to a joint plan: have it read, let each owner's rules decide about its own portion, compile.

The centre shows early what every owner's keeper will find again. It proves nothing: each keeper has the statement and
its own stand-in read in its own checker box, decides by its own bundle and grants, and makes table, scheme and trust
anew.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from compute import forecast
from compute.planning import House
from keys import api as keys
from mpc import api as mpc
from plans.box import Entry
from plans.decision import Decision, Outcome
from plans.errors import NotFound, PolicyDenied
from plans.joint import JointPlan, JointReading, JointTask, Party, Portion, PortionDecision, joint_task_of
from plans.joint_shadows import JointShadow
from plans.manifest import Manifest
from plans.plan import Relation
from plans.reading import Reading
from plans.request import Request
from plans.statements import Signed, Type
from policies import api as policies
from sandbox import api as sandbox
from store import api as store


@dataclass(frozen=True, slots=True)
class Known:
    """What the centre knows before a joint statement is read: its owners by domain, likenesses, and parties."""

    task: JointTask
    owners: dict[str, forecast.Owner]
    shadows: tuple[JointShadow, ...]
    parties: tuple[Party, ...]


def propose_jointly(database: store.Database, house: House, request: Request, signature: str) -> JointPlan:
    """Return the joint plan of a request.

    Raises:
        SqlSyntax, SqlUnsupported: the readers refuse the statement; the sentence names the clause.
        PolicyDenied: an owner's rules or terms, or the parties, do not allow it.
        NotFound: an owner or a party is not known here, or an image is not built.
        Unreachable, BoxFailed: no checker box could answer.
    """
    now = int(time.time())
    with database.reading() as session:
        known = _known(session, request, now)
    reading = _read(house, known)
    owners = tuple(_owner(house, known, request, portion) for portion in reading.portions)
    making = mpc.Making(
        extract_image=_image(house, Entry.EXTRACT),
        party_image=_image(house, Entry.PARTY),
        nonce=keys.fresh_nonce(),
        made_at=int(time.time()),
    )
    return mpc.compile_joint(mpc.SignedRequest(request, signature), reading, owners, known.parties, making)


def _known(session: store.Session, request: Request, now: int) -> Known:
    task = joint_task_of(request)
    rows = forecast.mentioned(session, task.statement)
    if len(rows) < 2:
        raise NotFound(
            "the statement names relations of fewer than two owners",
            "statement",
            "Name them as `darkroom datasets` does; one owner alone is asked with `darkroom sql`.",
        )
    owners = {row.name: forecast.owner(session, row, request.member) for row in rows}
    shadows = tuple(
        shadow for owner in owners.values() for shadow in _shadows(owner, request, task.statement, now)
    )
    named = {*owners, *task.servers, *task.others}
    return Known(task, owners, shadows, tuple(_party(session, domain) for domain in sorted(named)))


def _shadows(owner: forecast.Owner, request: Request, statement: str, now: int) -> list[JointShadow]:
    """Return the likenesses of the owner's relations that the statement mentions, as its asker sees them."""
    text, found = statement.lower(), []
    seen = policies.views(request, owner.bundle, owner.manifests, owner.grants, now)
    for manifest, view in zip(owner.manifests, seen, strict=True):
        if manifest.relation in text:
            masked = [mask.column for mask in view.masks]
            shadow = mpc.joint_shadow(manifest, view.shadow, masked)
            found += [shadow] if shadow else []
    return found


def _party(session: store.Session, domain: str) -> Party:
    """Return how a domain describes itself, in its newest statement.

    Raises:
        NotFound: it has not described itself.
    """
    rows = store.statements.of_type(session, domain, Type.PARTY.value)
    found = [Party.read(Signed.decode(row.signed.encode()).statement.body) for row in rows]
    if not found:
        raise NotFound(
            f"{domain} has not described itself as a party to joint computations",
            domain,
            "Ask its administrators to sign a description: darkroom-server party add.",
        )
    return max(found, key=lambda party: party.number)


def _read(house: House, known: Known) -> JointReading:
    """Have the joint statement read by the launcher of its first owner; the answer is the same at any."""
    domain = next(iter(known.owners.values())).domain
    limits, statement = house.limits[Entry.CHECK], known.task.statement
    check = sandbox.check_joint_plan(domain.name, house.image, limits, statement, known.shadows)
    launcher = sandbox.LauncherClient(Path(domain.launcher_socket))
    return sandbox.read_joint_statement(launcher, check, statement)


def _owner(house: House, known: Known, request: Request, portion: Portion) -> mpc.Owner:
    """Return what one owner should say of its own portion: decision, relation, files, terms.

    Raises:
        PolicyDenied: its rules say no; the first reason is told, with what would help.
    """
    owner = known.owners[portion.domain]
    now = int(time.time())
    case = owner.case(request, _stand_in(house, owner, request, portion, now), now)
    decision = policies.decide(case)
    if decision.outcome is Outcome.DENY:
        raise _denied(portion.domain, decision)
    relation = next(each for each in policies.program_of(case).relations if each.name == portion.relation)
    manifest = next(each for each in owner.manifests if each.relation == portion.relation)
    policy = owner.bundle.policy(manifest.dataset)
    shadow = next(each for each in known.shadows if each.shadow.relation == portion.relation)
    said = _said(portion.domain, decision, relation, manifest)
    return mpc.Owner(shadow, said, policy.joint if policy else None)


def _stand_in(house: House, owner: forecast.Owner, request: Request, portion: Portion, now: int) -> Reading:
    """Return what the owner's checker box finds in the statement on which its decision about a portion rests."""
    domain, shadows = owner.domain, owner.shadows(request, now)
    check = sandbox.check_plan(domain.name, house.image, house.limits[Entry.CHECK], portion.stand_in, shadows)
    launcher = sandbox.LauncherClient(Path(domain.launcher_socket))
    return policies.reading_of_model(portion) or sandbox.read_statement(launcher, check, portion.stand_in)


def _said(domain: str, decision: Decision, relation: Relation, manifest: Manifest) -> PortionDecision:
    name, sha256 = mpc.identifiers_file(manifest)
    files = tuple(filter(None, (manifest.attributes.name, name)))  # a model is about nobody
    return PortionDecision(domain, decision, relation, sha256, files)


def _denied(domain: str, decision: Decision) -> PolicyDenied:
    first, more = decision.reasons[0], len(decision.reasons) - 1
    others = f", and {more} more rules say no" if more else ""
    return PolicyDenied(f"{domain}: {first.sentence.rstrip('.')}{others}", first.subject, first.help)


def _image(house: House, entry: Entry) -> str:
    known = house.work_images.get(entry)
    if not known:
        raise NotFound(
            f"no image for the stage {entry} was built at this site",
            "image",
            "Ask the administrator: `python -m sandbox.images build` makes it (docs/images.md).",
        )
    return known[0]
