"""Which sets are two others together but for a few persons: what two answers and their union tell by subtraction. Pure.

Of three released sets a, b and c none may tell on few persons as a + b - c, whichever comes last. A new set n is
compared with the sums a + b of two earlier ones, and with the differences c - a: both are vectors with fingerprints
(`plans.sets`), so d is the squared length of what is left. The numbers of persons sift the pairs, then single sums of
signs. d = 0 is no secret: a set that is exactly two others together says nothing new.

There are many pairs, so the estimate must lie below 1.5 k here and not below 2 k (`keeper.ledger_nearness`): that never
misses d up to k / 2 but for odds below 10^-9, misses d = k - 1 in 6 of 10,000 for k = 10, and keeps small sets that
have nothing to do with each other apart.
"""

from __future__ import annotations

from collections.abc import Iterable

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


class Newest:
    """The sets that were released last, each once; one that is released again counts as new."""

    def __init__(self) -> None:
        self._sets: dict[bytes, tuple[int, Ints]] = {}

    def __len__(self) -> int:
        return len(self._sets)

    def add(self, sets: Prints) -> None:
        """Take sets in, and forget the oldest where there are too many."""
        last = sets.take(np.arange(max(0, len(sets) - NEWEST), len(sets)))
        for place, name in enumerate(names_of(last)):
            self._sets.pop(name, None)
            self._sets[name] = int(last.persons[place]), last.signs[place]
        for name in list(self._sets)[: max(0, len(self._sets) - NEWEST)]:
            del self._sets[name]

    def named(self) -> dict[bytes, tuple[int, Ints]]:
        """Return them by their names: numbers of persons and sums of signs."""
        return self._sets


class Pairs:
    """Sets whose pairs a new one is compared with, sorted by their numbers of persons."""

    def __init__(self, newest: Iterable[Newest], wholes: Iterable[Prints] = ()) -> None:
        found: dict[bytes, tuple[int, Ints]] = {}
        for each in newest:
            found |= each.named()
        for whole in wholes:
            found[names_of(whole)[0]] = int(whole.persons[0]), whole.signs[0]
        sizes = np.asarray([size for size, _ in found.values()], np.int64)
        signs = np.asarray([own for _, own in found.values()], np.int64).reshape(len(found), SIGNS)
        order = np.argsort(sizes, kind="stable")
        self._persons, self._signs = sizes[order], np.ascontiguousarray(signs[order].T)

    def add(self, size: int, own: Ints) -> None:
        """Take one set more in."""
        place = int(np.searchsorted(self._persons, size))
        self._persons = np.insert(self._persons, place, size)
        self._signs = np.insert(self._signs, place, own, axis=1)

    def near(self, size: int, own: Ints, differ: int) -> bool:
        """Return whether a set is two of these together, or what one of them lacks of another, but for a few."""
        return self._with(size, own, -1, differ) or self._with(size, own, 1, differ)

    def _with(self, size: int, own: Ints, way: int, differ: int) -> bool:
        """Return whether the set without (way -1), or with (way 1), one of these is near to another one of them."""
        first, second = self._sized(size, way, differ)
        for sign in range(_SCREENS):
            if not len(first):
                return False
            row = self._signs[sign]
            fits = np.abs(row[second] - way * row[first] - own[sign]) < differ
            first, second = first[fits], second[fits]
        apart = self._signs[:, second] - way * self._signs[:, first] - own[:, None]
        fits = np.abs(apart).max(axis=0, initial=0) < differ
        sizes = self._persons[second] - way * self._persons[first] - size
        squares = (apart[:, fits] ** 2).sum(axis=0) + (sizes[fits] != 0)
        return bool(np.any((squares > 0) & (2 * squares < 3 * differ * SIGNS)))

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
