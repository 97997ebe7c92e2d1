"""The first reader at the level of rows finds every column that a statement uses, where it uses it."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.errors import SqlSyntax, SqlUnsupported
from plans.reading import Output, Role, Shadow, ShadowColumn
from policies.reading import functions
from tests.policies.rows_cases import TAX, V, clauses, columns, hiding, read, reading, uses

# ------------------------------------------------------------------------------------------ uses by clause


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select income from tax.income", clauses(select="income")),
        ("select income + age as x from tax.income", clauses(select="income age")),
        ("select count(*) from tax.income", set()),
        ("select age from tax.income where income > 3", clauses(select="age", compare="income")),
        ("select age from tax.income where income > age", clauses(select="age", filter="income age")),
        ("select age from tax.income where region like 'a%'", clauses(select="age", compare="region")),
        ("select age from tax.income where age in (1, 2)", clauses(select="age", compare="age")),
        ("select age from tax.income where urban", clauses(select="age", filter="urban")),
        ("select case when urban then age end as x from tax.income", clauses(select="age", filter="urban")),
        ("select case age when 3 then income end x from tax.income", clauses(select="income", compare="age")),
        ("select if(urban, age, income) x from tax.income", clauses(select="age income", filter="urban")),
        ("select avg(income) from tax.income", clauses(aggregate="income")),
        ("select mad(income) from tax.income", clauses(aggregate="income")),
        ("select sum(income) filter (urban) from tax.income", clauses(aggregate="income", filter="urban")),
        ("select string_agg(region, ',' order by age) from tax.income", clauses(aggregate="region age")),
        ("select region from tax.income group by region", clauses(select="region", group="region")),
        ("select region from tax.income group by all", clauses(select="region", group="region")),
        ("select region r from tax.income group by r", clauses(select="region", group="region")),
        ("select region from tax.income group by 1", clauses(select="region", group="region")),
        (
            "select region, sum(age) from tax.income group by grouping sets ((region), ())",
            clauses(select="region", group="region", aggregate="age"),
        ),
        (
            "select region from tax.income group by rollup (region) having max(age) > 3",
            clauses(select="region", group="region", aggregate="age"),
        ),
        ("select age from tax.income order by income", clauses(select="age", order="income")),
        ("select age from tax.income order by 1", clauses(select="age", order="age")),
        ("select age from tax.income order by all", clauses(select="age", order="age")),
        ("select distinct age from tax.income", clauses(select="age", group="age")),
        ("select distinct on (region) age from tax.income", clauses(select="age", group="region")),
        (
            "select rank() over (partition by region order by income) r from tax.income",
            clauses(window="region income"),
        ),
        (
            "select sum(age) over w from tax.income window w as (partition by region order by born)",
            clauses(window="age region born"),
        ),
        (
            "select sum(sum(age)) over (order by region) from tax.income group by region",
            clauses(window="region", aggregate="age", group="region"),
        ),
        (
            "select age from tax.income qualify row_number() over (order by income) = 1",
            clauses(select="age", window="income"),
        ),
        (
            "select i.age from tax.income i join med.visit v on i.region = v.kind",
            clauses(select="age", join="region v.kind"),
        ),
        (
            "select i.age from tax.income i left join med.visit v using (region)",
            clauses(select="age", join="region v.region"),
        ),
        (
            "select age from tax.income union select cost from med.visit",
            clauses(select="age v.cost", group="age v.cost"),
        ),
        ("select age from tax.income union all select cost from med.visit", clauses(select="age v.cost")),
        (
            "select age from tax.income limit (select max(cost) from med.visit)",
            clauses(select="age", aggregate="v.cost", filter="v.cost"),
        ),
    ],
)
def test_every_column_is_found_in_the_clause_that_uses_it(
    statement: str, expected: set[tuple[str, str]]
) -> None:
    assert uses(statement) == expected


# ------------------------------------------------------------------------------ names, and what they hide


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("with t as (select income as x from tax.income) select x from t", {"income"}),
        ("with t(x, y) as (select income, age from tax.income) select y from t", {"income", "age"}),
        ("with t as (select 1 a, income from tax.income) select a from t", {"income"}),
        ("with income as (select kind k from med.visit) select k from income", {V + "kind"}),
        ("with t as (select age from tax.income), u as (select age a from t) select a from u", {"age"}),
        (
            "with t as (select age a from tax.income)"
            " select a from (with t as (select cost a from med.visit) select a from t) q, tax.income",
            {"age", V + "cost"},
        ),
        ("select q.a from (select region || 'x' as a from tax.income) q", {"region"}),
        (
            "select (select max(cost) from med.visit v where v.kind = i.region) x from tax.income i",
            {V + "cost", V + "kind", "region"},
        ),
        (
            "select age from tax.income i where exists (select 1 from med.visit where kind = i.region)",
            {"age", V + "kind", "region"},
        ),
        (
            "select age from tax.income where region in (select kind from med.visit)",
            {"age", "region", V + "kind"},
        ),
        (
            "select age from tax.income where income > all (select cost from med.visit)",
            {"age", "income", V + "cost"},
        ),
        ("select x.c from tax.income i, lateral (select i.income as c) x", {"income"}),
        ("select x.c from tax.income i, (select income as c) x", {"income"}),
        (
            "select age from (tax.income i join med.visit v on i.region = v.kind)",
            {"age", "region", V + "kind"},
        ),
        (
            "select age from tax.income natural join (select kind as region from med.visit) v",
            {"age", "region", V + "kind"},
        ),
        (
            "select i.age from tax.income i semi join med.visit v on i.region = v.kind",
            {"age", "region", V + "kind"},
        ),
        ("select w.a from (values (1)) w(a), tax.income", set()),
        ("select income.income, tax.income.age from tax.income", {"income", "age"}),
        ("select income.age from tax.income", {"age"}),
        ('select "Income" from TAX."INCOME"', {"income"}),
        ("from tax.income select age", {"age"}),
        ("select a: age from tax.income", {"age"}),
        ("select age as a, a + 1 as b from tax.income", {"age"}),
        ("select age as income from tax.income order by income", {"age", "income"}),
        ("(select age from tax.income) union all (select 1) order by age", {"age"}),
        ("select age a from tax.income union by name select kind b from med.visit", {"age", V + "kind"}),
        ("select date_diff('day', born, day) from tax.income, med.visit", {"born", V + "day"}),
        ("select born + interval (age) day from tax.income", {"born", "age"}),
        ("select lag(income, age, 0) over (order by born) from tax.income", {"income", "age", "born"}),
        (
            "select sum(age) over (order by born rows between age preceding and current row) from tax.income",
            {"age", "born"},
        ),
    ],
)
def test_names_are_followed_to_their_columns(statement: str, expected: set[str]) -> None:
    assert columns(statement) == expected


def test_an_alias_takes_no_column_out_of_sight() -> None:
    """In ORDER BY an alias comes first, in WHERE the column does: both are found."""
    assert "income" in columns("select age as income from tax.income where income > 3")


def test_an_outer_column_behind_an_inner_alias_is_found() -> None:
    """The inner alias `cost` is not known in ON, where `income` can only mean the outer column."""
    inner = "select max(v.cost) as income from med.visit v where income > 3 group by v.kind"
    statement = f"select ({inner}) x from tax.income"
    assert "income" in columns(statement)


# ------------------------------------------------------------------------------------------ stars


ALL = {"region", "age", "income", "born", "urban"}


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("select * exclude (person) from tax.income", ["region", "age", "income", "born", "urban"]),
        (
            "select * exclude person rename (age as years) from tax.income",
            ["region", "years", "income", "born", "urban"],
        ),
        (
            "select i.* exclude (person), 1 as one from tax.income i",
            ["region", "age", "income", "born", "urban", "one"],
        ),
        (
            "select * exclude (person) replace (age + 1 as age) from tax.income",
            ["region", "age", "income", "born", "urban"],
        ),
    ],
)
def test_a_star_uses_every_column_that_it_stands_for(statement: str, names: list[str]) -> None:
    found = reading(statement)
    assert {use.column for use in found.uses} == ALL
    assert [output.name for output in found.outputs] == names


def test_a_star_over_using_shows_the_merged_column_once() -> None:
    found = reading("select * exclude (person) from tax.income join med.visit using (person, region)")
    assert [output.name for output in found.outputs] == [
        "region", "age", "income", "born", "urban", "cost", "day", "kind",
    ]  # fmt: skip
    assert found.outputs[0].sources == ("med.visit.region", "tax.income.region")


def test_a_star_over_a_subquery_is_the_subquerys_columns() -> None:
    found = reading("select * from (select age, income * 2 as double from tax.income)")
    assert [(output.name, output.sources) for output in found.outputs] == [
        ("age", ("tax.income.age",)),
        ("double", ("tax.income.income",)),
    ]


def test_names_by_position_use_every_column_of_the_relation() -> None:
    assert columns("select t.b from tax.income t(a, b)") == ALL


def test_what_exclude_names_must_be_shown_too_since_it_must_be_there() -> None:
    statement = "select * exclude (person, income) from tax.income"
    assert read(statement) is not None
    assert read(statement, hiding("income")) is None


# ------------------------------------------------------------------------------------------ what runs


def outputs(statement: str) -> Iterable[Output]:
    return reading(statement).outputs


def test_what_runs_is_the_members_own_text() -> None:
    statement = (
        "/* 一 */ select 'é' as e, age -- years\n  from tax.income where region = '身份证;'  ; -- end\n"
    )
    found = reading(statement)
    assert found.tables[0].counted == (
        "select 'é' as e, age -- years\n  from tax.income where region = '身份证;'"
    )
    assert (found.tables[0].hidden, found.finish, found.order, found.limit) == (0, "", (), None)


def test_outputs_have_harmless_names_of_their_own() -> None:
    statement = (
        'select age as "30 Days", income as "30-days", age, age, count(*) over (), max(age) over (),'
        ' "region" as "地区", 1'
    )
    with pytest.raises(SqlSyntax):
        read(statement + " from tax.income")
    found = list(outputs(statement.replace('"地区"', '"R;"') + " from tax.income"))
    assert [output.name for output in found] == [
        "_30_days", "_30_days_2", "age", "age_4", "column_5", "column_6", "r", "column_8",
    ]  # fmt: skip
    assert {output.role for output in found} == {Role.VALUE}


def test_figures_without_a_name_say_what_they_are() -> None:
    statement = (
        "select count(*), avg(income), count(distinct age), strftime(born, '%Y'), region"
        " from tax.income group by region, born"
    )
    assert [output.name for output in outputs(statement)] == [
        "count", "avg_income", "count_distinct_age", "column_4", "region",
    ]  # fmt: skip


def test_outputs_know_the_columns_behind_them() -> None:
    statement = "with t as (select region r, income + age as x from tax.income) select r, max(x) as m from t group by r"
    assert [output.sources for output in outputs(statement)] == [
        ("tax.income.region",),
        ("tax.income.age", "tax.income.income"),
    ]


def test_functions_are_named_as_they_are_written() -> None:
    statement = (
        "with t(a) as (select year(born) from tax.income) select mean(a), lcase('X') from t where a in (1)"
    )
    assert reading(statement).functions == ("lcase", "mean", "year")


@pytest.mark.parametrize("entry", functions.FUNCTIONS.values(), ids=functions.FUNCTIONS.keys())
def test_every_listed_function_can_be_called_and_is_found(entry: functions.Function) -> None:
    likeness = Shadow(
        "a.r", tuple(ShadowColumn(name, kind, True, True) for name, kind in functions.EXAMPLES.items())
    )
    group = " group by rollup(s)" if "grouping" in entry.name else ""
    found = read(f"select {entry.example} as f from a.r{group}", (likeness,))
    internal = entry.kind is functions.FunctionKind.INTERNAL
    assert found is not None and (internal or not entry.name.isidentifier() or entry.name in found.functions)


def test_a_statement_without_a_relation_is_refused() -> None:
    with pytest.raises(SqlUnsupported):
        read("select 1 as one")


# ------------------------------------------------------------------------------------------ properties


def least(value: str) -> str:
    """A subquery over a plain column, or the value itself."""
    plain = re.fullmatch(r"(?:i\.)?(age|income|region|born|urban)", value)
    return f"(select min(x.{plain[1]}) from tax.income x)" if plain else value


EXPRESSIONS = st.recursive(
    st.sampled_from(["age", "income", "i.region", "born", "urban", "3", "'a'", "null"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} = {pair[1]})"),
        st.tuples(inner, inner, inner).map(lambda three: "case when {} then {} else {} end".format(*three)),
        inner.map(lambda value: f"coalesce({value}, null)"),
        inner.map(lambda value: f"max({value}) over (partition by {value})"),
        inner.map(least),
        inner.map(lambda value: f"({value} in (select cost from med.visit where cost = {value}))"),
    ),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [
        "select {} as f from tax.income i",
        "select 1 as f from tax.income i where {} is null",
        "select 1 as f from tax.income i order by {}",
        "select 1 as f from tax.income i qualify {} is null",
        "select count(*) as f from tax.income i group by {}",
        "with t as (select {} as f from tax.income i) select 1 as f from t",
        "select f from (select {} as f from tax.income i) q",
        "select 1 as f from med.visit v join tax.income i on ({}) is null",
        "select 2 as f from med.visit union all select {} from tax.income i",
        "select (select {}) as f from tax.income i",
    ]
)


@given(EXPRESSIONS, PLACES)
def test_wherever_an_expression_stands_all_its_columns_are_found(expression: str, place: str) -> None:
    written = set(
        re.findall(r"\b(age|income|region|born|urban)\b(?!\s+[xi]\b)", expression.replace("tax.income", ""))
    )
    found = {column.removeprefix(TAX) for column in columns(place.format(expression))}
    assert written <= found
