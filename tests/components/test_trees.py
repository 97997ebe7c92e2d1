"""Trees: they are scikit-learn's where nothing had to be taken back, and no leaf is of fewer persons than a group."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from airlock.outputs.models import read_model
from components.errors import NoFit
from components.library import gradient_boosted_trees as trees
from tests.components.cases import OFF, RULES, run, table

CHANCE = np.random.default_rng(31)
PERSONS = 600
X = CHANCE.normal(size=(PERSONS, 2))
Y = 3 * (X[:, 0] > 0.3) + X[:, 1] + CHANCE.normal(0, 0.1, PERSONS)
DATA = table(range(PERSONS), x0=X[:, 0], x1=X[:, 1], y=Y, high=Y > 1)
ASKED: dict[str, Any] = {"outcome": "y", "features": ["x0", "x1"], "trees": 15, "depth": 3, "folds": 3}
GROWN: dict[str, Any] = {"family": "gaussian", "trees": 15, "depth": 3, "rate": "0.1", "leaf": 20}


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_where_everybody_has_one_row_the_trees_are_those_of_scikit_learn(family: str) -> None:
    outcome = Y if family == "gaussian" else (Y > 1).astype(float)
    kind = HistGradientBoostingRegressor if family == "gaussian" else HistGradientBoostingClassifier
    theirs = kind(max_iter=15, max_depth=3, max_leaf_nodes=None, early_stopping=False, random_state=0).fit(
        X, outcome
    )
    ours = trees.grow(X, outcome, np.arange(PERSONS), {**GROWN, "family": family}, 20).predict(X)
    raw = theirs.predict(X) if family == "gaussian" else theirs.decision_function(X)
    assert ours == pytest.approx(raw)


def leaves(model: dict[str, Any]) -> list[int]:
    return [
        n for tree in model["trees"] for f, n in zip(tree["feature"], tree["persons"], strict=True) if f == -1
    ]


def test_every_leaf_rests_on_a_group_of_persons_however_many_rows_each_has() -> None:
    """Two persons with a hundred rows each are a leaf to the library, which counts rows; here they are not."""
    who = np.concatenate([np.arange(PERSONS), np.repeat([5, 6], 100)])
    x = np.concatenate([X[:, 0], np.full(200, 9.0)])
    data = table(who, x0=x, y=np.where(x == 9.0, 100.0, x))
    asked = {**ASKED, "features": ["x0"], "model": True}
    guarded = json.loads(run("gradient-boosted-trees", data, **asked).work.files["model.json"])
    control = json.loads(run("gradient-boosted-trees", data, rules=OFF, **asked).work.files["model.json"])
    assert min(leaves(guarded)) >= RULES.minimum_group
    assert min(leaves(control)) == 2


def test_the_model_is_one_that_the_airlock_reads_and_its_training_set_is_one_set() -> None:
    left = run("gradient-boosted-trees", DATA, **ASKED, model=True)
    model = read_model(left.work.files["model.json"])
    assert (model["kind"], model["persons"], len(model["trees"])) == ("trees", PERSONS, 15)
    made = left.work.sets["model.json"]
    assert (made.rows, made.per_row, list(made.persons)) == (1, 1, [PERSONS])
    assert "model.json" not in run("gradient-boosted-trees", DATA, **ASKED).work.files


def test_how_well_it_does_is_measured_on_persons_that_were_not_seen() -> None:
    """Rows of one person are alike and foretell each other; put into two parts they would look like knowledge."""
    who = np.repeat(np.arange(120), 10)
    noise = np.random.default_rng(8).normal(size=120)
    data = table(who, x0=np.random.default_rng(9).normal(size=120)[who], y=noise[who])
    fit = run("gradient-boosted-trees", data, **{**ASKED, "features": ["x0"], "leaf": 1}).measure()
    assert fit["r_squared"] < 0.2
    assert run("gradient-boosted-trees", DATA, **ASKED).measure()["r_squared"] > 0.7
    truth = {**ASKED, "outcome": "high", "family": "binomial"}
    assert run("gradient-boosted-trees", DATA, **truth).measure()["auc"] > 0.9


def test_what_matters_is_what_the_outcome_was_made_of() -> None:
    data = table(range(PERSONS), x0=X[:, 0], none=CHANCE.normal(size=PERSONS), y=3.0 * (X[:, 0] > 0.3))
    gain = run("gradient-boosted-trees", data, **{**ASKED, "features": ["x0", "none"]})
    assert gain.keyed("importance.csv", "feature", "gain")["x0"] > 0.95


@pytest.mark.parametrize("persons", [9, 12])
def test_few_persons_are_not_learnt_from(persons: int) -> None:
    who = np.repeat(np.arange(persons), 50)
    data = table(who, x0=np.arange(len(who)) % 7.0, y=np.arange(len(who)) % 5.0)
    with pytest.raises(NoFit):
        run("gradient-boosted-trees", data, **{**ASKED, "features": ["x0"], "folds": 5})
