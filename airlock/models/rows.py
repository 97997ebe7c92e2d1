"""The rows by which a model is checked: one of each person, numbers only, and who was kept from the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Truths = NDArray[np.bool_]

MOST_PERSONS = 50_000
"""Persons of each side that attacks look at, drawn by the order of their tokens, which is that of a keyed hash."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it came: numbers (booleans as 0 and 1, days as days since 1970), or texts. Gaps are NaN, or none."""

    numbers: Numbers | None
    texts: NDArray[np.object_] | None

    def feature(self, category: str | None) -> Numbers | None:
        """Return the column's numbers, or 1 where it is the category and 0 where not; none where there is no such."""
        if category is None:
            return self.numbers
        if self.texts is None:
            return None
        return np.asarray(self.texts == category, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Rows:
    """A table as the job's loader streamed it: the persons' tokens, who was kept from the job, and the columns.

    `whole` is false where only the beginning of a very large table was taken.
    """

    persons: NDArray[np.uint64]
    held_out: Truths
    columns: Mapping[str, Column]
    whole: bool = True

    def matrix(self, features: list[str]) -> Numbers | None:
        """Return the features as columns of a matrix, or none if the table lacks one of them.

        A feature is the name of a column of numbers, or `column=category` for a column of texts.
        """
        found = [self._feature(name) for name in features]
        if any(each is None for each in found):
            return None
        return np.column_stack([each for each in found if each is not None])

    def _feature(self, name: str) -> Numbers | None:
        if name in self.columns:
            return self.columns[name].feature(None)
        column, equals, category = name.partition("=")
        if equals and column in self.columns:
            return self.columns[column].feature(category)
        return None


@dataclass(frozen=True, slots=True)
class Known:
    """Features and target of one row of each person whose values are all there; `members` had a part in the fit."""

    features: Numbers
    target: Numbers
    members: Truths

    @property
    def sizes(self) -> tuple[int, int]:
        """How many members there are, and how many others."""
        inside = int(self.members.sum())
        return inside, len(self.members) - inside


def known(rows: Rows, features: list[str], target: str) -> Known | None:
    """Return what attacks look at, or none if the table lacks a feature or the target.

    Of a person with several rows it is the first: whoever has many rows would else be many persons (ATTACKS 28).
    """
    matrix, wanted = rows.matrix(features), rows.matrix([target])
    if matrix is None or wanted is None:
        return None
    _, first = np.unique(rows.persons, return_index=True)
    whole = first[np.isfinite(matrix[first]).all(axis=1) & np.isfinite(wanted[first, 0])]
    held_out = rows.held_out[whole]
    chosen = np.concatenate([whole[~held_out][:MOST_PERSONS], whole[held_out][:MOST_PERSONS]])
    return Known(matrix[chosen], wanted[chosen, 0], ~rows.held_out[chosen])
