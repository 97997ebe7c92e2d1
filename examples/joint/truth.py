"""What the answer of a story must be: DuckDB's on the joined rows, less what the rules withhold.

Sums are exact and quotients rounded once, as those of a joint answer, so that they are compared for equality.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import duckdb

from darkroom.joint_result import JointResult
from examples.joint.stories import Story, Truth, registers_of
from plans.joint_answer import Value

SMALLEST_GROUP, DOMINANCE = 10, 90
"""What all owners of the stories ask for: persons behind a figure, and the part of two persons, in percent."""

Figures = tuple[Value, ...]


def truth_of(story: Story, files: Path) -> dict[tuple[str, ...], Figures]:
    """Return what may be told of every cell that has a person in it, by its keys as text."""
    truth = story.truth
    keys = "".join(f"{key}, " for key in truth.keys)
    value = f"({truth.value})::DECIMAL(12, 2)"
    with duckdb.connect() as connection:
        for register in registers_of((story,)):
            path = files / f"{register.name}.csv"
            connection.execute(f"CREATE TABLE {register.name} AS FROM read_csv('{path}', all_varchar=true)")
        cells = connection.execute(
            f"SELECT {keys} count(*), count({value}), coalesce(sum({value}), 0), coalesce(sum({value} * {value}), 0)"
            f" FROM {truth.joined} GROUP BY ALL"
        ).fetchall()
    width = len(truth.keys)
    return {tuple(map(str, cell[:width])): _figures(truth, *cell[width:]) for cell in cells}


def found_in(story: Story, result: JointResult) -> dict[tuple[str, ...], Figures]:
    """Return the figures of an answer in the same form; truth values as they stand in the files."""
    width = len(story.truth.keys)
    return {tuple(_text(key) for key in row[:width]): tuple(row[width:]) for row in result.rows}


def differing(story: Story, result: JointResult, files: Path) -> int:
    """Return how many figures of an answer are not what they must be."""
    truth, found = truth_of(story, files), found_in(story, result)
    nothing: Figures = (None,) * len(story.truth.figures)
    cells = truth.keys() | found.keys()
    return sum(
        one != other
        for cell in cells
        for one, other in zip(found.get(cell, nothing), truth.get(cell, nothing), strict=True)
    )


def _text(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _figures(truth: Truth, persons: int, present: int, total: Decimal, squares: Decimal) -> Figures:
    """Return a cell's figures: from ten persons on, and where no two could be more than 90 % of a total."""
    mean_told = present >= SMALLEST_GROUP and total * DOMINANCE >= 200 * truth.highest
    deviation_told = mean_told and squares * DOMINANCE >= 200 * truth.highest**2
    made = {
        "count": persons if persons >= SMALLEST_GROUP else None,
        "mean": float(Fraction(total) / present) if mean_told else None,
        "deviation": _deviation(present, total, squares) if deviation_told else None,
    }
    return tuple(made[figure] for figure in truth.figures)


def _deviation(present: int, total: Decimal, squares: Decimal) -> float:
    with localcontext(prec=100):
        return float(((present * squares - total * total) / (present * (present - 1))).sqrt())
