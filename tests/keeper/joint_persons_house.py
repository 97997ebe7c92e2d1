"""What is told person by person, and what two owners compute alone, before the own keeper (`joint_house`).

The own side has a model (about nobody, one row), a register, and incomes; `nm/health` has others of each. Statements
are read by the reader that the checker box has, and so are stand-ins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keeper.config import KeeperConfig
from keys import api as keys
from mpc import api as mpc
from plans import canonical
from plans.constraints import Action
from plans.joint import JointPlan, JointReading, JointTask, Portion, PortionDecision
from plans.joint_rules import JointRules, Matching, Opening
from plans.joint_shadows import DeclaredColumn, JointShadow
from plans.manifest import Column, DataFile, Declared, FileRole, Grade, Kind, Manifest
from plans.plan import Plan, Relation
from plans.reading import Reading, Shadow, ShadowColumn
from plans.statements import Duty
from policies import api as policies
from policies.api import short
from policies.reading import read, read_joint
from tests.keeper import house, joint_house
from tests.keeper.house import DAY, NOW
from tests.keeper.joint_house import HEALTH, OWN, JointSide

MODEL, REGISTER = "nm/tax/model", "nm/tax/register"
BOUND, ASKED = 100, 5
"""Applicants that are scored, rows that stand for nobody included; and persons that are looked up, by one plan."""

TERMS = JointRules(
    tuple(Matching), tuple(Opening), cells=100, period_days=90, sizes=True, exact=True, ciphertexts=True,
    members=3 * BOUND, given_away=True,
)  # fmt: skip
_ACCESS = replace(house.EVERYBODY, actions=(Action.JOINT, Action.READ_ROWS))
_SHOWN = ("select", "filter", "compare", "avg", "sum", "count")
POLICY = replace(
    joint_house.POLICY,
    access=(_ACCESS,),
    constraints=(short("income", _SHOWN), short("region", ("group", "filter"))),
    joint=TERMS,
)
MODEL_POLICY = replace(
    POLICY,
    dataset=MODEL,
    constraints=tuple(short(name, ("sum",)) for name in ("base", "income")),
    row_filter="",
)
REGISTER_POLICY = replace(
    POLICY, dataset=REGISTER, constraints=tuple(short(name, ("select",)) for name in ("region", "status")),
    row_filter="",
)  # fmt: skip

_DECLARED = {"base": Declared("-100", "100"), "income": Declared("-1", "1")}
_INCOME = Declared("0", "1000000")
COEFFICIENTS = tuple(
    Column(name, "DECIMAL(8,4)", "", Kind.PLAIN, 0, said) for name, said in _DECLARED.items()
)


def model(version: int = 1) -> Manifest:
    """The own model: one row about nobody, in one file."""
    name = f"model-v{version}-attributes.parquet"
    file = DataFile(FileRole.ATTRIBUTES, name, house.digest(name), 100)
    return Manifest(
        MODEL,
        version,
        Grade.GENERAL_2,
        "A model 模型",
        "",
        COEFFICIENTS,
        (file,),
        1,
        0,
        house.digest("model"),
        NOW,
    )


def register(version: int = 1) -> Manifest:
    """The own register, about two thousand persons."""
    plain = house.manifest(REGISTER, version)
    columns = (
        Column("region", "VARCHAR", "", Kind.PLAIN, 0, Declared(values=("east", "west", "north"))),
        Column("status", "VARCHAR", "", Kind.SENSITIVE, 0),
        plain.columns[-1],
    )
    return replace(plain, columns=columns, rows=2_000, persons=2_000)


def _theirs(
    relation: str, rows: int, *columns: tuple[str, str, Declared | None], key: str = "id_number"
) -> JointShadow:
    ids = (ShadowColumn("person", "UBIGINT", False), ShadowColumn(key, "VARCHAR", False)) if key else ()
    listed = tuple(ShadowColumn(name, kind, False) for name, kind, _ in columns)
    declared = tuple(DeclaredColumn(name, said) for name, _, said in columns if said is not None)
    return JointShadow(HEALTH, key, rows, Shadow(relation, (*ids, *listed)), declared)


THEIRS = (
    joint_house.HEALTH_SHADOW,
    _theirs("health.applicants", 90, ("income", "DECIMAL(12,2)", _INCOME)),
    _theirs("health.cases", 30, ("case_no", "INTEGER", None)),
    _theirs("health.model", 1, *((each.name, each.type, each.declared) for each in COEFFICIENTS), key=""),
    _theirs("health.register", 2_000, ("region", "VARCHAR", None)),
)
"""Likenesses of what the other owner has."""

_ALONE = (
    "select h.region, sum(t.income) as total, count(*) as n from health.visits h join tax.income t using (person) "
    "group by h.region"
)
TWO = JointTask(_ALONE, Matching.DIFFIE_HELLMAN, Opening.INSPECTED, (), inspector=OWN, collector=HEALTH)
SCORED = JointTask(
    "select a.person, round(m.base + a.income * m.income, 2) as score from health.applicants a cross join tax.model m",
    Matching.NONE, Opening.SCORES, (), finder=HEALTH,
)  # fmt: skip
SCORED_THERE = replace(
    SCORED,
    statement="select a.person, round(m.base + coalesce(a.income, 0) * m.income, 2) as score from tax.income a "
    "cross join health.model m",
    finder=OWN,
)
LOOKUP = JointTask(
    "select c.person, r.region, r.status from health.cases c left join tax.register r using (person) "
    f"where c.case_no = 17 limit {ASKED}",
    Matching.NONE, Opening.RECORDS, (), finder=HEALTH,
)  # fmt: skip
LOOKUP_THERE = replace(
    LOOKUP,
    statement="select t.person, r.region from tax.income t left join health.register r using (person) "
    f"where t.income > 1000 limit {ASKED}",
    finder=OWN,
)
TASKS: Mapping[str, JointTask] = {
    "scored by the own model": SCORED,
    "own rows scored": SCORED_THERE,
    "looked up here": LOOKUP,
    "looked up there": LOOKUP_THERE,
    "own key, other computes": TWO,
    "other's key, own computes": replace(TWO, inspector=HEALTH, collector=OWN),
}


class Readers(joint_house.Readers):
    """Stand where the checker box stands, for every stand-in."""

    def own(self, check: Plan, statement: str) -> Reading:
        """Read the own stand-in on the likenesses that the keeper asks about."""
        material: Any = canonical.decode(check.material.encode())
        return read(statement, tuple(Shadow.read(each) for each in material["shadows"]))


def side_of(settings: KeeperConfig, **terms: Any) -> JointSide:
    """The own keeper with model, register and incomes; `terms` are changed, of all three."""
    made = JointSide.make(settings, replace(POLICY, joint=replace(TERMS, **terms)))
    made.readers = Readers()
    made.restart()
    for version in (model(), register()):
        take(made, version)
    allow(made, 2, **terms)
    for member in (house.MEMBER, f"lin@{OWN}", f"lin@{HEALTH}"):
        for dataset, columns in (
            (house.INCOME, ("income", "region")),
            (MODEL, ("base", "income")),
            (REGISTER, ("region", "status")),
        ):
            body = replace(house.GRANT, member=member, dataset=dataset, columns=columns, uses=100)
            house.believe(made.keeper, house.grant(body, not_after=NOW + 300 * DAY))
    return made


def allow(side: JointSide, number: int, **terms: Any) -> None:
    """Bring a bundle whose terms for all three datasets are changed."""
    rules = replace(TERMS, **terms)
    found = tuple(replace(each, joint=rules) for each in (POLICY, MODEL_POLICY, REGISTER_POLICY))
    house.believe(side.keeper, house.bundle(number, found))


def take(side: JointSide, version: Manifest) -> None:
    """Let the own keeper have a dataset version, with keys of its files."""
    for file in version.files:
        side.keeper.keyring.store_data_key(file.name, b"k" * 32)
    house.believe(side.keeper, house.signed_manifest(version))


def plan_of(
    side: JointSide, form: str, number: int = 0, found: JointReading | None = None, task: JointTask | None = None,
    **changes: Any,
) -> JointPlan:  # fmt: skip
    """The joint plan that an honest centre makes; `changes` are of its request, which is the `number`th, and `found` is
    what is laid down as read.
    """
    task = task or TASKS[form]
    member = f"lin@{task.finder}" if task.finder else house.MEMBER
    said = {"statement": task.canonical().decode(), "member": member, **changes}
    asked = joint_house.request(number, **said)
    known = (*THEIRS, *own_shadows(side, asked))
    reading = found or read_joint(task.statement, known)
    by_relation = {each.shadow.relation: each for each in known}
    owners = _owners(side, asked, reading, by_relation)
    return mpc.compile_joint(
        mpc.SignedRequest(asked, keys.sign_bytes("request", asked.canonical(), house.key("member"))),
        reading,
        owners,
        [joint_house.party(domain) for domain in (OWN, *joint_house.PEERS)],
        mpc.Making(joint_house.EXTRACT_IMAGE, joint_house.PARTY_IMAGE, asked.nonce, NOW),
    )


def own_shadows(side: JointSide, asked: Any) -> tuple[JointShadow, ...]:
    """The likenesses of all own relations on which this request is read."""
    trusted = side.keeper.trusted
    manifests = trusted.current_manifests()
    seen = policies.views(asked, trusted.in_force()[1], manifests, trusted.granted(asked.digest), NOW)
    pairs = zip(manifests, seen, strict=True)
    found = [
        mpc.joint_shadow(each, view.shadow, [mask.column for mask in view.masks]) for each, view in pairs
    ]
    return tuple(each for each in found if each is not None)


def _owners(
    side: JointSide, asked: Any, reading: JointReading, known: Mapping[str, JointShadow]
) -> list[mpc.Owner]:
    own = next(portion for portion in reading.portions if portion.domain == OWN)
    mine = _own(side, asked, own)
    terms = side.keeper.trusted.in_force()[1].policies[0].joint
    return [
        mpc.Owner(known[each.relation], mine if each.domain == OWN else _other(each, mine), terms)
        for each in reading.portions
    ]


def _own(side: JointSide, asked: Any, own: Portion) -> PortionDecision:
    trusted = side.keeper.trusted
    roster, bundle = trusted.in_force()
    manifests, grants = trusted.current_manifests(), trusted.granted(asked.digest)
    shadows = policies.shadows(asked, bundle, manifests, grants, NOW)
    case = policies.Case(
        asked, policies.reading_of_model(own) or read(own.stand_in, shadows), bundle, manifests, grants,
        roster.named(Duty.APPROVER), NOW, roster.number,
    )  # fmt: skip
    decision = policies.decide(case)
    assert decision.obligations, decision.reasons
    (relation,) = policies.program_of(case).relations
    manifest = next(each for each in manifests if each.relation == own.relation)
    name, sha256 = mpc.identifiers_file(manifest)
    files = tuple(filter(None, (manifest.attributes.name, name)))
    return PortionDecision(OWN, decision, relation, sha256, files)


def _other(portion: Portion, mine: PortionDecision) -> PortionDecision:
    """Another owner, who decides as the own one."""
    relation = Relation(portion.relation, house.digest("1"), house.digest("2"), ("income",), "")
    identifiers = house.digest(f"identifiers of {portion.relation}") if portion.key else ""
    files = ("rows-v1-attributes.parquet", "rows-v1-identifiers.parquet")
    return PortionDecision(
        portion.domain, mine.decision, relation, identifiers, files if portion.key else files[:1]
    )
