"""What stands beside every row that a component leaves, and how its tables are written.

A row of a table is a *cell*: a set of persons. For the box that inspects, the component says how many persons each cell
has, and of every figure the total of what persons contribute to it in absolute terms, and the two largest contributions
of single persons (the dominance and p% rules need no more). For the owner's disclosure ledger it leaves each cell's
fingerprint (`plans.sets`). Rows of one person are one person, everywhere.

Cells of fewer persons than the minimum do not leave this box: nothing is said about how many there were. Neither do
cells of rows that have no value in a key, but they are cells of the margins. Where margins may not give small cells
back, further ones stay here too, if every person stands in one cell: else nobody knows what margins tell, and the
evidence does not say that they were looked at.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from components.errors import NoFit
from components.rows import Rows
from plans import canonical
from plans.errors import Malformed
from plans.sets import SIGNS, Pattern, Sets, named

if TYPE_CHECKING:
    from components.api import Complete

PERSONS = "persons"
"""The column of every table that says on how many persons a row rests."""

COUNT, TOTAL, MEAN, OTHER = "count", "total", "mean", "other"
"""Kinds of figures: whole numbers of things, sums, what persons weigh in by size, and what they do not."""

DIGITS = 12
"""Significant digits that a table is written with; the airlock leaves fewer."""

SMALLEST = 1e-15

MOST_SUMS = 4_000_000
"""Sums of signs of a table with patterns; of a larger one no patterns are left."""

MOST_CROSSED = 250_000
"""Cells of a cross-table, small ones too, of which margins are looked at."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells, each a set of persons, over rows of a table.

    Members:
        persons: how many persons each has.
        prints: the fingerprint of each, cells by 64.
        parts: for each cell a number; only figures of cells with the same number add up to a margin.
        once: whether every person stands in one cell.
        weighted: the same fingerprints, in which a person with another number of rows is another one; none, where each
            has one.
    """

    persons: np.ndarray
    prints: np.ndarray
    _pairs: np.ndarray
    _pair_cells: np.ndarray
    _items: np.ndarray
    parts: np.ndarray
    once: bool = False
    weighted: np.ndarray | None = None

    @classmethod
    def of(cls, rows: Rows, cells: np.ndarray, count: int, items: np.ndarray | None = None) -> Cells:
        """Return `count` cells: row `items[i]` (or row i) is in the cell `cells[i]`, and in none where that is -1.

        Whoever has rows in several cells is a person of each.
        """
        items = np.arange(len(rows)) if items is None else items
        items, cells = items[cells >= 0], cells[cells >= 0].astype(np.int64)
        width = max(rows.persons, 1)
        pairs, place = np.unique(cells * width + rows.who[items], return_inverse=True)
        pair_cells, pair_persons = pairs // width, pairs % width
        persons = np.bincount(pair_cells, minlength=count)
        there, starts = np.unique(pair_cells, return_index=True)
        found = there, starts, persons
        prints, several = _sums(rows.signs[pair_persons], *found), np.bincount(place, minlength=len(pairs))
        weighted = _sums(rows.weighted(pair_persons, several), *found) if several.max(initial=0) > 1 else None
        once = len(pairs) == len(np.unique(pair_persons))
        parts = np.zeros(count, np.int64)
        return cls(persons, prints, place, pair_cells, items, parts, once, weighted)

    @classmethod
    def whole(cls, rows: Rows) -> Cells:
        """Return one cell, of all persons."""
        return cls.of(rows, np.zeros(len(rows), np.int64), 1)

    def largest(self, amounts: np.ndarray) -> np.ndarray:
        """Return, 3 by cells, the total of what persons contribute in absolute terms, and the two largest of them.

        `amounts` has a value for each row of the table; those of one person in a cell add up.
        """
        sizes = np.abs(np.nan_to_num(np.asarray(amounts, float)))[self._items]
        by_person = np.bincount(self._pairs, sizes, len(self._pair_cells))
        count = len(self.persons)
        order = np.lexsort((-by_person, self._pair_cells))
        cells, sizes = self._pair_cells[order], by_person[order]
        starts = np.searchsorted(cells, np.arange(count))
        found = np.zeros((3, count))
        found[0] = np.bincount(cells, sizes, count)
        for place in (0, 1):
            there = self.persons > place
            found[1 + place, there] = sizes[starts[there] + place]
        return found

    def sums(self, amounts: np.ndarray) -> np.ndarray:
        """Return the sum of a value of the rows, by cell."""
        cells = self._pair_cells[self._pairs]
        return np.bincount(cells, np.asarray(amounts, float)[self._items], len(self.persons))

    @property
    def items(self) -> np.ndarray:
        """How many rows each cell has."""
        return np.bincount(self._pair_cells[self._pairs], minlength=len(self.persons))

    def times(self, count: int) -> Cells:
        """Return the first cell so many times: figures about one set of persons, a row each."""
        return Cells(
            np.repeat(self.persons[:1], count),
            np.repeat(self.prints[:1], count, axis=0),
            self._pairs,
            self._pair_cells,
            self._items,
            np.arange(count),
            weighted=None if self.weighted is None else np.repeat(self.weighted[:1], count, axis=0),
        )

    def weighed(self) -> np.ndarray:
        """Return the weighted fingerprints; where each person has one row, the others."""
        return self.prints if self.weighted is None else self.weighted


def _sums(signs: np.ndarray, there: np.ndarray, starts: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """Return the sums of signs of persons who lie cell by cell, for all cells."""
    prints = np.zeros((len(persons), SIGNS), np.int64)
    for bit in range(SIGNS if len(there) else 0):
        plus = ((signs >> np.uint64(bit)) & np.uint64(1)).astype(np.int64)
        prints[there, bit] = 2 * np.add.reduceat(plus, starts) - persons[there]
    return prints


def joined(parts: Sequence[Cells]) -> Cells:
    """Return cells one after the other; what they were made of is forgotten."""
    none = np.zeros(0, np.int64)
    return Cells(
        np.concatenate([part.persons for part in parts]),
        np.concatenate([part.prints for part in parts]),
        none,
        none,
        none,
        np.repeat(np.arange(len(parts)), [len(part.persons) for part in parts]),
        weighted=None
        if all(part.weighted is None for part in parts)
        else np.concatenate([part.weighed() for part in parts]),
    )


def sets_of(cells: Cells, kept: Sequence[int], lacking: Lacking | None = None) -> Sets:
    """Return the sets of the cells that are kept, with the larger ones of which they are a part, if these are known.

    Of each row a set is the larger one, then of each column that of the cell, or nobody. The weighted ones follow.
    """
    chosen = list(kept)
    wide = 1 + len(lacking.columns) if lacking else 1
    if lacking and (not all(lacking.columns) or len(chosen) * wide * SIGNS > MOST_SUMS):
        return sets_of(cells, kept)
    larger = lacking.cells if lacking else cells
    several = any((each.weighed()[chosen] != each.prints[chosen]).any() for each in (cells, larger))
    persons = np.zeros((len(chosen), 1 + several, wide), np.int64)
    prints = np.zeros((len(chosen), 1 + several, wide, SIGNS), np.int64)
    for kind in range(1 + several):
        own, whole = (each.weighed() if kind else each.prints for each in (cells, larger))
        persons[:, kind, 0], prints[:, kind, 0] = larger.persons[chosen], whole[chosen]
        if lacking and lacking.of is not None:
            rows, places = np.arange(len(chosen)), 1 + lacking.of[chosen]
            persons[rows, kind, places], prints[rows, kind, places] = cells.persons[chosen], own[chosen]
    return Sets(
        len(chosen),
        wide * (1 + several),
        persons.ravel().tolist(),
        prints.ravel().tolist(),
        weighted=wide * several,
        patterns=((), *lacking.columns) if lacking else (),
    )


@dataclass(frozen=True, slots=True)
class Lacking:
    """Cells whose persons are those of larger cells who have a value in a column (`plans.sets.Sets.patterns`).

    Members:
        cells: for each cell the one with those who have none.
        columns: of each column the patterns of its relation and name; none, where the cells are told apart by no value.
        of: for each cell the number of its column.
    """

    cells: Cells
    columns: tuple[Pattern, ...] = ()
    of: np.ndarray | None = None


def pattern(rows: Rows, column: str) -> Pattern:
    """Return how patterns name a column, with zeros as values or as none; nothing, where nobody says whose it is.

    Statements name a column of whole numbers in two ways (`policies.reading.contributions`), and here a figure may be
    compared with either.
    """
    return named(f"{rows.relation}.{column}") if rows.relation else ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of figures: a value for each cell (None or NaN: none), and `Cells.largest` where persons weigh in."""

    kind: str
    values: Sequence[Any] | np.ndarray
    largest: np.ndarray | None = None


def keys(*columns: tuple[str, Sequence[str | None]]) -> dict[str, Sequence[str | None]]:
    """Return columns of keys by their names.

    Raises:
        Malformed: two have the same name, since a column of the data is called as one of the component's own.
    """
    _require_different([name for name, _ in columns])
    return dict(columns)


def _require_different(names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise Malformed(
            "two columns of the output would have the same name", "task.parameters", "Name another column."
        )


class Evidence:
    """Collects what stands beside the tables that a component writes."""

    def __init__(self, minimum_group: int, degrees: int, margins: Complete | None = None) -> None:
        self.minimum_group, self.degrees, self.margins = minimum_group, degrees, margins
        self.records: dict[str, bytes] = {}
        self.sets: dict[str, Sets] = {}

    def table(
        self,
        name: str,
        keys: Mapping[str, Sequence[str | None]],
        cells: Cells,
        figures: Mapping[str, Figure],
        lacking: Lacking | None = None,
    ) -> bytes:
        """Return a table as CSV: keys, figures, persons, a row for each cell of enough persons; and note the evidence.

        A cell one of whose keys is None has no row. `lacking` says of which larger cells they are a part, if they are
        told apart from these by missing values alone.

        Raises:
            NoFit: no cell has enough.
            Malformed: two columns have the same name.
        """
        _require_different([*keys, *figures, PERSONS])
        crossed = len(keys) > 1 and len(cells.persons) <= MOST_CROSSED
        looked = self.margins is not None and cells.once and crossed
        kept = self._kept(keys, cells, looked)
        if not kept:
            raise NoFit
        persons = [int(cells.persons[cell]) for cell in kept]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*keys, *figures, PERSONS])
        for cell, count in zip(kept, persons, strict=True):
            row = [values[cell] for values in keys.values()]
            writer.writerow([*row, *(_written(figure.values[cell]) for figure in figures.values()), count])
        self.records[name] = canonical.encode(
            {
                "keys": list(keys),
                "persons": persons,
                "margins": looked,
                "parts": [int(part) for part in cells.parts[kept]],
                "figures": {called: _record(figure, kept) for called, figure in figures.items()},
            }
        )
        self.sets[name] = sets_of(cells, kept, lacking)
        return text.getvalue().encode()

    def _kept(self, keys: Mapping[str, Sequence[str | None]], cells: Cells, looked: bool) -> list[int]:
        """Return the cells that have a row.

        A key of one value is left out: margins without it are the cells, and a table of those has rules of its own.
        """
        small = {int(cell) for cell in np.flatnonzero(cells.persons < self.minimum_group)}
        gone = small
        if self.margins is not None and looked:
            told = [values for values in keys.values() if len(set(values)) > 1]
            places = [tuple(values[cell] for values in told) for cell in range(len(cells.persons))]
            sizes = [int(count) for count in cells.persons]

            def safe(some: Collection[int]) -> bool:
                together = sum(sizes[cell] for cell in some)
                return not together or together >= self.minimum_group

            gone = small | set(self.margins(places, small, safe, sizes.__getitem__))
        unnamed = {cell for values in keys.values() for cell, value in enumerate(values) if value is None}
        return [cell for cell in range(len(cells.persons)) if cell not in gone and cell not in unnamed]

    def model(self, name: str, cells: Cells) -> None:
        """Note on whom a model rests: the one cell of its training set."""
        self.sets[name] = sets_of(cells, [0])

    def require(self, persons: int, parameters: int = 0) -> None:
        """Refuse a fit of so many parameters to so few persons: less than a group, or saturated.

        Raises:
            NoFit: it is.
        """
        if persons < self.minimum_group or persons - parameters < self.degrees:
            raise NoFit


def _record(figure: Figure, kept: list[int]) -> dict[str, Any]:
    largest = np.zeros((3, 0)) if figure.largest is None else figure.largest[:, kept]
    total, first, second = ([plain(value) for value in line] for line in largest)
    return {"kind": figure.kind, "totals": total, "first": first, "second": second}


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int | np.integer):
        return str(value)
    return plain(round_to(float(value))) if math.isfinite(value) else ""


def round_to(value: float, digits: int = DIGITS) -> float:
    """Return a number with so many significant digits."""
    return float(f"{value:.{digits}g}")


def plain(value: float) -> str:
    """Return a number in plain notation, without an exponent; what is nearer to zero than `SMALLEST` is zero."""
    text = format(Decimal(repr(float(value))), "f") if abs(value) >= SMALLEST else "0"
    return text.removesuffix(".0")
