"""What the answer of a story must be: DuckDB's on the joined rows, less what the rules withhold.

Where nobody opens before the recipient, figures are compared for equality: sums are exact and quotients rounded once.
What an airlock opened is compared within the digits that it keeps: counts to half the base of rounding, others to half
a unit of the last digit that their persons support (docs/joint-sql.md). Beside what must be withheld, further totals
may be, so that none is found by subtraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import duckdb

from darkroom.joint_result import JointResult
from examples.joint.stories import Story, Truth, registers_of
from plans.joint_answer import Value

SMALLEST_GROUP, DOMINANCE, MOST_DIGITS = 10, 90, 6
"""What all owners of the stories ask for: persons behind a figure, and the part of two persons, in percent; and the
digits that an airlock keeps at the most.
"""

Key = tuple[str, ...]
Figures = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class _Sums:
    """Exact sums of a cell: rows, rows with a value, the values, and their squares."""

    rows: int
    present: int
    total: Decimal
    squares: Decimal


def truth_of(story: Story, files: Path) -> dict[Key, Figures]:
    """Return what may be told of every cell that has a person in it, by its keys as text."""
    return {key: _figures(story.truth, sums) for key, sums in _sums(story, files).items()}


def found_in(story: Story, result: JointResult) -> dict[Key, Figures]:
    """Return the figures of an answer in the same form; truth values as they stand in the files."""
    width = len(story.truth.keys)
    return {tuple(_text(key) for key in row[:width]): tuple(row[width:]) for row in result.rows}


def persons_of(story: Story, files: Path) -> list[str]:
    """Return the persons that a list of persons in common has, in order."""
    with _tables(story, files) as connection:
        found = connection.execute(f"SELECT id18 FROM {story.truth.joined} ORDER BY id18").fetchall()
    return [person for (person,) in found]


def differing(story: Story, result: JointResult, files: Path) -> int:
    """Return how many figures of an answer, or persons of a list, are not what they must be."""
    if "persons" in story.truth.figures:
        return len(set(persons_of(story, files)) ^ {str(person) for (person,) in result.rows})
    if story.task.inspector:
        return _off(story, result, files)
    truth, found = truth_of(story, files), found_in(story, result)
    nothing: Figures = (None,) * len(story.truth.figures)
    cells = truth.keys() | found.keys()
    return sum(
        one != other
        for cell in cells
        for one, other in zip(found.get(cell, nothing), truth.get(cell, nothing), strict=True)
    )


def _off(story: Story, result: JointResult, files: Path) -> int:
    """Return how many figures of an inspected answer are off by more than rounding, or withheld or told wrongly.

    What stays back for the sake of small cells does so in all figures of a cell but its count.
    """
    truth, sums, found = story.truth, _sums(story, files), found_in(story, result)
    empty = _Sums(0, 0, Decimal(0), Decimal(0))
    exact = {cell: _figures(truth, sums.get(cell, empty)) for cell in found}
    some_withheld = any(
        value is None
        for figures in exact.values()
        for figure, value in zip(truth.figures, figures, strict=True)
        if figure != "count"
    )
    wrong = len(sums.keys() - found.keys())
    for cell, told in found.items():
        for figure, one, other in zip(truth.figures, told, exact[cell], strict=True):
            unit = _unit(truth, figure, other, sums.get(cell, empty))
            wrong += not _as_rounded(one, other, unit, further=some_withheld and figure != "count")
    return wrong


def _as_rounded(told: Value, exact: Value, unit: Fraction, *, further: bool) -> bool:
    if told is None or exact is None:
        return told is None and (exact is None or further)
    return abs(Fraction(str(told)) - Fraction(str(exact))) <= unit / 2


def _unit(truth: Truth, figure: str, exact: Value, sums: _Sums) -> Fraction:
    """Return what a unit of the last digit is that the persons behind a figure support."""
    if figure == "count":
        return Fraction(truth.rounding)
    if not exact:
        return Fraction(0)
    lost = len(str(truth.rounding - 1)) if truth.rounding > 1 else 0
    digits = min(MOST_DIGITS, max(1, len(str(sums.present // truth.parts)) - lost))
    return Fraction(10) ** (Decimal(str(exact)).adjusted() - digits + 1)


def _tables(story: Story, files: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for register in registers_of((story,)):
        path = files / f"{register.file}.csv"
        connection.execute(f"CREATE TABLE {register.file} AS FROM read_csv('{path}', all_varchar=true)")
    return connection


def _sums(story: Story, files: Path) -> dict[Key, _Sums]:
    truth = story.truth
    keys = "".join(f"{key}, " for key in truth.keys)
    value = f"({truth.value})::DECIMAL(12, 2)"
    with _tables(story, files) as connection:
        cells = connection.execute(
            f"SELECT {keys} count(*), count({value}), coalesce(sum({value}), 0), coalesce(sum({value} * {value}), 0)"
            f" FROM {truth.joined} GROUP BY ALL"
        ).fetchall()
    width = len(truth.keys)
    return {tuple(map(str, cell[:width])): _Sums(*cell[width:]) for cell in cells}


def _text(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _figures(truth: Truth, sums: _Sums) -> Figures:
    """Return a cell's figures: from ten persons on, and where no two could be more than 90 % of a total. A person who
    may have a row at each holder of one table counts for one.
    """
    least = SMALLEST_GROUP * truth.parts
    total_told = sums.present >= least and sums.total * DOMINANCE >= 200 * truth.highest * truth.parts
    deviation_told = total_told and sums.squares * DOMINANCE >= 200 * truth.highest**2 * truth.parts
    made: dict[str, Value] = {
        "count": sums.rows if sums.rows >= least else None,
        "total": sums.total if total_told else None,
        "mean": float(Fraction(sums.total) / sums.present) if total_told else None,
        "deviation": _deviation(sums) if deviation_told else None,
    }
    return tuple(made[figure] for figure in truth.figures)


def _deviation(sums: _Sums) -> float:
    present, total, squares = sums.present, sums.total, sums.squares
    with localcontext(prec=100):
        return float(((present * squares - total * total) / (present * (present - 1))).sqrt())
