"""Which sets of persons lie too near to each other: fingerprints of everything that was released, compared in numpy.

The squared distance of two fingerprints, divided by their number of signs, estimates in how many persons d two sets
differ (`plans.sets`). A set is *near* to another if d is not 0 and may be below k. Each of these holds whenever d < k,
so none of them misses a near set:

    |n - m| <= d          the numbers of persons differ in no more than the sets
    |a_j - b_j| <= d      nor does any sum of signs, for d signs cannot add up to more

What is left is near if the estimate is below 2 k. For d = k - 1 the estimate is that high with a probability of at most
(2 exp(-1))^32 = 5.4e-5 for every k (a sum of squares of signs has no larger moments than chi-squared with 64 degrees of
freedom, Achlioptas 2003 section 5.1, and for that Chernoff's bound); for k = 10 it is 1.3e-6. Sets that differ in k to
3 k persons may be called near, too: that costs an answer, and no secret.

Vectors that are no sets, as a total in which a person counts several times, have fingerprints as well; there d is the
squared length of the difference, and all of the above holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plans.sets import SIGNS, Sets

Ints = npt.NDArray[np.int64]
_FIRST = 1_024
_SCREENS = 8
"""How many sums of signs sift the candidates before whole fingerprints are compared."""

_LARGEST = 2**30
"""Sums above this are not kept: no lineage has so many persons, and what counts each of them often is no set."""


@dataclass(frozen=True, slots=True)
class Prints:
    """Vectors with their fingerprints: `persons` (n), the sums of their entries, and `signs` (n x 64)."""

    persons: Ints
    signs: Ints

    def __len__(self) -> int:
        return len(self.persons)

    def take(self, places: npt.NDArray[Any]) -> Prints:
        """Return some of them."""
        return Prints(self.persons[places], self.signs[places])

    def total(self) -> Prints:
        """Return their sum, one vector."""
        return Prints(self.persons.sum(keepdims=True), self.signs.sum(axis=0, keepdims=True))

    def taken_from(self, whole: Prints) -> Prints:
        """Return, for each, the one vector `whole` without it."""
        return Prints(whole.persons - self.persons, whole.signs - self.signs)


NOTHING = Prints(np.zeros(0, np.int64), np.zeros((0, SIGNS), np.int64))


def joined(parts: list[Prints]) -> Prints:
    """Return vectors one after the other."""
    if not parts:
        return NOTHING
    return Prints(
        np.concatenate([part.persons for part in parts]), np.concatenate([part.signs for part in parts])
    )


def columns_of(table: Sets) -> list[Prints]:
    """Return the sets of a table, first those behind the rows, then those behind each figure; row by row in each."""
    persons = np.asarray(table.persons, dtype=np.int64).reshape(table.rows, table.per_row)
    signs = np.asarray(table.prints, dtype=np.int64).reshape(table.rows, table.per_row, SIGNS)
    return [Prints(persons[:, place], signs[:, place]) for place in range(table.per_row)]


class Known:
    """Everything that was released about one lineage: a growing table of fingerprints, one column for each vector."""

    def __init__(self) -> None:
        self._count = 0
        self._persons = np.zeros(_FIRST, np.int32)
        self._signs = np.zeros((SIGNS, _FIRST), np.int32)

    def __len__(self) -> int:
        return self._count

    def add(self, more: Prints) -> None:
        """Take vectors in."""
        more = more.take((np.abs(more.signs).max(axis=1, initial=0) < _LARGEST) & (more.persons < _LARGEST))
        needed = self._count + len(more)
        if needed > len(self._persons):
            room = max(needed, 2 * len(self._persons))
            persons, signs = np.zeros(room, np.int32), np.zeros((SIGNS, room), np.int32)
            persons[: self._count] = self._persons[: self._count]
            signs[:, : self._count] = self._signs[:, : self._count]
            self._persons, self._signs = persons, signs
        self._persons[self._count : needed] = more.persons
        self._signs[:, self._count : needed] = more.signs.T
        self._count = needed

    def near(self, offered: Prints, differ: int) -> npt.NDArray[np.bool_]:
        """Return for each vector whether it differs from a known one, and perhaps in fewer than `differ` persons."""
        found = np.zeros(len(offered), np.bool_)
        for place, squares in self._distances(offered, differ):
            found[place] = bool(np.any((squares > 0) & (squares < 2 * differ * SIGNS)))
        return found

    def equal(self, offered: Prints) -> npt.NDArray[np.bool_]:
        """Return for each vector whether it is known."""
        found = np.zeros(len(offered), np.bool_)
        for place, squares in self._distances(offered, 1):
            found[place] = bool(np.any(squares == 0))
        return found

    def _distances(self, offered: Prints, differ: int) -> Iterator[tuple[int, Ints]]:
        """Yield the position of each vector, and its squared distances to all that could be nearer than `differ`.

        The difference in persons counts as one sum more, so that vectors of other size are never equal.
        """
        persons, signs = self._persons[: self._count], self._signs[:, : self._count]
        for place in range(len(offered)):
            size, own = int(offered.persons[place]), offered.signs[place]
            if max(size, int(np.abs(own).max())) >= _LARGEST:
                continue
            left = np.flatnonzero(_within(persons, size, differ) & _within(signs[0], int(own[0]), differ))
            for sign in range(1, _SCREENS):
                left = left[_within(signs[sign, left], int(own[sign]), differ)]
            if len(left):
                apart = signs[:, left].astype(np.int64) - own[:, None]
                close = np.abs(apart).max(axis=0) < differ
                left, apart = left[close], apart[:, close]
                yield place, (apart * apart).sum(axis=0) + (persons[left] != size)


def _within(numbers: npt.NDArray[np.int32], middle: int, differ: int) -> npt.NDArray[np.bool_]:
    """Return which numbers are less than `differ` away, by one comparison: what is too small wraps around."""
    shifted = numbers - np.int32(middle - differ + 1)
    return shifted.view(np.uint32) < np.uint32(2 * differ - 1)
