"""Which rows of a table the ledger keeps back. Pure: fingerprints in, positions out.

A released set and every earlier one of the lineage differ in no person, or in `differ` persons at least. With a table
also leave what follows from it by subtraction, so these are compared as if they were sets of their own:

    total        the rows that are shown, added up, for the persons of the cells and for those behind each figure
    complement   that total without one row
    rest         the whole dataset without a set, once the whole has been released (`Family.whole`)

A set, or a total, of as many persons as a version of the dataset has is the whole of that version. It is near, too, if
one of the rests that would follow from it is near to something earlier: what is told last completes the others.

Where persons have several rows, sets are compared with their numbers of rows as well (`plans.sets`). Of the wholes
there are persons alone.

What missing values alone tell apart from its cell is not near to that cell, nor to what other missing values tell apart
from it (`keeper.ledger_nearness`), unless the owner asks for it: in a total, a complement or a rest as well, where the
cells make the same total, complement or rest. With a whole are known those of its persons who have a value in a column,
and what follows from these for the parts of cells that have one in the same.

Where the owner asks for enterprises, all of this holds for them as well, in a family of its own: the rows of each are
compared, and two sets differ in those of no enterprise, or of as many as are asked for.

Rows near to something earlier are kept back, and so is a row that is two earlier ones together but for a few persons,
or completes two of them (`keeper.ledger_pairs`). If a total or a complement is near, the smallest row that is shown is
kept back too, a few times; where that does not help, the whole table is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from keeper.ledger_nearness import (
    Known,
    KnownEnterprises,
    Of,
    Prints,
    behind,
    close,
    columns_of,
    names_of,
    places_of,
    plain_of,
)
from keeper.ledger_pairs import Newest, Pairs, Set, sets_of
from plans.sets import Sets

MOST_ENTERPRISES = 32
"""In how many enterprises released sets differ at the most: 64 buckets tell no larger numbers apart."""

MOST_ROUNDS = 8
"""How often a further row is kept back for the sake of a total before the whole table is."""

Marks = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Family:
    """Vectors of one lineage that are compared with each other.

    `whole` are the sets of all persons of a version, as soon as one was released, and of all with a value in a column;
    `sets` are the released ones
    themselves, without what follows from them, so that a whole that is learned later is compared with them too;
    `completing` are wholes that were kept back since they complete others, and always will. `newest` are those whose
    pairs are looked at, and `newest_weighted` the same with numbers of rows. `known` are vectors whose
    persons have one row each; `persons` and `weighted` those of tables in which some have several.
    """

    known: Known = field(default_factory=Known)
    persons: Known = field(default_factory=Known)
    weighted: Known = field(default_factory=Known)
    sets: list[Prints] = field(default_factory=list)
    whole: list[Prints] = field(default_factory=list)
    completing: list[Prints] = field(default_factory=list)
    newest: Newest = field(default_factory=Newest)
    newest_weighted: Newest = field(default_factory=Newest)

    def __len__(self) -> int:
        return len(self.known) + len(self.persons) + len(self.weighted)

    def take_in(self, released: Sequence[Prints], derived: Sequence[Prints], *persons: int) -> None:
        """Take in released sets, and what follows from them. `persons` are how many a version has (0: not known).

        A set of that many persons is the whole version, and so is a total.
        """
        for sets in released:
            if sets.of is not Of.WEIGHTED:
                self.newest.add(sets)
            if sets.of is not Of.PERSONS:
                self.newest_weighted.add(sets)
            fresh = sets.take(self._own(sets).unknown(sets))
            self._learn_wholes(fresh, persons)
            self._own(fresh).add(fresh)
            if fresh.of is not Of.WEIGHTED:
                self.sets.append(fresh)
                for whole in self.whole:
                    self._own(fresh).add(_rest(fresh, whole))
        for sets in derived:
            self._learn_wholes(sets, persons)
            self._own(sets).add(sets)

    def _own(self, sets: Prints) -> Known:
        return {Of.PERSONS: self.persons, Of.WEIGHTED: self.weighted}.get(sets.of, self.known)

    def _learn_wholes(self, sets: Prints, persons: Collection[int]) -> None:
        for found in _of_size(sets, persons):
            before = next((each for each in self.whole if _same(each, found)), None)
            if before is not None and _tells_no_more(found, before):
                continue
            whole = found if before is None else found.told(_together(found, before))
            self.whole = [each for each in self.whole if each is not before] + [whole]
            for earlier in self.sets:
                self._own(earlier).add(_rest(earlier, whole))

    def near(self, sets: Prints, differ: int, persons: Collection[int] = ()) -> Marks:
        """Return which sets are near to something released, as they are or as the rest of a whole; and which are a
        whole, of so many `persons`, whose rests would be near.
        """
        found = self._near(sets, differ)
        for whole in self.whole if sets.of is not Of.WEIGHTED else ():
            if len(rest := _rest(sets, whole)):
                found |= self._near(rest, differ)
        for whole in _of_size(sets, persons):
            if self._completes(whole, differ):
                found |= (sets.signs == whole.signs).all(axis=1)
        return found

    def _near(self, sets: Prints, differ: int) -> Marks:
        """Return which vectors are near to a known one of the same kind."""
        own = {Of.PERSONS: (self.persons,), Of.WEIGHTED: (self.weighted,), Of.ENTERPRISES: ()}
        found = self.known.near(sets, differ)
        for known in own.get(sets.of, (self.persons, self.weighted)):
            if len(known):
                found |= known.near(sets, differ)
        return found

    def _completes(self, whole: Prints, differ: int) -> bool:
        """Return whether rests would be near that do not follow yet from what is known of this whole."""
        if any(_same(each, whole) and _tells_no_more(whole, each) for each in self.whole):
            return False
        if any(_same(each, whole) and _tells_no_more(each, whole) for each in self.completing):
            return True
        if not any(self._near(_rest(earlier, whole), differ).any() for earlier in self.sets):
            return False
        self.completing.append(whole)
        return True


@dataclass(slots=True)
class Lineage:
    """What was released about one dataset, all versions of it, to whomever: of persons, and of enterprises."""

    people: Family = field(default_factory=Family)
    enterprises: Family = field(default_factory=lambda: Family(KnownEnterprises()))

    def __len__(self) -> int:
        return len(self.people) + len(self.enterprises)

    def take_in(self, released: Sequence[Prints], derived: Sequence[Prints], *persons: int) -> None:
        """Take in released sets and what follows from them, as their family does."""
        for family, ours in ((self.people, False), (self.enterprises, True)):
            left, follows = (
                [sets for sets in each if (sets.of is Of.ENTERPRISES) is ours] for each in (released, derived)
            )
            family.take_in(left, follows, *persons)

    def near(self, sets: Prints, differ: int, persons: Collection[int] = ()) -> Marks:
        """Return which sets are near to something released in their family; none, where nobody asks for a distance."""
        if differ < 2:
            return np.zeros(len(sets), np.bool_)
        family = self.enterprises if sets.of is Of.ENTERPRISES else self.people
        return family.near(sets, differ, persons)


@dataclass(frozen=True, slots=True)
class Apart:
    """In how many persons, and in how many enterprises, released sets differ at least; 1 or less: nobody asks.

    So many `enterprises` also stand behind a figure that is shown. `missing`: whether sets differ in as many persons
    where only missing values tell them apart.
    """

    persons: int
    enterprises: int = 0
    missing: bool = False

    def of(self, sets: Prints) -> int:
        """Return the number that counts for such sets."""
        return min(self.enterprises, MOST_ENTERPRISES) if sets.of is Of.ENTERPRISES else self.persons


def _same(one: Prints, other: Prints) -> bool:
    """Return whether both are one and the same vector, of one and the same cell."""
    cells = np.array_equal(one.of_cells().signs, other.of_cells().signs)
    return cells and bool(np.array_equal(one.signs, other.signs))


def _together(one: Prints, other: Prints) -> frozenset[str] | None:
    """Return the columns of both; none where something else tells one of them apart."""
    return None if one.columns is None or other.columns is None else one.columns | other.columns


def _tells_no_more(one: Prints, than: Prints) -> bool:
    """Return whether no column has figures about a vector that has none about the same one `than` it."""
    return than.columns is None or (one.columns is not None and one.columns <= than.columns)


def _of_size(sets: Prints, persons: Collection[int]) -> list[Prints]:
    """Return the sets of as many persons as a version has, and the parts of such cells, one by one."""
    sizes = [size for size in persons if size and sets.of is not Of.WEIGHTED]
    places = np.flatnonzero(np.isin(sets.of_cells().persons, sizes))
    return [sets.take(np.asarray([place])) for place in places]


def _rest(sets: Prints, whole: Prints) -> Prints:
    """Return what a whole has without each of these sets, with the columns that have figures about it.

    From the persons of a whole with a value in a column, only sets with figures of the same column are taken; of others
    nothing follows, and nothing is returned.
    """
    told = None if sets.columns is None or whole.columns is None else sets.columns & whole.columns
    if whole.cells is not None and not told:
        return sets.take(np.zeros(0, np.intp))
    return sets.taken_from(whole).told(told)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure whose argument is computed: the positions of its `parts`, in which rows it is `shown`, and the columns
    that it reads.
    """

    parts: tuple[int, ...]
    shown: Marks
    columns: frozenset[str]


@dataclass(frozen=True, slots=True)
class Offered:
    """A table that could leave: its columns of sets, and of each which ones would be shown.

    A set of fewer persons than the minimum group is not: the airlock suppresses the figure that rests on it. `chosen`
    are the positions of the columns of which no two are near to each other in a row: parts that something computed
    inside a figure chooses; or all, where the owner asks for a distance although only missing values tell them apart.
    `computed` are the figures of which a part is not near, either, to what a column that they read has figures about.
    """

    columns: tuple[Prints, ...]
    stand: tuple[Marks, ...]
    chosen: tuple[int, ...] = ()
    computed: tuple[Figure, ...] = ()

    @classmethod
    def of(cls, table: Sets, minimum: int, enterprises: int = 0, missing: bool = False) -> Offered:
        """Read a table. A figure of fewer than so many `enterprises` is not shown, either. `missing` as in `Apart`."""
        columns, plain = tuple(columns_of(table)), plain_of(table)
        stand = [column.persons >= minimum for column in columns]
        first = table.per_row - table.enterprises
        numbers = np.asarray(table.persons, np.int64).reshape(table.rows, table.per_row)
        for number in range(table.enterprises):
            enough, place = numbers[:, first + number] >= enterprises, behind(table, number)
            stand[first + number] &= enough
            if place == number:
                stand[place] &= enough
            if place == number and table.weighted:
                stand[plain + place] &= enough
        of_enterprises = table.chosen * table.enterprises // max(plain, 1)
        ends = {plain: table.chosen, first: table.chosen, table.per_row: of_enterprises or table.chosen}
        chosen = sorted({place for end, count in ends.items() for place in range(end - count, end)})
        if missing:
            columns, chosen = tuple(column.told(None) for column in columns), list(range(len(columns)))
        return cls(columns, tuple(stand), tuple(chosen), tuple(_figures(table, columns, stand)))

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


def _figures(table: Sets, columns: Sequence[Prints], stand: Sequence[Marks]) -> Iterator[Figure]:
    for each in table.computed:
        places = [place for number in each.sets for place in places_of(table, number)]
        shown = np.logical_and.reduce([stand[place] for place in places])
        parts = tuple(place for place in places if columns[place].columns is None)
        yield Figure(parts, shown, frozenset(each.columns))


def withheld_rows(
    table: Sets,
    lineages: Sequence[Lineage],
    apart: Apart,
    minimum: int = 1,
    persons: Collection[int] = (),
) -> tuple[int, ...]:
    """Return the positions of the rows that are kept back; those of too few persons always.

    The query box leaves no row of fewer persons than the minimum group; here nobody relies on that.

    Args:
        table: the sets of one table.
        lineages: those of the datasets that it was computed from.
        apart: in how many persons, and enterprises, released sets differ at least; below 2 nothing is compared.
        minimum: persons behind a figure that is shown.
        persons: how many the versions have that it was computed from.
    """
    if not table.rows:
        return ()
    offered = Offered.of(table, minimum, apart.enterprises, apart.missing)
    few = offered.columns[0].persons < minimum
    if max(apart.persons, apart.enterprises) < 2:
        return tuple(int(place) for place in np.flatnonzero(few))
    back = few | _near_rows(offered, lineages, apart, persons) | _near_within(offered, apart)
    back |= _near_each_other(offered, ~back, apart)
    back |= _near_pairs(offered, ~back, lineages, apart.persons)
    for _ in range(MOST_ROUNDS):
        derived = offered.derived(~back)
        if not any(
            lineage.near(each, apart.of(each), persons).any() for lineage in lineages for each in derived
        ):
            break
        shown = np.flatnonzero(~back)
        back[shown[np.argmin(offered.columns[0].persons[shown])]] = True
    else:
        back[:] = True
    return tuple(int(place) for place in np.flatnonzero(back))


def released_from(
    table: Sets, withheld: Sequence[int], minimum: int = 1, enterprises: int = 0
) -> tuple[list[Prints], list[Prints]]:
    """Return what leaves with a table without these rows: the sets themselves, and what follows from them."""
    rows = np.ones(table.rows, np.bool_)
    rows[list(withheld)] = False
    offered = Offered.of(table, minimum, enterprises)
    return offered.shown(rows), offered.derived(rows)


def _near_rows(
    offered: Offered, lineages: Sequence[Lineage], apart: Apart, persons: Collection[int]
) -> Marks:
    found = np.zeros(len(offered.columns[0]), np.bool_)
    for column, stand in zip(offered.columns, offered.stand, strict=True):
        for lineage in lineages:
            places = np.flatnonzero(stand & ~found)
            found[places] = lineage.near(column.take(places), apart.of(column), persons)
    return found


def _near_within(offered: Offered, apart: Apart) -> Marks:
    """Return the rows in which two figures choose parts of the cell that are near to each other; or one chooses a part
    near to those of whom another one tells values of the same column.

    Persons without a value, or with a value of zero, are no condition that anybody chose, so two plain columns are not
    compared: what a single figure tells apart is counted by the statement's readers (docs/sql.md).
    """
    found = np.zeros(len(offered.columns[0]), np.bool_)
    for one, other in combinations(offered.chosen, 2):
        first, second = offered.columns[one], offered.columns[other]
        if first.of is second.of:
            found |= offered.stand[one] & offered.stand[other] & close(first, second, apart.of(first))
    for figure in offered.computed:
        for one, other in product(figure.parts, range(len(offered.columns))):
            first, second = offered.columns[one], offered.columns[other]
            if first.of is second.of and second.columns and second.columns & figure.columns:
                found |= figure.shown & offered.stand[other] & close(first, second, apart.of(first))
    return found


def _near_each_other(offered: Offered, shown: Marks, apart: Apart) -> Marks:
    """Return the rows that are near to another row of the table, the smaller of two."""
    everything, found = Lineage(), np.zeros(len(shown), np.bool_)
    everything.take_in(offered.shown(shown), ())
    doubtful = np.zeros(len(shown), np.bool_)
    for column, stand in zip(offered.columns, offered.stand, strict=True):
        places = np.flatnonzero(stand & shown)
        doubtful[places] |= everything.near(column.take(places), apart.of(column))
    own = Lineage()
    order = np.flatnonzero(doubtful)
    for place in order[np.argsort(-offered.columns[0].persons[order], kind="stable")]:
        only = np.zeros(len(shown), np.bool_)
        only[place] = True
        sets = offered.shown(only)
        if any(own.near(each, apart.of(each)).any() for each in sets):
            found[place] = True
        else:
            own.take_in(sets, ())
    return found


def _near_pairs(offered: Offered, shown: Marks, lineages: Sequence[Lineage], differ: int) -> Marks:
    """Return the rows that are two others together but for a few, or complete two; of a table's own, the smaller ones.

    Persons have the same signs in all datasets of an owner, so pairs across the lineages of a join count as well.
    """
    if differ < 2:
        return np.zeros(len(shown), np.bool_)
    wholes = [whole for lineage in lineages for whole in lineage.people.whole]
    persons = Pairs([lineage.people.newest for lineage in lineages], wholes)
    weighted = Pairs([lineage.people.newest_weighted for lineage in lineages])
    found = np.zeros(len(shown), np.bool_)
    order = np.flatnonzero(shown)
    for place in order[np.argsort(-offered.columns[0].persons[order], kind="stable")]:
        own = _of_row(offered, int(place))
        if any(persons.near(each, differ) for each in own[0]) or any(
            weighted.near(each, differ) for each in own[1]
        ):
            found[place] = True
            continue
        for pairs, sets in zip((persons, weighted), own, strict=True):
            for each in sets:
                pairs.add(each)
    return found


def _of_row(offered: Offered, place: int) -> tuple[list[Set], list[Set]]:
    """Return the distinct sets of a row: of persons, and of persons with their numbers of rows."""
    found: tuple[dict[bytes, Set], dict[bytes, Set]] = ({}, {})
    for column, stand in zip(offered.columns, offered.stand, strict=True):
        one = column.take(np.asarray([place]))
        (name,), (own,) = names_of(one), sets_of(one)
        for kind, sets in zip((Of.WEIGHTED, Of.PERSONS), found, strict=True):
            if stand[place] and column.of not in (kind, Of.ENTERPRISES):
                sets[name] = sets[name].with_cells(own.cells) if name in sets else own
    return list(found[0].values()), list(found[1].values())
