"""Which rows of a table the ledger keeps back. Pure: fingerprints in, positions out.

A released set and every earlier one of the lineage differ in no person, or in `differ` persons at least. With a table
also leave what follows from it by subtraction, so these are compared as if they were sets of their own:

    total        the rows that are shown, added up, for the persons of the cells and for those behind each figure
    complement   that total without one row
    rest         the whole dataset without a set, once the whole has been released (`Lineage.whole`)

A set, or a total, of as many persons as a version of the dataset has is the whole of that version. It is near, too, if
one of the rests that would follow from it is near to something earlier: what is told last completes the others.

Rows near to something earlier are kept back. If a total or a complement is near, the smallest row that is shown is kept
back too, a few times; where that does not help, the whole table is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from keeper.ledger_nearness import Known, Prints, columns_of, joined
from plans.sets import Sets

MOST_ROUNDS = 8
"""How often a further row is kept back for the sake of a total before the whole table is."""

Marks = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Lineage:
    """What was released about one dataset, all versions of it, to whomever.

    `whole` are the sets of all persons of a version, as soon as one was released; `sets` are the released ones
    themselves, without what follows from them, so that a whole that is learned later is compared with them too;
    `completing` are wholes that were kept back since they complete others, and always will.
    """

    known: Known = field(default_factory=Known)
    sets: list[Prints] = field(default_factory=list)
    whole: list[Prints] = field(default_factory=list)
    completing: list[Prints] = field(default_factory=list)

    def take_in(self, released: Sequence[Prints], derived: Sequence[Prints], *persons: int) -> None:
        """Take in released sets, and what follows from them. `persons` are how many a version has (0: not known).

        A set of that many persons is the whole version, and so is a total.
        """
        for sets in released:
            fresh = sets.take(self.known.unknown(sets))
            self._learn_wholes(fresh, persons)
            self.sets.append(fresh)
            self.known.add(fresh)
            for whole in self.whole:
                self.known.add(fresh.taken_from(whole))
        for sets in derived:
            self._learn_wholes(sets, persons)
            self.known.add(sets)

    def _learn_wholes(self, sets: Prints, persons: Collection[int]) -> None:
        for whole in _of_size(sets, persons):
            if not _among(whole, self.whole):
                self.whole.append(whole)
                for earlier in self.sets:
                    self.known.add(earlier.taken_from(whole))

    def near(self, sets: Prints, differ: int, persons: Collection[int] = ()) -> Marks:
        """Return which sets are near to something released, as they are or as the rest of a whole; and which are a
        whole, of so many `persons`, whose rests would be near.
        """
        found = self.known.near(sets, differ)
        for whole in self.whole:
            found |= self.known.near(sets.taken_from(whole), differ)
        for whole in _of_size(sets, persons):
            if not _among(whole, self.whole) and self._completes(whole, differ):
                found |= (sets.signs == whole.signs).all(axis=1)
        return found

    def _completes(self, whole: Prints, differ: int) -> bool:
        if _among(whole, self.completing):
            return True
        if not any(self.known.near(earlier.taken_from(whole), differ).any() for earlier in self.sets):
            return False
        self.completing.append(whole)
        return True


def _among(one: Prints, several: Sequence[Prints]) -> bool:
    return any(bool(np.array_equal(one.signs, each.signs)) for each in several)


def _of_size(sets: Prints, persons: Collection[int]) -> list[Prints]:
    """Return the sets of as many persons as a version has."""
    sizes = [size for size in persons if size]
    return [sets.take(np.asarray([place])) for place in np.flatnonzero(np.isin(sets.persons, sizes))]


@dataclass(frozen=True, slots=True)
class Offered:
    """A table that could leave: its columns of sets, and of each which ones would be shown.

    A set of fewer persons than the minimum group is not: the airlock suppresses the figure that rests on it.
    """

    columns: tuple[Prints, ...]
    stand: tuple[Marks, ...]

    @classmethod
    def of(cls, table: Sets, minimum: int) -> Offered:
        """Read a table."""
        columns = tuple(columns_of(table))
        return cls(columns, tuple(column.persons >= minimum for column in columns))

    def shown(self, rows: Marks) -> list[Prints]:
        """Return the sets that leave with these rows, column by column."""
        return [column.take(stand & rows) for column, stand in zip(self.columns, self.stand, strict=True)]

    def derived(self, rows: Marks) -> list[Prints]:
        """Return what follows from them: the total of each column, and each row's complement in it.

        Of two rows each is the other's complement, and one row is its own total, so nothing follows from these.
        """
        found = []
        for column in self.shown(rows):
            if len(column) > 1:
                found.append(column.total())
            if len(column) > 2:
                found.append(column.taken_from(column.total()))
        return found


def withheld_rows(
    table: Sets,
    lineages: Sequence[Lineage],
    differ: int,
    minimum: int = 1,
    persons: Collection[int] = (),
) -> tuple[int, ...]:
    """Return the positions of the rows that are kept back.

    Args:
        table: the sets of one table.
        lineages: those of the datasets that it was computed from.
        differ: in how many persons released sets differ at least; below 2 nothing is asked.
        minimum: persons behind a figure that is shown.
        persons: how many the versions have that it was computed from.
    """
    if differ < 2 or not table.rows:
        return ()
    offered = Offered.of(table, minimum)
    back = _near_rows(offered, lineages, differ, persons)
    back |= _near_each_other(offered, ~back, differ)
    for _ in range(MOST_ROUNDS):
        derived = joined(offered.derived(~back))
        if not any(lineage.near(derived, differ, persons).any() for lineage in lineages):
            break
        shown = np.flatnonzero(~back)
        back[shown[np.argmin(offered.columns[0].persons[shown])]] = True
    else:
        back[:] = True
    return tuple(int(place) for place in np.flatnonzero(back))


def released_from(
    table: Sets, withheld: Sequence[int], minimum: int = 1
) -> tuple[list[Prints], list[Prints]]:
    """Return what leaves with a table without these rows: the sets themselves, and what follows from them."""
    rows = np.ones(table.rows, np.bool_)
    rows[list(withheld)] = False
    offered = Offered.of(table, minimum)
    return offered.shown(rows), offered.derived(rows)


def _near_rows(offered: Offered, lineages: Sequence[Lineage], differ: int, persons: Collection[int]) -> Marks:
    found = np.zeros(len(offered.columns[0]), np.bool_)
    for column, stand in zip(offered.columns, offered.stand, strict=True):
        for lineage in lineages:
            places = np.flatnonzero(stand & ~found)
            found[places] = lineage.near(column.take(places), differ, persons)
    return found


def _near_each_other(offered: Offered, shown: Marks, differ: int) -> Marks:
    """Return the rows that are near to another row of the table, the smaller of two.

    The sets of one row are not compared with each other: the statement's readers count what a figure tells apart
    within its cell (docs/sql.md), and the persons without a value are no cell of their own.
    """
    everything, found = Known(), np.zeros(len(shown), np.bool_)
    for column in offered.shown(shown):
        everything.add(column)
    doubtful = np.zeros(len(shown), np.bool_)
    for column, stand in zip(offered.columns, offered.stand, strict=True):
        places = np.flatnonzero(stand & shown)
        doubtful[places] |= everything.near(column.take(places), differ)
    own = Known()
    order = np.flatnonzero(doubtful)
    for place in order[np.argsort(-offered.columns[0].persons[order], kind="stable")]:
        only = np.zeros(len(shown), np.bool_)
        only[place] = True
        sets = offered.shown(only)
        if any(own.near(each, differ).any() for each in sets):
            found[place] = True
        else:
            for each in sets:
                own.add(each)
    return found
