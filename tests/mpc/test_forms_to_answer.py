"""From one SQL statement of another form than a join of figures to what is handed over, beside DuckDB on plain rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.encrypted import crypto_box
from mpc.protocols.computation import Found, Totals
from mpc.protocols.identifiers import unpack
from plans.joint import JointPlan, JointTask
from plans.joint_answer import figure_of
from plans.joint_rules import Matching, Opening
from tests.inside.sql_cases import create
from tests.mpc.compile_cases import Asked
from tests.mpc.form_cases import ALL_RULES
from tests.mpc.test_statement_to_answer import MINIMUM, all_rows, answered, computed, require_right
from tests.plans import joint_examples
from tests.policies import joint_meaning
from tests.policies.joint_cases import FROM, INCOME, PARTS, TABLE, VISITS
from tests.policies.test_joint_reading import filled
from tests.policies.test_joint_reading import tables as registers
from tests.policies.test_joint_stacked import ASKED, tables

EAST, WEST, HEALTH, TAX, OFFICE = "nm/east", "nm/west", "nm/health", "nm/tax", "nm/office"
SERVERS = ("nm/civil", EAST, TAX)
NORTH = replace(PARTS[0], domain="nm/north", shadow=replace(PARTS[0].shadow, relation="north.income"))
"""A third bureau with the same columns as the first, without which an inspector would have one of two parts."""

DOMAINS = (EAST, HEALTH, "nm/civil", NORTH.domain, OFFICE, TAX, WEST)
THIRD = " union all select region, formal, income, days, balance from north.income) t"

Rows = tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]


def plan_of(task: JointTask, shadows: Any) -> JointPlan:
    """The plan of a task over small relations, with a small minimum group."""
    parties = tuple(joint_examples.party(domain, place) for place, domain in enumerate(DOMAINS))
    small = tuple(replace(each, rows=100) for each in shadows)
    plan = Asked(task, shadows=small, rules=ALL_RULES, parties=parties).plan()
    return replace(plan, scheme=replace(plan.scheme, minimum_group=MINIMUM))


@contextmanager
def holding(rows: Rows) -> Iterator[joint_meaning.Database]:
    with duckdb.connect(":memory:") as database:
        for likeness, content in zip((*PARTS, NORTH), (*rows, rows[0]), strict=True):
            create(database, likeness.shadow, content)
        yield database


def statement_of(asked: tuple[list[str], list[str], list[str]]) -> str:
    figures, conditions, keys = asked
    listed = ", ".join([*keys, *(f"{figure} as f{n}" for n, figure in enumerate(figures))])
    where = f" where {' and '.join(conditions)}" if conditions else ""
    return f"select {listed} {TABLE}{where}" + (f" group by {', '.join(keys)}" if keys else "")


@settings(max_examples=15, deadline=None)
@given(tables(), ASKED)
def test_the_recipient_opens_what_duckdb_says_of_a_table_in_parts_or_nothing(rows: Rows, asked: Any) -> None:
    plan = plan_of(JointTask(statement_of(asked), Matching.NONE, Opening.OBLIVIOUS, SERVERS), PARTS)
    with holding(rows) as database:
        found, _ = answered(plan, database)
        require_right(plan, database, found)


def inspected(statement: str, encrypted: bool) -> JointTask:
    servers, collector = ((), OFFICE) if encrypted else (SERVERS, "")
    return JointTask(
        statement, Matching.NONE, Opening.INSPECTED, servers, inspector=WEST, collector=collector
    )


@settings(max_examples=15, deadline=None)
@given(tables(), ASKED, st.booleans())
def test_an_inspector_opens_every_figure_of_it_from_shares_and_from_ciphertexts(
    rows: Rows, asked: Any, encrypted: bool
) -> None:
    of_three = statement_of(asked).replace(") t", THIRD, 1)
    plan = plan_of(inspected(of_three, encrypted), (*PARTS, NORTH))
    with pytest.MonkeyPatch.context() as patched, holding(rows) as database:
        patched.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])
        (handed,), _ = computed(plan, all_rows(plan, database))
        expected = joint_meaning.cells(database, plan.reading)
    assert isinstance(handed, Totals)
    for place, cells in enumerate(expected.values()):
        for figure in plan.reading.figures:
            value = figure_of(plan, figure, [handed.sums[total][place] for total in figure.sums])
            theirs = cells[figure.name].value
            if value is None or theirs is None:
                assert value is None or figure.function in ("corr", "var_samp", "stddev_pop")
            elif figure.function in ("sum", "count"):
                assert Fraction(str(value)) == theirs
            else:
                assert math.isclose(float(str(value)), float(theirs), rel_tol=1e-9, abs_tol=1e-12)


@settings(max_examples=15, deadline=None)
@given(registers(), st.sampled_from([OFFICE, ""]), st.sampled_from([HEALTH, TAX]))
def test_a_finder_finds_whom_duckdb_joins(rows: Rows, helper: str, finder: str) -> None:
    condition = "h.urgent" if finder == HEALTH else "t.income > 1000"
    statement = f"select person {FROM} where {condition}"
    matching = Matching.HELPER if helper else Matching.DIFFIE_HELLMAN
    task = JointTask(statement, matching, Opening.INTERSECTION, (), helper=helper, finder=finder)
    plan = plan_of(task, (VISITS, INCOME))
    with filled(rows) as database:
        own = all_rows(plan, database)
        (found,), _ = computed(plan, own)
        names = database.execute(f"select h.id_number {FROM} where {condition}").fetchall()
    assert isinstance(found, Found)
    assert sorted(unpack(own[finder].keys[found.everywhere])) == sorted(name for (name,) in names)
