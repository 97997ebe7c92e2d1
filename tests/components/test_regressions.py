"""Regressions against plain numpy and scipy, and attacked: saturated fits, terms of one person, perfect separation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from components.api import Rules
from components.errors import NoFit
from tests.components.cases import OFF, RULES, dominated, run, table

PERSONS = 500
CHANCE = np.random.default_rng(11)
AGE = CHANCE.integers(20, 80, PERSONS).astype(float)
BANNER = CHANCE.choice(["a", "b", "c"], PERSONS, p=[0.5, 0.3, 0.2])
INCOME = 1000 + 30 * AGE + 200 * (BANNER == "b") + CHANCE.normal(0, 100, PERSONS)
INSURED = CHANCE.random(PERSONS) < 1 / (1 + np.exp(3 - AGE / 15))
DATA = table(range(PERSONS), age=AGE, banner=BANNER, income=INCOME, insured=INSURED)
TERMS = np.column_stack([np.ones(PERSONS), AGE, BANNER == "b", BANNER == "c"]).astype(float)


def test_least_squares_finds_what_the_normal_equations_give() -> None:
    left = run("linear-regression", DATA, outcome="income", features=["age"], categories=["banner"])
    expected, residual, *_ = np.linalg.lstsq(TERMS, INCOME, rcond=None)
    variance = residual[0] / (PERSONS - 4)
    errors = np.sqrt(variance * np.diag(np.linalg.inv(TERMS.T @ TERMS)))
    assert [row["term"] for row in left.rows("coefficients.csv")] == [
        "intercept",
        "age",
        "banner=b",
        "banner=c",
    ]
    assert left.column("coefficients.csv", "coefficient") == pytest.approx(list(expected))
    assert left.column("coefficients.csv", "standard_error") == pytest.approx(list(errors))
    fit = left.measure()
    assert fit["r_squared"] == pytest.approx(1 - residual[0] / ((INCOME - INCOME.mean()) ** 2).sum())
    assert fit["residual_degrees"] == PERSONS - 4
    assert fit["residual_deviation"] == pytest.approx(np.sqrt(variance))


def test_errors_are_clustered_by_person_where_persons_have_several_rows() -> None:
    """Every row three times says nothing new: the errors are those of persons, not of three times as many rows."""
    who = np.tile(np.arange(PERSONS), 3)
    thrice = run(
        "linear-regression", table(who, age=AGE[who], income=INCOME[who]), outcome="income", features=["age"]
    )
    once = run("linear-regression", DATA, outcome="income", features=["age"])
    ours, theirs = (left.column("coefficients.csv", "standard_error") for left in (thrice, once))
    assert ours == pytest.approx(theirs, rel=0.1)
    assert thrice.measure()["residual_degrees"] == PERSONS - 2


def test_neither_residuals_nor_fitted_values_leave() -> None:
    left = run("linear-regression", DATA, outcome="income", features=["age"])
    assert {name: len(left.rows(name)) for name in left.work.files} == {"coefficients.csv": 2, "fit.csv": 4}


def test_a_fit_with_few_degrees_of_freedom_in_persons_is_refused() -> None:
    """Twelve persons with a hundred rows each and eleven columns: rows would be enough (ATTACKS 32)."""
    who = np.repeat(np.arange(12), 100)
    columns = {f"x{place}": np.random.default_rng(place).normal(size=len(who)) for place in range(10)}
    data = table(who, y=np.arange(len(who), dtype=float), **columns)
    asked = {"outcome": "y", "features": list(columns)}
    with pytest.raises(NoFit):
        run("linear-regression", data, **asked)
    assert run("linear-regression", data, rules=OFF, **asked).measure()["residual_degrees"] == 1


def test_a_saturated_fit_is_refused() -> None:
    rules = Rules(minimum_group=1, degrees=1)
    data = table(range(3), x=[1.0, 2.0, 4.0], z=[3.0, 1.0, 1.0], y=[5.0, 6.0, 9.0])
    with pytest.raises(NoFit):
        run("linear-regression", data, rules=rules, outcome="y", features=["x", "z"])


def test_a_column_that_is_one_persons_has_no_coefficient() -> None:
    """The attack reads one person's income exactly: a column that is 1 for that person and 0 for all others."""
    dummy = (np.arange(PERSONS) == 123).astype(float)
    data = table(range(PERSONS), age=AGE, dummy=dummy, income=INCOME)
    with pytest.raises(NoFit):
        run("linear-regression", data, outcome="income", features=["age", "dummy"])
    control = run("linear-regression", data, rules=OFF, outcome="income", features=["age", "dummy"])
    intercept, slope, extra = control.column("coefficients.csv", "coefficient")
    assert intercept + slope * AGE[123] + extra == pytest.approx(INCOME[123])


def test_a_column_that_is_nearly_one_persons_is_seen_by_the_dominance_rule() -> None:
    """Noise hides that the column is a dummy; one person has all the weight in its coefficient nevertheless."""
    nearly = np.random.default_rng(1).normal(0, 1e-3, PERSONS)
    nearly[123] = 1.0
    data = table(range(PERSONS), age=AGE, nearly=nearly, income=INCOME)
    evidence = run("linear-regression", data, outcome="income", features=["age", "nearly"]).evidence(
        "coefficients.csv"
    )
    assert dominated(evidence, "coefficient") == [False, False, True]
    assert evidence["figures"]["t"]["first"] == evidence["figures"]["coefficient"]["first"]


def test_levels_of_few_persons_are_not_named() -> None:
    banner = BANNER.astype(object)
    banner[:4] = "tiny"
    data = table(range(PERSONS), age=AGE, banner=banner, income=INCOME)
    asked = {"outcome": "income", "features": ["age"], "categories": ["banner"]}
    assert "banner=tiny" not in run("linear-regression", data, **asked).keyed(
        "coefficients.csv", "term", "persons"
    )
    assert "banner=tiny" in run("linear-regression", data, rules=OFF, **asked).keyed(
        "coefficients.csv", "term", "p"
    )


def test_columns_that_depend_on_each_other_have_no_solution() -> None:
    data = table(range(PERSONS), age=AGE, twice=2 * AGE, income=INCOME)
    with pytest.raises(NoFit):
        run("linear-regression", data, outcome="income", features=["age", "twice"])


# --- logistic -----------------------------------------------------------------------------------------------


def test_maximum_likelihood_finds_what_a_minimiser_finds() -> None:
    terms = np.column_stack([np.ones(PERSONS), AGE])
    sign = np.where(INSURED, 1, -1)
    best = optimize.minimize(
        lambda b: np.logaddexp(0, -sign * (terms @ b)).sum(), np.zeros(2), method="BFGS", tol=1e-10
    )
    left = run("logistic-regression", DATA, outcome="insured", features=["age"])
    assert left.column("coefficients.csv", "coefficient") == pytest.approx(list(best.x), rel=1e-4)
    assert left.column("coefficients.csv", "odds_ratio") == pytest.approx(list(np.exp(best.x)), rel=1e-3)
    assert left.measure()["log_likelihood"] == pytest.approx(-best.fun)
    wins = [(a > b) + (a == b) / 2 for a in AGE[INSURED] for b in AGE[~INSURED]]
    assert left.measure()["auc"] == pytest.approx(np.mean(wins))


def test_an_outcome_of_few_persons_is_not_fitted_however_many_rows_they_have() -> None:
    who = np.concatenate([np.arange(200), np.tile(np.arange(200, 206), 50)])
    chance = np.random.default_rng(4)
    data = table(who, x=chance.normal(size=len(who)), ill=who >= 200)
    with pytest.raises(NoFit):
        run("logistic-regression", data, outcome="ill", features=["x"])
    assert run("logistic-regression", data, rules=OFF, outcome="ill", features=["x"]).rows("coefficients.csv")


@pytest.mark.filterwarnings("ignore")  # what statsmodels says of a fit that runs away
def test_terms_that_tell_the_outcomes_apart_completely_are_refused() -> None:
    """Otherwise the coefficient would say where between two persons the outcome changes."""
    data = table(range(PERSONS), age=AGE, old=AGE >= 50)
    with pytest.raises(NoFit):
        run("logistic-regression", data, outcome="old", features=["age"])


def test_an_outcome_of_more_than_two_values_is_refused() -> None:
    with pytest.raises(NoFit):
        run("logistic-regression", DATA, rules=RULES, outcome="income", features=["age"])
