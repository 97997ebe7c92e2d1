"""From a policy that asks for enterprises to what is counted: the view, the reading and what the box materialises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plans.checks import Checks
from plans.manifest import Kind
from plans.statements import DatasetPolicy
from policies.api import Case, program_of, shadows
from policies.reading import read_forms
from policies.view import enterprise_column
from tests.keeper import house
from tests.policies.cases import GOOD, PROPERTY_GRANT, ROWS, bundle, granted

THREE = Checks(enterprises=3)


def policy(enterprise: str, checks: Checks = THREE) -> DatasetPolicy:
    return replace(house.INCOME_POLICY, enterprise=enterprise, checks=checks)


@pytest.mark.parametrize(
    ("asked", "column"),
    [
        (policy("region"), "region"),
        (policy("region", Checks()), None),
        (policy("", Checks()), None),
        (policy("person"), "person"),
        (policy(""), ""),
        (policy("employer"), ""),
        (policy("id_number"), ""),
        (None, None),
    ],
    ids=["named", "not asked", "neither", "persons are enterprises", "no column", "not there", "cut off", "no policy"],
)  # fmt: skip
def test_the_view_says_what_is_counted_or_that_nobody_can(asked: Any, column: str | None) -> None:
    assert enterprise_column(house.manifest(), asked) == column


def test_data_about_nobody_have_no_persons_that_are_enterprises() -> None:
    kept = tuple(column for column in house.manifest().columns if column.kind is not Kind.IDENTIFIER)
    codes = replace(
        house.manifest(), person="", persons=0, columns=kept, files=(house.manifest().attributes,)
    )
    assert enterprise_column(codes, policy("person")) == ""


def case(*policies: DatasetPolicy, statement: str = "select avg(income) as m from tax.income") -> Case:
    """The good case with a statement as the guard reads it on the asker's view."""
    start = replace(GOOD, bundle=bundle(*policies), grants=(granted(), granted(PROPERTY_GRANT, "property")))
    seen = shadows(start.request, start.bundle, start.manifests, start.index, start.now)
    return replace(start, reading=read_forms(statement, seen).reading)


def columns(found: Case) -> dict[str, tuple[str, ...]]:
    return {relation.name: relation.columns for relation in program_of(found).relations}


def test_the_box_has_the_column_that_is_counted_and_the_asker_does_not_use_it() -> None:
    asked = case(policy("region"), house.PROPERTY_POLICY)
    assert {each.column for each in asked.reading.uses} == {"income"}
    assert columns(asked) == {"tax.income": ("income", "region")}
    assert 'count(DISTINCT "income"."region") AS "_enterprises_0"' in asked.reading.counted


def test_control_without_the_rule_it_has_not() -> None:
    asked = case(policy("region", Checks()), house.PROPERTY_POLICY)
    assert columns(asked) == {"tax.income": ("income",)} and "_enterprises_" not in asked.reading.counted


@pytest.mark.parametrize("enterprise", ["", "employer", "id_number"])
def test_what_nobody_can_count_is_not_in_the_box_either(enterprise: str) -> None:
    asked = case(policy(enterprise), house.PROPERTY_POLICY)
    assert columns(asked) == {"tax.income": ("income",)} and asked.reading.tables[0].enterprises == 0


JOINED = "select avg(i.income) as m from tax.income as i join tax.property as p using (person)"


@pytest.mark.parametrize(
    ("income", "houses", "counted"),
    [
        ("region", None, ['"i"."region"']),
        ("region", "houses", ['"i"."region"', '"p"."houses"']),
        (None, "houses", ['"p"."houses"']),
        ("region", "", []),
        (None, None, []),
    ],
)
def test_of_a_join_the_enterprises_of_every_owner_who_asks_are_counted_or_none(
    income: str | None, houses: str | None, counted: list[str]
) -> None:
    mine, theirs = (
        replace(each, enterprise=column or "", checks=Checks() if column is None else THREE)
        for each, column in ((house.INCOME_POLICY, income), (house.PROPERTY_POLICY, houses))
    )
    text = case(mine, theirs, statement=JOINED).reading.counted
    least = ", ".join(f"count(DISTINCT {name})" for name in counted)
    least = f"least({least})" if len(counted) > 1 else least
    assert (f'{least} AS "_enterprises_0"' in text) if counted else ("_enterprises_0" not in text)


def test_for_rows_that_may_be_shown_nothing_more_is_in_the_box() -> None:
    seen = ROWS.bundle.policies[0]
    rows = replace(
        ROWS, bundle=replace(ROWS.bundle, policies=(replace(seen, enterprise="income", checks=THREE),))
    )
    assert columns(rows) == columns(ROWS)
