"""Which sets are two others together but for a few persons: what two answers and their union tell by subtraction. Pure.

Of three released sets a, b and c none may tell on few persons as a + b - c, whichever comes last. A new set n is
compared with the sums a + b of two earlier ones, and with the differences c - a: both are vectors with fingerprints
(`plans.sets`), so d is the squared length of what is left. The numbers of persons sift the pairs, then single sums of
signs. d = 0 is no secret: a set that is exactly two others together says nothing new.

There are many pairs, so the estimate must lie below 1.5 k here and not below 2 k (`keeper.ledger_nearness`): that never
misses d up to k / 2 but for odds below 10^-9, misses d = k - 1 in 6 of 10,000 for k = 10, and keeps small sets that
have nothing to do with each other apart.

What missing values alone tell apart is excused as in `keeper.ledger_nearness`: where the cell of n is exactly those of
a and b together, and no column has figures about all three, nothing follows but numbers of persons with a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from keeper.ledger_nearness import Prints, names_of
from plans.sets import SIGNS

NEWEST = 1_024
"""Of so many sets of a lineage, the newest, all pairs are looked at."""

_SCREENS = 8
"""How many sums of signs sift the pairs before whole fingerprints are compared."""

Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell to which a set belongs, its number of persons and sums of signs, and the columns with figures about both.

    `columns` are none where something else than missing values tells the set apart from it: nothing excuses it then.
    """

    size: int
    signs: Ints
    columns: frozenset[str] | None

    def fits(self, first: Cell, second: Cell, way: int) -> bool:
        """Return whether this is `second` without (way 1), or with (way -1), `first`, with no column for all three."""
        if self.columns is None or first.columns is None or second.columns is None:
            return False
        sizes, signs = second.size - way * first.size, second.signs - way * first.signs
        same = sizes == self.size and bool(np.array_equal(signs, self.signs))
        return same and not self.columns & first.columns & second.columns


@dataclass(frozen=True, slots=True)
class Set:
    """A set with its number of persons, its sums of signs, and the cells to which it belongs."""

    size: int
    signs: Ints
    cells: tuple[Cell, ...]

    def with_cells(self, more: Iterable[Cell]) -> Set:
        """Return it as a part of further cells; columns of one cell add up."""
        found = list(self.cells)
        for cell in more:
            for place, known in enumerate(found):
                if np.array_equal(known.signs, cell.signs) and None not in (known.columns, cell.columns):
                    columns = (known.columns or frozenset()) | (cell.columns or frozenset())
                    found[place] = replace(known, columns=columns)
                    break
            else:
                if cell.columns is not None or all(known.columns is not None for known in found):
                    found.append(cell)
        return replace(self, cells=tuple(found))


def sets_of(vectors: Prints) -> list[Set]:
    """Return vectors one by one."""
    cells = vectors.of_cells()
    return [
        Set(
            int(vectors.persons[place]),
            vectors.signs[place],
            (Cell(int(cells.persons[place]), cells.signs[place], vectors.columns),),
        )
        for place in range(len(vectors))
    ]


class Newest:
    """The sets that were released last, each once; one that is released again counts as new."""

    def __init__(self) -> None:
        self._sets: dict[bytes, Set] = {}

    def __len__(self) -> int:
        return len(self._sets)

    def add(self, sets: Prints) -> None:
        """Take sets in, and forget the oldest where there are too many."""
        last = sets.take(np.arange(max(0, len(sets) - NEWEST), len(sets)))
        for name, one in zip(names_of(last), sets_of(last), strict=True):
            before = self._sets.pop(name, None)
            self._sets[name] = one if before is None else before.with_cells(one.cells)
        for name in list(self._sets)[: max(0, len(self._sets) - NEWEST)]:
            del self._sets[name]

    def named(self) -> dict[bytes, Set]:
        """Return them by their names."""
        return self._sets


class Pairs:
    """Sets whose pairs a new one is compared with, sorted by their numbers of persons."""

    def __init__(self, newest: Iterable[Newest], wholes: Iterable[Prints] = ()) -> None:
        found: dict[bytes, Set] = {}
        named = [item for each in newest for item in each.named().items()]
        named += [item for whole in wholes for item in zip(names_of(whole), sets_of(whole), strict=True)]
        for name, one in named:
            found[name] = found[name].with_cells(one.cells) if name in found else one
        sets = list(found.values())
        sizes = np.asarray([one.size for one in sets], np.int64)
        signs = np.asarray([one.signs for one in sets], np.int64).reshape(len(sets), SIGNS)
        order = np.argsort(sizes, kind="stable")
        self._persons, self._signs = sizes[order], np.ascontiguousarray(signs[order].T)
        self._cells = [sets[place].cells for place in order]

    def add(self, one: Set) -> None:
        """Take one set more in."""
        place = int(np.searchsorted(self._persons, one.size))
        self._persons = np.insert(self._persons, place, one.size)
        self._signs = np.insert(self._signs, place, one.signs, axis=1)
        self._cells.insert(place, one.cells)

    def near(self, one: Set, differ: int) -> bool:
        """Return whether a set is two of these together, or what one of them lacks of another, but for a few; and is
        not excused from that.
        """
        return any(
            not self._excused(one.cells, (self._cells[first], self._cells[second]), way)
            for way in (-1, 1)
            for first, second in zip(*self._with(one, way, differ), strict=True)
        )

    def _excused(self, own: Sequence[Cell], pair: tuple[Sequence[Cell], Sequence[Cell]], way: int) -> bool:
        fitting = [cell.fits(one, other, way) for cell in own for one in pair[0] for other in pair[1]]
        return bool(fitting) and all(fitting)

    def _with(self, one: Set, way: int, differ: int) -> tuple[Places, Places]:
        """Return the pairs of which the set without (way -1), or with (way 1), the first is near to the second."""
        size, own = one.size, one.signs
        first, second = self._sized(size, way, differ)
        for sign in range(_SCREENS):
            if not len(first):
                break
            row = self._signs[sign]
            fits = np.abs(row[second] - way * row[first] - own[sign]) < differ
            first, second = first[fits], second[fits]
        apart = self._signs[:, second] - way * self._signs[:, first] - own[:, None]
        fits = np.abs(apart).max(axis=0, initial=0) < differ
        sizes = self._persons[second] - way * self._persons[first] - size
        squares = (apart**2).sum(axis=0) + (sizes != 0)
        near = fits & (squares > 0) & (2 * squares < 3 * differ * SIGNS)
        return first[near], second[near]

    def _sized(self, size: int, way: int, differ: int) -> tuple[Places, Places]:
        """Return the pairs whose numbers of persons fit, as two lists of places."""
        wanted = size + way * self._persons
        start = np.searchsorted(self._persons, wanted - differ, "right")
        if way < 0:
            start = np.maximum(
                start, np.arange(1, len(start) + 1)
            )  # each sum once, and none of a set with itself
        many = np.maximum(np.searchsorted(self._persons, wanted + differ, "left") - start, 0)
        first = np.repeat(np.arange(len(many)), many)
        second = np.arange(len(first)) - np.repeat(np.cumsum(many) - many - start, many)
        apart = first != second
        return first[apart], second[apart]
