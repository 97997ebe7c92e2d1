"""A small region for tests: an owner, a centre, members in every role with their own keys, a real database,
and a real trusted set in place of each keeper's process.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from audit import api as audit
from compute.joint import JointService
from compute.service import JobService, result_name
from keeper.trust import TrustedSet
from keys import api as keys
from plans.box import Entry, Limits
from plans.decision import Decision, Obligations, Outcome, Reason, Tier
from plans.errors import NotFound, PolicyDenied, Unreachable
from plans.manifest import Column, DataFile, FileRole, Grade, Kind, Manifest
from plans.plan import Plan, PlanKind, Program, Relation
from plans.reading import Cells, Level, Output, Role
from plans.release import RELEASE_INFO, Release
from plans.released import SUPPRESSED, Cell, Note, Released, ReleasedColumn
from plans.request import Request
from plans.statements import Bundle, Duty, Grant, Roster, RosterEntry, Signed, Type
from policies import api as policies
from portal import api as portal
from store import api as store

ORIGIN = "http://darkroom.test"
OWNER, OTHER, CENTRE = "nm/tax", "nm/health", "nm/centre"
DATASET = "nm/tax/income"
DIGEST = "sha256:" + "ab" * 32
HUB, HUB_SECRET = "http://labs.test:8471", "the secret of JupyterHub"
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
DAY = 86_400

PEOPLE = {
    "mei@nm/centre": ("researcher",),
    "lin@nm/centre": ("researcher",),
    "olga@nm/centre": ("operator", "researcher"),
    "bo@nm/tax": ("approver",),
    "chen@nm/tax": ("approver", "researcher"),
    "eva@nm/tax": ("steward",),
    "dan@nm/health": ("approver",),
    "ada@nm/centre": ("auditor",),
}

PROJECTS = (
    store.ProjectRow(
        "housing", "Rents", "租金", "Study of rents", ("mei@nm/centre", "chen@nm/tax", "ada@nm/centre"),
        ("small", "strong", "gone"), 0,
    ),
    store.ProjectRow("fares", "Fares", "票价", "Study of fares", ("lin@nm/centre",), ("small",), 0),
    store.ProjectRow("over", "Over", "已结束", "Was studied", ("mei@nm/centre",), ("small",), 2),
)  # fmt: skip
"""Ada is named and has no role that works in labs; one profile is not among the settings."""


@dataclass
class Owners:
    """The owners' keepers, each a trusted set that verifies as a keeper does. `down` ones do not answer."""

    sets: dict[str, TrustedSet] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    heard: list[Signed] = field(default_factory=list)

    def submit(self, domain: str, signed: Signed) -> None:
        if domain not in self.sets:
            raise NotFound("there is no keeper for this domain", domain)
        if domain in self.down:
            raise Unreachable("the keeper does not answer", domain)
        self.sets[domain].add(signed, int(time.time()))
        self.heard.append(signed)


@dataclass
class Region:
    """Everything that the tests look at."""

    folder: Path
    database: store.Database
    log: audit.Log
    owners: Owners
    keys: dict[str, keys.MemberKeys]
    keeper: keys.SigningKey
    services: portal.Services

    def member(self, name: str) -> store.MemberRow:
        with self.database.reading() as session:
            return store.members.get(session, name)

    def password(self, name: str) -> str:
        return f"correct horse {name}"


def build(
    folder: Path, log: audit.Log, clock: Callable[[], float] = time.time, origin: str = ORIGIN
) -> Region:
    """Return a fresh region."""
    (folder / "store.db").write_bytes(filled())
    database = store.open_database(f"sqlite:///{folder}/store.db")
    rings, keeper = dict(members_keys()), keepers_key()
    owners = Owners({OWNER: trusted_set(OWNER, rings, keeper), OTHER: trusted_set(OTHER, rings, keeper)})
    results = folder / "results"
    results.mkdir(exist_ok=True)
    jobs = JobService(database, log, results)
    labs = portal.Labs(HUB, hashlib.sha256(HUB_SECRET.encode()).hexdigest(), 7 * DAY, store.Labs().profiles)
    services = portal.Services(
        database, log, jobs, JointService(database, log), owners, portal.Site(origin), clock=clock, labs=labs
    )
    return Region(folder, database, log, owners, rings, keeper, services)


@functools.cache
def members_keys() -> dict[str, keys.MemberKeys]:
    """Return every member's keys, the same in all tests of a run, so that key files need not be made anew."""
    return {name: keys.MemberKeys.fresh(name) for name in PEOPLE}


@functools.cache
def keepers_key() -> keys.SigningKey:
    """Return the key of every owner's keeper, the same in all tests of a run."""
    return keys.SigningKey.fresh()


@functools.cache
def filled() -> bytes:
    """Return the database of a fresh region, which is the same for all tests of a run."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "store.db").write_bytes(migrated())
        database = store.open_database(f"sqlite:///{folder}/store.db")
        with database.session() as session:
            _fill(session)
        database.close()
        return Path(folder, "store.db").read_bytes()


def _fill(session: store.Session) -> None:
    for ring in members_keys().values():
        store.members.add(session, member_row(ring))
    for domain in (OWNER, OTHER, CENTRE):
        store.domains.put(session, store.DomainRow(domain, domain, "", keepers_key().public, "", ""))
    store.manifests.add(session, manifest_row(keepers_key()))
    for project in PROJECTS:
        store.projects.add(session, project)


@functools.cache
def migrated() -> bytes:
    """Return an empty database of the newest version; migrating for each test would take most of its time."""
    with tempfile.TemporaryDirectory() as folder:
        database = store.open_database(f"sqlite:///{folder}/store.db")
        store.migrate(database)
        database.close()
        return Path(folder, "store.db").read_bytes()


def member_row(ring: keys.MemberKeys) -> store.MemberRow:
    name = ring.member
    domain = name.partition("@")[2]
    hashed = CHEAP.hash(f"correct horse {name}")
    return store.MemberRow(name, domain, PEOPLE[name], hashed, ring.signing.public, ring.opening.public, 1)


def trusted_set(domain: str, rings: dict[str, keys.MemberKeys], keeper: keys.SigningKey) -> TrustedSet:
    root = keys.SigningKey.fresh()
    duties = {"approver": Duty.APPROVER, "steward": Duty.STEWARD}
    entries = [RosterEntry("keeper", Duty.KEEPER, keeper.public)]
    for name, ring in rings.items():
        if name.partition("@")[2] == domain:
            entries += [
                RosterEntry(name, duties[role], ring.signing.public)
                for role in PEOPLE[name]
                if role in duties
            ]
    trusted = TrustedSet(domain, root.public)
    roster = Roster(domain, 1, tuple(entries))
    trusted.add(keys.sign(keys.Draft(Type.ROSTER, domain, Duty.ROOT, roster), root), int(time.time()))
    trusted.bundle = Bundle(domain, 1, ())
    return trusted


def manifest() -> Manifest:
    columns = (
        Column("id_number", "VARCHAR", "", Kind.IDENTIFIER, 0),
        Column("region", "VARCHAR", "", Kind.QUASI, 0),
        Column("income", "BIGINT", "yuan", Kind.SENSITIVE, 4217),
        Column("birth_year", "INTEGER", "year", Kind.QUASI, 0),
    )
    files = (DataFile(FileRole.ATTRIBUTES, "income-1.attributes", DIGEST, 10),)
    return Manifest(
        DATASET, 1, Grade.GENERAL_3, "Incomes", "id_number", columns, files, 800_123, 800_019, DIGEST, 1
    )


def manifest_row(keeper: keys.SigningKey) -> store.ManifestRow:
    made = manifest()
    signed = keys.sign(keys.Draft(Type.MANIFEST, OWNER, Duty.KEEPER, made), keeper)
    text = signed.canonical().decode()
    return store.ManifestRow(made.digest, DATASET, 1, "tax.income", OWNER, made.grade, made.title, text, 1)


# --- what members do ----------------------------------------------------------------------------------------


def wish(**changes: Any) -> dict[str, Any]:
    """Return the body of an application."""
    return {
        "dataset": DATASET,
        "columns": ["region", "income"],
        "project": "housing",
        "purpose": "Study of rents",
        "until": int(time.time()) + 30 * DAY,
        "uses": 10,
    } | changes


def grant_of(region: Region, application: dict[str, Any], **changes: Any) -> Grant:
    """Return the grant that fits an application, or a changed one."""
    ring = region.keys[application["member"]]
    fields: dict[str, Any] = {
        "member": application["member"],
        "signer": ring.signing.public,
        "recipient": ring.opening.public,
        "project": application["project"],
        "purpose": application["purpose"],
        "dataset": application["dataset"],
        "columns": tuple(application["columns"]),
        "uses": application["uses"],
        "role": application["role"],
    }
    return Grant(**(fields | changes))


def signed_by(region: Region, name: str, kind: Type, body: Any, **changes: Any) -> Signed:
    """Return a statement signed by a member, as approver of the owner unless said otherwise."""
    fields: dict[str, Any] = {
        "domain": OWNER,
        "duty": Duty.APPROVER,
        "not_after": int(time.time()) + 10 * DAY,
    } | changes
    return keys.sign(keys.Draft(kind, body=body, **fields), region.keys[name].signing)


def request_of(
    region: Region, name: str, statement: str = "select region, count(*) as n from tax.income group by region"
) -> Request:
    """Return a member's request."""
    ring = region.keys[name]
    return Request(
        member=name,
        signer=ring.signing.public,
        recipient=ring.opening.public,
        project="housing",
        purpose="Study of rents",
        statement=statement,
        nonce=keys.fresh_nonce(),
        asked_at=int(time.time()),
    )


def submission(region: Region, request: Request, signer: str | None = None) -> dict[str, Any]:
    """Return the body with which a request is submitted."""
    key = region.keys[signer or request.member].signing
    return {"request": request.plain(), "signature": keys.sign_bytes("request", request.canonical(), key)}


def plan_for(region: Region, job: store.JobRow, outcome: Outcome = Outcome.NEEDS_APPROVAL) -> Plan:
    """Return a plan as the dispatcher would make it for a job."""
    request = Request.decode(job.request.encode())
    obligations = Obligations(10, 5, 1000, Tier.T1)
    outputs = (Output("region", "VARCHAR", Role.KEY, "", 0), Output("n", "BIGINT", Role.FIGURE, "count", 0))
    relation = Relation("tax.income", manifest().digest, DIGEST, ("region",), "")
    counted = "SELECT region, count(*), count(DISTINCT person) AS _persons_0 FROM tax.income GROUP BY region"
    program = Program((relation,), Level.CELLS, (Cells(counted, outputs, 1),), "", outputs, (), None)
    limits = dict.fromkeys(Entry, Limits(512, 256, 0, 16, 30, 60, 32, 64, 1))
    stages = policies.sql_boxes(program, (manifest(),), DIGEST, Tier.T1, limits)
    return Plan(
        kind=PlanKind.SQL,
        domain=OWNER,
        request=request,
        request_signature=job.request_signature,
        decision=Decision(outcome, (), 1, 1, (DIGEST,), ("bo@nm/tax", "chen@nm/tax"), obligations),
        program=program,
        material="",
        stages=stages,
        nonce=keys.fresh_nonce(),
        made_at=int(time.time()),
    )


def let_wait(region: Region, job_id: str) -> Plan:
    """Move a submitted job to where it waits for an approver, as the dispatcher does."""
    with region.database.session() as session:
        job = store.jobs.get(session, job_id)
        plan = plan_for(region, job)
        moved = store.jobs.move(
            session,
            job_id,
            "submitted",
            "waiting-approval",
            domain=OWNER,
            plan_digest=plan.digest,
            plan=plan.canonical().decode(),
        )
    assert moved
    return plan


def release(region: Region, job_id: str, cells: tuple[tuple[Cell, ...], ...] | None = None) -> Plan:
    """Let a submitted job end with a released result, sealed and signed as the owner's side does it."""
    with region.database.reading() as session:
        plan = plan_for(region, store.jobs.get(session, job_id), Outcome.ALLOW)
    assert plan.request is not None
    released = table_of(plan, cells or CELLS)
    sealed = keys.seal(plan.request.recipient, released.canonical(), RELEASE_INFO, plan.digest.encode())
    digest = "sha256:" + hashlib.sha256(sealed).hexdigest()
    body = Release(plan.digest, DIGEST, plan.request.recipient, digest, released.digest, int(time.time()))
    signed = keys.sign(keys.Draft(Type.RELEASE, OWNER, Duty.KEEPER, body), region.keeper)
    (region.folder / "results" / result_name(plan.digest)).write_bytes(sealed)
    steps = ("submitted", "queued", "running", "inspecting", "released")
    changes = {"domain": OWNER, "plan_digest": plan.digest, "plan": plan.canonical().decode()}
    with region.database.session() as session:
        for before, after in itertools.pairwise(steps):
            assert store.jobs.move(
                session, job_id, before, after, **changes, release=signed.canonical().decode()
            )
    return plan


CELLS = (
    (Cell("Baotou", False), Cell("1250", False)),
    (Cell("Hohhot", False), SUPPRESSED),
    (Cell(None, False), Cell("35", False)),
)


def table_of(plan: Plan, cells: tuple[tuple[Cell, ...], ...]) -> Released:
    columns = (ReleasedColumn("region", "VARCHAR"), ReleasedColumn("n", "BIGINT"))
    notes = (Note("small-group", "Figures about fewer than 10 persons were suppressed."),)
    return Released(plan.digest, columns, cells, notes, "5" * 32)


def refuse(region: Region, job_id: str) -> None:
    """Let a submitted job end with a denial, as the dispatcher does."""
    reason = Reason("no-grant", DATASET, f"No grant on {DATASET} fits.", f"Apply: darkroom apply {DATASET}")
    decision = Decision(Outcome.DENY, (reason,), 1, 1, (), (), None)
    remedy = {"sentence": f"Apply as researcher: darkroom apply {DATASET} --columns region …"}
    explanation = {"remedies": [remedy], "alternatives": [], "complete": True}
    problem = PolicyDenied(reason.sentence, "decision", reason.help).problem() | {"explanation": explanation}
    changes = {"decision": decision.canonical().decode(), "problem": json.dumps(problem)}
    with region.database.session() as session:
        assert store.jobs.move(session, job_id, "submitted", "refused", **changes)
