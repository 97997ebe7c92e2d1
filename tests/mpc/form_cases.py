"""What plans of every form are compiled from: inspected, one table in parts, ciphertexts, what is told of persons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from plans.joint import (
    MOST_HOLDERS,
    Field,
    JointReading,
    JointTask,
    Operand,
    Portion,
    Score,
    ScoreFunction,
    ScoreNode,
    ScoreTree,
    Shape,
)
from plans.joint_rules import Matching, Opening
from plans.joint_shadows import JointShadow
from plans.manifest import Declared
from plans.request import statement_digest
from tests.mpc.compile_cases import RULES, TASK, Asked
from tests.plans import joint_examples, joint_forms
from tests.plans.joint_forms import (
    CIPHERTEXTS,
    COMMON,
    COMMON_OF_TWO,
    COMMON_READING,
    COMMON_SQL,
    HEALTH,
    STACKED,
    STACKED_INSPECTED,
    STACKED_READING,
    TAX,
)
from tests.policies.joint_cases import INCOME, SCHOOL, VISITS, between, joint_shadow

EDU = "nm/edu"
ALL_RULES = replace(
    RULES,
    matchings=tuple(Matching),
    openings=tuple(Opening),
    ciphertexts=True,
    members=5_000,
    given_away=True,
)
"""Terms that accept every form."""

WAGES = joint_shadow("health.wages", HEALTH, income=("DECIMAL(12,2)", between("0", "1000000")))
SHADOWS: tuple[JointShadow, ...] = (VISITS, INCOME, SCHOOL, WAGES)


def formed(task: JointTask, reading: JointReading | None = None, **changes: Any) -> Asked:
    """A task with what is read of it, under terms that accept it."""
    return Asked(**{"task": task, "reading": reading, "shadows": SHADOWS, "rules": ALL_RULES, **changes})


NOISED = replace(ALL_RULES, noise_micro=300_000)


INSPECTED = replace(TASK, opening=Opening.INSPECTED, inspector=TAX)

SCHOOLS = joint_forms.portion_in_parts(EDU, "edu.pupils")
THREE_PARTS = joint_forms.stacked_reading(joint_forms.STACKED_SQL, (*STACKED_READING.portions, SCHOOLS))
THREE_REGISTERS = joint_forms.common_reading(COMMON_SQL, (*COMMON_READING.portions, SCHOOLS))

# ------------------------------------------------------------------------------------------ ciphertexts and lookups

APPLICANTS = joint_shadow(
    "health.applicants",
    HEALTH,
    12,
    income=("DECIMAL(12,2)", between("0", "1000000")),
    age=("INTEGER", between("0", "120")),
)
MODEL = replace(
    joint_shadow("tax.model", TAX, 1, base=("DECIMAL(6,2)", between("-100", "100")),
        income=("DECIMAL(8,6)", between("-1", "1")), age=("DECIMAL(8,4)", between("-10", "10"))),
    key="",
)  # fmt: skip
CASES = joint_shadow("health.cases", HEALTH, 12, case_no=("INTEGER", None))
REGISTER = joint_shadow("tax.register", TAX, 2_345, region=("VARCHAR", None), status=("VARCHAR?", None))

SCORED_SQL = (
    "select a.person, round(1 / (1 + exp(-(m.base + a.income * m.income + a.age * m.age))), 4) as score "
    "from health.applicants a cross join tax.model m where a.age > 17"
)
SCORED = JointTask(SCORED_SQL, Matching.NONE, Opening.SCORES, (), finder=HEALTH)
SCORED_READING = JointReading(
    statement_digest(SCORED_SQL),
    (
        Portion(
            HEALTH, "health.applicants", "id_number", '("age" > 17)', (),
            (Operand('"income"', 0, 100_000_000, 2, False), Operand('"age"', 0, 120, 0, False)),
            'SELECT "income", "age" FROM "health"."applicants" WHERE ("age" > 17)', 100,
        ),
        Portion(
            TAX, "tax.model", "", "", (),
            (
                Operand('"base"', -10_000, 10_000, 2, False), Operand('"income"', -1_000_000, 1_000_000, 6, False),
                Operand('"age"', -100_000, 100_000, 4, False),
            ),
            'SELECT count(*) AS figure_0, sum("base") AS figure_1, sum("income") AS figure_2, sum("age") AS figure_3 '
            'FROM "tax"."model"', 1,
        ),
    ),
    (), (), ("person", "score"), Shape.SCORED, Score("score", ScoreFunction.LOGISTIC, ((-1, 0), (0, 1), (1, 2)), 4),
)  # fmt: skip

TREES = joint_shadow(
    "tax.trees", TAX, 1, key="", base=("DECIMAL(6,2)", between("-100", "100")),
    t0=("INTEGER", Declared(values=("30", "45", "60"))), t1=("DECIMAL(10,1)", Declared(values=("999.5", "5000"))),
    old=("DECIMAL(6,2)", between("-100", "100")), rich=("DECIMAL(6,2)", between("-50", "50")),
    young=("INTEGER", between("-9", "9")),
)  # fmt: skip
TREES_SQL = (
    "select a.person, round(m.base + case when a.age >= m.t0 then m.old "
    "else case when a.income >= m.t1 then m.rich else m.young end end, 2) as score "
    "from health.applicants a cross join tax.trees m where a.age > 17"
)
BY_TREES = replace(SCORED, statement=TREES_SQL)
TREES_READING = replace(
    SCORED_READING,
    statement=statement_digest(TREES_SQL),
    portions=(
        replace(
            SCORED_READING.portions[0],
            operands=(Operand('"age"', 0, 120, 0, False), Operand('"income"', 0, 100_000_000, 2, False)),
            stand_in='SELECT "age", "income" FROM "health"."applicants" WHERE ("age" > 17)',
        ),
        Portion(
            TAX, "tax.trees", "", "", (),
            (
                Operand('"base"', -10_000, 10_000, 2, False), Operand('"t0"', 30, 60, 0, False),
                Operand('"t1"', 9_995, 50_000, 1, False), Operand('"young"', -9, 9, 0, False),
                Operand('"rich"', -5_000, 5_000, 2, False), Operand('"old"', -10_000, 10_000, 2, False),
            ),
            'SELECT count(*) AS figure_0, sum("base") AS figure_1, sum("t0") AS figure_2, sum("t1") AS figure_3, '
            'sum("young") AS figure_4, sum("rich") AS figure_5, sum("old") AS figure_6 FROM "tax"."trees"', 1,
        ),
    ),
    score=Score(
        "score", ScoreFunction.LINEAR, ((-1, 0),), 2,
        (ScoreTree(ScoreNode(0, 1, (30, 45, 60)), ScoreNode(1, 2, (9_995, 50_000)), None, (3, 4, 5)),),
    ),
)  # fmt: skip

LOOKUP_SQL = (
    "select c.person, r.region, r.status from health.cases c left join tax.register r using (person) "
    "where c.case_no = 17 limit 5"
)
LOOKUP = JointTask(LOOKUP_SQL, Matching.NONE, Opening.RECORDS, (), finder=HEALTH)
LOOKUP_READING = JointReading(
    statement_digest(LOOKUP_SQL),
    (
        Portion(
            HEALTH, "health.cases", "id_number", '("case_no" = 17)', (), (),
            'SELECT "case_no" FROM "health"."cases" WHERE ("case_no" = 17)', 5,
        ),
        Portion(
            TAX, "tax.register", "id_number", "", (), (), 'SELECT "region", "status" FROM "tax"."register"', 2_400,
            (Field("region", "region", "VARCHAR", 64), Field("status", "status", "VARCHAR", 64)),
        ),
    ),
    (), (), ("person", "region", "status"), Shape.LOOKUP,
)  # fmt: skip

TWO_OWNERS = replace(
    INSPECTED, matching=Matching.DIFFIE_HELLMAN, helper="", servers=(), inspector=TAX, collector=HEALTH
)
"""Visits of a health bureau, which computes, with incomes of a tax bureau, which has the key."""

SHADOWS = (*SHADOWS, APPLICANTS, MODEL, TREES, CASES, REGISTER)

FORMS: Mapping[str, Asked] = {
    "inspected": formed(INSPECTED),
    "stacked": formed(STACKED, STACKED_READING),
    "stacked and inspected": formed(STACKED_INSPECTED, THREE_PARTS),
    "inspected by one of two": formed(STACKED_INSPECTED, STACKED_READING, rules=NOISED),
    "ciphertexts": formed(CIPHERTEXTS, THREE_PARTS),
    "common": formed(COMMON, THREE_REGISTERS),
    "common of two": formed(COMMON_OF_TWO, COMMON_READING),
    "scored": formed(SCORED, SCORED_READING),
    "scored by trees": formed(BY_TREES, TREES_READING),
    "looked up": formed(LOOKUP, LOOKUP_READING),
    "joined by two owners": formed(TWO_OWNERS),
}


def _largest() -> Asked:
    """As many holders of one table as there may be, and three servers that hold none of it."""
    names = [f"banner{place:02}" for place in range(MOST_HOLDERS)]
    servers = ("nm/civil", "nm/land", "nm/office")
    portions = tuple(joint_forms.portion_in_parts(f"nm/{name}", f"{name}.wages") for name in names)
    shadows = tuple(
        joint_shadow(each.relation, each.domain, income=("DECIMAL(12,2)", between("0", "1000000")))
        for each in portions
    )
    domains = (*(each.domain for each in portions), *servers)
    return replace(
        formed(
            replace(STACKED, servers=servers), joint_forms.stacked_reading(joint_forms.STACKED_SQL, portions)
        ),
        shadows=shadows,
        parties=tuple(joint_examples.party(domain, place) for place, domain in enumerate(domains)),
    )


LARGEST = _largest()
