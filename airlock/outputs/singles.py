"""Figures of many persons that differ by single ones: curves with a step for every death, means with one person left
out. Each rests on enough persons by itself; two of them beside each other tell of one.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from itertools import pairwise

from airlock.outputs import wording
from airlock.outputs.sheet import Figure, Sheet
from airlock.outputs.values import GridColumn

FEWEST_STEPS = 3
"""Rows from which on falling figures make a curve."""


def small_levels(sheet: Sheet, minimum: int) -> list[int]:
    """Return rows that a count beside the persons says to rest on too few: the level of a dummy, a bin."""
    levels = [each for each in sheet.figures if each.counts and wording.says_level(each.name)]
    return [row for row in sheet.alive if any(0 < each.present(row) < minimum for each in levels)]


def single_steps(sheet: Sheet, minimum: int) -> int:
    """Return how many steps of curves of survival are those of too few persons.

    With n of N persons at risk, d deaths take S d / n from a share S, and n is at most S N: N times the step is no
    less than d (Kaplan and Meier 1958, section 2). So every step that is counted here is one of fewer than `minimum`.
    """
    curves = [each for each in sheet.figures if not each.counts and wording.says_survival(each.name)]
    return sum(_small_steps(sheet, rows, curve, minimum) for curve in curves for rows in _curves(sheet))


def left_out(sheet: Sheet, minimum: int) -> int:
    """Return how many rows leave out fewer persons than `minimum`, where a key says that rows leave somebody out."""
    if not any(wording.says_left_out(key.name) for key in sheet.keys):
        return 0
    most = max(sheet.persons, default=0)
    near = sum(1 for persons in sheet.persons if most - persons < minimum)
    return near if near > 1 else 0


def _curves(sheet: Sheet) -> list[list[int]]:
    """Return the rows of every curve in the order of time: the key of days or numbers that has most values."""
    times = [key for key in sheet.keys if key.type in ("BIGINT", "DATE", "TIMESTAMP")]
    if not times:
        return []
    time = max(times, key=lambda key: len(set(key.values)))
    groups: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
    for row in sheet.alive:
        groups[tuple(key.values[row] for key in sheet.keys if key is not time)].append(row)
    return [sorted(rows, key=lambda row: _moment(time, row)) for rows in groups.values()]


def _moment(time: GridColumn, row: int) -> tuple[Decimal, str]:
    value = time.values[row] or ""
    return (Decimal(value or 0), "") if time.type == "BIGINT" else (Decimal(0), value)


def _small_steps(sheet: Sheet, rows: list[int], curve: Figure, minimum: int) -> int:
    values = [value for row in rows if (value := curve.values[row]) is not None]
    if len(values) < FEWEST_STEPS or not all(0 <= after <= before for before, after in pairwise(values)):
        return 0
    whole = 1 if values[0] <= 1 else 100
    persons = max(sheet.persons[row] for row in rows)
    steps = [(before - after) * persons / whole for before, after in pairwise(values)]
    return sum(1 for step in steps if Decimal("0.01") < step < minimum)
