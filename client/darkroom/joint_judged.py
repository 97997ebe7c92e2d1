"""A joint answer that somebody opened first: the table of an inspector's airlock, or what a finder was told of persons.

Its texts become the same values as those of an answer that the recipient opens itself, after the table was checked
against the plan: its columns, a row for every cell of the public lists, figures that are numbers; persons each once,
scores with their decimals, texts of a record no longer than its fields.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from plans.errors import EvidenceBroken
from plans.joint import JointFigure, JointPlan, ScoreFunction, Shape
from plans.joint_answer import JointAnswer, Value
from plans.joint_guards import decimals_of
from plans.released import Cell, Released

_NUMBER = re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?")
"""A number in plain notation, of no more digits than sums and their decimals have: who opened may have made it up."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The answer, and the table as it was handed over. With the table's salt whoever has it shows of whom a log has
    commitments, where persons were looked up.
    """

    answer: JointAnswer
    table: Released

    @property
    def cells(self) -> tuple[tuple[Cell, ...], ...]:
        """The cells as they were handed over."""
        return self.table.rows

    @property
    def told(self) -> tuple[str, ...]:
        """The sentences about what was done to it."""
        return tuple(note.sentence for note in self.table.notes)


def judged(plan: JointPlan, released: Released) -> Judged:
    """Return a table that was opened for the recipient.

    Raises:
        EvidenceBroken: it is no answer to this plan.
    """
    columns = tuple(column.name for column in released.columns)
    if released.plan != plan.digest or columns != plan.reading.outputs:
        raise EvidenceBroken("the table that was opened is of another plan", "opened")
    rows = _figures(plan, released) if plan.reading.figures else _persons(plan, released)
    marks = tuple(tuple(cell.suppressed for cell in row) for row in released.rows)
    return Judged(JointAnswer(columns, rows, marks), released)


def _persons(plan: JointPlan, released: Released) -> tuple[tuple[Value, ...], ...]:
    """Return what is told of each person, of whom there is one row at the most."""
    found = [row[0].v for row in released.rows]
    if None in found or len(set(found)) != len(found) or len(found) > plan.scheme.matched:
        raise EvidenceBroken("the list is not one of different persons, as many as the plan allows", "opened")
    if any(cell.suppressed for row in released.rows for cell in row):
        raise EvidenceBroken("nothing is withheld of what is told of persons", "opened")
    tell = {Shape.SCORED: _score, Shape.LOOKUP: _record}.get(plan.reading.shape)
    told = [tell(plan, row[1:]) if tell else () for row in released.rows]
    return tuple((person, *values) for person, values in zip(found, told, strict=True))


def _score(plan: JointPlan, cells: Sequence[Cell]) -> tuple[Value, ...]:
    """Return a score as the decimal number that it is."""
    score, text = plan.reading.score, cells[0].v
    decimals = score.decimals if score else 0
    if text is None or not _NUMBER.fullmatch(text) or len(text.partition(".")[2]) != decimals:
        raise EvidenceBroken("a score is no number of the statement's decimals", "opened")
    found = Decimal(text)
    if score and score.function is ScoreFunction.LOGISTIC and not 0 <= found <= 1:
        raise EvidenceBroken("a score of the logistic curve is not between 0 and 1", "opened")
    return (found,)


def _record(plan: JointPlan, cells: Sequence[Cell]) -> tuple[Value, ...]:
    """Return a record's texts; of an absent person, and where nothing is known, none."""
    for field, cell in zip(plan.reading.portions[1].fields, cells, strict=True):
        if cell.v is not None and len(cell.v.encode()) > field.width:
            raise EvidenceBroken("a text of a record is longer than its field", f"opened.{field.name}")
    return tuple(cell.v for cell in cells)


def _figures(plan: JointPlan, released: Released) -> tuple[tuple[Value, ...], ...]:
    """Return the rows with their values, in the order of the public lists."""
    reading = plan.reading
    cells = list(itertools.product(*(group.codes for group in reading.groups)))
    named = {figure.name: figure for figure in reading.figures}
    keys = [reading.outputs.index(group.name) for group in reading.groups]
    if [_keys(row, keys) for row in released.rows] != cells:
        raise EvidenceBroken("the table has not one row for every cell of the public lists", "opened")
    return tuple(
        tuple(
            _value(plan, named[name], cell.v) if name in named else cell.v
            for name, cell in zip(reading.outputs, row, strict=True)
        )
        for row in released.rows
    )


def _keys(row: Sequence[Cell], places: Sequence[int]) -> tuple[str | None, ...]:
    return tuple(row[place].v for place in places)


def _value(plan: JointPlan, figure: JointFigure, text: str | None) -> Value:
    """Return a figure as the number that a recipient who opens itself would find: whole, decimal, or a double."""
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise EvidenceBroken("a figure is no number", f"opened.{figure.name}")
    if figure.function not in ("count", "sum"):
        return float(text)
    whole = not decimals_of(plan.reading, plan.reading.sums[figure.sums[0]])
    if whole and "." in text:
        raise EvidenceBroken("a figure of whole numbers is none", f"opened.{figure.name}")
    return int(text) if whole else Decimal(text)
