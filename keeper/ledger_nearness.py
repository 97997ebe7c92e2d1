"""Which sets of persons lie too near to each other: fingerprints of everything that was released, compared in numpy.

The squared distance of two fingerprints, divided by their number of signs, estimates in how many persons d two sets
differ (`plans.sets`). A set is *near* to another if d is not 0 and may be below k. Each of these holds whenever d < k,
so none of them misses a near set:

    |n - m| <= d          the numbers of persons differ in no more than the sets
    |a_j - b_j| <= d      nor does any sum of signs, for d signs cannot add up to more

What is left is near if the estimate is below 2 k. For d = k - 1 the estimate is that high with a probability of at most
(2 exp(-1))^32 = 5.4e-5 for every k (a sum of squares of signs has no larger moments than chi-squared with 64 degrees of
freedom, Achlioptas 2003 section 5, and for that Chernoff's bound); for k = 10 it is 1.3e-6. Sets that differ in k to
3 k persons may be called near, too: that costs an answer, and no secret.

Vectors that are no sets, as a total in which a person counts several times, have fingerprints as well; there d is the
squared length of the difference, and all of the above holds.

**Missing values.** A part of a cell may be told apart by nothing but who has no value in a column as it stands
(`plans.sets.Sets.patterns`). Whoever asks has no hand in that, and it leaves in one row with the whole cell. So two
vectors are *excused* from being near if they belong to one and the same cell and no column has figures about both:
nothing can be subtracted then but numbers of persons with a value. What the same column has said of two near sets, as
in two versions, is near as ever; so is everything that a condition or a computed argument tells apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

import numpy as np
import numpy.typing as npt

from plans.sets import SIGNS, Pattern, Sets

Ints = npt.NDArray[np.int64]
_NEWEST = 1_024
_SCREENS = 8
"""How many sums of signs sift the candidates before whole fingerprints are compared."""

_LARGEST = 2**30
"""Sums above this are not kept: no lineage has so many persons, and what counts each of them often is no set."""


class Of(Enum):
    """What the entries of vectors are: persons, persons with their numbers of rows, both where each has one row, or the
    rows of enterprises.
    """

    PERSONS = auto()
    WEIGHTED = auto()
    BOTH = auto()
    ENTERPRISES = auto()


@dataclass(frozen=True, slots=True)
class Prints:
    """Vectors with their fingerprints: `persons` (n), the sums of their entries, and `signs` (n x 64).

    `columns` are those that have figures about them, if each is a cell or the part of one that is told apart by missing
    values alone; else it is none. `cells` are these cells, or none where the vectors are cells themselves.
    """

    persons: Ints
    signs: Ints
    of: Of = Of.BOTH
    columns: frozenset[str] | None = None
    cells: Prints | None = None

    def __len__(self) -> int:
        return len(self.persons)

    def take(self, places: npt.NDArray[Any]) -> Prints:
        """Return some of them."""
        cells = None if self.cells is None else self.cells.take(places)
        return replace(self, persons=self.persons[places], signs=self.signs[places], cells=cells)

    def total(self) -> Prints:
        """Return their sum, one vector."""
        cells = None if self.cells is None else self.cells.total()
        return self._with(self.persons.sum(keepdims=True), self.signs.sum(axis=0, keepdims=True), cells)

    def taken_from(self, whole: Prints) -> Prints:
        """Return, for each, the one vector `whole` without it."""
        cells = None if self.columns is None else self.of_cells().taken_from(whole.of_cells())
        if self.cells is None and whole.cells is None:
            cells = None
        return self._with(whole.persons - self.persons, whole.signs - self.signs, cells)

    def of_cells(self) -> Prints:
        """Return the cells, as vectors of which nothing else is known."""
        return replace(self if self.cells is None else self.cells, columns=None, cells=None)

    def told(self, columns: frozenset[str] | None) -> Prints:
        """Return them with other columns; with none, as vectors that nothing excuses."""
        return replace(self, columns=columns, cells=None if columns is None else self.cells)

    def _with(self, persons: Ints, signs: Ints, cells: Prints | None) -> Prints:
        """Return other vectors of the kind; buckets wrap around."""
        if self.of is Of.ENTERPRISES:
            signs = (signs + 2**31) % 2**32 - 2**31
        return replace(self, persons=persons, signs=signs, cells=cells)


NOTHING = Prints(np.zeros(0, np.int64), np.zeros((0, SIGNS), np.int64))


def joined(parts: list[Prints]) -> Prints:
    """Return vectors of one kind one after the other, as such that nothing excuses."""
    if not parts:
        return NOTHING
    return replace(
        parts[0].told(None),
        persons=np.concatenate([part.persons for part in parts]),
        signs=np.concatenate([part.signs for part in parts]),
    )


def close(one: Prints, other: Prints, differ: int) -> npt.NDArray[np.bool_]:
    """Return for each vector of `one` whether it is near to the one at the same place of `other`."""
    apart = one.signs - other.signs
    if one.of is Of.ENTERPRISES:
        changed = (apart != 0).sum(axis=1)
        return np.asarray((changed > 0) & (changed < differ))
    sizes = np.abs(one.persons - other.persons)
    squares = (apart**2).sum(axis=1) + (sizes > 0)
    bounded = (np.abs(apart).max(axis=1, initial=0) < differ) & (sizes < differ)
    return np.asarray(bounded & (squares > 0) & (squares < 2 * differ * SIGNS))


def columns_of(table: Sets) -> list[Prints]:
    """Return the sets of a table, first those behind the rows, then those behind each figure; row by row in each.

    The weighted ones follow, and those of enterprises are last. With these stands how many persons are behind the same
    figure, or behind the row where that cannot be told; so the whole of a version is known by its persons.
    """
    persons = np.asarray(table.persons, dtype=np.int64).reshape(table.rows, table.per_row)
    signs = np.asarray(table.prints, dtype=np.int64).reshape(table.rows, table.per_row, SIGNS)
    first = table.per_row - table.enterprises
    plain, kind = plain_of(table), Of.PERSONS if table.weighted else Of.BOTH
    own = [Prints(persons[:, place], signs[:, place], kind) for place in range(plain)]
    weighted = [Prints(persons[:, place], signs[:, place], Of.WEIGHTED) for place in range(plain, first)]
    beside = [behind(table, place) for place in range(table.enterprises)]
    enterprises = [
        Prints(persons[:, place], signs[:, first + number], Of.ENTERPRISES)
        for number, place in enumerate(beside)
    ]
    return [each for kinds in (own, weighted, enterprises) for each in _told(kinds, table.patterns)]


def _told(columns: list[Prints], patterns: Sequence[Pattern]) -> Iterator[Prints]:
    """Yield the columns of one kind with what tells them apart: for each pattern one for each sort of persons."""
    sorts = len(columns) // max(len(patterns), 1)
    for place, column in enumerate(columns):
        number, sort = divmod(place, sorts) if patterns else (0, 0)
        if not patterns or (number and not patterns[number]):
            yield column
        else:
            cells = columns[sort] if number else None
            yield replace(column, columns=frozenset(patterns[number]), cells=cells)


def plain_of(table: Sets) -> int:
    """Return how many sets of a row are of persons, each once."""
    return table.per_row - table.weighted - table.enterprises


def behind(table: Sets, number: int) -> int:
    """Return the position of the persons beside one of the sets of enterprises."""
    return number if table.enterprises == plain_of(table) else 0


def places_of(table: Sets, number: int) -> list[int]:
    """Return the positions of one set and its like of a table with patterns: of all sorts, weighted, of enterprises."""
    starts = [(0, plain_of(table)), (plain_of(table), table.weighted)]
    starts.append((table.per_row - table.enterprises, table.enterprises))
    sorts = [(start, wide // len(table.patterns)) for start, wide in starts]
    return [start + number * each + sort for start, each in sorts for sort in range(each)]


Told = tuple[bytes, frozenset[str] | None]
"""Of a vector, the name of its cell and the columns that have figures about it; none: nothing excuses it."""


class Known:
    """Everything that was released about one lineage: fingerprints, one column for each vector, each vector once, with
    the cells whose persons it was, and the columns that had figures about it then.

    Most of them lie sorted by their numbers of persons, so that only those of nearly the same number are looked at; the
    newest lie behind in the order in which they came, until there are many.
    """

    def __init__(self) -> None:
        self._sorted, self._newest = _Columns.empty(0), _Columns.empty(_NEWEST)
        self._waiting = 0
        self._told: dict[bytes, tuple[Told, ...]] = {}

    def __len__(self) -> int:
        return len(self._sorted.persons) + self._waiting

    def add(self, more: Prints) -> None:
        """Take vectors in; those that are known already change nothing but what was told of them."""
        fresh = np.zeros(len(more), np.bool_)
        for place, (name, told) in enumerate(_told_of(more)):
            fresh[place] = name not in self._told
            self._told[name] = _merged(self._told.get(name, ()), told)
        self._add(more.take(fresh & self._fits(more)))

    def _add(self, fresh: Prints) -> None:
        if self._waiting + len(fresh) > len(self._newest.persons):
            self._sort_in(fresh)
            return
        after = self._waiting + len(fresh)
        self._newest.persons[self._waiting : after] = fresh.persons
        self._newest.signs[:, self._waiting : after] = fresh.signs.T
        self._waiting = after

    def unknown(self, offered: Prints) -> npt.NDArray[np.bool_]:
        """Return for each vector whether it is new, and the first of its kind here; or has another cell or column."""
        found, seen = np.zeros(len(offered), np.bool_), set[bytes]()
        for place, (name, told) in enumerate(_told_of(offered)):
            before = self._told.get(name, ())
            found[place] = name not in seen and _merged(before, told) != before
            seen.add(name)
        return found

    def near(self, offered: Prints, differ: int) -> npt.NDArray[np.bool_]:
        """Return for each vector whether it differs from a known one, and perhaps in fewer than `differ` persons; and
        is not excused from it.
        """
        found = np.zeros(len(offered), np.bool_)
        for place in range(len(offered)):
            hits = self._hits(int(offered.persons[place]), offered.signs[place], differ)
            found[place] = len(hits) > 0 and not self._excused(offered.take(np.asarray([place])), hits)
        return found

    def _hits(self, size: int, own: Ints, differ: int) -> Prints:
        """Return the known vectors that are near to one."""
        if max(size, int(np.abs(own).max())) >= _LARGEST:
            return NOTHING
        window = self._sorted.between(size - differ, size + differ)
        newest = self._newest.until(self._waiting)
        return joined([each.vectors(each.near(size, own, differ)) for each in (window, newest)])

    def _excused(self, one: Prints, hits: Prints) -> bool:
        """Return whether it and each of these are of one cell, and no column has figures about both."""
        if one.columns is None:
            return False
        ((_, (cell, columns)),) = _told_of(one)
        assert columns is not None
        return all(
            theirs is not None and other == cell and not theirs & columns
            for name in names_of(hits)
            for other, theirs in self._told[name]
        )

    def _fits(self, fresh: Prints) -> npt.NDArray[np.bool_]:
        sums = np.abs(fresh.signs).max(axis=1, initial=0)
        return np.asarray((sums < _LARGEST) & (fresh.persons < _LARGEST))

    def _sort_in(self, fresh: Prints) -> None:
        before = self._newest.until(self._waiting)
        persons = np.concatenate([self._sorted.persons, before.persons, fresh.persons.astype(np.int32)])
        order = np.argsort(persons, kind="stable")
        signs = np.empty((SIGNS, len(persons)), np.int32)
        for sign in range(SIGNS):
            parts = (self._sorted.signs[sign], before.signs[sign], fresh.signs[:, sign].astype(np.int32))
            signs[sign] = np.concatenate(parts)[order]
        self._sorted, self._waiting = _Columns(persons[order], signs), 0
        self._newest = _Columns.empty(max(_NEWEST, len(persons) // 8))


class KnownEnterprises(Known):
    """The same for vectors of enterprises: near are two that differ in some buckets, and in fewer than `differ`.

    As many enterprises at least differ as buckets do, so no two are missed that differ in fewer enterprises. Such that
    differ in more may be called near where several fall into one bucket: that costs an answer.
    """

    def _hits(self, size: int, own: Ints, differ: int) -> Prints:
        """Return the known vectors that differ from one, and perhaps in too few enterprises."""
        parts = (self._sorted, self._newest.until(self._waiting))
        return joined([each.vectors(each.alike(own, differ)) for each in parts])

    def _fits(self, fresh: Prints) -> npt.NDArray[np.bool_]:
        return np.ones(len(fresh), np.bool_)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Fingerprints by column: `persons` (n), `signs` (64 x n)."""

    persons: npt.NDArray[np.int32]
    signs: npt.NDArray[np.int32]

    @classmethod
    def empty(cls, room: int) -> _Columns:
        return cls(np.zeros(room, np.int32), np.zeros((SIGNS, room), np.int32))

    def until(self, end: int) -> _Columns:
        return _Columns(self.persons[:end], self.signs[:, :end])

    def between(self, below: int, above: int) -> _Columns:
        """Return those with more persons than `below` and fewer than `above`; they are sorted."""
        first, after = np.searchsorted(self.persons, [below + 1, above])
        return _Columns(self.persons[first:after], self.signs[:, first:after])

    def vectors(self, places: npt.NDArray[np.intp]) -> Prints:
        """Return some of them as vectors."""
        return Prints(self.persons[places].astype(np.int64), self.signs[:, places].T.astype(np.int64))

    def near(self, size: int, own: Ints, differ: int) -> npt.NDArray[np.intp]:
        """Return which of them are near to a vector of this size.

        A difference in persons counts as one sum more, so that vectors of other size are never equal.
        """
        if not len(self.persons):
            return np.zeros(0, np.intp)
        left = np.flatnonzero(
            _within(self.persons, size, differ) & _within(self.signs[0], int(own[0]), differ)
        )
        for sign in range(1, _SCREENS):
            left = left[_within(self.signs[sign, left], int(own[sign]), differ)]
        apart = self.signs[:, left].astype(np.int64) - own[:, None]
        close = np.abs(apart).max(axis=0, initial=0) < differ
        squares = (apart[:, close] ** 2).sum(axis=0) + (self.persons[left[close]] != size)
        return np.asarray(left[close][(squares > 0) & (squares < 2 * differ * SIGNS)], np.intp)

    def alike(self, own: Ints, differ: int) -> npt.NDArray[np.intp]:
        """Return which of them have other sums than a vector, and fewer than `differ` others."""
        left, wanted = np.arange(len(self.persons)), own.astype(np.int32)
        others = np.zeros(len(left), np.int32)
        for sign in range(SIGNS):
            others += (
                self.signs[sign] if len(left) == len(self.persons) else self.signs[sign, left]
            ) != wanted[sign]
            if sign % _SCREENS == _SCREENS - 1:
                left, others = left[others < differ], others[others < differ]
        return left[others > 0]


def _told_of(vectors: Prints) -> Iterator[tuple[bytes, Told]]:
    """Yield the name of each vector, and what was told of it."""
    names = names_of(vectors)
    if vectors.columns is None:
        cells = [b""] * len(names)
    else:
        cells = names if vectors.cells is None else names_of(vectors.cells)
    for name, cell in zip(names, cells, strict=True):
        yield name, (cell, vectors.columns)


def _merged(before: tuple[Told, ...], told: Told) -> tuple[Told, ...]:
    """Return what was told of a vector with something more; columns of one cell add up."""
    cell, columns = told
    known = next((theirs for other, theirs in before if other == cell), None)
    if known is None:
        return before if (b"", None) == told in before else (*before, told)
    if columns is not None and columns <= known:
        return before
    return tuple(
        (other, theirs | columns if other == cell and theirs is not None and columns is not None else theirs)
        for other, theirs in before
    )


def names_of(vectors: Prints) -> list[bytes]:
    """Return for each vector 16 bytes that stand for it, of whatever kind it is."""
    rows = np.ascontiguousarray(np.column_stack([vectors.persons, vectors.signs]))
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]


def _within(numbers: npt.NDArray[np.int32], middle: int, differ: int) -> npt.NDArray[np.bool_]:
    """Return which numbers are less than `differ` away, by one comparison: what is too small wraps around."""
    shifted = numbers - np.int32(middle - differ + 1)
    return shifted.view(np.uint32) < np.uint32(2 * differ - 1)
