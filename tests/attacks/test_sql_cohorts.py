"""A subquery that chooses rows must not let single persons decide about others, nobody of whom is counted for it."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inside import query
from plans.errors import SqlUnsupported
from tests.inside.sql_cases import read
from tests.inside.test_check import PEOPLE, VISITS
from tests.inside.test_finish_equals_duckdb import engine

BORN, DAY = datetime.date(2000, 6, 1), datetime.datetime.fromisoformat("2024-01-01")
MANY = [(n, "ab"[n % 2], 30, 1.0, Decimal(1), BORN, True) for n in range(1, 41)]
OLDEST = (41, "a", 97, 1.0, Decimal(1), BORN, True)

# A statement, and what in it would have to be counted: the persons inside.
LEAKS = [
    (
        "select region, count(*) as n, count(distinct person) as persons from tax.income"
        " where region in (select region from tax.income where age = 97) group by region",
        "something else than the person",
    ),
    (
        "select i.region, count(*) as n, count(distinct i.person) as persons from tax.income i where exists"
        " (select 1 from tax.income o where o.region = i.region and o.age = 97) group by i.region",
        "something else than the person",
    ),
    (
        "select region, count(*) as n, count(distinct person) as persons from tax.income where person in (select"
        " v.person from tax.income v join tax.income o on v.region = o.region where o.age = 97) group by region",
        "different persons",
    ),
    (
        "select i.region, count(*) as n, count(distinct i.person) as persons from tax.income i where person in (select"
        " v.person from tax.income v, tax.income o where v.region = o.region and o.age = 97) group by i.region",
        "different persons",
    ),
    (
        "select i.region, count(*) as n, count(distinct i.person) as persons from tax.income i where"
        " (select max(age) from tax.income o where o.region = i.region) = 97 group by i.region",
        "subquery stands in an expression over rows",
    ),
]


@pytest.mark.parametrize(("statement", "reason"), LEAKS)
def test_one_person_inside_does_not_choose_a_cell_of_many_others(statement: str, reason: str) -> None:
    """The control: the engine would give one region alone, of twenty persons and more, where one of 97 lives."""
    with engine([*MANY, OLDEST], []) as connection:
        ((region, _, persons),) = connection.execute(statement).fetchall()
    assert region == "a" and persons > 20
    with pytest.raises(SqlUnsupported, match=reason):
        read(statement)


def test_a_join_over_another_key_counts_the_person_inside() -> None:
    """What is said to be written instead is safe."""
    counted = read(
        "select i.region, count(*) as n from tax.income i join tax.income o on i.region = o.region where o.age = 97"
        " group by i.region"
    ).counted
    with engine([*MANY, OLDEST], []) as connection:
        assert connection.execute(counted).fetchall() == [("a", 21, 1)]


def test_a_cohort_of_one_person_is_one_person() -> None:
    visits = [(7, "a", 1.0, DAY, "x")] * 50
    cohort = "person in (select person from med.visit where kind = 'x')"
    for statement, persons in (
        (f"select count(*) as n from tax.income where {cohort}", 1),
        (f"select sum(case when {cohort} then income else 0 end) as s from tax.income", 1),
        (f"select sum(case when {cohort} then 0 else income end) as s from tax.income", 1),
        (f"select avg(income) as m from tax.income where not {cohort}", 39),
    ):
        reading = read(statement)
        with engine(MANY, visits) as connection:
            (row,) = connection.execute(reading.counted).fetchall()
        assert row[1 + reading.outputs[0].persons] == persons, statement


def test_whether_a_row_inside_fails_stops_nothing() -> None:
    statement = (
        "select count(*) as n from tax.income where person in"
        " (select person from tax.income where age * age * 10000000 > paid)"
    )
    counted = read(statement).counted
    with engine([*MANY, OLDEST], []) as connection:
        connection.execute(query.NO_INFINITIES)
        with pytest.raises(Exception, match="[Oo]verflow|out of range"):
            connection.execute(statement).fetchall()
        assert connection.execute(counted).fetchall() == [(0, 0)]


CHOSEN = {
    "person in (select person from med.visit where cost > 1)": lambda who, visits: (
        who in {row[0] for row in visits if row[2] > 1}
    ),
    "person not in (select person from med.visit where kind = 'x')": lambda who, visits: (
        who not in {row[0] for row in visits if row[4] == "x"}
    ),
}


@settings(max_examples=25)
@given(st.sampled_from(sorted(CHOSEN)), st.sampled_from(sorted(CHOSEN)), PEOPLE, VISITS)
def test_the_persons_of_every_part_are_counted(
    where: str, when: str, people: list[tuple[Any, ...]], visits: list[tuple[Any, ...]]
) -> None:
    """Counted once more in Python, row by row."""
    reading = read(
        f"select region as k, sum(case when {when} then paid else 1 end) as s from tax.income where {where}"
        " group by region"
    )
    with engine(people, visits) as connection:
        found = {row[0]: row[2:] for row in connection.execute(reading.counted).fetchall()}
    rows = [row for row in people if CHOSEN[where](row[0], visits)]
    assert set(found) == {row[1] for row in rows}
    for key, persons in found.items():
        cell = {row[0] for row in rows if row[1] == key}
        inside = {who for who in cell if CHOSEN[when](who, visits)}
        assert persons[0] == len(cell)
        assert persons[reading.outputs[1].persons] == min(len(inside), len(cell - inside))
