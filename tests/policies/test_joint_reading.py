"""A joint statement is cut into what each owner computes alone, so that the sums give what DuckDB gives on all rows."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plans import joint_guards
from plans.errors import DarkroomError, SqlUnsupported
from plans.joint import JointReading, Measure, Operand
from policies.reading import read, read_joint
from tests.inside.sql_cases import create
from tests.policies import joint_meaning
from tests.policies.joint_cases import BANDS, FROM, INCOME, REGIONS, SCHOOL, SHADOWS, VISITS


def reading(statement: str) -> JointReading:
    """The reading of a statement over the three owners' relations."""
    return read_joint(statement, SHADOWS)


def operands(found: JointReading, portion: int) -> list[str]:
    """What an owner computes."""
    return [operand.expression for operand in found.portions[portion].operands]


# ------------------------------------------------------------------------------------------ cutting


def test_conditions_and_values_go_to_the_owner_whose_columns_they_use() -> None:
    found = reading(
        f"select h.region, avg(t.income) as mean, count(*) as n {FROM} "
        "where h.icd like 'E11%' and (t.exempt or t.tax > 10) and days < 4 group by h.region"
    )
    health, tax = found.portions
    assert (health.domain, tax.domain) == ("nm/health", "nm/tax")
    assert health.where == '("icd" LIKE \'E11%\') AND ("days" < 4)'
    assert tax.where == '("exempt" OR ("tax" > 10))'
    assert tax.operands == (Operand('"income"', -1_000_000, 100_000_000, 2, True),)
    assert [group.codes for group in found.groups] == [REGIONS]
    assert found.outputs == ("region", "mean", "n")
    assert found.cells == 3


def test_an_owners_decision_rests_on_every_column_in_its_own_clause() -> None:
    found = reading(
        f"select h.region, corr(h.cost, t.tax) as c, sum(case when h.urgent then 1 else 0 end) as u {FROM} "
        "where h.icd like 'E11%' and t.income > 0 group by h.region"
    )
    for portion, shadow, expected in (
        (
            found.portions[0],
            VISITS,
            {
                ("region", "group", ""), ("icd", "compare", ""), ("cost", "aggregate", "stddev"),
                ("cost", "aggregate", "avg"), ("urgent", "filter", ""),
            },
        ),
        (found.portions[1], INCOME, {
            ("income", "compare", ""), ("tax", "aggregate", "stddev"), ("tax", "aggregate", "avg"),
        }),
    ):  # fmt: skip
        uses = read(portion.stand_in, (shadow.shadow,)).uses
        assert {(use.column, use.clause.value, use.function) for use in uses} == expected


def test_the_intersection_is_counted_without_a_column() -> None:
    found = reading("select count(*) as n from health.visits join tax.income using (person)")
    assert found.cells == 1
    assert [total.measure for total in found.sums] == [Measure.ROWS]
    assert all(not portion.operands and not portion.where for portion in found.portions)


def test_owners_may_be_joined_by_the_names_of_their_keys() -> None:
    by_token = reading(f"select count(*) as n {FROM}")
    by_name = reading(
        "select count(*) as n from health.visits h join tax.income t on h.id_number = t.id_number"
    )
    assert by_token.portions == by_name.portions


def test_the_rows_that_an_owner_sends_are_a_public_number() -> None:
    assert [portion.bound for portion in reading(f"select count(*) as n {FROM} where days < 3").portions] == [
        1_000, 2_400,
    ]  # fmt: skip


def test_a_row_without_a_key_of_its_group_stays_at_its_owner() -> None:
    found = reading(f"select t.band, count(*) as n {FROM} group by t.band")
    assert found.portions[1].where == '(NOT ("band" IS NULL))'


@pytest.mark.parametrize(
    ("expression", "low", "high", "decimals"),
    [
        ("days", 0, 365, 0),
        ("cost", 0, 500_000, 2),
        ("cost + days", 0, 536_500, 2),
        ("days - 365", -365, 0, 0),
        ("-days", -365, 0, 0),
        ("cost * days", 0, 182_500_000, 2),
        ("0.5 * days", 0, 1_825, 1),
        ("case when urgent then cost else 0 end", 0, 500_000, 2),
        ("case when urgent then 7 end", 7, 7, 0),
        ("cast(weight as decimal(6, 1))", 0, 3_000, 1),
        ("cast(weight as integer)", 0, 300, 0),
        ("shift", -5, 5, 0),
        ("3 - shift * 2", -7, 13, 0),
    ],
)
def test_ranges_follow_from_what_was_declared(expression: str, low: int, high: int, decimals: int) -> None:
    found = reading(f"select sum({expression}) as s {FROM}")
    total = next(each for each in found.sums if each.measure is Measure.TOTAL)
    operand = found.portions[0].operands[found.sums[found.figures[0].sums[0]].operands[0][1]]
    assert total.operands[0][0] == 0
    assert (operand.low, operand.high, operand.decimals) == (low, high, decimals)


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("days * 2", '(CAST("days" AS BIGINT) * 2)'),
        ("- days", '(- CAST("days" AS BIGINT))'),
        ("2 * case when urgent then days end", '(2 * CAST(CASE WHEN "urgent" THEN "days" ELSE NULL END AS BIGINT))'),
        ("9 * case when urgent then 99999 end", '(9 * CAST(CASE WHEN "urgent" THEN 99999 ELSE NULL END AS BIGINT))'),
        ("cost * case when urgent then 1.5 end", '("cost" * CASE WHEN "urgent" THEN 1.5 ELSE NULL END)'),
        ("days * (1000 * 1000 * 1000 * 10)", '(CAST("days" AS BIGINT) * 10000000000)'),
    ],
)  # fmt: skip
def test_arithmetic_is_wide_enough_that_no_row_stops_it(expression: str, written: str) -> None:
    assert written in operands(reading(f"select sum({expression}) as s {FROM}"), 0)


# ------------------------------------------------------------------------------------------ who stands behind


@pytest.mark.parametrize(
    ("figure", "persons"),
    [
        ("sum(cost)", "present"),
        ("avg(cast(cost as decimal(14,3)))", "present"),
        (
            "avg(cast(weight as decimal(6,1)))",
            'CASE WHEN (CAST("weight" AS DECIMAL(6,1)) <> 0) THEN 1 ELSE 0 END',
        ),
        (
            "sum(cast(cost as decimal(12,0)))",
            'CASE WHEN (CAST("cost" AS DECIMAL(12,0)) <> 0) THEN 1 ELSE 0 END',
        ),
        ("sum(days)", 'CASE WHEN ("days" <> 0) THEN 1 ELSE 0 END'),
        ("avg(case when urgent then 1 else 0 end)", 'CASE WHEN "urgent" THEN 1 ELSE 0 END'),
        ("sum(case when urgent then cost end)", "apart"),
        ("sum(case when days = 3 then 5 end)", "present"),
        ("sum(days + 1000)", 'CASE WHEN ("days" <> 0) THEN 1 ELSE 0 END'),
        ("count(case when days = 3 then 1 end)", "present"),
    ],
)
def test_behind_a_figure_stand_the_persons_of_the_part_that_it_tells_apart(figure: str, persons: str) -> None:
    found = reading(f"select {figure} as f {FROM}")
    total = found.sums[found.figures[0].persons]
    if persons == "present":
        assert total.measure is Measure.PRESENT
    else:
        (place,) = total.operands
        assert total.measure is Measure.TOTAL
        text = found.portions[0].operands[place[1]].expression
        assert text == persons or (persons == "apart" and "<> 0" in text)


def test_every_total_is_tested_for_dominance_by_absolute_values() -> None:
    found = reading(f"select avg(income) as a, sum(case when urgent then tax end) as b {FROM}".replace(
        "case when urgent then tax end", "tax * case when urgent then 1 else 0 end"
    ))  # fmt: skip
    for figure in found.figures:
        assert len(figure.sums) == joint_guards.SUMS[figure.function]
    ((magnitude, cap),) = joint_guards.tested(found, found.figures[0])
    assert found.sums[magnitude].measure is Measure.MAGNITUDE
    assert cap == 100_000_000
    products = joint_guards.tested(found, found.figures[1])  # that of whom the CASE leaves out, too
    assert [(found.sums[place].measure, cap) for place, cap in products] == [(Measure.PRODUCT, 500_000)] * 2


# ------------------------------------------------------------------------------------------ refusals

THREE = f"{FROM} join edu.pupils e using (person)"
REFUSED = [
    ("select income " + FROM, "row-level output"),
    ("select income, count(*) " + FROM + " group by region", "row-level output"),
    ("select region, count(*) " + FROM, "row-level output"),
    ("select region " + FROM + " group by region", "no figure"),
    ("select count(*) from tax.income", "2 to 8 owners"),
    ("select count(*) from tax.income a join tax.income b using (person)", "two relations are of nm/tax"),
    ("select count(*) from health.visits h left join tax.income t using (person)", "LEFT JOIN"),
    ("select count(*) from health.visits h full join tax.income t using (person)", "FULL JOIN"),
    ("select count(*) from health.visits h semi join tax.income t using (person)", "SEMI JOIN"),
    ("select count(*) from health.visits h natural join tax.income t", "NATURAL"),
    ("select count(*) from health.visits h asof join tax.income t using (person)", "ASOF"),
    ("select count(*) from health.visits h, tax.income t", "side by side"),
    ("select count(*) from health.visits h cross join tax.income t", "CROSS JOIN"),
    ("select count(*) from health.visits h join tax.income t on h.days = t.tax", "not the column that names"),
    ("select count(*) from health.visits h join tax.income t on h.person = t.person and h.days = t.tax", "not the"),
    ("select count(*) from health.visits h join tax.income t on h.person = t.person or true", "ON may only"),
    ("select count(*) from health.visits h join (select * from tax.income) t using (person)", "subquery"),
    ("select distinct region, count(*) " + FROM + " group by region", "DISTINCT"),
    ("select region, count(*) " + FROM + " group by region having count(*) > 3", "HAVING"),
    ("select region, count(*) n " + FROM + " group by region order by n", "ORDER BY"),
    ("select region, count(*) n " + FROM + " group by region limit 3", "LIMIT"),
    ("select region, count(*) n " + FROM + " group by rollup(region)", "as it stands"),
    ("select region, count(*) n " + FROM + " group by all", "ALL"),
    ("select count(*) over () " + FROM, "a window"),
    ("select count(*) filter (where urgent) " + FROM, "FILTER"),
    ("select count() " + FROM, "no argument"),
    ("select count(distinct region) " + FROM, "DISTINCT"),
    ("select sum(distinct days) " + FROM, "distinct"),
    ("select min(days) " + FROM, "function"),
    ("select median(days) " + FROM, "function"),
    ("select string_agg(icd, ',') " + FROM, "function"),
    ("select sum(days) / count(*) " + FROM, "row-level output, or a function"),
    ("select 1 + count(*) " + FROM, "row-level output, or a function"),
    ("with x as (select 1) select count(*) " + FROM, "WITH"),
    ("select count(*) " + FROM + " union select 1", "UNION"),
    ("select count(*) " + FROM + " where h.days < t.tax", "no place sees the rows of both"),
    ("select count(*) " + FROM + " where (h.urgent and days < 3) or t.exempt", "no place sees the rows of both"),
    ("select count(*) " + FROM + " where true", "about no column"),
    ("select count(*) " + FROM + " where person in (select person from edu.pupils)", "subquery"),
    ("select sum(days + tax) " + FROM, "no place sees the rows of both"),
    ("select sum(case when urgent then tax end) " + FROM, "no place sees the rows of both"),
    ("select count(days + tax) " + FROM, "no place sees the rows of both"),
    ("select corr(days * tax, cost) " + FROM, "no place sees the rows of both"),
    ("select sum(days * tax * grade) " + THREE, "no place sees the rows of both"),
    ("select sum(income * days) " + FROM, "may be negative"),
    ("select stddev(tax * days) " + FROM, "product of two owners"),
    ("select corr(cost * 10, income) " + FROM, "wide factors"),
    ("select sum(free) " + FROM, "declared no range"),
    ("select sum(weight) " + FROM, "no exact sum"),
    ("select sum(icd) " + FROM, "no exact sum"),
    ("select sum(urgent) " + FROM, "truth value"),
    ("select sum(days / 2) " + FROM, "no range follows"),
    ("select sum(days % 2) " + FROM, "no range follows"),
    ("select sum(abs(shift)) " + FROM, "no range follows"),
    ("select sum(coalesce(cost, 1)) " + FROM, "no range follows"),
    ("select sum(cast(days * 2 as decimal(9, 1))) " + FROM, "a cast is of a column"),
    ("select sum(cast(weight as decimal(2, 1))) " + FROM, "do not fit"),
    ("select sum(days * 1e3) " + FROM, "plain number"),
    ("select sum(tax * 100000000000000) " + FROM, "more than 53 bits"),
    ("select sum(days * days) " + FROM, "multiplied by itself"),
    ("select sum(case when urgent then 1 else 2 end) " + FROM, "several branches"),
    ("select sum(case when days = 1 then cost when days = 2 then days end) " + FROM, "several branches"),
    ("select sum(1 + case when urgent then 1 else 0 end) " + FROM, "two parts of a cell"),
    ("select sum(1 + cast(weight as integer)) " + FROM, "two parts of a cell"),
    ("select sum(case when urgent then 1 else 0 end * case when days = 3 then 1 else 0 end) " + FROM, "multiplied"),
    ("select sum(case when urgent then case when days = 3 then 1 end end) " + FROM, "inside a CASE"),
    ("select sum(case when urgent then null end) " + FROM, "nothing but NULL"),
    ("select sum(3) " + FROM, "computed from columns"),
    ("select icd, count(*) " + FROM + " group by icd", "no list of values"),
    ("select cost, count(*) " + FROM + " group by cost", "no list of codes"),
    ("select days, count(*) " + FROM + " group by days", "no list of values"),
    ("select upper(region) r, count(*) " + FROM + " group by r", "column as it stands"),
    ("select region, count(*) " + FROM + " group by region, band", "is no output"),
    ("select region a, region b, count(*) " + FROM + " group by region", "an output twice"),
    ("select count(*) n, sum(tax) n " + FROM, "two outputs are called"),
    ("select person, count(*) " + FROM + " group by person", "no list of values"),
    ("select corr(days, days) " + FROM, "with itself"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "reason"), REFUSED)
def test_what_cannot_be_cut_is_refused_with_clause_and_reason(statement: str, reason: str) -> None:
    with pytest.raises(DarkroomError) as refused:
        reading(statement)
    assert reason in refused.value.what
    assert refused.value.code in ("sql.unsupported", "sql.syntax")


def test_keys_of_different_types_do_not_meet() -> None:
    columns = tuple(
        replace(column, type="BIGINT") if column.name == "id_number" else column
        for column in INCOME.shadow.columns
    )
    other = replace(INCOME, shadow=replace(INCOME.shadow, columns=columns))
    with pytest.raises(SqlUnsupported, match="health.visits VARCHAR, tax.income BIGINT"):
        read_joint(f"select count(*) as n {FROM}", (VISITS, other))


# ------------------------------------------------------------------------------------------ the oracle

FIGURES = (
    "count(*)", "count(h.icd)", "count(t.income)", "sum(days)", "sum(cost)", "avg(cost)", "sum(shift)", "avg(shift)",
    "var_samp(shift)", "stddev_pop(days)", "sum(income)", "avg(income)", "stddev(income)", "variance(cost)",
    "sum(cost * days)", "sum(3 - shift * 2)", "sum(days + 0.5)", "avg(cost + days)",
    "sum(shift + 7)", "var_pop(cost - days)",
    "sum(case when urgent then shift + 2 end)", "avg(case when urgent then cost end)",
    "sum(case when urgent then 1 else 0 end)", "avg(case when urgent and days > 2 then cost else 0 end)",
    "count(case when income > 5 then 'x' end)", "sum(cast(weight as decimal(6,1)))", "avg(- cost)",
    "sum(tax * case when urgent then 1 else 0 end)", "sum(days * tax)", "avg(cost * tax)", "avg(days * tax)",
    "corr(days, tax)", "corr(shift, tax)", "corr(cost, tax)", "corr(days, income)",
    "corr(shift, case when exempt then null else tax end)",
    "corr(cost, shift)", "corr(tax, income)", "corr(case when urgent then 1 else 0 end, income)",
)  # fmt: skip
CONDITIONS = (
    "days < 5", "icd like 'E11%'", "icd is null", "(urgent or shift > 1)", "income > 0", "tax between 3 and 70",
    "not exempt", "cost / days > 2", "shift in (1, 2, 3)", "band = 2", "region <> 'west'",
)  # fmt: skip
KEYS = ("region", "band", "exempt", "urgent")


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values | values


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Rows of both owners, with nulls, skew, and intersections from none to all."""
    visitors = draw(st.lists(st.integers(0, 30), unique=True, max_size=30))
    payers = draw(st.lists(st.integers(0, 30) | st.sampled_from([90, 91]), unique=True, max_size=30))
    cents = st.integers(0, 5_000_00).map(lambda n: Fraction(n, 100))
    visits = [
        (
            person, f"id{person}", draw(st.sampled_from(REGIONS)), draw(_maybe(st.sampled_from(["E11.9", "I10"]))),
            draw(_maybe(st.booleans())), draw(_maybe(cents)), draw(st.integers(0, 9) | st.just(365)),
            draw(_maybe(st.integers(0, 3_000).map(lambda n: n / 10))), draw(_maybe(st.integers(-5, 5))), None,
        )
        for person in visitors
    ]  # fmt: skip
    incomes = [
        (
            person, f"id{person}", draw(_maybe(st.integers(1, 3))),
            draw(_maybe(st.integers(-10_000_00, 1_000_000_00).map(lambda n: Fraction(n, 100)))),
            draw(st.integers(0, 90) | st.just(500_000)), draw(st.booleans()),
        )
        for person in payers
    ]  # fmt: skip
    return visits, incomes


def filled(rows: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]) -> joint_meaning.Database:
    """A database with these rows of health.visits and tax.income."""
    database = duckdb.connect(":memory:")
    for likeness, listed in zip((VISITS, INCOME), rows, strict=True):
        plain = [tuple(float(v) if isinstance(v, Fraction) else v for v in row) for row in listed]
        create(database, likeness.shadow, plain)
    return database


STATEMENTS = st.tuples(
    st.lists(st.sampled_from(FIGURES), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from(CONDITIONS), max_size=3, unique=True),
    st.lists(st.sampled_from(KEYS), max_size=2, unique=True),
)


@settings(max_examples=100, deadline=None)
@given(tables(), STATEMENTS)
def test_the_sums_give_what_duckdb_gives_on_the_joined_rows(
    rows: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]],
    asked: tuple[list[str], list[str], list[str]],
) -> None:
    figures, conditions, keys = asked
    listed = ", ".join([*keys, *(f"{figure} as f{n}" for n, figure in enumerate(figures))])
    where = f" where {' and '.join(conditions)}" if conditions else ""
    statement = f"select {listed} {FROM}{where}" + (f" group by {', '.join(keys)}" if keys else "")
    found = reading(statement)
    with filled(rows) as database:
        cells = joint_meaning.cells(database, found)
        expected = database.execute(statement).fetchall()
    places = {name: place for place, name in enumerate(keys)}
    by_codes: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for row in expected:
        codes = [row[places[group.name]] for group in found.groups]
        if None not in codes:
            by_codes[tuple(str(code).lower() if isinstance(code, bool) else str(code) for code in codes)] = (
                row
            )
    for codes, by_name in cells.items():
        for n in range(len(figures)):
            cell = by_name[f"f{n}"]
            if codes not in by_codes:
                assert cell.persons == 0
            elif cell.persons:
                same(figures[n], cell.value, joint_meaning.value(by_codes[codes][len(keys) + n]))


def same(figure: str, ours: Fraction | float | None, theirs: Fraction | float | None) -> None:
    if ours is None or theirs is None:
        # A correlation without spread, or a variance of one row: DuckDB says nothing, or not a number.
        assert ours == theirs or (figure.startswith(("corr", "var", "stddev")) and not (ours or theirs))
    elif isinstance(theirs, Fraction):
        assert ours == theirs
    else:
        assert math.isclose(ours, theirs, rel_tol=1e-7, abs_tol=1e-6)


def test_bands_and_levels_are_codes_in_their_declared_order() -> None:
    found = reading(
        "select e.level, t.band, count(*) as n from edu.pupils e join tax.income t using (person) "
        "group by t.band, e.level"
    )
    assert [group.codes for group in found.groups] == [SCHOOL.declared[0].declared.values, BANDS]
    assert found.outputs == ("level", "band", "n")
