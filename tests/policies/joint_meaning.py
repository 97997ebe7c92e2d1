"""What a joint reading means, computed in the plainest way: each owner's rows by DuckDB, all else by integers."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import duckdb

from plans.joint import JointFigure, JointReading, Measure, Portion, Shape, Sum
from plans.joint_guards import decimals_of

Row = tuple[tuple[str, ...], tuple[int | None, ...]]
"""One person at one owner: codes of the groups, operands as whole numbers."""

Database = duckdb.DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Cell:
    """What is known of a figure in one cell: how many persons stand behind it, its value, and every sum of the cell;
    of how many a CASE leaves out, the least.
    """

    persons: int
    value: Fraction | float | None
    magnitudes: tuple[int, ...]
    rest: int | None = None

    @property
    def behind(self) -> int:
        """The number that is compared with the minimum group."""
        return self.persons if self.rest is None else min(self.persons, self.rest)


def portion_rows(database: Database, portion: Portion) -> dict[str, Row]:
    """What one owner computes by itself, by key; every operand is whole at its scale and in its range."""
    operands = [f"({operand.expression})::DECIMAL(38, {operand.decimals})" for operand in portion.operands]
    groups = [f'CAST("{group.column}" AS VARCHAR)' for group in portion.groups]
    where = f" WHERE {portion.where}" if portion.where else ""
    listed = ", ".join([f'"{portion.key}"', *groups, *operands])
    found = database.execute(f"SELECT {listed} FROM {portion.relation}{where}").fetchall()
    rows: dict[str, Row] = {}
    for key, *values in found:
        codes = tuple(values[: len(groups)])
        numbers: list[int | None] = []
        for operand, value in zip(portion.operands, values[len(groups) :], strict=True):
            whole = None if value is None else Fraction(value) * 10**operand.decimals
            assert whole is None or (whole.denominator == 1 and operand.low <= whole <= operand.high)
            assert whole is not None or operand.nullable
            numbers.append(None if whole is None else int(whole))
        for group, code in zip(portion.groups, codes, strict=True):
            assert code in group.codes
        assert key not in rows
        rows[key] = codes, tuple(numbers)
    return rows


def cells(database: Database, reading: JointReading) -> dict[tuple[str, ...], dict[str, Cell]]:
    """Every cell of the answer, by its codes, with every figure in it."""
    each = [portion_rows(database, portion) for portion in reading.portions]
    matched: dict[tuple[str, ...], list[list[tuple[int | None, ...]]]] = {
        codes: [] for codes in itertools.product(*(group.codes for group in reading.groups))
    }
    if reading.shape is Shape.STACKED:
        for codes, operands in itertools.chain.from_iterable(rows.values() for rows in each):
            matched[codes].append([operands])
        each = []
    for key in set.intersection(*(set(rows) for rows in each)) if each else ():
        codes = tuple(code for rows in each for code in rows[key][0])
        matched[codes].append([rows[key][1] for rows in each])
    return {
        codes: {figure.name: _cell(reading, figure, rows) for figure in reading.figures}
        for codes, rows in matched.items()
    }


def own_cells(
    database: Database, reading: JointReading, place: int
) -> dict[tuple[str, ...], tuple[int, dict[str, Cell]]]:
    """Every cell of one holder's part of a table by itself: how many rows it has, and every figure in it."""
    mine: dict[tuple[str, ...], list[list[tuple[int | None, ...]]]] = {
        codes: [] for codes in itertools.product(*(group.codes for group in reading.groups))
    }
    for codes, operands in portion_rows(database, reading.portions[place]).values():
        mine[codes].append([operands])
    return {
        codes: (len(rows), {figure.name: _cell(reading, figure, rows) for figure in reading.figures})
        for codes, rows in mine.items()
    }


def everywhere(database: Database, reading: JointReading) -> set[str]:
    """The keys of the persons whom all owners have."""
    return set.intersection(*(set(portion_rows(database, portion)) for portion in reading.portions))


def _cell(reading: JointReading, figure: JointFigure, rows: list[list[tuple[int | None, ...]]]) -> Cell:
    sums = [_add(reading.sums[place], rows) for place in figure.sums]
    scales = [decimals_of(reading, reading.sums[place]) for place in figure.sums]
    exact = [Fraction(total, 10**scale) for total, scale in zip(sums, scales, strict=True)]
    every = tuple(_add(total, rows) for total in reading.sums)
    rest = min((every[place] for place in figure.rest), default=None)
    return Cell(every[figure.persons], value_of(figure.function, exact), every, rest)


def _add(total: Sum, rows: list[list[tuple[int | None, ...]]]) -> int:
    found = 0
    for row in rows:
        values = [row[portion][place] for portion, place in total.operands]
        if total.measure is Measure.ROWS:
            found += 1
        elif total.measure is Measure.PRESENT:
            found += values[0] is not None
        else:
            numbers = [value or 0 for value in values]
            found += {
                Measure.TOTAL: numbers[0],
                Measure.MAGNITUDE: abs(numbers[0]),
                Measure.SQUARE: numbers[0] ** 2,
                Measure.PRODUCT: math.prod(numbers),
            }[total.measure]
    return found


def value_of(function: str, sums: list[Fraction]) -> Fraction | float | None:
    """A figure from its sums, as `plans.joint_guards` orders them."""
    if function in ("count", "sum"):
        return sums[0]
    if function == "avg":
        return sums[0] / sums[1] if sums[1] else None
    if function == "corr":
        n, x, y, xx, yy, xy = sums
        spread = (n * xx - x * x) * (n * yy - y * y)
        return float(n * xy - x * y) / math.sqrt(spread) if spread > 0 else None
    squares, total, n = sums
    spare = 1 if function.endswith("_samp") else 0
    if n <= spare:
        return None
    variance = (squares - total * total / n) / (n - spare)
    return variance if function.startswith("var") else math.sqrt(variance)


def value(found: Any) -> Fraction | float | None:
    """A figure of DuckDB's."""
    if found is None or (isinstance(found, float) and math.isnan(found)):
        return None
    return found if isinstance(found, float) else Fraction(found)
