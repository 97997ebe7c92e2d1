"""A table on its way through the rules: what stands in it, which rows and cells are still there, and what each shows.

A row is a cell of persons. Its *keys* name it, its *figures* are about it. Rules take rows out (`alive`) or
withhold single figures; only then `shown` rounds what is left. Nothing here decides; see `airlock.outputs.cells`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from airlock.outputs import wording
from airlock.outputs.ground import Ground
from airlock.outputs.rules import OutputRule
from airlock.outputs.values import Evidence, Grid, GridColumn, Unfit, is_integral
from airlock.rules import count, measure, plain

CLOSE = 2
"""Numbers of groups are fewer than so many times as many as there are groups."""

Shown = str | bool | None
"""A released cell: its text, none where there is no value, false where it is withheld."""


@dataclass(slots=True)
class Figure:
    """A column of figures. `whole` ones have no fraction; a `count` counts persons, rows or things."""

    name: str
    values: list[Decimal | None]
    whole: bool
    counts: bool
    kind: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    """Rows whose cell is withheld."""

    sums: dict[int, Decimal] = field(default_factory=dict)
    """Rows whose cell is a total that was computed from shown ones."""

    def withhold(self, rows: Iterable[int]) -> int:
        """Withhold cells that hold a number; return how many these are, whether or not another rule was first."""
        struck = {row for row in rows if self.values[row] is not None}
        self.gone |= struck
        return len(struck)

    def present(self, row: int) -> Decimal:
        """Return the number in a row, zero where there is none."""
        return self.values[row] or Decimal(0)


@dataclass(slots=True)
class Sheet:
    """A table of figures about groups: columns by role, and which rows are still there."""

    grid: Grid
    persons_name: str
    persons: list[int]
    keys: tuple[GridColumn, ...]
    figures: tuple[Figure, ...]
    alive: list[int]
    sums: dict[int, int] = field(default_factory=dict)
    """Rows whose number of persons is a sum of shown ones."""

    def drop(self, rows: Iterable[int]) -> int:
        """Take rows out; return how many were still there."""
        gone = set(rows) & set(self.alive)
        self.alive = [row for row in self.alive if row not in gone]
        return len(gone)

    def repeats_persons(self, figure: Figure) -> bool:
        """Return whether a figure says in every row that is left how many persons it rests on, once more."""
        return all(figure.present(row) == self.persons[row] for row in self.alive)

    def rounded_persons(self, row: int, ground: Ground) -> int:
        """Return how many persons a row is said to have."""
        return self.sums[row] if row in self.sums else count(self.persons[row], ground.base)

    def rounded(self, figure: Figure, row: int, ground: Ground) -> Decimal | None:
        """Return a figure as it may be shown, none where there is no number. It says nothing about withholding."""
        if row in figure.sums:
            return figure.sums[row]
        value = figure.values[row]
        if value is None:
            return None
        persons = self.persons[row]
        if figure.counts and (figure.kind == "count" or 0 <= value <= persons):
            return Decimal(count(int(value), ground.base))
        kept = measure(value, persons, ground.base)
        return Decimal(count(int(kept), ground.base)) if figure.counts else kept

    def shown(self, column: GridColumn, ground: Ground) -> list[Shown]:
        """Return what a column shows in the rows that are left."""
        if column.name == self.persons_name:
            return [str(self.rounded_persons(row, ground)) for row in self.alive]
        figure = next((each for each in self.figures if each.name == column.name), None)
        if figure is None:
            return [column.values[row] for row in self.alive]
        return [
            False if row in figure.gone else _text(self.rounded(figure, row, ground)) for row in self.alive
        ]


def lay_out(grid: Grid, persons_name: str, evidence: Evidence | None) -> Sheet:
    """Return a table's columns by role.

    Raises:
        Unfit: it has no numbers of persons, or its rows are not told apart by keys.
    """
    columns = {column.name: column for column in grid.columns}
    persons = _persons(columns.get(persons_name))
    if evidence is not None:
        persons = _said(persons, evidence, columns)
    rest = [column for column in grid.columns if column.name != persons_name]
    named = evidence.keys if evidence is not None else tuple(column.name for column in _keys(rest, persons))
    keys = tuple(column for column in rest if column.name in named)
    if not _different(keys, grid.height):
        raise Unfit(OutputRule.NO_KEYS)
    figures = tuple(_figure(column, evidence) for column in rest if column.name not in named)
    return Sheet(grid, persons_name, persons, keys, figures, list(range(grid.height)))


def _persons(column: GridColumn | None) -> list[int]:
    if column is None or column.type not in ("BIGINT", "DOUBLE") or None in column.values:
        raise Unfit(OutputRule.PERSONS_COLUMN)
    if not all(is_integral(value) and float(value) >= 0 for value in column.values if value):
        raise Unfit(OutputRule.PERSONS_COLUMN)
    return [int(float(value)) for value in column.values if value]


def _said(persons: list[int], evidence: Evidence, columns: Mapping[str, GridColumn]) -> list[int]:
    """Return the smaller of what a component wrote and what it counted."""
    if len(evidence.persons) != len(persons) or not set(evidence.keys) | set(evidence.figures) <= set(
        columns
    ):
        raise Unfit(OutputRule.PERSONS_COLUMN)
    return list(map(min, persons, evidence.persons))


def _keys(rest: list[GridColumn], persons: list[int]) -> list[GridColumn]:
    """Return the keys: what is no number, whole numbers whose name says only that, and as many others as are needed.

    Keys leave as they are. So a whole number that could be a count, or an amount, is one only where rows are not told
    apart without it, and those that name groups come first.
    """
    whole = [column for column in rest if column.type == "BIGINT"]
    named = [column for column in whole if wording.names_groups(column.name)]
    keys = [column for column in rest if column.type not in ("BIGINT", "DOUBLE")]
    keys += [column for column in named if _is_label(column, persons)]
    others = [column for column in whole if _can_be_key(column, persons, beside_others=bool(keys))]
    for column in (*named, *others):
        if _different(tuple(keys), len(persons)):
            break
        if column not in keys:
            keys.append(column)
    return keys


def _is_label(column: GridColumn, persons: list[int]) -> bool:
    amount = wording.says_amount(column.name) or _can_count(column, persons)
    return wording.says_label(column.name) or not amount


def _can_be_key(column: GridColumn, persons: list[int], beside_others: bool) -> bool:
    """Return whether a column whose name says nothing can be numbers of groups: they are larger than counts of persons,
    or count from 0 or 1 with few gaps beside other keys. By themselves such could be the counts of tiny groups.
    """
    if wording.says_measure(column.name) or wording.says_single(column.name):
        return False
    values = {int(value) for value in column.values if value is not None}
    numbering = min(values, default=0) in (0, 1) and max(values, default=0) < CLOSE * len(values)
    return not _can_count(column, persons) or (
        beside_others and numbering and not wording.says_key(column.name)
    )


def _can_count(column: GridColumn, persons: list[int]) -> bool:
    """Return whether a column could count persons of its rows."""
    return all(
        value is None or 0 <= int(value) <= most for value, most in zip(column.values, persons, strict=True)
    )


def _different(keys: tuple[GridColumn, ...], height: int) -> bool:
    if not keys:
        return height <= 1
    return len(set(zip(*(column.values for column in keys), strict=True))) == height


def _figure(column: GridColumn, evidence: Evidence | None) -> Figure:
    """Return a column as figures; one of texts, which a component did not call a key, has no number."""
    if column.type not in ("BIGINT", "DOUBLE"):
        raise Unfit(OutputRule.NO_KEYS)
    values = [None if value is None else Decimal(value) for value in column.values]
    whole = all(value is None or value == value.to_integral_value() for value in values)
    if evidence is None:
        return Figure(column.name, values, whole, whole and not wording.says_measure(column.name))
    record = evidence.figures.get(column.name, {"kind": "other"})
    kind = str(record["kind"])
    return Figure(column.name, values, whole, whole and kind == "count", kind, record)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
