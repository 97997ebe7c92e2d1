"""Components asked as statements, where figures leave with noise: the same figures, no other column, nothing unsaid."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import api as components
from components.api import Component
from plans.asking import Asking, statement
from plans.checks import Privacy
from plans.errors import Malformed, SqlUnsupported
from plans.private import Measure
from policies import sentences
from policies.private import private_reasons
from tests.components.cases import OFF, Left, table
from tests.inside.private_cases import (
    PRIVACY,
    REGIONS,
    asked,
    filled,
    manifest,
    obligations,
    program,
    row,
    sums,
)
from tools import components_reference

ALL = components.describe_all()
ASKED = {component.name: component for component in ALL if component.asking}
WIDE = Privacy(rho_micro=1_000_000, period_days=30, most_groups=20, most_rows=50)
"""So wide that no bound cuts anything off."""

ROWS = st.lists(
    st.tuples(
        st.integers(1, 9),
        st.one_of(st.none(), st.sampled_from(REGIONS)),
        st.one_of(st.none(), st.integers(0, 100_000)),
        st.sampled_from([20, 30]),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


def asked_as(name: str, parameters: dict[str, Any]) -> str:
    found = components.find(name)
    assert found.asking is not None
    return statement(found.asking, components.checked(found, parameters), ["tax.income"])


def bounded(text: str, drawn: list[Any]) -> dict[tuple[Any, ...], dict[tuple[Measure, str], Decimal]]:
    """What the query box adds up for a statement before any noise: by cell, by measure and column."""
    made = program(None, asked(text, manifests=(manifest(persons=9),)), WIDE)
    connection = filled([row(who, region, income, age=age, urban=u) for who, region, income, age, u in drawn])
    parts = made.private.parts if made.private else ()
    named = [(part.measure, made.outputs[part.output].argument if part.output >= 0 else "") for part in parts]
    return {
        key: {
            name: number * Decimal(part.unit) for name, number, part in zip(named, cell, parts, strict=True)
        }
        for key, cell in sums(connection, made).items()
        if any(cell)
    }


def left(name: str, parameters: dict[str, Any], drawn: list[Any]) -> list[dict[str, str]]:
    component = components.find(name)
    rows = table(
        [each[0] for each in drawn],
        region=[each[1] for each in drawn],
        income=[None if each[2] is None else float(each[2]) for each in drawn],
        age=[each[3] for each in drawn],
        urban=[each[4] for each in drawn],
    )
    work = components.perform(name, [rows], components.checked(component, parameters), OFF)
    return Left(work).rows(component.outputs[0].artifact.name)


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_before_noise_a_cross_table_is_the_same_by_statement(drawn: list[Any]) -> None:
    parameters = {"row": "region", "column": "age", "figure": "income"}
    if not any(region is not None and income is not None for _, region, income, _, _ in drawn):
        return
    found = bounded(asked_as("cross-tabulate", parameters), drawn)
    component = left("cross-tabulate", parameters, drawn)
    assert len(component) == len(found)
    for cell in component:
        figures = found[(cell["region"], int(cell["age"]))]
        by_measure = {measure: number for (measure, _), number in figures.items()}
        assert by_measure[Measure.PERSONS] == Decimal(cell["persons"])
        assert by_measure[Measure.ROWS] == Decimal(cell["rows"])
        assert by_measure[Measure.TOTAL] == Decimal(cell["income_total"])
        mean = float(by_measure[Measure.TOTAL] / by_measure[Measure.ROWS])
        assert mean == pytest.approx(float(cell["income_mean"]))


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_before_noise_means_are_the_same_by_statement(drawn: list[Any]) -> None:
    parameters = {"columns": ["income", "age"], "by": "region"}
    if not any(region is not None and income is not None for _, region, income, _, _ in drawn):
        return
    found = bounded(asked_as("describe", parameters), drawn)
    for line in left("describe", parameters, drawn):
        figures, column = found[(line["region"],)], f"tax.income.{line['column']}"
        rows, total = figures[(Measure.ROWS, column)], figures[(Measure.TOTAL, column)]
        assert rows == Decimal(line["rows"])
        assert float(total / rows) == pytest.approx(float(line["mean"]))


EXAMPLES = [
    ("cross-tabulate", {"row": "region"}),
    ("cross-tabulate", {"row": "region", "column": "region", "figure": "income"}),
    ("cross-tabulate", {"row": "age", "column": "urban", "figure": "paid"}),
    ("describe", {"columns": ["income", "paid", "age"]}),
    ("describe", {"columns": ["income"], "by": "urban"}),
]


@pytest.mark.parametrize(("name", "parameters"), EXAMPLES)
def test_a_component_asked_by_statement_can_be_private_and_pays_like_any(name: str, parameters: Any) -> None:
    question = asked(asked_as(name, parameters), spend_micro=1_000)
    assert private_reasons(question, obligations()) == ()
    made = program(None, question, PRIVACY).private
    assert made is not None and made.rho_micro == 1_000 and made.datasets == ("nm/tax/income",)


def test_columns_without_declared_bounds_are_refused_as_in_any_statement() -> None:
    question = asked(asked_as("describe", {"columns": ["income"]}))
    undeclared = replace(question, masked=frozenset({"tax.income.income"}))
    assert {each.rule for each in private_reasons(undeclared, obligations())} == {"private-bounds"}


def test_the_refusal_of_the_others_names_exactly_those_that_can_be_asked() -> None:
    assert tuple(sorted(ASKED)) == sentences.ASKED_BY_STATEMENT
    said = sentences.private_code("nm/tax/income").help
    assert all(name in said for name in ASKED)
    assert not any(component.name in said for component in ALL if component.name not in ASKED)


@pytest.mark.parametrize("component", ASKED.values(), ids=ASKED.keys())
def test_the_library_says_which_are_asked_so_and_what_is_left_out(component: Component) -> None:
    page, asking = components_reference.page(), component.asking
    assert asking is not None and Component.read(component.plain()) == component
    assert statement(asking, components.checked(component, component.example), ["tax.income"]) in page
    assert asking.left_out in page and bool(asking.left_out) == bool(asking.left_out_zh)


ODD = ['income") FROM tax.income; --', "Income", "a b", "a.b", "", 'x"']


@pytest.mark.parametrize("column", ODD)
def test_no_text_of_a_parameter_becomes_sql(column: str) -> None:
    asking = Asking(("row",), ("figure",), cells=True)
    values = {"row": "region", "figure": column}
    if column:
        with pytest.raises(Malformed):
            statement(asking, values, ["tax.income"])
    else:
        assert "sum(" not in statement(asking, values, ["tax.income"])
    with pytest.raises(Malformed):
        statement(asking, {"row": "region"}, [f"tax.income {column}"])


def test_a_column_that_is_a_word_of_sql_stays_a_column() -> None:
    """The reader looks for the column, and does not find it; it does not read the word."""
    text = statement(Asking(("row",), (), cells=True), {"row": "order"}, ["tax.income"])
    with pytest.raises((Malformed, SqlUnsupported)):
        asked(text)


def test_a_description_cannot_show_a_column_that_is_no_key() -> None:
    honest = components.find("cross-tabulate")
    with pytest.raises(Malformed):
        replace(honest, asking=Asking(("figure",), (), cells=True))
    with pytest.raises(Malformed):
        replace(honest, asking=Asking(("row",), ("column",), cells=True))


@pytest.mark.parametrize("value", [5, True, 0, False, 1.5, {"region": 1}, ["region", 5], [["region"]]])
@pytest.mark.parametrize("parameter", ["row", "figure"])
def test_what_is_no_text_names_no_column(parameter: str, value: Any) -> None:
    with pytest.raises(Malformed):
        statement(Asking(("row",), ("figure",), cells=True), {parameter: value}, ["tax.income"])


@pytest.mark.parametrize("named", [{}, {"columns": []}, {"columns": ""}, {"columns": None}, {"by": "region"}])
def test_a_statement_without_figures_is_refused_and_says_which_parameter_is_missing(named: Any) -> None:
    with pytest.raises(Malformed) as told:
        statement(Asking(("by",), ("columns",), cells=False), named, ["tax.income"])
    assert "columns" in told.value.next_step


@pytest.mark.parametrize("relations", [[], ["tax.income", "med.visit"], [""]])
def test_a_statement_is_of_exactly_one_table(relations: list[str]) -> None:
    with pytest.raises(Malformed):
        statement(Asking(("row",), (), cells=True), {"row": "region"}, relations)


def test_a_parameter_names_keys_or_figures() -> None:
    with pytest.raises(Malformed):
        Asking(("row",), ("row",), cells=False)
