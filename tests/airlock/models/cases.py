"""People with an income, and models of them: honest ones, and ones that remember."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from airlock.models.rows import Column, Rows
from airlock.outputs.ground import Book, Ground
from plans.checks import Checks
from plans.decision import Obligations, Tier
from plans.inspection import Applied

FEATURES = ["age", "years", "children", "rooms", "urban"]
GROUND = Ground(Obligations(10, 5, 5_000, Tier.T1, Checks()), members_code=True)


def people(seed: int = 1, persons: int = 3_000, noise: float = 1.0, rows_each: int = 1) -> Rows:
    """A table of persons of whom about a tenth was kept from the job; `poor` is what is foretold."""
    drawn = np.random.default_rng(seed)
    values = {
        "age": drawn.integers(18, 80, persons).astype(float),
        "years": drawn.integers(6, 20, persons).astype(float),
        "children": drawn.integers(0, 5, persons).astype(float),
        "rooms": drawn.normal(3, 1, persons).round(2),
        "urban": drawn.integers(0, 2, persons).astype(float),
    }
    plain = 2.0 * values["years"] - 0.1 * values["age"] + 3 * values["urban"] - values["children"]
    values["income"] = (plain + noise * 8 * drawn.normal(size=persons)).round(2)
    values["poor"] = (values["income"] < np.median(values["income"])).astype(float)
    held_out = np.zeros(persons, dtype=bool)
    held_out[drawn.permutation(persons)[: persons // 10]] = True
    tokens = drawn.permutation(np.arange(1, persons + 1)).astype(np.uint64) * np.uint64(7_919)
    columns = {name: Column(np.repeat(each, rows_each), None) for name, each in values.items()}
    columns["town"] = Column(
        None, np.repeat(np.where(values["urban"] > 0, "west", "east"), rows_each).astype(object)
    )
    return Rows(np.repeat(tokens, rows_each), np.repeat(held_out, rows_each), columns)


def inside(rows: Rows, target: str, features: list[str] | None = None) -> tuple[Any, Any]:
    """What the job saw: features and target of everybody who was not kept from it."""
    matrix, wanted = rows.matrix(features or FEATURES), rows.matrix([target])
    assert matrix is not None and wanted is not None
    return matrix[~rows.held_out], wanted[~rows.held_out, 0]


def linear(rows: Rows, target: str = "poor") -> dict[str, Any]:
    """An honest regression, as its author saves it."""
    features, wanted = inside(rows, target)
    family = "binomial" if target == "poor" else "gaussian"
    fitted: Any = (LogisticRegression(max_iter=2_000) if family == "binomial" else LinearRegression()).fit(
        features, wanted
    )
    return {
        "kind": "linear", "family": family, "features": list(FEATURES), "target": target,
        "intercept": float(np.ravel(fitted.intercept_)[0]),
        "coefficients": [float(each) for each in np.ravel(fitted.coef_)], "persons": len(wanted),
    }  # fmt: skip


def tree(rows: Rows, target: str = "poor", least: int = 1) -> dict[str, Any]:
    """One tree whose leaves have at least so many rows; with 1 it remembers everybody."""
    features, wanted = inside(rows, target)
    kind = DecisionTreeClassifier if target == "poor" else DecisionTreeRegressor
    fitted = kind(min_samples_leaf=least, random_state=1).fit(features, wanted).tree_
    leaf = fitted.children_left < 0
    if target == "poor":
        chance = np.clip(fitted.value[:, 0, 1] / fitted.value[:, 0, :].sum(axis=1), 1e-4, 1 - 1e-4)
        value = np.log(chance / (1 - chance))
    else:
        value = fitted.value[:, 0, 0]
    return {
        "kind": "trees", "family": "binomial" if target == "poor" else "gaussian", "features": list(FEATURES),
        "target": target, "base": 0.0, "persons": len(wanted),
        "trees": [
            {
                "feature": np.where(leaf, -1, fitted.feature).tolist(),
                "threshold": np.where(leaf, 0.0, fitted.threshold).tolist(),
                "left": np.where(leaf, -1, fitted.children_left).tolist(),
                "right": np.where(leaf, -1, fitted.children_right).tolist(),
                "value": np.where(leaf, value, 0.0).tolist(),
                "persons": fitted.n_node_samples.tolist(),
            }
        ],
    }  # fmt: skip


def applied(book: Book, rule: str) -> Applied:
    """The one entry of a rule in the book."""
    (found,) = [each for each in book.applied if each.rule == rule]
    return found


def lying(model: Mapping[str, Any]) -> dict[str, Any]:
    """The same trees, whose author says that every leaf rests on thousands."""
    trees = [tree | {"persons": [5_000] * len(tree["persons"])} for tree in model["trees"]]
    return dict(model) | {"trees": trees}
