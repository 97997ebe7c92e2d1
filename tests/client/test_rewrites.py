"""Rewrites change the one place that they name, keep the member's own text, and never break a statement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom import advice_rewrites as rewrites
from darkroom import advice_sql as sql
from darkroom.advice_rewrites import Column
from policies.reading.functions import FUNCTIONS

INCOME = {
    "tax.income": (
        Column("region", "VARCHAR", "quasi-identifier", ("group", "filter")),
        Column("born", "DATE", "quasi-identifier", ("group",)),
        Column("age", "INTEGER", "quasi-identifier", ("group",)),
        Column("income", "DECIMAL(18,2)", "sensitive", ("avg", "quantile_cont")),
        Column("name", "VARCHAR", "identifier", ()),
    )
}


def made(found: object) -> list[str]:
    return [" ".join(each.sql.split()) for each in found]  # type: ignore[attr-defined]


def test_larger_groups_are_offered_from_the_mildest_on() -> None:
    text = "select region, born, count(*) as n from tax.income group by region, born order by born"
    assert made(rewrites.coarser(text, INCOME)) == [
        "select region, year(born) AS born_year, count(*) as n from tax.income group by region, year(born)",
        "select region, count(*) as n from tax.income group by region",
        "select born, count(*) as n from tax.income group by born order by born",
    ]


def test_numbers_are_put_in_bands_and_positions_are_understood() -> None:
    text = "select age, avg(income) from tax.income group by 1 having count(*) > 5"
    assert made(rewrites.coarser(text, INCOME)) == [
        "select floor(age / 10) * 10 AS age_band, avg(income) from tax.income "
        "group by floor(age / 10) * 10 having count(*) > 5",
        "select avg(income) from tax.income having count(*) > 5",
    ]


def test_group_by_all_loses_the_output_alone() -> None:
    assert made(rewrites.coarser("select region, count(*) from tax.income group by all", {})) == [
        "select count(*) from tax.income group by all"
    ]


def test_a_star_becomes_the_columns_that_may_be_used() -> None:
    assert made(rewrites.star("select * from tax.income limit 5", INCOME)) == [
        "select region, born, age, income from tax.income limit 5"
    ]
    assert made(rewrites.star("select * from tax.income", {})) == []


@pytest.mark.parametrize(
    ("function", "other", "column", "expected"),
    [
        ("max", "quantile_cont", "income", "select quantile_cont(income, 0.95), max(age) from tax.income"),
        ("max", "avg", "age", "select max(income), avg(age) from tax.income"),
        ("max", "count_distinct", "", "select count(distinct income), count(distinct age) from tax.income"),
    ],
)
def test_another_function_takes_the_place_of_one(
    function: str, other: str, column: str, expected: str
) -> None:
    text = "select max(income), max(age) from tax.income"
    assert made(rewrites.instead(text, function, other, column)) == [expected]


def test_a_function_in_a_text_or_comment_is_left_alone() -> None:
    text = "select 'max(income)' as t, /* max(age) */ max ( income ) from tax.income -- max(x)"
    assert made(rewrites.instead(text, "max", "avg")) == [
        "select 'max(income)' as t, /* max(age) */ avg(income) from tax.income -- max(x)"
    ]


@pytest.mark.parametrize(
    ("clause", "function", "expected"),
    [
        ("select", "", "select avg(income) from tax.income where age > 3 and age between 2 and 5 or age = 3"),
        ("group", "", "select avg(income) from tax.income where age > 3 and age between 2 and 5 or age = 3"),
    ],
)
def test_a_column_is_left_out(clause: str, function: str, expected: str) -> None:
    text = (
        "select name, avg(income) from tax.income where age > 3 and age between 2 and 5 or age = 3"
        " group by name order by name"
    )
    found = made(rewrites.left_out(text, "name", clause, function))
    assert found == [expected if clause == "group" else expected + " group by name"]


def test_a_condition_is_left_out_and_between_is_one_condition() -> None:
    text = "select count(*) from tax.income where age between 2 and 5 and name = 'x' and region = 'a'"
    assert made(rewrites.left_out(text, "name", "compare")) == [
        "select count(*) from tax.income where age between 2 and 5 AND region = 'a'"
    ]
    assert made(rewrites.left_out(text, "age", "filter")) == [
        "select count(*) from tax.income where name = 'x' AND region = 'a'"
    ]


def test_no_statement_without_outputs_is_proposed() -> None:
    assert made(rewrites.left_out("select name from tax.income", "name", "select")) == []


def test_figures_in_place_of_rows() -> None:
    text = "select region, income from tax.income where age > 3 order by income limit 5"
    assert made(rewrites.figures(text, "region, avg(income) … GROUP BY region")) == [
        "SELECT region, avg(income) from tax.income where age > 3 GROUP BY region"
    ]
    assert made(rewrites.figures(text, "count(*) …")) == ["SELECT count(*) from tax.income where age > 3"]


def test_a_key_is_added() -> None:
    assert made(rewrites.grouped_by("select region, count(*) from tax.income order by 1;", "region")) == [
        "select region, count(*) from tax.income GROUP BY region order by 1;"
    ]
    text = "select region, age, count(*) from tax.income group by age limit 3"
    assert made(rewrites.grouped_by(text, "region")) == [
        "select region, age, count(*) from tax.income group by age, region limit 3"
    ]


def test_a_misspelt_name_is_put_right() -> None:
    text = "select regoin from tax.income group by regoin"
    assert made(rewrites.renamed(text, "regoin", "region", "line 1, character 8")) == [
        "select region from tax.income group by region"
    ]


def test_limits_over_rows_are_taken_away_and_over_figures_kept() -> None:
    text = "select count(*) from (select region from tax.income order by income limit 10) limit 3"
    assert made(rewrites.unlimited(text)) == ["select count(*) from (select region from tax.income ) limit 3"]


def test_what_is_no_plain_select_is_left_alone() -> None:
    for text in (
        "with a as (select 1) select * from a",
        "select 1 union select 2",
        "",
        "drop table x",
        "select ((",
    ):
        assert made(rewrites.coarser(text, INCOME)) == []
        assert made(rewrites.star(text, INCOME)) == []


def test_every_function_that_is_proposed_is_on_the_list() -> None:
    proposed = {name for name in rewrites.INSTEAD.values() if name != "count_distinct"}
    assert proposed <= set(FUNCTIONS)


PIECES = st.sampled_from(
    ["select", "from", "where", "group by", "order by", "limit", "tax.income", "(", ")", ",", "'", '"', "--", "/*",
     "region", "max(", "*", "1", "between", "and", "as", "ρ", "\n", ";"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=25).map(" ".join))
def test_no_text_breaks_the_cutting(text: str) -> None:
    found = sql.tokens(text)
    assert all(text[token.start : token.end] == token.text for token in found)
    for rewrite in (
        *rewrites.coarser(text, INCOME),
        *rewrites.star(text, INCOME),
        *rewrites.left_out(text, "region"),
        *rewrites.instead(text, "max", "avg"),
        *rewrites.grouped_by(text, "region"),
        *rewrites.unlimited(text),
        *rewrites.limited(text),
    ):
        assert rewrite.sql
