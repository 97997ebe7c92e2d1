"""ACRO's published cases under the whole preset `acro`: fits, a survival table, pivot tables (AI-SDC/ACRO, test/).

The numbers are those that ACRO's tests publish, or aggregates of the public data of charities that they read
(`data/test_data.dta`). Each case has its control, with the rule off.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airlock import presets
from plans import canonical
from plans.artifacts import Artifact, Form
from plans.decision import Obligations, Tier
from plans.verdict import Finding
from tests.airlock.outputs.corpus import contents, table, through

PRESET = presets.load("acro")
CHECKS = replace(PRESET.checks, automatic=True)
"""ACRO's numbers; that people decide is another matter, with a test of its own."""

OWNER = Obligations(PRESET.minimum_group, PRESET.rounding, PRESET.largest_result, Tier.T1, CHECKS)
ANYBODY = replace(OWNER, minimum_group=1)
FITS = (Artifact("fit.json", Form.METRICS),)

YEARS = range(2010, 2016)
BY_KIND = [("G", 86, 981499600, 94700000, 89300000), ("N", 298, 40060700, 982879, 960417),
           ("R", 387, 3134120000, 249327008, 234218000), ("R/G", 44, 732524000, 44385000, 43780000)]  # fmt: skip
"""Kind of grant, charities, total of grants, the two largest."""

PERSONS = {"G": [14, 15, 15, 15, 15, 12], "N": [5, 58, 59, 59, 59, 58], "R": [60, 69, 69, 71, 67, 51],
           "R/G": [4, 8, 8, 8, 8, 8]}  # fmt: skip
"""Charities with a value in each year."""


def fit(owner: Obligations = OWNER, **metrics: float) -> Any:
    return through({"files/fit.json": json.dumps(metrics).encode()}, FITS, owner)


def pivot(cells: list[tuple[str, int, int, int, int]], owner: Obligations = OWNER) -> list[list[Any]]:
    """What leaves of a component's pivot table with the mean and the deviation of grants by kind."""
    lines = [f"{kind},{total // n},{2 * total // n},{n}" for kind, n, total, _, _ in cells]
    shares: dict[str, Any] = {
        "kind": "mean",
        "totals": [str(total) for _, _, total, _, _ in cells],
        "first": [str(first) for _, _, _, first, _ in cells],
        "second": [str(second) for _, _, _, _, second in cells],
    }
    said: dict[str, Any] = {
        "keys": ["kind"],
        "persons": [n for _, n, _, _, _ in cells],
        "figures": {"mean": shares, "std": shares},
    }
    text = "kind,mean,std,persons\n" + "\n".join(lines) + "\n"
    files = {"files/t.csv": text.encode(), "evidence/t.csv.json": canonical.encode(said)}
    left = contents(
        through(files, (Artifact("t.csv", Form.TABLE, persons="persons"),), owner, component=True)
    )
    return json.loads(left["t.csv"])["rows"] if left else []


@pytest.mark.parametrize("pseudo_r2", [0.208, 0.214], ids=["probit", "logit"])
def test_acros_published_probit_and_logit_pass(pseudo_r2: float) -> None:
    """`test_probit_logit`: 806 residual degrees of freedom, a pass."""
    assert fit(df_resid=806, pseudo_r2=pseudo_r2, nobs=811).finding is Finding.REPAIRED


@pytest.mark.parametrize("left", [9, 6])
def test_a_fit_with_fewer_than_ten_degrees_does_not_leave(left: int) -> None:
    """`test_ols` on ten charities: 6 residual degrees of freedom, a fail. `safe_dof_threshold` is 10."""
    assert fit(df_resid=left, pseudo_r2=0.208).reasons == ("degrees",)
    assert fit(df_resid=10, pseudo_r2=0.208).finding is Finding.REPAIRED
    off = replace(OWNER, checks=replace(CHECKS, degrees=0))
    assert fit(off, df_resid=left, pseudo_r2=0.208).finding is Finding.REPAIRED, "the control"


def test_acros_people_decide_where_the_whole_preset_is_taken() -> None:
    whole = replace(OWNER, checks=PRESET.checks)
    assert fit(whole, df_resid=806, pseudo_r2=0.208).reasons == ("by-people",)


def test_a_step_of_a_survival_table_below_the_threshold_is_not_told() -> None:
    """`test_rounded_survival_table`: of 100, the first step of 5 is below `survival_safe_threshold` (10), so ACRO puts
    it together with the next, which has 10 more.
    """
    text = (
        "step,survival,at_risk,events,persons\n"
        "1,1.0,100,0,100\n2,0.95,95,5,100\n3,0.90,85,10,100\n4,0.85,75,10,100\n5,0.80,60,15,100\n"
    )
    shown = {row[0]: row[1:4] for row in table(text, owner=OWNER)[1]["rows"]}
    assert shown["2"] == [False, False, False]
    assert False not in shown["4"] and False not in shown["5"]
    told = {row[0]: row[1:4] for row in table(text, owner=ANYBODY)[1]["rows"]}
    assert False not in told["2"], "the control"


def test_acros_published_pivot_table_passes() -> None:
    """`test_pivot_table_pass`: grants by kind, each kind of 44 charities and more."""
    rows = pivot(BY_KIND)
    assert [row[0] for row in rows] == ["G", "N", "R", "R/G"]
    assert not any(cell is False for row in rows for cell in row)


def test_acros_published_pivot_table_by_year_lets_no_cell_below_the_threshold_leave() -> None:
    """`test_pivot_table_cols`: kind by year, a review. Of R/G every year has 8 charities or fewer, N has 5 in 2010."""
    cells = [
        (f"{kind} {year}", n, n * 1_000_000, 1_500_000, 1_400_000)
        for kind, persons in PERSONS.items()
        for year, n in zip(YEARS, persons, strict=True)
    ]
    few = {name for name, n, *_ in cells if n < 10}
    assert few == {"N 2010", *(f"R/G {year}" for year in YEARS)}
    assert {row[0] for row in pivot(cells)} == {name for name, *_ in cells} - few
    assert {row[0] for row in pivot(cells, ANYBODY)} >= few - {"R/G 2010", "N 2010"}, "the control"


@pytest.mark.parametrize(
    ("first", "second", "other"),
    [(500_000_000, 420_000_000, "p_percent"), (950_000_000, 5_000_000, "dominance_largest")],
    ids=["the two largest have 92 percent", "the rest is below a tenth of the largest"],
)
def test_a_cell_that_few_rule_is_withheld_from_a_pivot_table(first: int, second: int, other: str) -> None:
    """`test_dominance_problem_synthetic_pivot`: mean and deviation go, as the total would; by each rule alone."""
    cells = [("G", 86, 1_000_000_000, first, second), *BY_KIND[1:]]
    without: dict[str, Any] = {other: 0}
    alone = replace(OWNER, checks=replace(CHECKS, **without))
    assert pivot(cells)[0][1:3] == pivot(cells, alone)[0][1:3] == [False, False]
    none = replace(OWNER, checks=replace(CHECKS, dominance_largest=0, p_percent=0))
    assert False not in pivot(cells, none)[0], "the control"
