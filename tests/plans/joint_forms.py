"""Joint plans of every form beside that of `joint_examples`: inspected, one table in parts, ciphertexts, in common.

Each is made of the plan that is given, with other parties, task and reading; what code makes of these (scheme, sights,
trust) is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from plans.joint import (
    MOST_HOLDERS,
    JointFigure,
    JointPlan,
    JointReading,
    JointTask,
    Measure,
    Party,
    Portion,
    Shape,
    Sum,
)
from plans.joint_reading import Grouping, Operand
from plans.joint_rules import Matching, Opening
from plans.request import RequestKind, statement_digest
from tests.plans import joint_examples as examples

CIVIL, HEALTH, OFFICE, TAX = "nm/civil", "nm/health", "nm/office", "nm/tax"
SERVERS = examples.JOINT_TASK.servers

INSPECTED = replace(examples.JOINT_TASK, opening=Opening.INSPECTED, inspector=TAX)

STACKED_SQL = (
    "select region, sum(income) as total, count(*) as n from (select region, income from health.wages union all "
    "select region, income from tax.income) t group by region"
)
STACKED = JointTask(STACKED_SQL, Matching.NONE, Opening.OBLIVIOUS, SERVERS)
STACKED_INSPECTED = replace(STACKED, opening=Opening.INSPECTED, inspector=TAX)
CIPHERTEXTS = replace(STACKED_INSPECTED, servers=(), collector=OFFICE)

COMMON_SQL = "select person from health.visits h join tax.income t using (person)"
COMMON = JointTask(COMMON_SQL, Matching.HELPER, Opening.INTERSECTION, (), helper=OFFICE, finder=TAX)
COMMON_OF_TWO = replace(COMMON, matching=Matching.DIFFIE_HELLMAN, helper="")


def portion_in_parts(domain: str, relation: str) -> Portion:
    """A holder's part of one table of incomes by region."""
    return Portion(
        domain=domain,
        relation=relation,
        key="id_number",
        where="",
        groups=(Grouping("region", "region", ("east", "west", "north")),),
        operands=(Operand('"income"', 0, 100_000_000, 2, False),),
        stand_in=f'SELECT region, sum("income"), count(*) FROM {relation} GROUP BY region',
        bound=1_000,
    )


def stacked_reading(sql: str, portions: tuple[Portion, ...]) -> JointReading:
    """A total and a number of rows over parts of one table."""
    return JointReading(
        statement_digest(sql),
        portions,
        (Sum(Measure.ROWS, ()), Sum(Measure.TOTAL, ((0, 0),))),
        (JointFigure("total", "sum", (1,), 0), JointFigure("n", "count", (0,), 0)),
        ("region", "total", "n"),
        Shape.STACKED,
    )


def common_reading(sql: str, portions: tuple[Portion, ...]) -> JointReading:
    """Who is in all registers."""
    bare = tuple(
        replace(
            portion,
            groups=(),
            operands=(),
            where="",
            stand_in=f"SELECT count(*) AS n FROM {portion.relation}",
        )
        for portion in portions
    )
    return JointReading(statement_digest(sql), bare, (), (), ("person",), Shape.COMMON)


STACKED_READING = stacked_reading(
    STACKED_SQL, (portion_in_parts(HEALTH, "health.wages"), portion_in_parts(TAX, "tax.income"))
)
THREE_PARTS_SQL = STACKED_SQL.replace(") t", " union all select region, income from civil.wages) t")
THREE_PARTS_READING = stacked_reading(
    THREE_PARTS_SQL, (*STACKED_READING.portions, portion_in_parts(CIVIL, "civil.wages"))
)
"""Of two parts none is opened first by the holder of one."""

COMMON_READING = common_reading(COMMON_SQL, examples.PORTIONS)

TASKS: Mapping[str, tuple[JointTask, JointReading]] = {
    "inspected": (INSPECTED, examples.JOINT_READING),
    "stacked": (STACKED, STACKED_READING),
    "stacked and inspected": (replace(STACKED_INSPECTED, statement=THREE_PARTS_SQL), THREE_PARTS_READING),
    "ciphertexts": (replace(CIPHERTEXTS, statement=THREE_PARTS_SQL), THREE_PARTS_READING),
    "common": (COMMON, COMMON_READING),
    "common of two": (COMMON_OF_TWO, COMMON_READING),
}


def with_task(
    plan: JointPlan, task: JointTask, reading: JointReading, described: tuple[Party, ...] = ()
) -> JointPlan:
    """A plan for another task, whose parties are those that it needs, of the plan's or of those that are described."""
    needed = {*(portion.domain for portion in reading.portions), *task.servers, *task.others}
    request = replace(plan.request, kind=RequestKind.JOINT, statement=task.canonical().decode())
    said = {each.domain: each for each in plan.decisions}
    first = plan.decisions[0]
    return replace(
        plan,
        request=request,
        task=task,
        reading=reading,
        parties=tuple(party for party in described or plan.parties if party.domain in needed),
        decisions=tuple(
            said.get(each.domain, replace(first, domain=each.domain)) for each in reading.portions
        ),
    )


FORMS: Mapping[str, Callable[[JointPlan], JointPlan]] = {
    name: lambda plan, made=made: with_task(plan, *made)  # type: ignore[misc]
    for name, made in TASKS.items()
}


def largest(plan: JointPlan) -> JointPlan:
    """As many holders of one table as there may be, and three servers that hold none."""
    holders = [f"nm/banner{place:02}" for place in range(MOST_HOLDERS)]
    servers = tuple(f"nm/server{place}" for place in range(3))
    portions = tuple(portion_in_parts(domain, f"{domain.rpartition('/')[2]}.wages") for domain in holders)
    sql = "select region, sum(income) as total, count(*) as n from (… union all …) t group by region"
    domains = sorted((*holders, *servers))
    parties = tuple(examples.party(domain, place) for place, domain in enumerate(domains))
    task = replace(STACKED, statement=sql, servers=servers)
    return with_task(plan, task, stacked_reading(sql, portions), parties)
