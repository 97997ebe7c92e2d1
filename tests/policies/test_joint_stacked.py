"""One table in parts: each holder adds up its own rows, and the sums over all are what DuckDB says of the whole."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inside.check_joint import check_joint
from plans import joint_guards
from plans.errors import DarkroomError, SqlUnsupported
from plans.joint import JointReading, Measure, Shape
from plans.joint_guards import largest_number
from plans.joint_shadows import JointShadow
from plans.manifest import Declared
from policies.reading import read, read_joint
from tests.inside.sql_cases import create
from tests.policies import joint_meaning
from tests.policies.joint_cases import (
    EAST,
    PARTS,
    REGIONS,
    SHADOWS,
    TABLE,
    between,
    joint_shadow,
)
from tests.policies.test_joint_reading import same
from tests.policies.test_joint_schemas import Made, columns, expressions


def reading(statement: str, shadows: tuple[JointShadow, ...] = (*PARTS, *SHADOWS)) -> JointReading:
    """The reading of a statement over the holders' relations."""
    return read_joint(statement, shadows)


# ------------------------------------------------------------------------------------------ cutting


def test_each_part_is_read_over_its_holders_own_columns() -> None:
    found = reading(
        f"select t.region, sum(income) as total, count(*) as n {TABLE} where days < 9 and t.formal group by region"
    )
    east, west = found.portions
    assert found.shape is Shape.STACKED
    assert (east.domain, west.domain) == ("nm/east", "nm/west")
    assert east.where == '("year" = 2025) AND ("days" < 9) AND "formal" AND (NOT ("region" IS NULL))'
    assert west.where == '("days" < 9) AND "formal"'
    assert [portion.groups[0].column for portion in found.portions] == ["region", "area"]
    assert [portion.operands[0].expression for portion in found.portions] == ['"income"', '"wage"']
    assert found.outputs == ("region", "total", "n") and found.cells == 3
    assert {portion for total in found.sums for portion, _ in total.operands} == {0}


def test_numbers_of_the_whole_lie_between_the_ends_that_any_holder_declared() -> None:
    found = reading(f"select sum(income) as s, stddev(balance) as d {TABLE}")
    assert {(each.operands[0].low, each.operands[0].high) for each in found.portions} == {(-100_00, 9000_00)}
    assert all(each.operands[0].nullable for each in found.portions)
    ((magnitude, cap),) = joint_guards.tested(found, found.figures[0])
    assert found.sums[magnitude].measure is Measure.MAGNITUDE
    assert cap == 9000_00
    moved = [each.operands[found.sums[found.figures[1].sums[0]].operands[0][1]] for each in found.portions]
    assert {(each.expression, each.low, each.high) for each in moved} == {
        ('(CAST("balance" AS BIGINT) + 5)', 0, 12)
    }


def test_a_holders_decision_rests_on_its_own_columns_in_their_clauses() -> None:
    found = reading(
        f"select region, avg(case when formal then income end) as a {TABLE} where balance > 0 group by region"
    )
    for portion, shadow, names in zip(
        found.portions, PARTS, (("region", "income"), ("area", "wage")), strict=True
    ):
        uses = {(use.column, use.clause.value) for use in read(portion.stand_in, (shadow.shadow,)).uses}
        expected = {
            (names[0], "group"),
            (names[1], "aggregate"),
            ("formal", "filter"),
            ("balance", "compare"),
        }
        assert uses == (expected | {("year", "compare")} if shadow is EAST else expected)


def test_what_nobody_uses_is_of_no_holders_decision() -> None:
    found = reading(f"select count(*) as n {TABLE}")
    assert all(not read(portion.stand_in, (shadow.shadow,)).uses[1:] for portion, shadow in zip(
        found.portions, PARTS, strict=True))  # fmt: skip
    assert check_joint(f"select count(*) as n {TABLE}", PARTS, 256) == found


def test_sixteen_holders_and_no_more() -> None:
    holders = tuple(
        joint_shadow(f"h{n}.income", f"nm/h{n}", income=("INTEGER", between("0", "9"))) for n in range(17)
    )
    parts = [f"select income from h{n}.income" for n in range(17)]
    found = read_joint(f"select sum(income) as s from ({' union all '.join(parts[:16])}) t", holders)
    assert len(found.portions) == 16
    assert (
        check_joint(f"select sum(income) as s from ({' union all '.join(parts[:16])}) t", holders, 256)
        == found
    )
    with pytest.raises(SqlUnsupported, match="at most 16 holders"):
        read_joint(f"select sum(income) as s from ({' union all '.join(parts)}) t", holders)


def test_parts_may_stand_in_brackets_and_outputs_have_their_names() -> None:
    found = reading(
        "select area, sum(pay) from (select region as area, income as pay from east.income "
        "union all (select area, wage as pay from west.pay)) both_ group by 1"
    )
    assert found.outputs == ("area", "sum_pay")
    assert [group.name for group in found.groups] == ["area"]
    assert {group.name for portion in found.portions for group in portion.groups} == {"area"}


def test_a_product_of_two_columns_of_one_row_is_its_holders_own() -> None:
    found = reading(f"select sum(income * days) as s {TABLE}")
    operand = found.sums[found.figures[0].sums[0]].operands[0][1]
    assert [portion.operands[operand].expression for portion in found.portions] == [
        '("income" * CAST("days" AS BIGINT))', '("wage" * CAST("days" AS BIGINT))',
    ]  # fmt: skip
    assert all(total.measure is not Measure.PRODUCT for total in found.sums)


# ------------------------------------------------------------------------------------------ refusals

E, W = "select region, income from east.income", "select area as region, wage as income from west.pay"


def over(*parts: str, outer: str = "select count(*)", then: str = "") -> str:
    """A statement over these parts."""
    return f"{outer} from ({' union all '.join(parts)}) t{then}"


REFUSED = [
    (f"select count(*) from ({E} union {W}) t", "UNION compares rows of different owners"),
    (f"select count(*) from ({E} except all {W}) t", "EXCEPT compares rows"),
    (f"select count(*) from ({E} intersect {W}) t", "INTERSECT compares rows"),
    (f"select count(*) from ({E} union all by name {W}) t", "UNION BY NAME"),
    (f"select count(*) from ({E} union all {W} limit 3) t", "LIMIT"),
    (f"select count(*) from ({E} union all {W})", "has no name"),
    (f"select count(*) from ({E} union all {W}) t(a, b)", "an alias for columns"),
    (f"select count(*) from ({E} union all {W}) t join tax.income i using (person)", "JOIN beside UNION ALL"),
    (f"{E} union all {W}", "UNION is no single SELECT"),
    (over("select from east.income", W), "has no column"),
    (over(E, E), "two parts are of nm/east"),
    (over(E, "select region, income from ((select 1) union all select 2)"), "a subquery where a relation"),
    (over(E, W + " group by 1"), "GROUP BY in a part"),
    (over(E, W + " join tax.income i using (person)"), "JOIN in a part"),
    (over(E, "select distinct area as region, wage as income from west.pay"), "DISTINCT in a part"),
    (over(E, "values (1, 2)"), "a values where a relation belongs"),
    (over(E, "select area as region, wage + 1 as income from west.pay"), "columns as they stand"),
    (over(E, "select * from west.pay"), "columns as they stand"),
    (over(E, "select area as region, sum(wage) as income from west.pay"), "columns as they stand"),
    (over(E, "select area, wage as income from west.pay"), "nm/west has others: area, income instead of region"),
    (over(E, "select wage as income, area as region from west.pay"), "the same columns in the same order"),
    (over(E, "select area as region from west.pay"), "the same columns"),
    (over("select income, income as other from east.income", W), "has the column other twice"),
    (over("select income, days as income from east.income", W), "has the column income twice"),
    (over("select person from east.income", "select person from west.pay"), "names persons"),
    (over("select id_number from east.income", "select id_number from west.pay"), "names persons"),
    (over("select days as person from east.income", "select days as person from west.pay"), "names persons"),
    (over(E, "select area as region, whole as income from west.pay"), "DECIMAL(12,2) at nm/east and BIGINT at nm/west"),
    (over(E, "select area as region, weight as income from west.pay"), "DECIMAL(12,2) at nm/east and DOUBLE"),
    (over(E, "select area as region, hidden as income from west.pay", outer="select sum(income)"),
     "nm/west has declared no range of west.pay.hidden"),
    (over("select note from east.income", "select note from west.pay", outer="select note, count(*)",
          then=" group by note"), "nm/east has declared no list of values of east.income.note"),
    (over("select region from east.income", "select band as region from west.pay", outer="select region, count(*)",
          then=" group by region"), "nm/east and nm/west have declared different lists of values of region"),
    (over(E, W, outer="select region, income"), "row-level output"),
    (over(E, W, outer="select region", then=" group by region"), "no figure"),
    (over(E, W, outer="select wage, count(*)", then=" group by wage"), "there is no column 'wage'"),
    (over(E, W, outer="select sum(year)"), "there is no column 'year'"),
    (over(E, W, then=" where year = 3"), "there is no column 'year'"),
    (over(E, W, then=" where income in (select wage from west.pay)"), "a subquery"),
    (over(E, W, outer="select min(income)"), "function"),
    (over(E, W, outer="select region, count(*) n", then=" group by region having count(*) > 2"), "HAVING"),
    (over(E, W, outer="select sum(income * income)"), "multiplied by itself"),
    (over(E, W, outer="select corr(income, income)"), "with itself"),
    (over(E), "a subquery where a relation belongs"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "reason"), REFUSED)
def test_parts_that_do_not_fit_together_are_refused_with_clause_and_reason(
    statement: str, reason: str
) -> None:
    with pytest.raises(DarkroomError) as refused:
        reading(statement)
    assert reason in refused.value.what or reason in str(refused.value)
    assert refused.value.code in ("sql.unsupported", "sql.syntax")


def test_a_product_of_two_names_for_one_column_would_be_a_square() -> None:
    """`u * v` is no square by its names; in the second part both would be one column."""
    digit = ("INTEGER", between("0", "9"))
    shadows = (joint_shadow("a.x", "nm/a", u=digit, v=digit), joint_shadow("b.x", "nm/b", u=digit, w=digit))
    statement = "select sum(u * v) as s from (select u, v from a.x union all select u, {} as v from b.x) t"
    assert read_joint(statement.format("w"), shadows)
    with pytest.raises(SqlUnsupported, match="twice"):
        read_joint(statement.format("u"), shadows)


SPOILT = (
    f"select t.region, sum(income) as s, avg(case when formal then days end) {TABLE} where t.days < 9 group by region",
    "select region, corr(days, balance) from (select region, days, balance from east.income union all "
    "(select area as region, days, balance from west.pay where not formal)) t group by 1",
    "select person from health.visits h join tax.income t using (person) where t.tax > 3",
)
WORDS = [re.findall(r"\w+|<=|[^\s\w]", text) for text in SPOILT]
OTHERS = sorted(
    {word for words in WORDS for word in words}
    | {"lateral", "values", "exists", "[", "pivot", "over", "with"}
)


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """A statement of which some words were left out, put in, or exchanged."""
    words = list(draw(st.sampled_from(WORDS)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(words) - 1))
        words[place : place + draw(st.integers(0, 1))] = draw(st.lists(st.sampled_from(OTHERS), max_size=1))
    return " ".join(words)


@settings(max_examples=200, deadline=None)
@given(spoilt())
def test_a_spoilt_statement_is_read_or_refused_in_words(statement: str) -> None:
    with contextlib.suppress(DarkroomError):
        assert read_joint(statement, (*PARTS, *SHADOWS)).outputs


# ------------------------------------------------------------------------------------------ the oracle

FIGURES = (
    "count(*)", "count(income)", "count(formal)", "sum(income)", "avg(income)", "sum(balance)", "avg(balance)",
    "stddev_pop(days)", "var_samp(balance)", "sum(income * days)", "sum(days + 0.5)", "avg(- income)",
    "sum(case when formal then income end)", "avg(case when formal and days > 2 then balance else 0 end)",
    "count(case when income > 5 then 'x' end)", "corr(days, balance)", "corr(income, days)", "sum(3 - balance * 2)",
)  # fmt: skip
CONDITIONS = (
    "days < 5",
    "t.income > 0",
    "region <> 'west'",
    "balance is null",
    "(formal or balance > 1)",
    "not t.formal",
)
KEYS = ("region", "formal")


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values | values


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Rows of both holders; some persons are at both."""
    regions = st.sampled_from(REGIONS)

    def persons() -> list[int]:
        return draw(st.lists(st.integers(0, 20), unique=True, max_size=20))

    def cents(low: int, high: int) -> st.SearchStrategy[float]:
        return st.integers(low * 100, high * 100).map(lambda n: n / 100)

    east = [
        (person, f"id{person}", draw(_maybe(regions)), draw(st.booleans()), draw(_maybe(cents(0, 9000))),
         draw(st.integers(0, 9) | st.just(365)), draw(st.integers(-5, 5)), None, draw(st.sampled_from([2024, 2025])))
        for person in persons()
    ]  # fmt: skip
    west = [
        (person, f"id{person}", draw(regions), draw(_maybe(st.booleans())), draw(cents(-100, 5000)),
         draw(st.integers(0, 31)), draw(_maybe(st.integers(0, 7))), None, 2025, 0.5, "1", 3, 1.0)
        for person in persons()
    ]  # fmt: skip
    return east, west


ASKED = st.tuples(
    st.lists(st.sampled_from(FIGURES), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from(CONDITIONS), max_size=2, unique=True),
    st.lists(st.sampled_from(KEYS), max_size=2, unique=True),
)


@settings(max_examples=60, deadline=None)
@given(tables(), ASKED)
def test_the_holders_sums_together_are_what_duckdb_says_of_the_whole(
    rows: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]], asked: tuple[list[str], list[str], list[str]]
) -> None:
    figures, conditions, keys = asked
    listed = ", ".join([*keys, *(f"{figure} as f{n}" for n, figure in enumerate(figures))])
    where = f" where {' and '.join(conditions)}" if conditions else ""
    statement = f"select {listed} {TABLE}{where}" + (f" group by {', '.join(keys)}" if keys else "")
    found = reading(statement)
    assert check_joint(statement, PARTS, 256) == found
    with duckdb.connect(":memory:") as database:
        for likeness, content in zip(PARTS, rows, strict=True):
            create(database, likeness.shadow, content)
        cells = joint_meaning.cells(database, found)
        expected = {
            tuple(
                str(code).lower() if isinstance(code, bool) else str(code) for code in row[: len(keys)]
            ): row
            for row in database.execute(statement).fetchall()
            if None not in row[: len(keys)]
        }
    for codes, by_name in cells.items():
        for n, figure in enumerate(figures):
            if codes not in expected:
                assert by_name[f"f{n}"].persons == 0
            elif by_name[f"f{n}"].persons:
                same(figure, by_name[f"f{n}"].value, joint_meaning.value(expected[codes][len(keys) + n]))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[tuple[JointShadow, ...], list[list[tuple[Any, ...]]], str]:
    """A table of two numbers in two or three parts: of one type at all holders, with ranges of their own."""
    wanted = [draw(columns("a")), draw(columns("b"))]
    shadows, contents, parts = [], [], []
    for holder in range(draw(st.integers(2, 3))):
        own = [_narrowed(draw, made) for made in wanted]
        names = [f"{name}{holder if draw(st.booleans()) else ''}" for name in "ab"]
        listed: dict[str, tuple[str, Declared | None]] = {
            name: (made.kind + "?" * made.nullable, made.declared)
            for name, made in zip(names, own, strict=True)
        }
        shadows.append(joint_shadow(f"h{holder}.t", f"nm/h{holder}", 100, **listed))
        persons = draw(st.lists(st.integers(0, 9), unique=True, max_size=6))
        contents.append([(n, f"id{n}", *(made.value(draw) for made in own)) for n in persons])
        parts.append(f"select {names[0]} as a, {names[1]} as b from h{holder}.t")
    used = tuple(made.used for made in wanted)
    function = draw(st.sampled_from(["sum", "avg", "var_pop", "count"]))
    figure = f"{function}({draw(expressions(used))})"
    return (
        tuple(shadows),
        contents,
        f"select {figure} as f, count(*) as n from ({' union all '.join(parts)}) t",
    )


def _narrowed(draw: st.DrawFn, made: Made) -> Made:
    low, high = sorted(draw(st.tuples(*[st.integers(made.low, made.high)] * 2)))
    return replace(made, low=low, high=high, nullable=draw(st.booleans()))


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_whatever_the_holders_columns_are_what_is_read_is_exact_and_in_range(
    world: tuple[tuple[JointShadow, ...], list[list[tuple[Any, ...]]], str],
) -> None:
    shadows, contents, statement = world
    try:
        found = read_joint(statement, shadows)
    except SqlUnsupported:
        assume(False)
    assert check_joint(statement, shadows, 256) == found
    with duckdb.connect(":memory:") as database:
        for shadow, content in zip(shadows, contents, strict=True):
            create(database, shadow.shadow, content)
        ((_, cells),) = joint_meaning.cells(database, found).items()
        try:
            ((theirs, count),) = database.execute(statement).fetchall()
        except (duckdb.OutOfRangeException, duckdb.ConversionException, duckdb.InvalidInputException):
            return  # the engine's own arithmetic overflows, which holders' boxes never do
    assert cells["n"].value == count
    assert all(abs(each) <= largest_number(found, max(1, count)) for each in cells["n"].magnitudes)
    if isinstance(theirs, int | Decimal) and cells["f"].persons:
        assert cells["f"].value == Fraction(theirs)
