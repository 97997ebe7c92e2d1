"""The answer of a joint computation as a table with types, which follow from its plan and never from what was opened.

So it converts and draws as every other answer does, and has the types that the same statement has on look-alike data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from darkroom.advice_rewrites import keys_of
from plans.joint import JointFigure, JointPlan, ScoreFunction
from plans.joint_answer import JointAnswer, Value
from plans.joint_guards import decimals_of
from plans.released import Cell, ReleasedColumn


@dataclass(frozen=True, slots=True)
class JointSheet:
    """Columns with their types, and rows of cells (`darkroom.tabular.Sheet`)."""

    columns: tuple[ReleasedColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]


def sheet_of(plan: JointPlan, answer: JointAnswer) -> JointSheet:
    """Return the table of an answer: a figure that is withheld is suppressed in it, and one that is not defined has no
    value.
    """
    columns = tuple(map(ReleasedColumn, answer.columns, types_of(plan)))
    rows = zip(answer.rows, answer.suppressed, strict=True)
    return JointSheet(columns, tuple(tuple(_cell(*each) for each in zip(*row, strict=True)) for row in rows))


def types_of(plan: JointPlan) -> tuple[str, ...]:
    """Return the types of the outputs, in DuckDB's words: those of the same statement on look-alike data. Persons, and
    keys of groups, are text, as they stand in their public lists.
    """
    reading = plan.reading
    figures = {figure.name: figure for figure in reading.figures}
    known = {field.name: field.type for portion in reading.portions for field in portion.fields}
    if reading.score is not None:
        logistic = reading.score.function is ScoreFunction.LOGISTIC
        known[reading.score.name] = "DOUBLE" if logistic else f"DECIMAL(18,{reading.score.decimals})"
    return tuple(
        _type(plan, figures[name]) if name in figures else known.get(name, "VARCHAR")
        for name in reading.outputs
    )


def keys_as_text(statement: str, columns: Sequence[ReleasedColumn]) -> tuple[ReleasedColumn, ...]:
    """Return the columns that a joint statement has on look-alike data with keys of groups as text, as they are in its
    answer: its rows are those of the public lists.
    """
    keys = keys_of(statement)
    if keys is None or len(keys) != len(columns):
        return tuple(columns)
    return tuple(
        replace(column, type="VARCHAR") if key else column for column, key in zip(columns, keys, strict=True)
    )


def _type(plan: JointPlan, figure: JointFigure) -> str:
    """Return the type of a figure: sums of whole numbers are whole, those of decimals have their decimals."""
    if figure.function == "count":
        return "BIGINT"
    if figure.function != "sum":
        return "DOUBLE"
    decimals = decimals_of(plan.reading, plan.reading.sums[figure.sums[0]])
    return f"DECIMAL(38,{decimals})" if decimals else "HUGEINT"


def _cell(value: Value, hidden: bool) -> Cell:
    return Cell(None if value is None or hidden else str(value), hidden)
