"""What regressions share: the matrix of terms, whom each term rests on, and how coefficients are written.

A coefficient is a figure about the persons whose rows tell its term from the others. So every term needs as many
persons who have another value than the most common one as a group has, and each person's weight in it is the square of
the row's partial residual: the row of X (X'X)^-1, which is what multiplies the outcome (Frisch and Waugh 1933). A
column that is one person's, or nearly so, has one weight that is all there is; the dominance rule sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.errors import NoFit
from components.evidence import MEAN, OTHER, Cells, Evidence, Figure
from components.rows import Rows, complete, levels

INTERCEPT = "intercept"

MOST_TERMS = 500
"""Terms of a fit at the most; a category of more levels is a text, or an identifier."""


@dataclass(frozen=True, slots=True)
class Design:
    """Rows that are complete, the names of the terms, and their values, rows by terms."""

    rows: Rows
    terms: list[str]
    matrix: np.ndarray

    @property
    def clustered(self) -> dict[str, Any]:
        """How statsmodels is told that rows of one person belong together; nothing if everybody has one row."""
        if self.rows.persons == len(self.rows):
            return {}
        return {"cov_type": "cluster", "cov_kwds": {"groups": self.rows.who}}


def design(rows: Rows, values: Mapping[str, Any], outcomes: tuple[str, ...], evidence: Evidence) -> Design:
    """Return the terms of the parameters `features` and `categories`, with an intercept.

    Rows in which anything is missing, or whose category is that of fewer persons than a group, are left out. Of each
    category the level of most persons is the one that the others are compared with.

    Raises:
        NoFit: a term rests on too few persons, or terms depend on each other.
    """
    features, categories = values["features"], values["categories"]
    rows = complete(rows, (*outcomes, *features), categories)
    for column in categories:
        rows = _without_small(rows, column, evidence.minimum_group)
    terms, columns = [INTERCEPT, *features], [np.ones(len(rows)), *(rows.numbers(each) for each in features)]
    for column in categories:
        place, found = levels(rows, column)
        if len(terms) + len(found) > MOST_TERMS:
            raise NoFit
        persons = Cells.of(rows, place, len(found)).persons
        for level in np.delete(np.arange(len(found)), int(np.argmax(persons))):
            terms.append(f"{column}={found[level]}")
            columns.append((place == level).astype(float))
    matrix = np.column_stack(columns)
    evidence.require(rows.persons, matrix.shape[1])
    for position in range(1, matrix.shape[1]):
        require_carried(rows, matrix[:, position], evidence)
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        raise NoFit
    return Design(rows, terms, matrix)


def require_carried(rows: Rows, column: np.ndarray, evidence: Evidence) -> None:
    """Refuse a term in which fewer persons than a group have another value than the most common one; raises `NoFit`."""
    found, place, count = np.unique(column, return_inverse=True, return_counts=True)
    others = place != np.argmax(count)
    if len(found) < 2 or len(np.unique(rows.who[others])) < evidence.minimum_group:
        raise NoFit


def weights(rows: Rows, matrix: np.ndarray) -> np.ndarray:
    """Return, 3 by terms, the total and the two largest weights of single persons in each coefficient."""
    partial = matrix @ np.linalg.pinv(matrix.T @ matrix)
    whole = Cells.whole(rows)
    return np.column_stack([whole.largest(partial[:, term] ** 2)[:, 0] for term in range(matrix.shape[1])])


def coefficients(
    name: str,
    fitted: Design,
    columns: Mapping[str, np.ndarray],
    evidence: Evidence,
    terms: slice = slice(None),
) -> bytes:
    """Return the table of coefficients: a row for each term, all figures of which stand or fall together."""
    share = weights(fitted.rows, fitted.matrix)[:, terms]
    called = fitted.terms[terms]
    figures = {title: Figure(MEAN, values, share) for title, values in columns.items()}
    return evidence.table(name, {"term": called}, Cells.whole(fitted.rows).times(len(called)), figures)


def measures(name: str, rows: Rows, found: Mapping[str, float], evidence: Evidence) -> bytes:
    """Return a table of single numbers about the same persons."""
    whole = Cells.whole(rows).times(len(found))
    return evidence.table(
        name, {"measure": list(found)}, whole, {"value": Figure(OTHER, list(found.values()))}
    )


def _without_small(rows: Rows, column: str, least: int) -> Rows:
    place, found = levels(rows, column)
    persons = Cells.of(rows, place, len(found)).persons
    kept = (persons >= least)[place]
    if not kept.any():
        raise NoFit
    return rows.where(kept)
