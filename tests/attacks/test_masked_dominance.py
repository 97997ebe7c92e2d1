"""ATTACKS 29: a dominated total behind something else that is added, which the attacker knows and takes off again."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from inside import contributed
from policies.reading import contributions
from tests.attacks.test_dominance import GIANT, OFF, RULES, enterprises, went

MASKED = [
    "sum(income + 100000)",
    "sum(income + 3000)",
    "avg(income + 100000)",
    "sum(-100000 - income)",
    "sum(2 * (income + 100000))",
    "sum((income + 100000) / 2)",
    "sum((income + 100000) * age)",
    "sum(income + age * 9000)",
    "sum(case when age < 22 then 90000 else income end)",
    "sum(coalesce(income, 0) + 100000)",
    "sum(case when urban then income + 100000 else 0 end)",
    "sum(case when urban then case when age < 22 then 90000 else income + 1 end else 0 end)",
    "sum(cast(income + 100000 as float))",
    "sum(income / age + 100000)",
    "sum(100000 * (1 + income / 100000))",
    "sum(income + 100000) / count(*)",
    "100 * sum(income + 3000) / sum(age)",
    "stddev(income + 100000)",
]


def without_spreads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither reader looks at the squares of deviations."""
    monkeypatch.setattr(contributions, "spreads", lambda _: ())
    monkeypatch.setattr(contributed, "_require_squares", lambda *_: None)


def people(giant: float = GIANT) -> list[tuple[Any, ...]]:
    """Three regions with a giant in one, and in each twenty more who live elsewhere, and of whom no income is known."""
    rows = enterprises(giant)
    return rows + [(90 + n, rows[n][1], 23, None, *rows[n][4:6], False) for n in range(1, 61)]


@pytest.mark.parametrize("figure", MASKED)
def test_29_a_dominated_total_leaves_behind_no_mask(tmp_path: Path, figure: str) -> None:
    found = went(tmp_path, f"select region, {figure} as f from tax.income group by region", RULES, people())
    assert {row[0]: row[1] for row in found.rows}["东"] is None


@pytest.mark.parametrize("figure", MASKED)
def test_29_control_without_its_summands_the_masked_total_tells_the_giant(
    tmp_path: Path, figure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contributions, "summands", lambda _: ())
    without_spreads(monkeypatch)
    found = went(tmp_path, f"select region, {figure} as f from tax.income group by region", RULES, people())
    assert {row[0]: row[1] for row in found.rows}["东"] is not None


def test_29_control_what_the_mask_would_tell(tmp_path: Path) -> None:
    """The constant is taken off, and with it goes the rule; what is left is the giant within some percent."""
    rows = enterprises()
    east = [row[3] for row in rows if row[1] == "东"]
    statement = "select region, sum(income + 3000) as f from tax.income where region = '东' group by region"
    ((_, told),) = went(tmp_path, statement, OFF, rows).rows
    assert told is not None
    assert abs(Decimal(told) - 3_000 * len(east) - Decimal(max(east))) < Decimal(max(east)) / 5


def differing(mine: Any, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Everybody paid what they earn but one, who is no giant in either."""
    return [(*row[:3], 90_000.0, Decimal(90_000 - (mine if row[0] == 3 else 1)), *row[5:]) for row in rows]


@pytest.mark.parametrize(
    "figure", ["sum(income - paid)", "sum(income - paid + 5)", "sum(income - paid + age * 9)"]
)
def test_29_nor_does_the_difference_of_two_columns_that_one_person_dominates(
    tmp_path: Path, figure: str
) -> None:
    rows = differing(8_000, enterprises())
    found = went(tmp_path, f"select region, {figure} as f from tax.income group by region", RULES, rows)
    assert {row[0]: row[1] for row in found.rows}["东"] is None


def test_29_control_each_of_these_columns_by_itself_is_dominated_by_nobody(tmp_path: Path) -> None:
    statement = "select region, sum(income) as f, sum(paid) as g from tax.income group by region"
    found = went(tmp_path, statement, RULES, differing(8_000, enterprises()))
    assert all(value is not None for row in found.rows for value in row)


def test_29_what_is_null_outside_of_the_figure_is_no_crowd_to_hide_in(tmp_path: Path) -> None:
    """The figure has the poor and the giant; other rich persons, whom it leaves out, do not make the giant small."""
    rows = [(*row[:3], 500_000.0 if row[0] % 2 else row[3], *row[4:]) for row in enterprises()]
    figure = "sum(income + case when age = 30 or income < 5000 then 100000 end)"
    rows[2] = (*rows[2][:3], 500_000.0, *rows[2][4:])
    found = went(tmp_path, f"select region, {figure} as f from tax.income group by region", RULES, rows)
    assert {row[0]: row[1] for row in found.rows}["东"] is None


def test_a_mask_over_figures_that_nobody_dominates_costs_nothing(tmp_path: Path) -> None:
    for number, figure in enumerate(MASKED):
        found = went(
            tmp_path / str(number),
            f"select region, {figure} as f from tax.income group by region",
            RULES,
            people(giant=1_003.0),
        )
        assert len(found.rows) == 3 and all(value is not None for _, value in found.rows), figure


def test_ordinary_arithmetic_over_prices_is_not_withheld(tmp_path: Path) -> None:
    statement = (
        "select region, sum(income * (1 - paid / 100)) as price, sum(income * (1 - paid / 100) * (1 + age / 100))"
        " as charge, avg(income - paid) as net from tax.income group by region"
    )
    found = went(tmp_path, statement, RULES, enterprises(giant=1_003.0))
    assert len(found.rows) == 3 and all(value is not None for row in found.rows for value in row)


APART = 16_000.0
"""A third of the income of their region, and nine tenths of its squares."""

DEVIATIONS = [
    "stddev(income)",
    "stddev(income + 100000)",
    "100 * stddev(income) / avg(income)",
    "stddev(income * 2)",
]


@pytest.mark.parametrize("figure", DEVIATIONS)
def test_29_a_deviation_that_one_person_makes_does_not_leave(tmp_path: Path, figure: str) -> None:
    statement = f"select region, {figure} as f, sum(income) as s from tax.income group by region"
    found = {row[0]: row[1:] for row in went(tmp_path, statement, RULES, enterprises(APART)).rows}
    assert found["东"][0] is None
    assert found["东"][1] is not None, "nobody dominates the sum"


def test_29_control_without_the_squares_the_deviation_tells_how_far_one_person_lies_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_spreads(monkeypatch)
    rows = enterprises(APART)
    statement = "select region, stddev(income) as f, avg(income) as m from tax.income group by region"
    found = {row[0]: row[1:] for row in went(tmp_path, statement, RULES, rows).rows}
    deviation, mean = (float(value or 0) for value in found["东"])
    persons = sum(row[1] == "东" for row in rows)
    told = mean + deviation * (persons - 1) / persons**0.5
    assert abs(told - APART) < APART / 7
