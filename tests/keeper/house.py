"""A whole owner's side in values: keys, roster, bundle, manifests, grants, a signed request, its reading and its plan.

Every builder makes the unchanged, good thing, and takes what an attack changes about it. So an attack is one
changed thing, and its control is the same test without the change. Nothing here is a mock: signatures are
real, and the keeper is the one that runs.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keeper.config import KeeperConfig
from keeper.keeper import Keeper
from keeper.keyring import Keyring
from keeper.trust import TrustedSet
from keys import api as keys
from plans.box import Entry, Limits
from plans.constraints import ANY, Access, Action, Effect
from plans.decision import Tier
from plans.manifest import Column, DataFile, FileRole, Grade, Kind, Manifest
from plans.plan import Plan, PlanKind
from plans.reading import Cells, Clause, ColumnUse, Level, Output, Reading, Role
from plans.record import Record
from plans.request import Request, statement_digest
from plans.statements import (
    Approval,
    BoxStatement,
    Bundle,
    DatasetPolicy,
    Duty,
    Grant,
    Revocation,
    Roster,
    RosterEntry,
    Signed,
    StageInput,
    StageOutput,
    StageRecord,
    Type,
)
from plans.verdict import Finding, Verdict
from policies import api as policies
from policies.api import short

NOW = 1_750_000_000
DAY = 86_400
DOMAIN, OTHER_DOMAIN = "nm/tax", "nm/health"
INCOME, PROPERTY = "nm/tax/income", "nm/tax/property"
MEMBER, APPROVER = "lin@nm/uni", "bao@nm/tax"
PROJECT, PURPOSE = "poverty", "research on poverty"
SQL = "select region, count(*), avg(income) from tax.income group by region"
COUNTED = "SELECT region, count(*), avg(income), count(DISTINCT person) FROM tax.income GROUP BY region"


def digest(name: str) -> str:
    """A well-formed digest of a name."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def key(name: str) -> keys.SigningKey:
    """The signing key of a person or process, the same whenever it is named."""
    return keys.SigningKey.from_bytes(hashlib.sha256(b"sign " + name.encode()).digest())


def opening(name: str) -> keys.OpeningKey:
    """The opening key of a person or box, the same whenever it is named."""
    return keys.OpeningKey.from_bytes(hashlib.sha256(b"open " + name.encode()).digest())


IMAGE = digest("image sql")
LIMITS = {
    entry: Limits(
        memory_mb=512,
        temp_mb=64,
        spill_mb=64,
        output_mb=64,
        cpu_s=60,
        wall_s=120,
        processes=16,
        files=64,
        cpus=1,
    )
    for entry in Entry
}


# --- statements -----------------------------------------------------


def signed(kind: Type, duty: Duty, body: Record, signer: str, /, **changes: Any) -> Signed:
    """A statement about `DOMAIN` in a duty, signed by the key of `signer`, with no end."""
    draft = keys.Draft(kind, DOMAIN, duty, body, not_before=NOW)
    return keys.sign(replace(draft, **changes), key(signer))


ENTRIES = (
    RosterEntry(APPROVER, Duty.APPROVER, key("approver").public),
    RosterEntry("hu@nm/tax", Duty.APPROVER, key("second approver").public),
    RosterEntry("su@nm/tax", Duty.STEWARD, key("steward").public),
    RosterEntry("launcher:node1", Duty.LAUNCHER, key("launcher").public),
    RosterEntry("keeper", Duty.KEEPER, key("keeper").public),
)


def roster(
    number: int = 1, entries: Iterable[RosterEntry] = ENTRIES, signer: str = "root", **changes: Any
) -> Signed:
    """A roster by the domain's root key."""
    body = Roster(changes.get("domain", DOMAIN), number, tuple(entries))
    return signed(Type.ROSTER, Duty.ROOT, body, signer, **changes)


def entries_without(name: str) -> tuple[RosterEntry, ...]:
    """The roster's entries without one person or process."""
    return tuple(entry for entry in ENTRIES if entry.name != name)


EVERYBODY = Access(Effect.ALLOW, (ANY,), ("researcher",), (Action.QUERY,), (ANY,))
INCOME_POLICY = DatasetPolicy(
    dataset=INCOME,
    access=(EVERYBODY,),
    constraints=(short("income", ("avg", "sum")), short("region", ("filter", "group"))),
    tagged=(),
    row_filter="region <> 'test'",
    minimum_group=10,
    rounding=5,
    largest_result=5_000,
    tier=Tier.T1,
    each_plan=False,
)
PROPERTY_POLICY = replace(
    INCOME_POLICY,
    dataset=PROPERTY,
    constraints=(short("houses", ("sum",)),),
    row_filter="",
    minimum_group=20,
    rounding=3,
    largest_result=100,
    tier=Tier.T2,
)


def bundle(
    number: int = 1, policy: Iterable[DatasetPolicy] = (INCOME_POLICY, PROPERTY_POLICY), **changes: Any
) -> Signed:
    """A bundle by the steward."""
    body = Bundle(changes.get("domain", DOMAIN), number, tuple(policy))
    return signed(Type.BUNDLE, Duty.STEWARD, body, changes.pop("signer", "steward"), **changes)


def manifest(dataset: str = INCOME, version: int = 1, **changes: Any) -> Manifest:
    """A dataset version as a keeper describes it."""
    leaf = f"{dataset.rpartition('/')[2]}-v{version}"
    numbers = ("income",) if dataset == INCOME else ("houses",)
    columns = (
        Column("region", "VARCHAR", "", Kind.PLAIN, 0),
        *(Column(name, "DOUBLE", "", Kind.SENSITIVE, 3) for name in numbers),
        Column("id_number", "VARCHAR", "", Kind.IDENTIFIER, 0),
    )
    files = tuple(
        DataFile(role, f"{leaf}-{role.value}.parquet", digest(f"{leaf} {role.value}"), 1_000)
        for role in FileRole
    )
    good = Manifest(
        dataset,
        version,
        Grade.GENERAL_3,
        "Incomes 收入",
        "id_number",
        columns,
        files,
        100,
        90,
        digest(leaf),
        NOW,
    )
    return replace(good, **changes)


def signed_manifest(body: Manifest | None = None, signer: str = "keeper", **changes: Any) -> Signed:
    """A manifest by a keeper's key."""
    return signed(Type.MANIFEST, Duty.KEEPER, body or manifest(), signer, **changes)


GRANT = Grant(
    member=MEMBER,
    signer=key("member").public,
    recipient=opening("member").public,
    project=PROJECT,
    purpose=PURPOSE,
    dataset=INCOME,
    columns=("income", "region"),
    uses=2,
)


def grant(body: Grant = GRANT, signer: str = "approver", **changes: Any) -> Signed:
    """A grant by an approver, for a month."""
    changes.setdefault("not_after", NOW + 30 * DAY)
    return signed(Type.GRANT, Duty.APPROVER, body, signer, **changes)


def approval(plan: str, signer: str = "approver", **changes: Any) -> Signed:
    """An approval of one plan."""
    return signed(Type.APPROVAL, Duty.APPROVER, Approval(plan), signer, **changes)


def revocation(revoked: Signed, signer: str = "approver", **changes: Any) -> Signed:
    """The end of a grant or an approval."""
    return signed(Type.REVOCATION, Duty.APPROVER, Revocation(revoked.statement.digest), signer, **changes)


def house_statements(*more: Signed) -> tuple[Signed, ...]:
    """What a working owner's side believes, in order, and what a test adds."""
    properties = signed_manifest(manifest(PROPERTY))
    return (roster(), bundle(), signed_manifest(), properties, *more)


def trusted(*statements: Signed, now: int = NOW) -> TrustedSet:
    """A trusted set that believes these statements, in order."""
    believed = TrustedSet(DOMAIN, key("root").public)
    for statement in statements:
        believed.add(statement, now)
    return believed


# --- request, reading, plan -----------------------------------------------------


REQUEST = Request(
    MEMBER, key("member").public, opening("member").public, PROJECT, PURPOSE, SQL, "3" * 32, NOW
)
OUTPUTS = (
    Output("region", "VARCHAR", Role.KEY, "", 0),
    Output("count", "BIGINT", Role.FIGURE, "count", 0),
    Output("avg", "DOUBLE", Role.FIGURE, "avg", 0),
)
READING = Reading(
    statement=statement_digest(SQL),
    level=Level.CELLS,
    relations=("tax.income",),
    uses=(
        ColumnUse("tax.income", "region", Clause.GROUP, ""),
        ColumnUse("tax.income", "income", Clause.AGGREGATE, "avg"),
    ),
    functions=("avg", "count"),
    tables=(Cells(COUNTED, OUTPUTS, 1),),
    finish="",
    outputs=OUTPUTS,
    order=(),
    limit=None,
)


def with_table(answer: Any, level: Level = Level.CELLS, **changes: Any) -> Any:
    """A reading or program whose one table, and with it the answer, is changed."""
    (table,) = answer.tables
    changed = replace(table, **changes)
    return replace(answer, level=level, tables=(changed,), outputs=changed.outputs)


def another_request(number: int) -> Request:
    """The same question, asked anew."""
    return replace(REQUEST, nonce=f"{number:032x}")


def plan(
    believed: TrustedSet, request: Request = REQUEST, reading: Reading = READING, **changes: Any
) -> Plan:
    """The plan that an honest centre makes, knowing what the owner believes."""
    assert believed.roster and believed.bundle
    current = believed.current_manifests()
    case = policies.Case(
        request, reading, believed.bundle, current, believed.granted(request.digest),
        believed.roster.named(Duty.APPROVER), NOW, believed.roster.number,
    )  # fmt: skip
    decision = policies.decide(case)
    assert decision.obligations, decision.reasons
    program = policies.program_of(case)
    made = Plan(
        kind=PlanKind.SQL,
        domain=DOMAIN,
        request=request,
        request_signature=keys.sign_bytes("request", request.canonical(), key("member")),
        decision=decision,
        program=program,
        material="",
        stages=policies.sql_boxes(program, current, IMAGE, decision.obligations.tier, LIMITS),
        nonce="5" * 32,
        made_at=NOW,
    )
    return replace(made, **changes)


# --- what launchers vouch for -----------------------------------------------------


@dataclass(frozen=True)
class Vouch:
    """How a box statement is signed, where an attack changes that."""

    signer: str = "launcher"
    duty: Duty = Duty.LAUNCHER
    domain: str = DOMAIN
    not_after: int = NOW + 60
    type: Type = Type.BOX


def box(
    about: Plan, challenge: str, stage: Entry = Entry.QUERY, vouch: Vouch = Vouch(), **changes: Any
) -> Signed:
    """A launcher's statement about a fresh box of a stage."""
    spec = about.stage(stage)
    inputs = tuple(StageInput(item.name, item.sha256 or digest("carried")) for item in spec.inputs)
    body = BoxStatement(
        about.digest,
        stage,
        1,
        spec.digest,
        spec.image,
        spec.tier,
        inputs,
        opening("box").public,
        "node1",
        challenge,
    )
    draft = keys.Draft(
        vouch.type,
        vouch.domain,
        vouch.duty,
        replace(body, **changes),
        not_before=NOW,
        not_after=vouch.not_after,
    )
    return keys.sign(draft, key(vouch.signer))


def verdict(about: Plan, **changes: Any) -> Verdict:
    """The judge box's verdict on a plan's output."""
    good = Verdict(about.digest, Finding.PASS, (), digest("judged"), digest("content"), digest("sealed"))
    return replace(good, **changes)


def records(about: Plan, found: Verdict | None = None, attempt: int = 1) -> tuple[StageRecord, ...]:
    """What the launcher saw of the boxes of a plan that ran well, each fed with what the one before wrote."""
    made = []
    for spec in about.stages:
        inputs = tuple(
            StageInput(item.name, item.sha256 or digest(f"written {item.name}")) for item in spec.inputs
        )
        outputs = tuple(StageOutput(name, digest(f"written {name}"), 100) for name in spec.outputs.names)
        report: dict[str, Any] = {}
        if spec.entry is Entry.JUDGE:
            report = {"verdict": (found or verdict(about)).plain()}
            outputs = (StageOutput(policies.SEALED, digest("sealed"), 100),)
        made.append(StageRecord(about.digest, spec.entry, attempt, inputs, outputs, report))
    return tuple(made)


def chain(bodies: Iterable[StageRecord], signer: str = "launcher", **changes: Any) -> tuple[Signed, ...]:
    """Stage records under a launcher's signature."""
    return tuple(signed(Type.STAGE, Duty.LAUNCHER, body, signer, **changes) for body in bodies)


# --- the keeper -----------------------------------------------------


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Checker:
    """Stands where the checker box stands: gives the finding that was laid down for a statement, and counts."""

    def __init__(self, *findings: Reading) -> None:
        self.findings = {finding.statement: finding for finding in findings or (READING,)}
        self.asked = 0

    def __call__(self, check: Plan, statement: str) -> Reading:
        self.asked += 1
        return self.findings[statement_digest(statement)]


def config(folder: Path, **changes: Any) -> KeeperConfig:
    """The settings of a keeper whose files lie in `folder`."""
    good = KeeperConfig(
        domain=DOMAIN,
        home=folder / "home",
        keyring=folder / "keyring",
        data=folder / "data",
        socket=folder / "keeper.sock",
        desk=folder / "desk.sock",
        launcher_home=folder / "launcher",
        launcher_socket=folder / "launcher.sock",
        root=key("root").public,
        log_key=key("log").public,
        images=(IMAGE,),
        limits=LIMITS,
    )
    return replace(good, **changes)


def build(settings: KeeperConfig) -> None:
    """Make the folders and the keyring of a keeper, with data keys for both datasets; its signing key is `keeper`'s."""
    for folder in (settings.home, settings.data):
        folder.mkdir(parents=True)
    keyring = Keyring.create(settings.keyring)
    (settings.keyring / "sign").write_bytes(key("keeper").unsafe_secret())
    for version in (manifest(), manifest(PROPERTY)):
        for file in version.files:
            keyring.store_data_key(file.name, hashlib.sha256(file.name.encode()).digest())


def start(settings: KeeperConfig, clock: Clock | None = None, checker: Checker | None = None) -> Keeper:
    """Start the keeper of these settings, as after a boot."""
    return Keeper(settings, checker or Checker(), clock or Clock())


@dataclass(frozen=True)
class Model:
    """The folders of a keeper that believes some statements, and of one that believes nothing yet, to copy from."""

    built: KeeperConfig
    furnished: KeeperConfig

    @classmethod
    def make(cls, folder: Path, *statements: Signed) -> Model:
        """Build both in a folder."""
        built, furnished = config(folder / "built"), config(folder / "furnished")
        build(built)
        shutil.copytree(folder / "built", folder / "furnished")
        believe(start(furnished), *statements)
        return cls(built, furnished)

    def empty(self, folder: Path) -> KeeperConfig:
        """Return settings in a folder whose keeper has its keyring and believes nothing."""
        shutil.copytree(self.built.home.parent, folder, dirs_exist_ok=True)
        return config(folder)

    def furnish(self, settings: KeeperConfig) -> None:
        """Let that keeper have believed the statements."""
        shutil.copy(self.furnished.home / "journal", settings.home / "journal")
        shutil.copy(self.furnished.keyring / "mark", settings.keyring / "mark")


def believe(keeper: Keeper, *statements: Signed) -> None:
    """Offer statements to a keeper."""
    for statement in statements:
        keeper.believe(statement)
