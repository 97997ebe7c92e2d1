"""The statement of what each person adds says the same as the counted one, and another one in its place is noticed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import duckdb
import pytest

from inside.bound import bind, shadow_engine
from inside.contributed import require_contributions
from plans.errors import SqlUnsupported
from plans.reading import Cells, Role
from tests.inside.sql_cases import INCOME, SHADOWS, VISIT, create, read
from tests.inside.test_evidence import PEOPLE, VISITS

STATEMENTS = [
    "select region, count(*) as n, sum(income) as s, avg(paid) as m from tax.income group by region",
    "select sum(income) as s, stddev(age) as d, count(income) as n from tax.income",
    "select region, urban, avg(case when age > 30 then paid else 0 end) as f from tax.income group by region, urban",
    "select region, 100 * sum(paid) / sum(age) as f from tax.income where age > 20 group by region",
    "select v.region, sum(i.income * 2) as f, count(distinct i.person) as n from tax.income i"
    " join med.visit v on i.person = v.person group by v.region",
    "select v.kind, sum(v.cost) as f from tax.income i join med.visit v on i.region = v.region group by v.kind",
    "select date_trunc('month', born) as m, sum(coalesce(income, 0)) as f from tax.income group by 1",
    "select year(born) as y, min(age) as a, median(age) as b, count(distinct region) as c from tax.income group by 1",
    "select region, sum(age) as f from tax.income where person in (select person from med.visit where cost > 1)"
    " group by region",
    "select region, avg(income) as f from tax.income where region <> ')sum(' group by region",
]


def tables(statement: str) -> tuple[Cells, ...]:
    return read(statement, *SHADOWS).tables


def keyed(table: Cells, row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[output.name] for output in table.outputs if output.role is Role.KEY)


def rows(connection: duckdb.DuckDBPyConnection, statement: str) -> list[dict[str, Any]]:
    found = connection.execute(statement)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.fixture(scope="module")
def data() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    create(connection, INCOME, PEOPLE)
    create(connection, VISIT, VISITS)
    return connection


@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_persons_add_makes_up_the_figures(data: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Persons, rows and sums of the cell come out of it again."""
    for table in tables(statement):
        asked = table.contributions
        assert asked is not None
        added = rows(data, asked.statement)
        for cell in rows(data, table.counted):
            mine = [row for row in added if keyed(table, row) == keyed(table, cell)]
            persons = {row["_person"] for row in mine} - {None}
            assert len(persons) == len([row for row in mine if row["_person"] is not None])
            assert cell["_persons_0"] <= len(persons)
            for place in asked.figures:
                output = table.outputs[place]
                if output.function == "count" and not output.distinct:
                    assert sum(row[f"_rows_{place}"] for row in mine) == cell[output.name]
                if output.function == "sum":
                    total = sum(float(row[f"_sum_{place}"] or 0) for row in mine)
                    assert total == pytest.approx(float(cell[output.name] or 0))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_figure_that_rests_on_a_sum_has_its_total(statement: str) -> None:
    for table in tables(statement):
        for place, output in enumerate(table.outputs):
            assert (place in table.totals) is (output.function in ("sum", "avg", "stddev", "ratio"))


def checked(table: Cells, **changes: Any) -> None:
    assert table.contributions is not None
    forged = replace(table, contributions=replace(table.contributions, **changes))
    connection = shadow_engine(SHADOWS, 512)
    try:
        require_contributions(connection, forged, bind(connection, table.counted))
    finally:
        connection.close()


FORGED = [
    ('FROM "tax"."income" AS "income"', 'FROM "tax"."income" AS "income" WHERE ("income"."age" > 99)'),
    ('sum("income"."income")', 'sum("income"."age")'),
    ('sum("income"."income")', "sum(0)"),
    ('count("income"."income")', 'count("income"."age")'),
    (', "income"."person"', ', "income"."age"'),
    ('GROUP BY "income"."region", "income"."person"', 'GROUP BY "income"."region", "income"."person", "income"."age"'),
    ('"income"."region" AS "region"', '"income"."urban" AS "region"'),
]  # fmt: skip


@pytest.mark.parametrize(("honest", "forged"), FORGED)
def test_another_statement_in_its_place_is_noticed(honest: str, forged: str) -> None:
    (table,) = tables("select region, sum(income) as s from tax.income group by region")
    assert table.contributions is not None and honest in table.contributions.statement
    with pytest.raises(Exception, match=r"disagree|bind|plan"):
        checked(table, statement=table.contributions.statement.replace(honest, forged))


@pytest.mark.parametrize("changes", [{"totals": ()}, {"figures": ()}, {"sets": 0}, {"totals": (1, 1)}])
def test_a_total_or_a_set_that_is_left_out_is_noticed(changes: dict[str, Any]) -> None:
    (table,) = tables("select region, sum(income) as s from tax.income group by region")
    with pytest.raises(SqlUnsupported, match="disagree"):
        checked(table, **changes)


LEFT = "select count(v.kind) as k, sum(i.income) as s from tax.income i left join med.visit v on i.person = v.person"
PATTERNS = {
    "select region, sum(income) as s, avg(age) as a from tax.income group by region": (
        (), ("tax.income.income",), ("tax.income.age <> 0",),
    ),
    "select sum(paid) as s, stddev(income) as d, count(distinct region) as n from tax.income": (
        ("tax.income.paid", "tax.income.region"), ("tax.income.income",),
    ),
    "select sum(case when age > 30 then income end) as s, min(income) as m from tax.income": (
        (), ("tax.income.income",), (), (),
    ),
    "select sum(coalesce(income, 0)) as s, count(*) as n from tax.income": ((), (), ()),
    LEFT: ((), (), ("tax.income.income",)),
}  # fmt: skip


@pytest.mark.parametrize("statement", PATTERNS)
def test_only_columns_as_they_stand_are_said_to_tell_a_set_apart(statement: str) -> None:
    """Neither what something computed chooses, nor what the condition of a LEFT JOIN does."""
    (table,) = tables(statement)
    assert table.contributions is not None
    assert table.contributions.patterns == PATTERNS[statement]


@pytest.mark.parametrize(
    ("statement", "place", "pattern"),
    [
        ("select sum(case when age > 30 then income end) as s from tax.income", 1, ("tax.income.income",)),
        ("select sum(case when age > 30 then paid else 0 end) as s from tax.income", 1, ("tax.income.age",)),
        ("select sum(income) as s from tax.income", 1, ("tax.income.paid",)),
        ("select sum(income) as s from tax.income", 1, ("tax.income.income <> 0",)),
        ("select sum(income) as s from tax.income", 1, ("tax.income.income", "tax.income.paid")),
        (LEFT, 1, ("med.visit.kind",)),
    ],
)
def test_a_set_that_is_said_to_be_told_apart_by_a_column_and_is_not_is_noticed(
    statement: str, place: int, pattern: tuple[str, ...]
) -> None:
    (table,) = tables(statement)
    assert table.contributions is not None
    told = list(table.contributions.patterns)
    told[place] = pattern
    for patterns in (tuple(told), (), table.contributions.patterns[:1]):
        with pytest.raises(SqlUnsupported, match="disagree"):
            checked(table, patterns=patterns)
    checked(table)


def test_a_person_of_a_row_who_is_left_out_twice_is_noticed() -> None:
    (table,) = tables(STATEMENTS[5])
    assert table.contributions is not None and len(table.contributions.further) == 1
    with pytest.raises(SqlUnsupported, match="disagree"):
        checked(table, further=(table.contributions.statement,))


def test_control_the_honest_statement_is_accepted() -> None:
    for statement in STATEMENTS:
        for table in tables(statement):
            checked(table)


def test_a_table_without_one_is_refused() -> None:
    (table,) = tables(STATEMENTS[0])
    connection = shadow_engine(SHADOWS, 512)
    with pytest.raises(SqlUnsupported, match="disagree"):
        require_contributions(connection, replace(table, contributions=None), bind(connection, table.counted))
    connection.close()
