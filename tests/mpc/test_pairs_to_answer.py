"""From one SQL statement over two owners alone to what is handed over, beside DuckDB on the plain rows: sums on
ciphertexts, scores by a model, records of a register.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mpc.encrypted import crypto_box
from mpc.lookup.fields import pack, width_of
from mpc.protocols.computation import Records, Scores, Totals
from mpc.protocols.identifiers import unpack
from mpc.protocols.joint_rows import OwnRows
from plans.errors import RangeTooWide
from plans.joint import JointPlan, JointTask
from plans.joint_answer import figure_of
from plans.joint_rules import Matching, Opening
from plans.joint_shadows import JointShadow
from tests.inside.sql_cases import create
from tests.mpc.compile_cases import Asked
from tests.mpc.form_cases import ALL_RULES
from tests.mpc.test_statement_to_answer import MINIMUM, all_rows, computed, own_rows
from tests.plans import joint_examples
from tests.policies import joint_meaning
from tests.policies.joint_cases import (
    APPLICANTS,
    CASES,
    FROM,
    INCOME,
    LOOKED_UP,
    LOOKUP,
    MODEL,
    REGISTER,
    SCORED,
    SCORES,
    VISITS,
)
from tests.policies.test_joint_reading import STATEMENTS, filled, tables

HEALTH, TAX = VISITS.domain, INCOME.domain
DOMAINS = tuple(sorted({HEALTH, TAX, APPLICANTS.domain, MODEL.domain, CASES.domain, REGISTER.domain}))


@pytest.fixture(autouse=True)
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """All parties are threads of this process, which is no box."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])


def plan_of(task: JointTask, shadows: Sequence[JointShadow]) -> JointPlan:
    """The plan of a task over small relations, with a small minimum group."""
    parties = tuple(joint_examples.party(domain, place) for place, domain in enumerate(DOMAINS))
    small = tuple(replace(each, rows=100) if each.key else each for each in shadows)
    plan = Asked(task, shadows=small, rules=ALL_RULES, parties=parties).plan()
    return replace(plan, scheme=replace(plan.scheme, minimum_group=MINIMUM))


# ------------------------------------------------------------------------------------------- sums of two owners


def between(statement: str, inspector: str) -> JointPlan:
    collector = TAX if inspector == HEALTH else HEALTH
    task = JointTask(
        statement, Matching.DIFFIE_HELLMAN, Opening.INSPECTED, (), inspector=inspector, collector=collector
    )
    return plan_of(task, (VISITS, INCOME))


def require_right(plan: JointPlan, database: joint_meaning.Database, found: Totals) -> None:
    """Every figure of every cell is what the reading means on the plain rows."""
    for place, cells in enumerate(joint_meaning.cells(database, plan.reading).values()):
        for figure in plan.reading.figures:
            value = figure_of(plan, figure, [found.sums[total][place] for total in figure.sums])
            theirs = cells[figure.name].value
            if value is None or theirs is None:
                assert value is None or figure.function in ("corr", "var_samp", "stddev_pop")
            elif figure.function in ("sum", "count"):
                assert Fraction(str(value)) == theirs
            else:
                assert math.isclose(float(str(value)), float(theirs), rel_tol=1e-9, abs_tol=1e-12)


NULLABLE = ("band", "urgent")


def owner_of(expression: str) -> str:
    """Whose columns a condition or key is over."""
    return TAX if any(column in expression for column in ("income", "tax", "exempt", "band")) else HEALTH


MOST_ANSWERS = 60  # each takes a hundredth of a second


@settings(max_examples=6, deadline=None)
@given(tables(), STATEMENTS, st.sampled_from([HEALTH, TAX]))
def test_an_inspector_opens_what_duckdb_says_of_rows_in_common(rows: Any, asked: Any, inspector: str) -> None:
    """Where a figure needs wider numbers than ciphertexts have, the plan is refused, and no figure is wrong. Of the
    inspector's rows there is no condition, nor a key without a value: the collector would learn whom it holds for.
    """
    figures, conditions = asked[0][:2], [each for each in asked[1] if owner_of(each) != inspector]
    keys = [key for key in asked[2] if key not in NULLABLE or owner_of(key) != inspector][:1]
    listed = ", ".join([*keys, *(f"{figure} as f{n}" for n, figure in enumerate(figures))])
    where = f" where {' and '.join(conditions)}" if conditions else ""
    statement = f"select {listed} {FROM}{where}" + (f" group by {', '.join(keys)}" if keys else "")
    try:
        plan = between(statement, inspector)
    except RangeTooWide:
        assume(False)
        raise
    assume(len(plan.reading.sums) * plan.reading.cells <= MOST_ANSWERS)
    with filled(rows) as database:
        (found,), _ = computed(plan, all_rows(plan, database))
        assert isinstance(found, Totals)
        require_right(plan, database, found)


@pytest.mark.parametrize("inspector", [HEALTH, TAX])
def test_grouped_sums_averages_and_inner_products(inspector: str) -> None:
    places = ("east", "west")
    visits = [
        (n, f"id{n}", places[n % 2], "I10", n % 3 == 0, Fraction(n, 4), n % 9, None, n % 5 - 2, None)
        for n in range(40)
    ]
    incomes = [(n, f"id{n}", n % 3 + 1, Fraction(n * 7, 2), n % 90, n % 4 == 0) for n in range(20, 60)]
    figures = "count(*) as n, sum(shift) as s, avg(tax) as t, sum(days * tax) as p, sum(cost * tax) as q"
    plan = between(f"select region, exempt, {figures} {FROM} group by region, exempt", inspector)
    with filled((visits, incomes)) as database:
        (found,), _ = computed(plan, all_rows(plan, database))
        require_right(plan, database, found)
        assert sum(found.sums[0]) == 20


# ------------------------------------------------------------------------------------------------------- scores


def model_row(plan: JointPlan, database: joint_meaning.Database) -> OwnRows:
    portion = plan.reading.portions[1]
    listed = [f"({each.expression})::DECIMAL(38, {each.decimals})" for each in portion.operands]
    (row,) = database.execute(f"SELECT {', '.join(listed)} FROM {portion.relation}").fetchall()
    whole = [int(value.scaleb(each.decimals)) for each, value in zip(portion.operands, row, strict=True)]
    values = np.array(whole, dtype=np.int64).reshape(-1, 1)
    zeros = np.zeros((1, 16), dtype=np.uint8)
    return OwnRows(zeros, values, np.ones(values.shape, dtype=np.uint8), np.zeros(1, dtype=np.uint16))


LINEAR = "m.base + a.income * m.income + a.age * m.debt"
SCORED_AS = {
    "linear": f"round({LINEAR}, 2)",
    "whole": f"round({LINEAR}, 0)",
    "without a constant": "round(a.income * m.income + a.age * m.base, 3)",
    "logistic": f"round(1 / (1 + exp(-({LINEAR}))), 4)",
}


def applicant(draw: st.DrawFn, person: int) -> tuple[Any, ...]:
    cents = draw(st.integers(-100_00, 9000_00))
    return (
        person,
        f"id{person}",
        draw(st.booleans()),
        Decimal(cents).scaleb(-2),
        draw(st.integers(0, 120)),
        1,
        0.5,
        "b",
        1,
    )


@st.composite
def loans(draw: st.DrawFn) -> tuple[list[tuple[Any, ...]], tuple[Any, ...]]:
    persons = draw(st.lists(st.integers(0, 50), unique=True, max_size=12))
    model = (
        Decimal(draw(st.integers(-9000, 9000))).scaleb(-3), Decimal(draw(st.integers(-99_999, 99_999))).scaleb(-5),
        0.5, draw(st.integers(-3, 3)), Decimal(0), Decimal(0), Decimal(0),
    )  # fmt: skip
    return [applicant(draw, person) for person in persons], model


@settings(max_examples=12, deadline=None)
@given(loans(), st.sampled_from(sorted(SCORED_AS)), st.sampled_from(["", " where a.age > 40 and a.formal"]))
def test_a_finder_gets_the_scores_that_duckdb_gives(loans: Any, kind: str, condition: str) -> None:
    applicants, row = loans
    statement = f"select a.person, {SCORED_AS[kind]} as score {SCORES}{condition}"
    task = JointTask(statement, Matching.NONE, Opening.SCORES, (), finder=APPLICANTS.domain)
    plan = plan_of(task, SCORED)
    with duckdb.connect(":memory:") as database:
        create(database, APPLICANTS.shadow, applicants)
        create(database, MODEL.shadow, [row])
        finder = own_rows(plan.reading, 0, joint_meaning.portion_rows(database, plan.reading.portions[0]))
        rows = {APPLICANTS.domain: finder, MODEL.domain: model_row(plan, database)}
        (found,), _ = computed(plan, rows)
        plain = database.execute(statement.replace("a.person", f"a.{APPLICANTS.key}")).fetchall()
    assert isinstance(found, Scores)
    ours = dict(zip(unpack(finder.keys), map(Fraction, found.texts), strict=True))
    expected = {person: Fraction(score) for person, score in plain}
    if kind != "logistic":
        assert ours == expected
        return
    assert ours.keys() == expected.keys()
    assert all(abs(ours[person] - score) < Fraction(1, 10**9) for person, score in expected.items())


# ------------------------------------------------------------------------------------------------------ records


def register_rows(plan: JointPlan, database: joint_meaning.Database) -> OwnRows:
    portion = plan.reading.portions[1]
    texts = ", ".join(f'CAST("{field.column}" AS VARCHAR)' for field in portion.fields)
    listed = database.execute(f'SELECT "{portion.key}", {texts} FROM {portion.relation}').fetchall()
    base = own_rows(plan.reading, 1, {str(row[0]): ((), ()) for row in listed})
    by_key = {row[0]: row[1:] for row in listed}
    widths = [field.width for field in portion.fields]
    packed = b"".join(pack(by_key[key], widths) for key in sorted(by_key))
    return replace(base, records=np.frombuffer(packed, dtype=np.uint8).reshape(len(listed), width_of(widths)))


@st.composite
def trials(draw: st.DrawFn) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    asked = draw(st.lists(st.integers(0, 30), unique=True, max_size=5))
    known = draw(st.lists(st.integers(0, 30), unique=True, max_size=25))
    fees = st.none() | st.integers(0, 9900).map(lambda n: Decimal(n).scaleb(-2))
    return [(n, f"id{n}", 17 if n % 4 else 18, None, None) for n in asked], [
        (
            n, f"id{n}", draw(st.sampled_from(["east", "west", "北"])), draw(st.none() | st.text(max_size=9)),
            None, draw(fees), draw(st.booleans()), None,
        )
        for n in known
    ]  # fmt: skip


@settings(max_examples=12, deadline=None)
@given(trials())
def test_a_finder_gets_the_records_that_a_left_join_gives(trials: Any) -> None:
    cases, register = trials
    statement = f"select c.person, r.region, r.status, r.fee, r.alive {LOOKUP} where c.case_no = 17 limit 6"
    task = JointTask(statement, Matching.NONE, Opening.RECORDS, (), finder=CASES.domain)
    plan = plan_of(task, LOOKED_UP)
    with duckdb.connect(":memory:") as database:
        create(database, CASES.shadow, cases)
        create(database, REGISTER.shadow, register)
        finder = own_rows(plan.reading, 0, joint_meaning.portion_rows(database, plan.reading.portions[0]))
        rows = {CASES.domain: finder, REGISTER.domain: register_rows(plan, database)}
        (found,), _ = computed(plan, rows)
        plain = database.execute(
            f"SELECT c.{CASES.key}, r.person IS NOT NULL, r.region, r.status, r.fee::VARCHAR, r.alive::VARCHAR "
            f"{LOOKUP} WHERE c.case_no = 17"
        ).fetchall()
    assert isinstance(found, Records)
    ours = dict(zip(unpack(finder.keys), found.records, strict=True))
    assert ours == {person: tuple(texts) if there else None for person, there, *texts in plain}
