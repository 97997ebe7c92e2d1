"""The answer of a joint computation as a table, so that it converts and draws like every other answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from darkroom.tabular import Tabular
from plans.joint_answer import Value
from plans.released import Cell, ReleasedColumn


@dataclass(frozen=True, slots=True)
class JointSheet:
    """Columns with their types, and rows of cells (`darkroom.tabular.Sheet`)."""

    columns: tuple[ReleasedColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class JointTable(Tabular):
    """The table; a figure that is withheld is suppressed in it, and one that is not defined has no value."""

    cells: JointSheet
    told: tuple[str, ...]
    name: str = "joint"

    @property
    def sheet(self) -> JointSheet:
        """The cells."""
        return self.cells

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known about the table, one sentence each."""
        return self.told


def table_of(
    names: Sequence[str],
    rows: Sequence[Sequence[Value]],
    suppressed: Sequence[Sequence[bool]],
    notes: tuple[str, ...],
) -> JointTable:
    """Return the table of these rows; a column's type is that of its values."""
    columns = tuple(
        ReleasedColumn(name, _type([row[place] for row in rows])) for place, name in enumerate(names)
    )
    cells = tuple(
        tuple(
            Cell(None if value is None or hidden else str(value), hidden)
            for value, hidden in zip(row, marks, strict=True)
        )
        for row, marks in zip(rows, suppressed, strict=True)
    )
    return JointTable(JointSheet(columns, cells), notes)


def _type(values: Sequence[Value]) -> str:
    """Return the narrowest of DuckDB's types in which all values are what they are."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return "BIGINT"
    if kinds and kinds <= {int, float, Decimal}:
        return "DOUBLE"
    return "VARCHAR"
