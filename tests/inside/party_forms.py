"""Joint plans of the other forms over small encrypted relations: with an inspector, one table in parts, in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from keys import sealing
from plans.joint import (
    Grouping,
    JointFigure,
    JointPlan,
    JointReading,
    JointTask,
    Measure,
    Portion,
    PortionDecision,
    Scheme,
    Shape,
    Sum,
)
from plans.joint_rules import Matching, Opening
from plans.request import statement_digest
from tests.inside.joint_cases import SERVERS, SQL, Files, Table, operand
from tests.plans import examples, joint_examples

HEALTH, TAX, OFFICE, CIVIL = "nm/health", "nm/tax", "nm/office", "nm/civil"
REGIONS = ("east", "west", "south")
CANARY = "150102198001019999"

EAST = [(str(int(CANARY) - 7 * n), REGIONS[n % 2], Decimal(20_000 + n * n) / 100) for n in range(60)]
WEST = [
    (str(int(CANARY) - 7 * n), REGIONS[n % 2], Decimal(30_000 + n * n) / 100, 2024 + n // 2 % 2)
    for n in range(30, 90)
]
"""Two parts of one table, of which the second has two years and other names of columns; some persons are in both."""

PARTS = {
    HEALTH: Table("health.income", {"region": "VARCHAR", "income": "DECIMAL(12,2)"}, EAST),
    TAX: Table("tax.income", {"area": "VARCHAR", "earned": "DECIMAL(12,2)", "year": "INTEGER"}, WEST),
}

SUMS = (Sum(Measure.ROWS, ()), Sum(Measure.TOTAL, ((0, 0),)))
FIGURES = (JointFigure("total", "sum", (1,), 0), JointFigure("n", "count", (0,), 0))


def stacked(files: Mapping[str, Files], recipient: sealing.OpeningKey, inspector: str = "") -> JointPlan:
    """Incomes by region over both parts, of one year in the second."""
    named = {HEALTH: ("region", '"income"', ""), TAX: ("area", '"earned"', '"year" = 2025')}
    portions = tuple(
        Portion(
            domain, PARTS[domain].relation, "id_number", where, (Grouping("region", region, REGIONS),),
            (operand(income, 0, 100_000, 2),), "SELECT 1", 100,
        )
        for domain, (region, income, where) in named.items()
    )  # fmt: skip
    asked = JointReading(
        statement_digest(SQL), portions, SUMS, FIGURES, ("region", "total", "n"), Shape.STACKED
    )
    opening = Opening.INSPECTED if inspector else Opening.OBLIVIOUS
    task = JointTask(SQL, Matching.NONE, opening, SERVERS, inspector=inspector)
    return plan_of(asked, task, files, recipient, Scheme(64, 200, 10, 100))


def stacked_rows() -> dict[str, tuple[Decimal, int]]:
    """The total and the number of rows of each region, in clear."""
    rows = [row[1:] for row in EAST] + [row[1:3] for row in WEST if row[3] == 2025]
    found = {}
    for region in REGIONS:
        incomes = [income for where, income in rows if where == region]
        found[region] = (sum(incomes, Decimal(0)), len(incomes))
    return found


def common(
    files: Mapping[str, Files], recipient: sealing.OpeningKey, helper: str = OFFICE, where: str = ""
) -> JointPlan:
    """Which of the persons with visits have an income, for the owner of the visits."""
    portions = tuple(
        Portion(domain, files[domain].table.relation, "id_number", condition, (), (), "SELECT 1", 100)
        for domain, condition in ((HEALTH, where), (TAX, ""))
    )
    asked = JointReading(statement_digest(SQL), portions, (), (), ("person",), Shape.COMMON)
    matching = Matching.HELPER if helper else Matching.DIFFIE_HELLMAN
    task = JointTask(SQL, matching, Opening.INTERSECTION, (), helper=helper, finder=HEALTH)
    return plan_of(asked, task, files, recipient, Scheme(64, 100, 10, 100))


def of_two(joint: JointPlan, files: Mapping[str, Files], recipient: sealing.OpeningKey) -> JointPlan:
    """The same statement between its two owners alone: the tax bureau has the key, and the other one multiplies."""
    made = inspected(joint, TAX)
    task = replace(made.task, matching=Matching.DIFFIE_HELLMAN, helper="", servers=(), collector=HEALTH)
    return replace(plan_of(made.reading, task, files, recipient, made.scheme), decisions=made.decisions)


def inspected(joint: JointPlan, inspector: str, rounding: int = 1, **changes: Any) -> JointPlan:
    """The same plan with an inspector, all of whose owners demand the same."""
    task = replace(joint.task, opening=Opening.INSPECTED, inspector=inspector)
    demanded = replace(examples.OBLIGATIONS, rounding=rounding, checks=examples.NO_DOMINANCE, **changes)
    decision = replace(examples.DECISION, obligations=demanded)
    decisions = tuple(replace(each, decision=decision) for each in joint.decisions)
    return replace(joint, task=task, decisions=decisions, request=_asked(joint, task))


def plan_of(
    asked: JointReading,
    task: JointTask,
    files: Mapping[str, Files],
    recipient: sealing.OpeningKey,
    scheme: Scheme,
) -> JointPlan:
    """The plan of a task over these files."""
    example = joint_examples.joint_plan(examples.DECISION, examples.REQUEST)
    demanded = replace(examples.OBLIGATIONS, rounding=1, checks=examples.NO_DOMINANCE)
    decision = replace(examples.DECISION, obligations=demanded)
    parts = tuple(
        PortionDecision(
            portion.domain, decision, files[portion.domain].part, files[portion.domain].identifiers,
            tuple(files[portion.domain].keys),
        )
        for portion in asked.portions
    )  # fmt: skip
    domains = sorted({*(portion.domain for portion in asked.portions), *task.servers, *task.others})
    request = replace(_asked(example, task), recipient=recipient.public)
    return replace(
        example,
        request=request,
        task=task,
        parties=tuple(joint_examples.party(domain, place) for place, domain in enumerate(domains)),
        reading=asked,
        decisions=parts,
        scheme=scheme,
    )


def _asked(joint: JointPlan, task: JointTask) -> Any:
    return replace(joint.request, statement=task.canonical().decode())
