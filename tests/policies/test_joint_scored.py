"""Scores by another's model: what is read, what it means beside DuckDB, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inside.check import check
from inside.check_joint import check_joint
from plans.errors import DarkroomError, SqlUnsupported
from plans.joint import JointReading, Operand, Portion, ScoreFunction, Shape
from plans.joint_shadows import JointShadow
from plans.reading import Level
from policies.reading import read_joint
from tests.inside.sql_cases import create
from tests.policies import joint_meaning
from tests.policies.joint_cases import (
    APPLICANTS,
    CASES,
    LINEAR,
    MODEL,
    SCORED,
    SCORES,
    SHADOWS,
    between,
    joint_shadow,
    shown,
)


def reading(statement: str, shadows: tuple[JointShadow, ...]) -> JointReading:
    """The reading on which both readers agree."""
    found = read_joint(statement, shadows)
    assert check_joint(statement, shadows, 256) == found
    return found


def test_a_score_is_cut_into_features_of_the_rows_and_coefficients_of_the_model() -> None:
    found = reading(LINEAR, SCORED)
    rows, model = found.portions
    assert (found.shape, found.outputs) == (Shape.SCORED, ("person", "score"))
    assert rows.operands == (
        Operand('"income"', -100_00, 9000_00, 2, False), Operand('(- CAST("age" AS BIGINT))', -120, 0, 0, False),
    )  # fmt: skip
    assert [each.expression for each in model.operands] == ['"base"', '"income"', '"debt"']
    assert found.score is not None and found.score.terms == ((-1, 0), (0, 1), (1, 2))
    assert (rows.where, model.where) == ('("age" > 17)', "")
    assert (model.key, model.bound, rows.bound) == ("", 1, 1_000)


@pytest.mark.parametrize(
    "written",
    [
        "1 / (1 + exp(-(m.base + a.age * m.debt)))",
        "(1.0 / (exp(-(((m.base + a.age * m.debt)))) + 1))",
        "(1) / ((1) + (exp((-((m.base + a.age * m.debt))))))",
    ],
)
def test_the_logistic_curve_is_known_by_its_form_whatever_brackets_stand_around_it(written: str) -> None:
    found = reading(f"select person, round({written}, 3) as s {SCORES}", SCORED)
    assert found.score is not None and found.score.function is ScoreFunction.LOGISTIC


SAME = [
    "m.base + a.income * m.income",
    "a.income * m.income + m.base",
    "m.income * a.income - (-m.base)",
    "-(-(m.base)) - ((-a.income) * (m.income))",
    "(m.base + (((a.income)) * m.income))",
]


@pytest.mark.parametrize("written", SAME)
def test_both_readers_find_one_polynomial_in_whatever_order_it_is_written(written: str) -> None:
    found = reading(f"select person, round({written}, 2) as s {SCORES}", SCORED)
    assert found.score is not None and len(found.score.terms) == 2


def test_a_feature_may_be_computed_and_gaps_may_be_filled() -> None:
    found = reading(
        "select person, round(coalesce(a.debt, 0) * m.debt + (2 * a.income - a.age) * m.income"
        " + case when a.formal then 1 else 0 end * m.base"
        f" + cast(a.ratio as decimal(4, 3)) * cast(m.age as decimal(5, 2)), 1) as s {SCORES}",
        SCORED,
    )
    assert [(each.low, each.high, each.decimals) for each in found.portions[0].operands] == [
        (0, 500, 0), (-320_00, 18_000_00, 2), (0, 1, 0), (0, 1_000, 3),
    ]  # fmt: skip


def test_features_are_decided_as_values_that_are_shown_and_coefficients_as_sums() -> None:
    """A model of one coefficient, 1, would tell a feature of everybody who is scored."""
    rows, model = reading(LINEAR, SCORED).portions
    assert rows.stand_in == 'SELECT "income", "age" FROM "bank"."applicants" WHERE ("age" > 17)'
    assert model.stand_in.startswith('SELECT count(*) AS figure_0, sum("base") AS figure_1')
    with pytest.raises(SqlUnsupported, match="row-level output"):
        check(rows.stand_in, (APPLICANTS.shadow,), 256)
    assert check(rows.stand_in, (shown(APPLICANTS.shadow),), 256).level is Level.ROWS


MODEL_OF_MANY = replace(MODEL, rows=2)
OWN_MODEL = replace(MODEL, domain="nm/bank")
NOT_SCORED = [
    ("a.person, round(m.base, 2)", "a score of no feature"),
    ("a.person, m.base + a.age * m.debt", "a score is rounded"),
    ("a.person, round(m.base + a.age * m.debt, 7)", "0 to 6 decimals"),
    ("a.person, round(m.base + a.age * m.debt, a.age)", "0 to 6 decimals"),
    ("a.person, round(a.age + m.base, 2)", "a term without a coefficient"),
    ("a.person, round(a.age * m.debt + 3, 2)", "a term without a coefficient"),
    (
        "a.person, round(a.age * m.debt * m.base, 2)",
        "two coefficients are multiplied: a polynomial of higher degree",
    ),
    ("a.person, round((m.base + a.age * m.debt) * a.age, 2)", "a polynomial of higher degree"),
    ("a.person, round((m.base + m.debt) * a.age, 2)", "a coefficient is a column of the model as it stands"),
    ("a.person, round(2 * m.base + a.age * m.debt, 2)", "a constant is multiplied with a coefficient"),
    ("a.person, round(a.age * m.debt + a.income * m.debt, 2)", "the coefficient debt stands in two terms"),
    ("a.person, round(power(a.age, 2) * m.debt, 2)", "the function power is not in the subset"),
    (
        "a.person, round(greatest(a.age * m.debt, m.base), 2)",
        "a polynomial of higher degree, or no polynomial",
    ),
    ("a.person, round(a.age / 2 * m.debt, 2)", "no range follows"),
    ("a.person, round(exp(m.base + a.age * m.debt), 2)", "or no polynomial"),
    ("a.person, round(2 / (1 + exp(-(m.base + a.age * m.debt))), 2)", "not the logistic curve"),
    ("a.person, round(1 / (1 + exp(m.base + a.age * m.debt)), 2)", "not the logistic curve"),
    ("a.person, round(a.debt * m.debt, 2)", "a feature may be without a value (debt)"),
    ("a.person, round(coalesce(a.debt, a.debt) * m.debt, 2)", "a feature may be without a value (debt)"),
    ("a.person, round(a.age * m.gap, 2)", "a coefficient may be without a value (gap)"),
    ("a.person, round(a.age * m.bare, 2)", "nm/tax has declared no range of tax.risk_model.bare"),
    ("a.person, round(a.age * m.endless, 2)", "nm/tax has declared no range of tax.risk_model.endless"),
    ("a.person, round(a.note * m.debt, 2)", "nm/bank has declared no range of bank.applicants.note"),
    ("a.person, round(a.age * m.age, 2)", "has the type DOUBLE"),
    ("a.person, round(a.ratio * m.debt, 2)", "has the type DOUBLE"),
    ("a.person, round(a.age * a.income * a.income * a.age * m.debt, 2)", "53 bits"),
    ("a.person, round('nan' * m.debt, 2)", "a constant is multiplied"),
    ("a.person, round(a.age * 'nan' * m.debt, 2)", "a constant in arithmetic is a plain number"),
    ("a.person, round(cast('nan' as decimal(4, 2)) * a.age * m.debt, 2)", "a cast is of a column"),
    ("a.person, round(a.age * m.debt, 2), a.age", "the person and one score"),
    ("round(a.age * m.debt, 2), a.person", "the first output is not the column that names"),
    ("a.branch, round(a.age * m.debt, 2)", "the first output is not the column that names"),
    ("*, round(a.age * m.debt, 2)", "the first output is not"),
    ("a.person as x, round(a.age * m.debt, 2) as x", "two outputs"),
]


@pytest.mark.parametrize(("outputs", "reason"), NOT_SCORED)
def test_what_is_no_score_by_a_linear_model_is_refused_by_name(outputs: str, reason: str) -> None:
    with pytest.raises(DarkroomError) as refused:
        read_joint(f"select {outputs} {SCORES}", SCORED)
    assert reason in refused.value.what
    assert refused.value.code in ("sql.unsupported", "sql.syntax")


PLAIN = "select a.person, round(a.age * m.debt, 2) as s "
ELSEWHERE = [
    (PLAIN + SCORES + " where m.base > 0", SCORED, "a condition on the model"),
    (PLAIN + SCORES + " where a.age > m.base", SCORED, "no place sees the rows of both"),
    (PLAIN + SCORES + " group by a.person", SCORED, "GROUP BY"),
    (PLAIN + SCORES + " limit 3", SCORED, "LIMIT"),
    (PLAIN + SCORES + " order by 2", SCORED, "ORDER BY"),
    (PLAIN.replace("select", "select distinct") + SCORES, SCORED, "DISTINCT"),
    (PLAIN + SCORES, (APPLICANTS, MODEL_OF_MANY), "a model is one row, and tax.risk_model has 2"),
    (PLAIN + SCORES, (APPLICANTS, OWN_MODEL), "both nm/bank's"),
    (PLAIN + "from tax.risk_model a cross join bank.applicants m", SCORED, "is about nobody"),
    (PLAIN + "from bank.applicants a cross join own.cases m", (*SCORED, CASES), "own.cases is about persons"),
    (PLAIN + SCORES + " cross join own.cases c", (*SCORED, CASES), "scored by one model"),
    (PLAIN + "from bank.applicants a, tax.risk_model m", SCORED, "without a condition"),
    ("select sum(a.age * m.debt) " + SCORES, SCORED, "CROSS JOIN"),
    ("select count(*) from bank.applicants a join tax.risk_model m on a.age = m.debt", SCORED, "about nobody"),
    ("select sum(x) from (select age as x from bank.applicants union all select debt as x from tax.risk_model) t",
     SCORED, "tax.risk_model is about nobody"),
    ("select sum(coalesce(tax, 0)) from health.visits h join tax.income t using (person)", SHADOWS, "no range follows"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "shadows", "reason"), ELSEWHERE)
def test_a_model_stands_beside_rows_and_nowhere_else(
    statement: str, shadows: tuple[JointShadow, ...], reason: str
) -> None:
    with pytest.raises(DarkroomError) as refused:
        read_joint(statement, shadows)
    assert reason in refused.value.what


# ------------------------------------------------------------------------------------------ meaning of scores

NARROW = joint_shadow(
    "bank.applicants", "nm/bank", income=("DECIMAL(8,2)", between("-100.00", "9000.00")),
    age=("INTEGER", between("0", "120")), debt=("INTEGER?", between("0", "500")),
)  # fmt: skip
WEIGHTS = joint_shadow(
    "tax.risk_model", "nm/tax", 1, key="", base=("DECIMAL(6,3)", between("-9", "9")),
    income=("DECIMAL(7,5)", between("-1", "1")), debt=("INTEGER", between("-3", "3")),
)  # fmt: skip
FEATURES = st.sampled_from(
    ["a.income", "a.age", "coalesce(a.debt, 1)", "(a.income - 2 * a.age)", "-a.age * 0.5"]
)
COEFFICIENTS = st.permutations(["m.base", "m.income", "m.debt"])


@st.composite
def forms(draw: st.DrawFn) -> str:
    """A sum of terms, one at least with a feature."""
    names = draw(COEFFICIENTS)[: draw(st.integers(1, 3))]
    terms = [f"{draw(FEATURES)} * {names[0]}"]
    for name in names[1:]:
        terms.append(draw(st.sampled_from(["{0}", "{1} * {0}", "{0} * {1}"])).format(name, draw(FEATURES)))
    signs = [draw(st.sampled_from(["+", "-"])) for _ in terms]
    return " ".join(f"{sign} {term}" for sign, term in zip(signs, terms, strict=True)).removeprefix("+ ")


def decimals(low: int, high: int, digits: int) -> st.SearchStrategy[Decimal]:
    """Numbers with so many decimals, their ends times 10^digits."""
    return st.integers(low, high).map(lambda number: Decimal(number).scaleb(-digits))


PEOPLE = st.lists(
    st.tuples(decimals(-100_00, 9000_00, 2), st.integers(0, 120), st.none() | st.integers(0, 500)), max_size=8
)
WEIGHT = st.tuples(decimals(-9_000, 9_000, 3), decimals(-100_000, 100_000, 5), st.integers(-3, 3))


def scores(database: joint_meaning.Database, found: JointReading) -> dict[str, Fraction]:
    """The exact score of each person by the terms of a reading, before rounding."""
    rows, model = found.portions
    score = found.score
    assert score is not None
    numbers = _numbers(database, model)[0]
    told: dict[str, Fraction] = {}
    for key, (_, operands) in joint_meaning.portion_rows(database, rows).items():
        features = [
            Fraction(value or 0, 10**each.decimals)
            for value, each in zip(operands, rows.operands, strict=True)
        ]
        told[key] = sum(
            ((features[feature] if feature >= 0 else Fraction(1)) * numbers[place] for feature, place in score.terms),
            Fraction(0),
        )  # fmt: skip
    return told


def _numbers(database: joint_meaning.Database, model: Portion) -> list[list[Fraction]]:
    listed = ", ".join(operand.expression for operand in model.operands)
    found = database.execute(f"SELECT {listed} FROM {model.relation}").fetchall()
    assert all(
        each.low <= Fraction(value) * 10**each.decimals <= each.high
        for row in found
        for value, each in zip(row, model.operands, strict=True)
    )
    return [[Fraction(value) for value in row] for row in found]


@settings(max_examples=60, deadline=None)
@given(forms(), PEOPLE, WEIGHT, st.integers(0, 4), st.booleans())
def test_the_terms_give_the_score_that_duckdb_gives(
    form: str, people: list[tuple[Any, ...]], weights: tuple[Any, ...], digits: int, logistic: bool
) -> None:
    written = f"1 / (1 + exp(-({form})))" if logistic else form
    statement = f"select a.id_number as k, round({written}, {digits}) as s {SCORES} where a.age < 100"
    found = reading(statement, (NARROW, WEIGHTS))
    with duckdb.connect(":memory:") as database:
        create(database, NARROW.shadow, [(n, f"id{n}", *each) for n, each in enumerate(people)])
        create(database, WEIGHTS.shadow, [weights])
        expected = dict(database.execute(statement).fetchall())
        told = scores(database, found)
        assert set(told) == set(expected)
    for key, exact in told.items():
        if logistic:
            curve = 1 / (1 + math.exp(-max(-700.0, min(700.0, float(exact)))))
            assert abs(float(expected[key]) - curve) <= 0.5 * 10**-digits + 1e-9
        else:
            assert abs(Fraction(expected[key]) - exact) <= Fraction(1, 2 * 10**digits)
