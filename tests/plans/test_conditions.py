"""The short reader of conditions finds what the guard wrote: every condition about a column, by its form."""

from __future__ import annotations

import pytest

from plans.conditions import Condition, Form, conditions
from plans.reading import Clause
from tests.inside.sql_cases import read

INCOME = "tax.income"

FOUND = [
    ("age = 3", {("age", Form.EQUAL, True)}),
    ("age in (3, 4)", {("age", Form.EQUAL, True)}),
    ("age between 3 and 4", {("age", Form.RANGE, True)}),
    ("age >= 3 and born < date '1980-01-01'", {("age", Form.RANGE, True), ("born", Form.RANGE, True)}),
    ("region like 'a%'", {("region", Form.PATTERN, True)}),
    ("not (region = 'x' or age <> 4)", {("region", Form.EQUAL, True), ("age", Form.OTHER, True)}),
    ("lower(region) = 'x'", {("region", Form.EQUAL, False)}),
    ("age * 2 + income > 7", {("age", Form.RANGE, False), ("income", Form.RANGE, False)}),
    ("year(born) = 1980", {("born", Form.EQUAL, False)}),
    ("income is null", {("income", Form.OTHER, True)}),
    ("region = 'it''s (a = \"b\") = 3'", {("region", Form.EQUAL, True)}),
    ("age > income", {("age", Form.OTHER, True), ("income", Form.OTHER, True)}),
    ("urban", {("urban", Form.EQUAL, True)}),
    ("not urban", {("urban", Form.EQUAL, True)}),
    ("age = 3 or (urban and region like 'a%')", {
        ("age", Form.EQUAL, True), ("urban", Form.EQUAL, True), ("region", Form.PATTERN, True)}),
    ("age = 3 and region <> '\"med\".\"visit\" AS \"income\"'", {
        ("age", Form.EQUAL, True), ("region", Form.OTHER, True)}),
    ("age = 3 and region <> ' FROM \"med\".\"visit\" AS \"income\" WHERE '", {
        ("age", Form.EQUAL, True), ("region", Form.OTHER, True)}),
]  # fmt: skip


@pytest.mark.parametrize(("where", "found"), FOUND)
def test_a_condition_is_found_by_its_form(where: str, found: set[tuple[str, Form, bool]]) -> None:
    reading = read(f"select region, count(*) as n, sum(income) as s from tax.income where {where} group by 1")
    expected = tuple(sorted(Condition(INCOME, *each) for each in found))
    assert conditions(reading.tables[0].counted) == expected


def test_a_condition_inside_a_figure_is_found() -> None:
    reading = read("select sum(case when age = 3 then income else 0 end) as s from tax.income")
    assert Condition(INCOME, "age", Form.EQUAL, True) in conditions(reading.tables[0].counted)


@pytest.mark.parametrize("statement", [
    "select case when urban then 1 else 0 end as k, count(*) as n from tax.income group by 1",
    "select sum(case when urban then income else 0 end) as s from tax.income",
    "select count(*) as n from tax.income where case when urban then age else income end > 3",
])  # fmt: skip
def test_a_truth_column_that_decides_by_itself_is_found(statement: str) -> None:
    found = conditions(read(statement).tables[0].counted)
    assert "urban" in {each.column for each in found}


def test_columns_on_which_relations_are_joined_are_no_conditions() -> None:
    joined = (
        "select count(*) as n from tax.income i join med.visit v on i.person = v.person and i.age = v.cost"
    )
    assert conditions(read(joined).tables[0].counted) == ()
    filtered = conditions(read(joined + " where i.income > v.cost").tables[0].counted)
    assert {each.column for each in filtered} == {"income", "cost"}


def test_what_counts_persons_is_not_taken_for_a_condition_of_the_member() -> None:
    reading = read("select avg(income) as m, count(*) as n from tax.income")
    assert "IS NULL" in reading.tables[0].counted and conditions(reading.tables[0].counted) == ()


def test_aliases_and_joins_lead_to_the_right_relation() -> None:
    reading = read(
        "select i.region, count(*) as n from tax.income i join med.visit v using (person)"
        " where v.kind = 'a' and i.kind_of = 1 group by 1".replace("i.kind_of = 1", "i.age = 1")
    )
    assert {(each.relation, each.column) for each in conditions(reading.tables[0].counted)} == {
        ("med.visit", "kind"),
        ("tax.income", "age"),
    }


@pytest.mark.parametrize(("where", "found"), FOUND)
def test_no_column_of_a_comparison_is_missed(where: str, found: set[tuple[str, Form, bool]]) -> None:
    """The guard's own finding is the control: what it calls a filter or a comparison is found here."""
    reading = read(f"select region, count(*) as n from tax.income where {where} group by 1")
    compared = {use.column for use in reading.uses if use.clause in (Clause.COMPARE, Clause.FILTER)}
    assert compared <= {each.column for each in conditions(reading.tables[0].counted)}


def test_conditions_in_a_subquery_that_chooses_persons_are_found_and_what_links_it_is_none() -> None:
    reading = read(
        "select count(*) as n from tax.income i where age > 3 and exists (select 1 from med.visit v"
        " where v.person = i.person and v.kind = 'a' and v.person not in (select person from tax.income where urban))"
    )
    assert conditions(reading.tables[0].counted) == (
        Condition("med.visit", "kind", Form.EQUAL, True),
        Condition("tax.income", "age", Form.RANGE, True),
        Condition("tax.income", "urban", Form.EQUAL, True),
    )
