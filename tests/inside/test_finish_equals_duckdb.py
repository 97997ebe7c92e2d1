"""A split statement gives what the engine gives for the whole one, when nothing is suppressed and nothing rounded.

The oracle is the engine itself, on the member's own text. On the other side stand the counted tables without
their numbers of persons, and the finish over them.
"""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from inside import query
from plans.errors import Malformed
from plans.reading import Reading, Role
from tests.inside.sql_cases import INCOME, VISIT, create, read
from tests.inside.test_check import PEOPLE, VISITS, comparable

NEW_YEAR = datetime.datetime.fromisoformat("2024-01-01")
SOME_PEOPLE = [
    (n, "ab"[n % 2] if n % 5 else "ab", n % 4, [None, 0.0, 2.0, 8.0][n % 4], Decimal(n % 3),
     datetime.date(2000 + n % 2, 1 + n % 6, 1), n % 3 == 0)
    for n in range(1, 24)
]  # fmt: skip
SOME_VISITS = [(1 + n % 9, "ab"[n % 2], float(n % 4), NEW_YEAR, [None, "x", "y"][n % 3]) for n in range(30)]


def engine(people: list[tuple[Any, ...]], visits: list[tuple[Any, ...]]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.execute(query.NO_INFINITIES)
    create(connection, INCOME, people)
    create(connection, VISIT, visits)
    return connection


def finished(connection: duckdb.DuckDBPyConnection, reading: Reading) -> list[tuple[Any, ...]]:
    """What comes out of a reading with a smallest group of nobody and without rounding."""
    for number, table in enumerate(reading.tables):
        shown = ", ".join(f'"{output.name}"' for output in table.outputs)
        connection.execute(f"CREATE TEMP TABLE cells_{number} AS SELECT {shown} FROM ({table.counted})")
        described = connection.execute(f"DESCRIBE cells_{number}").fetchall()
        assert [kind for _, kind, *_ in described] == [output.type for output in table.outputs]
    text = reading.finish or "SELECT * FROM cells_0"
    cursor = connection.execute(text)
    if reading.finish:
        assert [column[0] for column in cursor.description] == [output.name for output in reading.outputs]
    return cursor.fetchall()


def require_equal(statement: str, people: list[tuple[Any, ...]], visits: list[tuple[Any, ...]]) -> Reading:
    reading = read(statement)
    with engine(people, visits) as connection:
        asked, found = connection.execute(statement).fetchall(), finished(connection, reading)
        sizes = [
            connection.execute(f"SELECT count(*) FROM cells_{number}").fetchone()
            for number in range(len(reading.tables))
        ]
    if "ROLLUP" in reading.finish and (0,) in sizes:
        # A margin of no cells is null, for whatever reason there are none; the engine counts 0.
        return reading
    assert comparable(found) == comparable(asked), (statement, reading.finish)
    return reading


# --- one statement of each shape -----------------------------------------------------

DIRECT = """
with x as (select person, region, income * 12 as yearly from tax.income where age > 1) select region, avg(yearly) from x group by region
with t(p, r) as (select person, region from tax.income) select r, count(*) from t group by r
select region, count(*) from (select * from tax.income where urban or age > 2) group by region order by region
with a as (select person, age from tax.income), b as (select x.person, x.age + y.age s from a x join a y using (person)) select sum(s) from b
with a as (select * exclude (region) from tax.income) select a.urban, sum(cost) from a join med.visit v on v.person = a.person group by 1
select i.region, count(*) from tax.income i, med.visit v where i.person = v.person and v.cost > 1 group by 1
select v.region, count(*) from (select person from tax.income where urban) i left join med.visit v using (person) group by 1
with v as (select person, kind k from med.visit) select k, count(*), avg(i.age) from tax.income i left join v on i.person = v.person group by k
select i.region, count(*) from tax.income i join (select v.person, w.kind from med.visit v left join med.visit w on v.person = w.person) z on i.person = z.person group by 1
with x as (select person, age * 2 as double_age from tax.income where double_age > 2) select sum(double_age) from x
with x as (select person, age from tax.income) select age as region, age, count(*) n from x group by age, region
with x as (select * from tax.income i join med.visit v on i.person = v.person) select region, count(*) from x group by region
select region, avg(income), count(*) from tax.income where person in (select person from med.visit where kind = 'x') group by region
select region, count(*) from tax.income i where not exists (select 1 from med.visit v where v.person = i.person and v.kind is not null) group by region
select region, count(*) from tax.income where age > 1 or not person in (select person from med.visit v join tax.income i using (person) where i.urban and v.cost > 1) group by 1
with x as (select person p from med.visit where cost > 1), y as (select * from tax.income where person in (select distinct p from x)) select v.region, count(*), sum(y.age) from y join med.visit v using (person) where v.person not in (select person from tax.income where age = 2) group by 1
select case when person in (select person from med.visit) then 'in' else 'out' end as g, avg(age) from tax.income group by 1
select count(*) from tax.income where person in (select person from med.visit where person in (select person from tax.income where urban) and cost > 0)
""".strip().splitlines()  # noqa: E501

SPLIT = """
select region, count(*) n from tax.income group by region having count(*) > 3
select region, sum(paid) as paid from tax.income group by region having paid > 4 order by paid
select region as r, sum(paid) as region from tax.income group by region having region > 'a'
select region, sum(paid) s, s * 2 as d from tax.income group by region
select region, sum(paid) s from tax.income group by region qualify row_number() over (order by s, region) = 1
select region, sum(paid) / count(*) - 3 as d, rank() over (order by sum(paid) desc) r from tax.income group by region
select region, sum(sum(paid)) over () as total, 100 * sum(paid) / sum(sum(paid)) over () as share from tax.income group by 1
select region, urban, count(*) n, rank() over w as r from tax.income group by region, urban window w as (partition by region order by count(*))
select region, sum(paid) s, count(*) n, grouping(region) g from tax.income group by rollup(region)
select region, urban, sum(paid) s, count(*) n from tax.income group by grouping sets ((region, urban), (region), ())
select region, age, count(income) n from tax.income group by cube(region, age) having count(income) > 1
select urban, region, age, count(*) n from tax.income group by urban, rollup(region, age) order by n desc, 1, 2, 3 limit 5
select region, case when count(*) > 10 then 'big' else 'small' end as size from tax.income group by all
select distinct case when avg(income) > 3 then 1 else 0 end b from tax.income group by region, age
select region from tax.income group by region
select upper(region) as loud, count(*) + 1 as more from tax.income group by region
select count(*) filter (where age > 1) n, sum(paid) filter (where urban) s, count(distinct age) filter (where not urban) d from tax.income
select 'people' as part, count(*) n from tax.income union all select 'visits', count(*) from med.visit
select region from tax.income group by region except select region from med.visit group by region
select region, n from (select region, count(*) n from tax.income group by 1 union select region, count(*) from med.visit group by 1) order by n
select avg(n) as mean, max(n) as most from (select region, age, count(*) n from tax.income group by region, age) t
with c as (select region, count(*) n from tax.income group by 1), d as (select region, avg(cost) m from med.visit group by 1) select c.region, n * m as t from c full join d using (region) where n > (select avg(n) from c) order by 1
with c as (select region, count(*) n from tax.income group by 1) select a.region, b.n - a.n as gap from c a join c b on a.n < b.n
with x as (select * from tax.income where age > 1), c as (select region, avg(age) a from x group by 1), d as (select region, count(*) n from x group by 1) select * from c join d using (region)
select region, n from (select region, count(*) n from tax.income group by region) t where n = (select max(n) from (select count(*) n from tax.income group by region))
select region, count(*) n from tax.income group by region having count(*) > (select avg(cost) from med.visit)
select (select count(*) from med.visit) * 1.0 / count(*) as ratio from tax.income
with c as (with d as (select age, count(*) n from tax.income group by age) select n, count(*) k from d group by n) select sum(k) s from c
select region, count(*) n from tax.income group by region having region in (select region from med.visit group by region)
select region, sum(paid) s from tax.income group by region order by sum(paid) desc, region limit 1 offset 1
select i.region, sum(v.cost) c, sum(v.cost) / count(distinct i.person) per from (select * from tax.income where age < 3) i join med.visit v using (person) group by i.region having c > 1
select month, total, lag(total) over (order by month) as before from (select month(born) as month, sum(paid) as total from tax.income group by 1) order by month
select exists (select 1 from med.visit v where v.person = i.person) as g, count(*) n from tax.income i group by g having n > 1
select count(*) filter (where person in (select person from med.visit where cost > 1)) a, sum(paid) filter (where person not in (select person from med.visit)) b from tax.income
with m as (select month(born) as month, sum(paid) as total from tax.income group by 1) select month, sum(total) over (order by month rows between unbounded preceding and current row) as running from m
select age, count(*) n from tax.income group by age having age between 1 and 2 or count(*) > 5
select median(income) + 1 as m, max(age) - min(age) as width, quantile_cont(paid, 0.5) * 2 as q from tax.income
""".strip().splitlines()  # noqa: E501


@pytest.mark.parametrize("statement", DIRECT)
def test_rows_under_other_names_are_written_into_one_plain_statement(statement: str) -> None:
    reading = require_equal(statement, SOME_PEOPLE, SOME_VISITS)
    assert not reading.finish and len(reading.tables) == 1


@pytest.mark.parametrize("statement", SPLIT)
def test_a_split_statement_gives_what_the_engine_gives(statement: str) -> None:
    reading = require_equal(statement, SOME_PEOPLE, SOME_VISITS)
    assert reading.finish and {output.role for output in reading.outputs} == {Role.DERIVED}


def test_control_another_finish_gives_something_else() -> None:
    """The comparison can fail."""
    statement, other = SPLIT[0], SPLIT[0].replace("> 3", "> 8")
    with engine(SOME_PEOPLE, SOME_VISITS) as connection:
        asked = connection.execute(statement).fetchall()
        assert comparable(finished(connection, read(other))) != comparable(asked)


# --- random statements on random rows -----------------------------------------------------

COHORTS = [
    "person in (select person from med.visit)",
    "person not in (select person from med.visit where kind = 'x')",
    "(urban or person in (select w.person from med.visit w where w.cost > 0))",
    "(age < 2 and not person in (select person from tax.income where age > 1 and region = 'a'))",
    "person in (select w.person from med.visit w join tax.income j on w.person = j.person where j.paid > w.cost - 2)",
    "person in (select person from tax.income j where not exists (from med.visit w where w.person = j.person))",
]
SOURCES = [
    *(("", f"(select * from tax.income where {cohort}) i") for cohort in COHORTS),
    *(
        (f"x as (select * from tax.income where {cohort})", "x i join med.visit v using (person)")
        for cohort in COHORTS
    ),
    ("", "tax.income i"),
    ("", "(select * from tax.income where age > 0) i"),
    ("", "(select person, region, age + 1 as age, income, paid * 2 as paid, born, urban from tax.income) i"),
    ("x as (select * from tax.income where not urban or age < 3)", "x i"),
    ("x as (select *, age % 2 as odd from tax.income), y as (select * from x where odd = 1)", "y i"),
    ("", "tax.income i join med.visit v using (person)"),
    ("", "tax.income i left join med.visit v on i.person = v.person"),
    (
        "w as (select person, cost from med.visit where cost > 0)",
        "w join tax.income i on i.person = w.person",
    ),
    ("", "(select * from tax.income where age > 1) i, med.visit v where i.person = v.person"),
]
KEYS = [
    "i.region",
    "i.age",
    "year(i.born)",
    "floor(i.age / 2)",
    "case when i.urban then 'u' else i.region end",
    "case when i.person in (select person from med.visit where cost > 0) then 'v' else i.region end",
]
FIGURES = [
    "count(*)", "sum(i.paid)", "avg(i.income)", "count(distinct i.age)", "count(i.income)", "max(i.age)",
    "count(*) filter (where i.person in (select person from med.visit where kind = 'x'))",
    "sum(i.age) filter (where i.urban)", "sum(case when i.age > 1 then i.paid else 0 end)",
]  # fmt: skip
COMPUTED = [
    "{f}", "{f} + 1", "{f} - {g}", "{f} / {g}", "case when {f} > 2 then 'many' else 'few' end", "coalesce({f}, 0)",
    "rank() over (order by {f})", "sum({f}) over ()", "{f} - lag({f}) over (order by {k})", "round({f} * 1.5)",
    "({f} > {g}) is true", "greatest({f}, 2)",
]  # fmt: skip
TAILS = [
    "",
    " having {f} > 1",
    " having {k} is not null and {g} >= 0",
    " qualify rank() over (order by {f}) <= 2",
]
WHOLES = [
    "{q}",
    "select a, count(*) as n, sum(b) as s from ({q}) group by a",
    "select max(b) as m from ({q}) t where b > 0",
    "{q} union all {q2}",
    "{q} except {q2}",
    "select t.a, u.b from ({q}) t join ({q2}) u on t.a is not distinct from u.a",
    "select a, b from ({q}) where b >= (select avg(b) from ({q2}))",
    "select a, sum(b) as s, grouping(a) as g from ({q}) group by rollup(a)",
]


@st.composite
def selects(draw: st.DrawFn, numeric: bool) -> tuple[str, str]:
    """The names that a SELECT needs in WITH, and the SELECT, whose outputs are a key `a` and a figure `b`."""
    names, source = draw(st.sampled_from(SOURCES))
    key, figure, other = (draw(st.sampled_from(each)) for each in (KEYS, FIGURES, FIGURES))
    computed = draw(st.sampled_from(COMPUTED[:4] if numeric else COMPUTED))
    if draw(st.integers(0, 5)) == 0:
        figure = draw(st.sampled_from(FIGURES[:2]))
        grouped = "cast({k} as varchar) as a, {f} as b from {s} group by rollup({k})"
        return names, "select " + grouped.format(k=key, f=figure, s=source)
    tail = draw(st.sampled_from(TAILS))
    text = f"select cast({{k}} as varchar) as a, {computed} as b from {source} group by {{k}}{tail}"
    return names, text.format(k=key, f=figure, g=other)


@st.composite
def wholes(draw: st.DrawFn) -> str:
    whole = draw(st.sampled_from(WHOLES))
    (names, first), (others, second) = (draw(selects(numeric=whole != WHOLES[0])) for _ in range(2))
    if others != names:
        second = first
    return (f"with {names} " if names else "") + whole.format(q=first, q2=second)


@given(wholes(), PEOPLE, VISITS)
def test_random_statements_give_what_the_engine_gives(
    statement: str, people: list[tuple[Any, ...]], visits: list[tuple[Any, ...]]
) -> None:
    require_equal(statement, people, visits)


@given(wholes())
def test_every_table_is_counted_and_no_finish_reads_anything_else(statement: str) -> None:
    reading = read(statement)
    assert all(table.hidden > 0 and "count(DISTINCT" in table.counted for table in reading.tables)
    if reading.finish:
        root = sqlglot.parse_one(reading.finish, read="duckdb")
        names = {item.alias for item in root.find_all(exp.CTE)}
        tables = {f"cells_{number}" for number in range(len(reading.tables))}
        assert {table.name for table in root.find_all(exp.Table)} <= names | tables
        assert not any(table.db for table in root.find_all(exp.Table))


def test_an_aggregate_that_rows_do_not_have_is_none_over_their_cells() -> None:
    """It would aggregate the keys of all cells."""
    with pytest.raises(Malformed, match="product"):
        read("select product(age) as p from tax.income group by age")
    assert read("select product(age) as p from (select age from tax.income group by age)").finish


def test_what_the_engine_refuses_is_refused() -> None:
    for statement in (
        "select region, sum(income) as income, income * 2 as d from tax.income group by region",
        "select region, -sum(income) as age from tax.income group by region order by age + 0",
        "select region, sum(income) as s from tax.income group by region order by sum(s)",
        "select region, age + sum(income) as s from tax.income group by all",
    ):
        with engine(SOME_PEOPLE, SOME_VISITS) as connection, pytest.raises(duckdb.Error):
            connection.execute(statement)
        with pytest.raises(Malformed):
            read(statement)
