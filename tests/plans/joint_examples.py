"""A well-formed joint plan: visits of a health bureau with incomes of a tax bureau, by region."""

from __future__ import annotations

from plans.decision import Decision, Outcome
from plans.joint import (
    Grouping,
    JointFigure,
    JointPlan,
    JointReading,
    JointTask,
    Measure,
    Opened,
    Operand,
    Part,
    Party,
    Portion,
    PortionDecision,
    Receipt,
    Scheme,
    SeenAs,
    Sight,
    Step,
    Sum,
    Trust,
)
from plans.joint_rules import JointRules, Matching, Opening
from plans.joint_shadows import DeclaredColumn, JointShadow
from plans.manifest import Declared
from plans.plan import Relation
from plans.reading import Shadow, ShadowColumn
from plans.record import Record
from plans.request import Request, RequestKind, statement_digest

JOINT_SQL = (
    "select h.region, avg(t.income) as mean, count(*) as n from health.visits h join tax.income t using (person) "
    "where h.icd like 'E11%' group by h.region"
)
JOINT_TASK = JointTask(
    JOINT_SQL, Matching.HELPER, Opening.OBLIVIOUS, ("nm/civil", "nm/health", "nm/tax"), helper="nm/office"
)


def _digest(character: str) -> str:
    return "sha256:" + character * 64


def party(domain: str, place: int) -> Party:
    """A party that describes itself; each has administrators of its own."""
    address = f"127.0.0.1:{7000 + place}"
    return Party(domain, 1, f"bureau of {domain}", "its own hall", "darkroom", _digest("c"), address)


PORTIONS = (
    Portion(
        domain="nm/health",
        relation="health.visits",
        key="id_number",
        where="icd LIKE 'E11%'",
        groups=(Grouping("region", "region", ("east", "west", "north")),),
        operands=(),
        stand_in="SELECT region, count(*) FROM health.visits WHERE icd LIKE 'E11%' GROUP BY region",
        bound=1_000,
    ),
    Portion(
        domain="nm/tax",
        relation="tax.income",
        key="id_number",
        where="",
        groups=(),
        operands=(Operand("income", 0, 100_000_000, 2, True),),
        stand_in="SELECT sum(income), count(income), count(*) FROM tax.income",
        bound=2_000,
    ),
)
SUMS = (Sum(Measure.ROWS, ()), Sum(Measure.PRESENT, ((1, 0),)), Sum(Measure.TOTAL, ((1, 0),)))
FIGURES = (JointFigure("mean", "avg", (2, 1), 1), JointFigure("n", "count", (0,), 0))
JOINT_READING = JointReading(statement_digest(JOINT_SQL), PORTIONS, SUMS, FIGURES, ("region", "mean", "n"))
SIGHT = Sight(
    Step.MATCH, "nm/office", Part.HELPER, "identifiers under the owners' key", SeenAs.PSEUDONYM, 3_000
)
TRUST = Trust("semi-honest; one of three servers", ("nm/office with nm/tax: all identifiers",), "each server")
JOINT_RULES = JointRules(
    (Matching.HELPER,), (Opening.OBLIVIOUS,), cells=500, period_days=90, sizes=True, exact=True
)


JOINT_SHADOW = JointShadow(
    "nm/tax",
    "id_number",
    2_000,
    Shadow(
        "tax.income",
        (ShadowColumn("id_number", "VARCHAR", False), ShadowColumn("income", "DECIMAL(12,2)", True)),
    ),
    (DeclaredColumn("income", Declared("0", "1000000")),),
)


def joint_plan(decision: Decision, request: Request) -> JointPlan:
    """The plan; both owners decided alike."""
    asked = Request(
        request.member,
        request.signer,
        request.recipient,
        request.project,
        request.purpose,
        JOINT_TASK.canonical().decode(),
        request.nonce,
        request.asked_at,
        RequestKind.JOINT,
    )
    relations = (
        Relation("health.visits", _digest("1"), _digest("2"), ("icd", "region"), ""),
        Relation("tax.income", _digest("3"), _digest("4"), ("income",), ""),
    )
    domains = ("nm/civil", "nm/health", "nm/office", "nm/tax")
    return JointPlan(
        request=asked,
        request_signature="4" * 128,
        task=JOINT_TASK,
        parties=tuple(party(domain, place) for place, domain in enumerate(domains)),
        reading=JOINT_READING,
        decisions=tuple(
            PortionDecision(portion.domain, decision, relation, _digest("5"))
            for portion, relation in zip(PORTIONS, relations, strict=True)
        ),
        scheme=Scheme(ring_bits=64, matched=1_000, minimum_group=10, dominance=90),
        sights=(SIGHT,),
        trust=TRUST,
        extract_image=_digest("6"),
        party_image=_digest("7"),
        nonce=request.nonce,
        made_at=request.asked_at,
    )


def joint_nouns(decision: Decision, request: Request) -> tuple[Record, ...]:
    """Every noun of a joint computation that is signed, hashed or sent by itself."""
    if decision.outcome is Outcome.DENY:
        raise ValueError("an example is of a plan that may run")
    plan = joint_plan(decision, request)
    return (
        JOINT_TASK,
        JOINT_READING,
        JOINT_SHADOW,
        plan.parties[0],
        plan,
        Opened(plan.digest, 1, 0, ("0a" * 8,), ("0b" * 8,)),
        Receipt(plan.digest, 1, "nm/tax", (_digest("8"),), _digest("9"), sent_bytes=1_000),
    )
