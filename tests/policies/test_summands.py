"""Summands of totals: together they are the argument on any data, and no known quantity stands among them."""

from __future__ import annotations

import random
from fractions import Fraction

import duckdb
import pytest

from plans.errors import SqlUnsupported
from plans.reading import Contributions, Shadow, ShadowColumn
from policies.reading import forms
from policies.reading.attempts import attempt_figures
from policies.reading.bounds import parse
from policies.reading.listed import groups
from policies.reading.sources import read_sources
from policies.reading.summands import MOST_SUMMANDS, cut, summands
from policies.reading.translate import value
from policies.reading.tree import Aggregate, Attempt, Expression
from policies.reading.writer import write

COLUMNS = {
    "x": "DOUBLE", "y": "DECIMAL(9,2)", "n": "INTEGER", "k": "BIGINT?", "d": "DATE", "e": "DATE", "flag": "BOOLEAN",
}  # fmt: skip
SHADOW = Shadow(
    "s.r",
    (
        ShadowColumn("person", "UBIGINT", False),
        *(ShadowColumn(name, kind.rstrip("?"), kind.endswith("?")) for name, kind in COLUMNS.items()),
    ),
)


def argument(text: str) -> Expression:
    """The argument of a sum, as the guard reads and attempts it."""
    select = parse(f"select sum({text}) as f from s.r")
    (item,) = select.expressions
    output = attempt_figures(value(item.this, groups(read_sources(select, (SHADOW,)))))
    assert isinstance(output, Aggregate) and output.argument is not None
    return output.argument


def whole(text: str) -> Expression:
    """The same without an attempt."""
    found = argument(text)
    return found.operand if isinstance(found, Attempt) else found


def monomials(text: str) -> list[str]:
    """What the summands add, constants left out, as they are written."""
    found = (write(each.measure) for each in cut(whole(text)) if not each.constant)
    return sorted(each.replace('"r".', "").replace('"', "") for each in found)


def contributions(*figures: str) -> Contributions:
    outputs = ", ".join(f"{figure} as f{n}" for n, figure in enumerate(figures))
    (table,) = forms.read(f"select {outputs} from s.r", (SHADOW,)).tables
    assert table.contributions is not None
    return table.contributions


N, Y = "CAST(n AS DOUBLE)", "CAST(y AS DOUBLE)"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x", ["x"]),
        ("x + 1000000", ["x"]),
        ("7 - (-x) * 2", ["x"]),
        ("x / 3 + n - n", [N, "x"]),
        ("(x + 1) * (y + 2)", [Y, "x", f"(x * {Y})"]),
        ("(x + y) / n", [f"({Y} / {N})", f"(x / {N})"]),
        ("x * y + y * x", [f"(x * {Y})"]),
        ("cast(x + 5 as float)", ["x"]),
        ("x * 0 + n", [N]),
    ],
)
def test_an_argument_is_a_polynomial_in_its_columns(text: str, found: list[str]) -> None:
    assert monomials(text) == sorted(found)


def test_a_condition_goes_with_each_summand_that_it_chooses() -> None:
    found = monomials("case when flag then x + 1 when n > 3 then 100 else (y - 2) * 3 end")
    assert found == [
        f"CASE WHEN flag THEN NULL WHEN (n > 3) THEN NULL ELSE {Y} END",
        "CASE WHEN flag THEN x ELSE NULL END",
    ]
    assert len(monomials("coalesce(k, 100) + 5")) == 1 and len(monomials("coalesce(k, n)")) == 2


@pytest.mark.parametrize(
    ("moved", "still"),
    [
        ("date_diff('day', d - interval 1000 day, e)", "date_diff('day', d, e)"),
        ("date_diff('day', date_trunc('month', d) - interval 3 year, e)",
         "date_diff('day', date_trunc('month', d), e)"),
        ("e - (d - 1000)", "(e - d)"),
        ("(e + 7) - d", "(e - d)"),
    ],
)  # fmt: skip
def test_a_date_that_is_moved_by_a_constant_is_the_date(moved: str, still: str) -> None:
    assert monomials(moved) == [f"CAST({still} AS DOUBLE)"] and len(summands(argument(moved))) == 1


def test_what_moves_a_date_by_a_column_is_a_summand_itself() -> None:
    assert monomials("e - (d - n)") == ["CAST((e - d) AS DOUBLE)", N]
    chosen = monomials("(case when flag then e else date '1900-01-01' end) - d")
    assert len(chosen) == 2 and all("CASE WHEN flag" in each for each in chosen)


@pytest.mark.parametrize(
    "text", ["x", "-x", "x * 2 / 7", "x * y", "x / n", "case when flag then x else 0 end", "coalesce(k, 0)",
             "case when flag then n end * y", "year(d)", "date_diff('day', d, e)", "e - d"],
)  # fmt: skip
def test_what_is_one_summand_needs_no_total_but_its_own(text: str) -> None:
    assert summands(argument(text)) == ()


def test_two_of_three_that_are_taken_from_each_other_are_looked_at_together() -> None:
    assert len(summands(argument("x + y + n"))) == 3
    assert len(summands(argument("x - y"))) == 2
    assert len(summands(argument("x - y + 5"))) == 2 + 1
    assert len(summands(argument("x - y + n"))) == 3 + 2
    assert len(summands(argument("x - y + n + 5"))) == 3 + 2 + 1


def test_every_summand_has_a_total_behind_that_of_its_figure() -> None:
    found = contributions("sum(x + 5)", "count(*)", "avg(x)", "100 * sum(y - 5) / sum(n)", "min(x + 1)")
    assert found.totals == (0, 0, 2, 3, 3, 3)
    names = ("_sum_0", "_sum_0_2", "_sum_2", "_sum_3_1", "_sum_3_2", "_sum_3_3")
    places = [found.statement.index(f'AS "{name}"') for name in names]
    assert places == sorted(places)


def test_too_many_summands_are_refused_with_what_to_do() -> None:
    branches = " ".join(f"when n = {number} then x + {number}" for number in range(1, MOST_SUMMANDS + 1))
    assert len(summands(argument(f"case {branches} else 0 end"))) == MOST_SUMMANDS + 1
    with pytest.raises(SqlUnsupported, match="Ask for fewer figures"):
        contributions(f"sum(case {branches} else x end)")
    with pytest.raises(SqlUnsupported, match="terms"):
        cut(whole(f"(case {branches} else 0 end) * (y + 1 + k) * 2 * (date_diff('day', d, e) + 7)"))


# ----------------------------------------------------------------------------------- on any data

LEAVES = ("x", "y", "n", "k", "1000", "0.5", "3", "0", "2e3")


def drawn(chance: random.Random, depth: int) -> str:
    """An expression of the subset, or nearly: what the guard does not read is drawn again."""
    if depth == 0 or chance.random() < 0.15:
        return chance.choice(LEAVES)
    one, two = drawn(chance, depth - 1), drawn(chance, depth - 1)
    return chance.choice(
        [
            f"({one} + {two})",
            f"({one} - {two})",
            f"({one} * {two})",
            f"({one} / {chance.choice(('x', 'n', '4', '0.5'))})",
            f"(-{one})",
            f"case when {chance.choice(('flag', 'n > 3', 'k is null'))} then {one} else {two} end",
            f"case when n > 5 then {one} when flag then {two} end",
            f"coalesce(k, {one})",
            f"cast({one} as double)",
            "date_diff('day', d, e)",
            "((e + 4) - (d - n))",
        ]
    )


@pytest.fixture(scope="module")
def data() -> duckdb.DuckDBPyConnection:
    connection, chance = duckdb.connect(":memory:"), random.Random(5)
    columns = ", ".join(f"{name} {kind.rstrip('?')}" for name, kind in COLUMNS.items())
    connection.execute(f"CREATE SCHEMA s; CREATE TABLE s.r (person UBIGINT, {columns})")
    for person in range(40):
        days = [f"20{chance.randint(10, 24)}-0{chance.randint(1, 9)}-1{chance.randint(0, 9)}" for _ in "de"]
        k = None if chance.random() < 0.3 else chance.randint(-5, 5)
        row = [person, chance.uniform(-9, 9), chance.randint(-900, 900) / 100, chance.randint(1, 9), k, *days]
        connection.execute("INSERT INTO s.r VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [*row, chance.random() < 0.5])
    return connection


def test_summands_with_their_weights_are_the_argument_on_any_data(data: duckdb.DuckDBPyConnection) -> None:
    chance, compared = random.Random(11), 0
    while compared < 150:
        text = drawn(chance, 3)
        try:
            expression = whole(text)
            found = cut(expression)
        except SqlUnsupported:
            continue
        compared += 1
        terms = [f"coalesce({write(each.measure)}, 0) * {float(each.weight)!r}::DOUBLE" for each in found]
        rows = data.execute(
            f"SELECT {write(expression)}, {' + '.join(terms) or '0'} FROM s.r AS r"
        ).fetchall()
        for exact, together in rows:
            if exact is not None:
                assert together == pytest.approx(float(exact), rel=1e-6, abs=1e-3), text


def test_what_is_looked_at_has_no_value_only_where_the_argument_has_none(
    data: duckdb.DuckDBPyConnection,
) -> None:
    """So rows that the figure leaves out are no crowd in which its persons are small."""
    chance, compared = random.Random(12), 0
    while compared < 60:
        try:
            expression = argument(drawn(chance, 3))
            looked = summands(expression)
        except SqlUnsupported:
            continue
        if looked:
            compared += 1
            nulls = ", ".join(f"({write(each)}) IS NULL" for each in (expression, *looked))
            assert all(len(set(row)) == 1 for row in data.execute(f"SELECT {nulls} FROM s.r AS r").fetchall())


def test_a_summand_that_overflows_is_infinite_and_has_a_value() -> None:
    """So no overflow takes the largest person out of what is looked at; the evidence takes infinity for 1e100."""
    connection = duckdb.connect(":memory:")
    connection.execute("CREATE TABLE r AS SELECT unnest([1e200, 'inf'::DOUBLE, 5]) AS x, 1e200 AS y, 1 AS n")
    looked = summands(whole("x * y + 5"))[0]
    sums = connection.execute(f"SELECT x, sum({write(looked)}) FROM r GROUP BY x ORDER BY x").fetchall()
    assert [found for _, found in sums] == [pytest.approx(5e200), float("inf"), float("inf")]


def test_weights_are_exact_and_a_constant_has_no_column() -> None:
    (measure, constant) = cut(whole("(x + 0.1) / 3"))
    assert (measure.weight, constant.weight) == (Fraction(1, 3), Fraction(1, 30))
    assert constant.constant and not measure.constant
