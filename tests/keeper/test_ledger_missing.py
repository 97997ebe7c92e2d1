"""Missing values and the ledger: what asks about the same cell leaves, and nothing that tells on a few persons' values.

A table is written with its cells, and beside each the persons who have a value in a column as it stands. The control of
every answer is the same table of which nobody knows what tells its parts apart: then it is kept back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.ledger_pairs import Pairs
from keeper.ledger_rules import Apart, Lineage, released_from, withheld_rows
from plans import sets as plan_sets
from plans.errors import Malformed
from plans.sets import Computed, Sets
from tests.keeper.people import People

PEOPLE = People(1_000)
ALL = PEOPLE.everybody
K = 10
WOMEN, MEN = frozenset(range(480)), frozenset(range(480, 1_000))
TOWNS = [frozenset(range(start, start + 200)) for start in range(0, 1_000, 200)]
WITHOUT = {"income": frozenset({3, 250, 481, 610, 850}), "debt": frozenset({7, 300, 500, 700, 900, 901})}
"""Persons who have no value in a column."""


def table(cells: Any, *columns: str, without: Any = WITHOUT) -> Sets:
    """The sets of a statement about these cells, with a figure of each of these columns."""
    rows = [[cell, *(cell - without[column] for column in columns)] for cell in cells]
    return PEOPLE.table(*rows, patterns=((), *((column,) for column in columns)))


def bare(sets: Sets) -> Sets:
    """The same sets, of which nobody knows what tells them apart."""
    return replace(sets, patterns=())


def lineage(*tables: Sets, persons: int = 1_000) -> Lineage:
    found = Lineage()
    for each in tables:
        found.take_in(*released_from(each, ()), persons)
    return found


def withheld(offered: Sets, *earlier: Sets, missing: bool = False) -> tuple[int, ...]:
    return withheld_rows(offered, [lineage(*earlier)], Apart(K, 0, missing), 1, (1_000,))


# --- what leaves ----------------------------------------------------------------------------------------------

ALIKE = {
    "the groups again, another column": ([table(TOWNS, "income")], table(TOWNS, "debt")),
    "the groups again, the same column and a count": ([table(TOWNS, "income")], table(TOWNS, "income")),
    "first the column, then the number of persons": ([table(TOWNS, "income")], table(TOWNS)),
    "first the number of persons": ([table(TOWNS)], table(TOWNS, "debt", "income")),
    "everybody, then by group": ([table([ALL], "income")], table(TOWNS, "income")),
    "by group, then everybody": ([table(TOWNS, "income")], table([ALL], "debt")),
    "everybody, then women and men": ([table([ALL], "income")], table([WOMEN, MEN], "income")),
    "women, men, and everybody": (
        [table([WOMEN], "income"), table([MEN], "debt")],
        table([ALL], "income", "debt"),
    ),
    "everybody, women, and men": ([table([ALL], "income"), table([WOMEN], "income")], table([MEN], "income")),
    "everybody in one column, women in another, and men in both": (
        [table([ALL], "income"), table([WOMEN], "debt")],
        table([MEN], "income", "debt"),
    ),
    "two towns and both of them": ([table(TOWNS, "income")], table([TOWNS[0] | TOWNS[1]], "income", "debt")),
    "all towns but one": ([table(TOWNS, "income", "debt")], table([ALL - TOWNS[2]], "income")),
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_asks_about_the_same_cells_leaves_although_some_have_no_value(name: str) -> None:
    earlier, offered = ALIKE[name]
    assert withheld(offered, *earlier) == ()


@pytest.mark.parametrize("name", [name for name in ALIKE if "the same column" not in name])
def test_control_without_patterns_the_same_is_kept_back(name: str) -> None:
    earlier, offered = ALIKE[name]
    assert withheld(bare(offered), *map(bare, earlier)) != ()
    assert withheld(offered, *map(bare, earlier)) != (), "nor is one excused by what it says of itself"
    assert withheld(bare(offered), *earlier) != ()


# --- what does not --------------------------------------------------------------------------------------------


def both_ways(one: Sets, other: Sets, missing: bool = False) -> list[bool]:
    """Whether the second of two answers is kept back, whichever comes first."""
    return [withheld(last, first, missing=missing) != () for first, last in ((one, other), (other, one))]


def test_24_a_condition_that_chooses_who_has_a_value_is_a_cell_of_its_own() -> None:
    """Debts of all, and of those whose income is known: their difference are the debts of few."""
    known = ALL - WITHOUT["income"]
    assert both_ways(table([ALL], "income", "debt"), table([known], "debt")) == [True, True]
    assert both_ways(table([ALL], "debt"), table([known], "income", "debt")) == [True, True]


def test_24_a_part_that_something_computed_chooses_is_no_missing_value() -> None:
    """As by coalesce, CASE, FILTER or a sum of two columns, where one lacks a value."""
    chosen = PEOPLE.table([ALL, ALL - WITHOUT["income"]], patterns=((), ()))
    assert both_ways(table([ALL], "debt"), chosen) == [True, True]
    assert both_ways(table([ALL]), chosen) == [True, True]
    as_if = PEOPLE.table([ALL, ALL - WITHOUT["income"]], patterns=((), ("income",)))
    assert both_ways(table([ALL], "debt"), as_if) == [False, False], "the control: as a column it stands"


def test_24_cells_that_differ_in_few_persons_are_near_whatever_their_columns() -> None:
    less = ALL - {TARGET}
    for columns in ((), ("income",), ("debt",)):
        assert both_ways(table([ALL], "income"), table([less], *columns)) == [True, True]


TARGET = 42
LATER = {"income": WITHOUT["income"] - {3}, "debt": WITHOUT["debt"]}
"""In the next version one person has a value more."""
EARLIER_NONE = {"income": frozenset[int](), "debt": frozenset[int]()}


def test_89_a_value_that_the_next_version_has_is_not_told_by_the_same_column() -> None:
    """The cell is the same, and so is the column; what differs is the value of one person."""
    now, then = table([ALL], "income"), table([ALL], "income", without=LATER)
    assert both_ways(now, then) == [True, True]
    assert both_ways(now, table([ALL], "debt", without=LATER)) == [False, False], (
        "another column tells nothing of it"
    )


def test_89_nor_where_nobody_lacked_a_value_and_the_column_could_not_be_empty() -> None:
    whole = PEOPLE.table([ALL], patterns=(("income",),))
    assert both_ways(whole, table([ALL], "income")) == [True, True]
    assert both_ways(whole, table([ALL], "debt")) == [False, False]


ROUNDABOUT = {
    "the total of its groups": ([table(TOWNS, "income")], table([ALL], "income", without=LATER)),
    "a complement": ([table(TOWNS, "income")], table([ALL - TOWNS[1]], "income", without=LATER)),
    "a rest": (
        [table([ALL], "income"), table([MEN], "income")],
        table([WOMEN], "income", without=LATER),
    ),
    "a rest of a later whole": (
        [table([WOMEN], "income"), table([MEN], "income")],
        table([ALL], "income", without=LATER),
    ),
    "two and their union": (
        [table([TOWNS[0]], "income"), table([TOWNS[1]], "income")],
        table([TOWNS[0] | TOWNS[1]], "income", without=LATER),
    ),
}


@pytest.mark.parametrize("name", ROUNDABOUT)
def test_25_89_nor_by_what_follows_from_several(name: str) -> None:
    earlier, offered = ROUNDABOUT[name]
    assert withheld(offered, *earlier) != ()
    honest = table([frozenset(offered_cell) for offered_cell in _cells(name)], "income")
    assert withheld(honest, *earlier) == (), "the control: with no value more it leaves"


def test_25_89_a_rest_alone_does_not_tell_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same by what is left of all with a value in the column, without looking at pairs of answers."""
    monkeypatch.setattr(Pairs, "near", lambda *_: False)
    for name in ("a rest", "a rest of a later whole"):
        earlier, offered = ROUNDABOUT[name]
        assert withheld(offered, *earlier) != ()
        assert withheld(table(_cells(name), "debt", without=LATER), *earlier) == (), (
            "the control: another column"
        )


@pytest.mark.parametrize("columns", [(), ("income",), ("debt",)])
def test_25_cells_that_are_two_others_but_for_one_person_are_near_whatever_their_columns(
    columns: tuple[str, ...],
) -> None:
    first, second = table([TOWNS[0]], "income"), table([TOWNS[1]], "debt")
    both = TOWNS[0] | TOWNS[1]
    assert withheld(table([both - {TARGET}], *columns), first, second) == (0,)
    assert withheld(table([both], *columns), first, second) == (), "the control: with the person it leaves"
    assert withheld(table([TOWNS[1] | {TARGET}], *columns), first, table([both], "debt")) == (0,)


def _cells(name: str) -> list[frozenset[int]]:
    cells = {"a complement": ALL - TOWNS[1], "a rest": WOMEN, "two and their union": TOWNS[0] | TOWNS[1]}
    return [cells.get(name, ALL)]


def test_25_who_has_no_value_and_one_person_more() -> None:
    """All, those with a value, and a condition that holds for those without one and for the target."""
    many = {"income": frozenset(range(0, 1_000, 40))}
    first = table([ALL], "income", without=many)
    for asked in (many["income"] | {TARGET}, (ALL - many["income"]) | {0}):
        assert withheld(table([asked], "income", without=many), first) == (0,)
    assert withheld(table([many["income"]], without=many), first) == (), (
        "the control: those without one are a group"
    )


def test_29_enterprises_whose_persons_lack_values_are_excused_alike() -> None:
    """Here each person is an enterprise of their own: the vectors of enterprises are those of persons."""

    def firms(cell: frozenset[int], *columns: str, patterns: bool = True) -> Sets:
        made = table([cell], *columns)
        wide = 2 * made.per_row
        told = made.patterns if patterns else ()
        return Sets(1, wide, [*made.persons] * 2, [*made.prints] * 2, enterprises=made.per_row, patterns=told)

    def kept(*asked: Sets) -> bool:
        *earlier, last = asked
        return withheld_rows(last, [lineage(*earlier)], Apart(K, K), 1) != ()

    assert not kept(firms(ALL, "income"), firms(ALL, "debt"))
    assert kept(firms(ALL, "income", patterns=False), firms(ALL, "debt", patterns=False)), "the control"
    assert kept(firms(ALL, "income"), firms(ALL - {TARGET}, "debt"))


# --- an owner for whom it tells too much that a value is missing ------------------------------------------------


def test_where_the_owner_says_so_missing_values_are_a_difference_like_any_other() -> None:
    assert withheld(table(TOWNS, "income"), missing=True) == tuple(range(5)), "in one row, too"
    assert withheld(table(TOWNS, "income")) == ()
    assert both_ways(table(TOWNS), table(TOWNS, "income"), missing=True) == [True, True]
    known = [town - WITHOUT["income"] for town in TOWNS]
    assert withheld(table(known, "income"), missing=True) == (), "those with a value are a group of their own"


# --- oracle ---------------------------------------------------------------------------------------------------

SMALL = People(60, seed=8)
FEW = 5


@st.composite
def statements(draw: st.DrawFn) -> tuple[list[frozenset[int]], tuple[str, ...], dict[str, frozenset[int]]]:
    """Disjoint groups, columns of which figures are asked, and who lacks a value in each by the version of that day."""
    cuts = sorted(draw(st.sets(st.sampled_from([0, 12, 13, 30, 31, 47, 60]), min_size=2, max_size=4)))
    groups = [
        frozenset(range(low, high)) for low, high in zip(cuts, cuts[1:], strict=False) if high - low >= FEW
    ]
    columns = draw(st.sampled_from([(), ("a",), ("b",), ("a", "b")]))
    without = {name: draw(st.sampled_from([{2}, {2, 40}, set(), {14, 50, 3}])) for name in ("a", "b")}
    return groups, columns, {name: frozenset(persons) for name, persons in without.items()}


@settings(max_examples=150, deadline=None)
@given(st.lists(statements(), min_size=2, max_size=6))
def test_no_two_sums_of_a_column_tell_on_few_nor_do_two_numbers_of_persons_that_were_chosen(
    asked: Any,
) -> None:
    """The oracle knows of each figure that left the persons whose values it adds up: of a column, and the cells."""
    found, left = Lineage(), dict[str, set[frozenset[int]]]()
    for groups, columns, without in asked:
        rows = [[group, *(group - without[name] for name in columns)] for group in groups]
        offered = (
            SMALL.table(*rows, patterns=((), *((name,) for name in columns))) if rows else Sets(0, 1, [], [])
        )
        back = withheld_rows(offered, [found], Apart(FEW), FEW, (60,))
        found.take_in(*released_from(offered, back, FEW), 60)
        shown = [row for place, row in enumerate(rows) if place not in back]
        for place, name in enumerate(("", *columns)):
            own = [frozenset(row[place]) for row in shown if len(row[place]) >= FEW]
            total = frozenset().union(*own)
            left.setdefault(name, set()).update(
                {*own, total, *(total - each for each in own)} - {frozenset()}
            )
    for name, sets in left.items():
        wholes = [each for each in sets if SMALL.everybody in left.get("", set()) and len(each) > 54]
        everything = sets | {whole - each for whole in wholes for each in sets if each < whole}
        for one in sets:
            for other in everything - {frozenset()}:
                assert len(one ^ other) == 0 or len(one ^ other) >= FEW, name


# --- how it is written ----------------------------------------------------------------------------------------


def test_patterns_are_written_down_and_those_of_other_sets_are_refused() -> None:
    made = table(TOWNS, "income", "debt")
    figure = Computed((0, 2), ("income", "income <> 0"))
    told = replace(made, computed=(figure,))
    read = plan_sets.unpack(plan_sets.pack([told, bare(made)]))
    assert [(each.patterns, each.computed) for each in read] == [(made.patterns, (figure,)), ((), ())]
    assert [list(each.prints) for each in read] == [list(made.prints)] * 2
    for wrong in ({"patterns": made.patterns[:2]}, {"computed": (Computed((3,), ()),)}):
        with pytest.raises(Malformed):
            replace(made, **wrong)
    content, honest = plan_sets.pack([made]), b'{"computed":[],"patterns":[[],["income"],["debt"]]}'
    assert honest in content
    for forged in (b'["debt"]]  ', b'["deb",1]]}', b"null,null]}", b'["debt"],2}'):
        with pytest.raises(Malformed):
            plan_sets.unpack(content.replace(b'["debt"]]}', forged[:10]))
