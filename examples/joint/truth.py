"""What the answer of a story must be: DuckDB's on the joined rows, less what the rules withhold.

Where nobody opens before the recipient, figures are compared for equality: sums are exact and quotients rounded once.
What an airlock opened is compared within the digits that it keeps: counts to half the base of rounding, others to half
a unit of the last digit that their persons support (docs/joint-sql.md). Beside what must be withheld, further totals
may be, so that none is found by subtraction.
"""

from __future__ import annotations

from collections.abc import Callable
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


EMPTY = _Sums(0, 0, Decimal(0), Decimal(0))


def truth_of(story: Story, files: Path) -> dict[Key, Figures]:
    """Return what may be told of every cell that has a person in it, by its keys as text."""
    told = _told(story, files)
    return {key: told(key) for key in _sums(story, files, story.truth.joined)}


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
    truth, found = story.truth, found_in(story, result)
    sums, told_of = _sums(story, files, truth.joined), _told(story, files)
    exact = {cell: told_of(cell) for cell in found}
    some_withheld = any(
        value is None
        for figures in exact.values()
        for figure, value in zip(truth.figures, figures, strict=True)
        if figure != "count"
    )
    wrong = len(sums.keys() - found.keys())
    for cell, told in found.items():
        for figure, one, other in zip(truth.figures, told, exact[cell], strict=True):
            unit = _unit(truth, figure, other, sums.get(cell, EMPTY))
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
    digits = min(MOST_DIGITS, max(1, len(str(-(-sums.present // truth.parts))) - lost))
    return Fraction(10) ** (Decimal(str(exact)).adjusted() - digits + 1)


def _tables(story: Story, files: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for register in registers_of((story,)):
        path = files / f"{register.file}.csv"
        connection.execute(f"CREATE TABLE {register.file} AS FROM read_csv('{path}', all_varchar=true)")
    return connection


def _sums(story: Story, files: Path, joined: str) -> dict[Key, _Sums]:
    truth = story.truth
    keys = "".join(f"{key}, " for key in truth.keys)
    value = f"({truth.value})::DECIMAL(20, 2)"
    with _tables(story, files) as connection:
        cells = connection.execute(
            f"SELECT {keys} count(*), count({value}), coalesce(sum({value}), 0), coalesce(sum({value} * {value}), 0)"
            f" FROM {joined} GROUP BY ALL"
        ).fetchall()
    width = len(truth.keys)
    return {tuple(map(str, cell[:width])): _Sums(*cell[width:]) for cell in cells}


def _text(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _told(story: Story, files: Path) -> Callable[[Key], Figures]:
    """Return what tells the figures of a cell, by its keys: those that may be told. Of one table in parts, each part
    must pass the same tests by itself.
    """
    truth, whole = story.truth, _sums(story, files, story.truth.joined)
    parts = [_sums(story, files, each.file) for each in story.registers] if truth.parts > 1 else []

    def told(key: Key) -> Figures:
        sums = whole.get(key, EMPTY)
        looked = [sums, *(part.get(key, EMPTY) for part in parts)]
        made: dict[str, Value] = {"count": sums.rows, "total": sums.total}
        if sums.present:
            made["mean"] = float(Fraction(sums.total) / sums.present)
        if sums.present > 1:
            made["deviation"] = _deviation(sums)
        return tuple(
            made[figure] if all(_passes(truth, figure, each) for each in looked) else None
            for figure in truth.figures
        )

    return told


def _passes(truth: Truth, figure: str, sums: _Sums) -> bool:
    """Return whether a figure may be told: from ten persons on, and where no two could be more than 90 % of a total."""
    if figure == "count":
        return sums.rows >= SMALLEST_GROUP
    total = sums.present >= SMALLEST_GROUP and sums.total * DOMINANCE >= 200 * truth.highest
    return total and (figure != "deviation" or sums.squares * DOMINANCE >= 200 * truth.highest**2)


def _deviation(sums: _Sums) -> float:
    present, total, squares = sums.present, sums.total, sums.squares
    with localcontext(prec=100):
        return float(((present * squares - total * total) / (present * (present - 1))).sqrt())
