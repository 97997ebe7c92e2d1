"""What a model of a known shape says about a row, computed here and not by whoever wrote it (docs/outputs.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from airlock.models.rows import Numbers

_SMALLEST, _LARGEST = 1e-6, 30.0
"""The smallest probability that counts, and the largest exponent: a loss is a number."""


def scores(model: Mapping[str, Any], features: Numbers) -> Numbers:
    """Return the linear predictor of a linear model, or the sum of the leaves of trees, for every row."""
    if model["kind"] == "linear":
        weights = np.array([float(each) for each in model["coefficients"]])
        return np.asarray(features @ weights + float(model["intercept"]))
    total = np.full(len(features), float(model["base"]))
    for tree in model["trees"]:
        values = np.array([float(each) for each in tree["value"]])
        total += values[leaves(tree, features)]
    return total


def leaves(tree: Mapping[str, Any], features: Numbers) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the position of the leaf into which every row falls; whoever wrote the tree bounded its nodes."""
    feature, left, right = (np.array(tree[part], dtype=np.int64) for part in ("feature", "left", "right"))
    threshold = np.array([float(each) for each in tree["threshold"]])
    place = np.zeros(len(features), dtype=np.int64)
    every = np.arange(len(features))
    while (inner := feature[place] >= 0).any():
        at, rows = place[inner], every[inner]
        goes_left = features[rows, feature[at]] <= threshold[at]
        place[inner] = np.where(goes_left, left[at], right[at])
    return place


def nearest(centres: Numbers, features: Numbers) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return for every row the position of the centre that is nearest to it."""
    squares = (centres**2).sum(axis=1)
    return np.asarray(np.argmin(squares - 2 * features @ centres.T, axis=1))


def losses(model: Mapping[str, Any], features: Numbers, target: Numbers) -> Numbers:
    """Return by how much the model misses every row: squared error, or the negative log-likelihood of the family."""
    found = scores(model, features)
    if model["family"] == "binomial":
        chance = np.clip(1 / (1 + np.exp(-np.clip(found, -_LARGEST, _LARGEST))), _SMALLEST, 1 - _SMALLEST)
        truth = target > 0.5
        return -np.log(np.where(truth, chance, 1 - chance))
    if model["family"] == "poisson":
        exponent = np.clip(found, -_LARGEST, _LARGEST)
        return np.exp(exponent) - target * exponent
    return (target - found) ** 2
