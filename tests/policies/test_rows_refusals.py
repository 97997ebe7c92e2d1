"""What keeps rows from leaving: a column that is not shown, a person token, a reference that evades (ATTACKS 17)."""

from __future__ import annotations

import pytest

from plans.errors import Malformed, SqlSyntax, SqlUnsupported
from plans.reading import Level
from policies.reading import rows
from policies.reading.bounds import parse
from tests.policies.rows_cases import SHADOWS, hiding, read, reading

# ------------------------------------------------------------------------------------------ what is shown


HIDDEN = "income"
USING_IT = [
    "select income from tax.income",
    "select age from tax.income where income > 3",
    "select age from tax.income order by income",
    "select age from tax.income i join med.visit v on v.cost = i.income",
    "select count(*) from tax.income group by income",
    "select count(*) from tax.income having max(income) > 3",
    "select rank() over (order by income) from tax.income",
    "select age from tax.income qualify lag(income) over (order by age) > 3",
    "select age from tax.income limit (select max(income) from tax.income)",
    "select (select max(income) from tax.income) as x, cost from med.visit",
    "select cost from med.visit where exists (select 1 from tax.income where income > 3)",
    "with unused as (select income from tax.income) select cost from med.visit",
    "select cost from med.visit union all select income from tax.income",
    "select * exclude (person) from tax.income",
    "select * exclude (person) replace (1 as income) from tax.income",
    "select count(distinct income) from tax.income",
    "select string_agg(region, ',' order by income) from tax.income",
    "select sum(age) filter (where income > 3) from tax.income",
    "select case when income > 3 then 1 end from tax.income",
    "select age from tax.income group by grouping sets ((age, income), (age))",
    "select x.c from tax.income i, lateral (select i.income as c) x",
]


@pytest.mark.parametrize("statement", USING_IT)
def test_one_column_that_is_not_shown_keeps_rows_from_leaving(statement: str) -> None:
    assert read(statement) is not None  # control: it may where the column is shown
    assert read(statement, hiding(HIDDEN)) is None
    assert rows.not_shown(parse(statement), hiding(HIDDEN)) == ("tax.income.income",)


def test_where_nothing_is_shown_nothing_is_read() -> None:
    nothing = hiding(*(column.name for each in SHADOWS for column in each.columns))
    assert read("select now(), columns('x') from tax.income", nothing) is None
    with pytest.raises(SqlUnsupported):
        read("select now(), columns('x') from tax.income")


# ------------------------------------------------------------------------------------------ the person token


@pytest.mark.parametrize(
    "statement",
    [
        "select i.age from tax.income i join med.visit v on i.person = v.person",
        "select i.age from tax.income i join med.visit v using (person)",
        "select i.age from tax.income i, med.visit v where (i.person) = v.person and cost > 3",
        "select age from tax.income where person in (select person from med.visit where cost > 3)",
        "select age from tax.income i where exists (select * from med.visit v where v.person = i.person)",
        "select t.a from (select person p, age a from tax.income) t join med.visit v on t.p = v.person",
        "with t as (select * from tax.income) select t.age from t join med.visit v using (person)",
        "select region, count(distinct person) from tax.income group by region",
        "select * exclude (person) from tax.income natural join (select person, cost from med.visit) v",
    ],
)
def test_tokens_link_and_count(statement: str) -> None:
    assert reading(statement).level is Level.ROWS


@pytest.mark.parametrize(
    "statement",
    [
        "select person from tax.income",
        "select * from tax.income",
        "select age, person as p from (select * from tax.income)",
        "with t as (select person as p from tax.income) select p from t",
        "select count(*) from tax.income group by person",
        "select distinct age from (select distinct person, age from tax.income)",
        "select age from tax.income where person = 17",
        "select age from tax.income where person in (17, 18)",
        "select age from tax.income where person > (select min(person) from tax.income)",
        "select age from tax.income order by person",
        "select rank() over (partition by person order by age) from tax.income",
        "select max(person) from tax.income",
        "select count(person) from tax.income",
        "select person % 2 from tax.income",
        "select cast(person as varchar) from tax.income",
        "select a.age from tax.income a join tax.income b on a.person > b.person",
        "select a.age from tax.income a join med.visit v on a.person = v.cost",
        "select a.age from tax.income a join (select cost as person from med.visit) v using (person)",
        "select age from tax.income where person in (select cost from med.visit)",
        "select age from tax.income where person in (select person + 1 from med.visit)",
        "select (select person from med.visit limit 1) x from tax.income",
        "select person from tax.income union all select cost from med.visit",
        "select t.a from (select person p, age a from tax.income union select person, 1 from med.visit) t",
        "select case when person is null then 1 end from tax.income",
        "select string_agg(region, ',' order by person) from tax.income",
        "select last_value(person) over (order by age) from tax.income",
    ],
)
def test_tokens_do_nothing_else(statement: str) -> None:
    assert read(statement) is None
    assert any(name.endswith(".person") for name in rows.not_shown(parse(statement), SHADOWS))


# ------------------------------------------------------------------------- evasive references (ATTACKS 17)


@pytest.mark.parametrize(
    ("statement", "plain"),
    [
        ("select i from tax.income i", "select i.age from tax.income i"),
        (
            "select income from tax.income as income2, (select income2) q(z)",
            "select income from tax.income as income2, (select income2.age) q(z)",
        ),
        ("select to_json(i) from tax.income i", "select upper(i.region) from tax.income i"),
        ("select row_to_json(i) from tax.income i", "select upper(i.region) from tax.income i"),
        ("select first(i) from tax.income i", "select first(i.age) from tax.income i"),
        ("select count(i.*) from tax.income i", "select count(*) from tax.income i"),
        ("select hash(i) from tax.income i", "select hash(i.age) from tax.income i"),
        ("select unnest(i) from tax.income i", "select abs(i.age) from tax.income i"),
        ("select i = i from tax.income i", "select age = age from tax.income i"),
        ("select age from tax.income i order by i", "select age from tax.income i order by i.age"),
        ("select count(*) from tax.income i group by i", "select count(*) from tax.income i group by i.age"),
        ("select columns('in.*') from tax.income", "select age from tax.income"),
        ("select columns(*) from tax.income", "select age from tax.income"),
        ("select max(columns(*)) from tax.income", "select max(age) from tax.income"),
        ("select * like 'in%' from tax.income", "select region like 'in%' from tax.income"),
        ("select coalesce(*) from tax.income", "select coalesce(age, 1) from tax.income"),
        ("select struct_pack(a := income) from tax.income", "select income as a from tax.income"),
        ("select {'a': income} from tax.income", "select income as a from tax.income"),
        ("select row(income) from tax.income", "select income as a from tax.income"),
        ("select [income] from tax.income", "select income as a from tax.income"),
        ("select list_transform([1], x -> x + income) from tax.income", "select 1 + income from tax.income"),
        (
            "select date_trunc(region, born) from tax.income",
            "select date_trunc('month', born) from tax.income",
        ),
        (
            "select date_diff(region, born, born) from tax.income",
            "select date_diff('day', born, born) from tax.income",
        ),
        ("select #2 from tax.income", "select age from tax.income"),
        ("select rowid from tax.income", "select age from tax.income"),
        ("select age from tax.income order by rowid", "select age from tax.income order by age"),
        ("select * exclude (i.person) from tax.income i", "select * exclude (person) from tax.income i"),
        (
            "select age from tax.income where income in med.visit",
            "select age from tax.income where income in (1)",
        ),
        ("select region.upper() from tax.income", "select upper(region) from tax.income"),
        ("select * from query('select income from tax.income')", "select age from tax.income"),
        ("select * from query_table('tax.income')", "select age from tax.income"),
        ("select age from tax.income, read_csv('x')", "select age from tax.income, med.visit"),
        ("select age from tax.income, 'x.csv'", "select age from tax.income, med.visit"),
        ("select age from tax.income, generate_series(1, 10)", "select age from tax.income, med.visit"),
        (
            "select a.x from (tax.income i join med.visit v on true) a(x)",
            "select i.age from (tax.income i join med.visit v on true)",
        ),
        ("summarize tax.income", "select age from tax.income"),
        ("describe tax.income", "select age from tax.income"),
        (
            "pivot tax.income on region using sum(income)",
            "select region, sum(income) from tax.income group by 1",
        ),
        (
            "select * from tax.income pivot (sum(income) for region in ('a'))",
            "select sum(income) from tax.income",
        ),
        ("select * from tax.income unpivot (x for n in (age))", "select age from tax.income"),
        (
            "select i.age from tax.income i asof join med.visit v on i.born >= v.day",
            "select i.age from tax.income i join med.visit v on i.born >= v.day",
        ),
        (
            "select i.age from tax.income i positional join med.visit v",
            "select i.age from tax.income i cross join med.visit v",
        ),
        ("select age from tax.income tablesample 10%", "select age from tax.income"),
        ("select age from tax.income using sample 3", "select age from tax.income"),
        ("select age from tax.income where region = $1", "select age from tax.income where region = '1'"),
        ("select age into x from tax.income", "select age from tax.income"),
        (
            "with recursive t as (select 1 a union all select a + 1 from t) select a from t, tax.income",
            "with t as (select 1 a) select a from t, tax.income",
        ),
        ("values (1)", "select 1 from tax.income"),
        ("select age from income", "select age from tax.income"),
        ("select age from memory.tax.income", "select age from tax.income"),
        ('select age from tax."income "', 'select age from tax."income"'),
        ("select іncome from tax.income", "select income from tax.income"),
        ("select getvariable('x') from tax.income", "select age from tax.income"),
        ("select now() from tax.income", "select date '2020-01-01' from tax.income"),
        ("select current_date from tax.income", "select date '2020-01-01' from tax.income"),
        ("select random() from tax.income", "select 4 from tax.income"),
        ("select error(region) from tax.income", "select region from tax.income"),
        ('select "error"(region) from tax.income', "select upper(region) from tax.income"),
        (
            "with error(x) as (select 1) select error(region) from tax.income",
            "with errors(x) as (select 1) select region from tax.income, errors",
        ),
        ("select main.upper(region) from tax.income", "select upper(region) from tax.income"),
        ("select repeat(region, 1000000000) from tax.income", "select region || region from tax.income"),
        (
            "select lpad(region, 1000000000, 'x') from tax.income",
            "select lpad(region, 8, 'x') from tax.income",
        ),
        ("select lpad(region, age, 'x') from tax.income", "select lpad(region, 8, 'x') from tax.income"),
        ("select range(age) from tax.income", "select age from tax.income"),
        ("select region::regclass from tax.income", "select region::varchar from tax.income"),
        ("select cast(region as int[]) from tax.income", "select cast(region as int) from tax.income"),
        ("select $$a$$ from tax.income", "select 'a' from tax.income"),
    ],
)
def test_what_hides_columns_or_does_more_than_select_is_refused(statement: str, plain: str) -> None:
    assert read(plain, SHADOWS) is not None or "person" in str(
        rows.not_shown(parse(plain), SHADOWS)
    )  # control
    with pytest.raises(Malformed):
        read(statement)


@pytest.mark.parametrize(
    ("statement", "error", "words"),
    [
        ("select inkome from tax.income", SqlSyntax, "Did you mean income?"),
        ("select i.inkome from tax.income i", SqlSyntax, "Did you mean income?"),
        ("select age from tax.incom", SqlSyntax, "Did you mean tax.income?"),
        ("select i from tax.income i", SqlUnsupported, "Name the columns"),
        ("select random() from tax.income", SqlUnsupported, "not fixed by the statement"),
        ("select date_trunc(region, born) from tax.income", SqlUnsupported, "Write units as text"),
        (
            "select age from tax.income union select age, 1 from tax.income",
            SqlSyntax,
            "as many on both sides",
        ),
        ("select age\nfrom tax.income,\n  range(3)", SqlUnsupported, "line 3"),
    ],
)
def test_a_refusal_says_what_and_what_to_do(statement: str, error: type[Malformed], words: str) -> None:
    with pytest.raises(error) as refused:
        read(statement)
    assert words in str(refused.value)
