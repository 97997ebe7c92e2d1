"""Whether a model holds rows, or parts of too few persons: counted anew from the rows, whatever the model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from airlock.models.evaluating import leaves, nearest
from airlock.models.rows import Numbers, Rows
from airlock.outputs.tensors import coarse

FEWEST_COLUMNS = 3
"""Columns that a run of a model's numbers has at least, to be taken for a row."""

_LARGEST_FLOAT = 1e38

MOST_ROWS_INSIDE = 2
"""Rows of the data that may be found in a model by accident."""


def smallest_part(model: Mapping[str, Any], rows: Rows) -> int | None:
    """Return the persons of the job behind the smallest leaf or cluster; none where the rows lack a feature,
    or are not all there.

    A part into which no person of the job falls says nothing about anybody, and does not count.
    """
    matrix = rows.matrix(list(model["features"]))
    if matrix is None or not rows.whole:
        return None
    whole = np.isfinite(matrix).all(axis=1) & ~rows.held_out
    features, persons = matrix[whole], rows.persons[whole]
    if model["kind"] == "centres":
        centres = np.array([[float(value) for value in centre] for centre in model["centres"]])
        return _fewest(nearest(centres, features), persons)
    if model["kind"] == "trees":
        return min((_fewest(leaves(tree, features), persons) for tree in model["trees"]), default=0)
    return len(np.unique(persons))


def most_behind_the_smallest_leaf(leaves: Sequence[int], tables: Sequence[Rows]) -> int | None:
    """Return how many persons the smallest leaf of all trees has at the most, when nobody knows which feature is which
    column; none where that cannot be said.

    Every row of the fit falls into one leaf of a tree, and every leaf has one: so of many leaves the smallest has no
    more persons than there are rows for each. The rows are those of the largest table that the job saw; a join of
    several may have more.
    """
    if not leaves or not tables or not all(rows.whole for rows in tables):
        return None
    return max(int((~rows.held_out).sum()) for rows in tables) // max(leaves)


def _fewest(parts: Any, persons: Any) -> int:
    """Return the distinct persons of the smallest part that has any."""
    pairs = np.unique(np.column_stack([parts.astype(np.uint64), persons]), axis=0)
    counts = np.unique(pairs[:, 0], return_counts=True)[1]
    return int(counts.min()) if len(counts) else 0


def rows_inside(tensors: Mapping[str, Numbers], rows: Rows) -> int:
    """Return how many rows of the data stand in a model's numbers, as runs along the last axis of a tensor.

    Rows are compared in the columns of numbers, in the order in which they came and in that of their names, whole
    and without the first or last column (a target is often left out), as coarse as tensors are when they leave.
    Standardised ones are not found here.
    """
    found = 0
    for _, window in _windows(rows):
        known = {tuple(row) for row in coarse(window)}
        for tensor in tensors.values():
            width = window.shape[1]
            if tensor.ndim and tensor.shape[-1] == width:
                runs = coarse(tensor.reshape(-1, width))
                found += len(known & {tuple(row) for row in runs if len(set(row)) > 1})
    return found


def _windows(rows: Rows) -> list[tuple[tuple[str, ...], Numbers]]:
    """Return the tables of numbers that a row could have been copied from, each once."""
    named = [name for name, column in rows.columns.items() if column.numbers is not None]
    orders = dict.fromkeys(
        each
        for order in (tuple(named), tuple(sorted(named)))
        for each in (order, order[1:], order[:-1])
        if len(each) >= FEWEST_COLUMNS
    )
    found = []
    for order in orders:
        matrix = rows.matrix(list(order))
        if matrix is not None:
            fits = np.abs(matrix) < _LARGEST_FLOAT  # what is not finite is no smaller
            found.append((order, matrix[fits.all(axis=1)]))
    return found
