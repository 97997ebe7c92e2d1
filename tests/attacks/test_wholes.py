"""The whole dataset as an accomplice (ATTACKS 25): everybody less one answer is another answer, in whatever order,
wording and statement the whole is told. Each attack has its control in a region whose ledger is off.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from keeper.ledger_rules import Apart, Lineage, released_from, withheld_rows
from tests.attacks.test_inference import TARGET, K, Region, difference
from tests.keeper.people import Owner, People, case

GROUP = frozenset(range(200))


@pytest.fixture
def region(tmp_path: Path) -> Region:
    return Region(Owner(tmp_path / "on"))


@pytest.fixture
def bare(tmp_path: Path) -> Region:
    """The same region with the ledger off."""
    return Region(Owner(tmp_path / "off"), on=False)


def test_25_a_tracker_whose_last_question_is_the_whole(region: Region, bare: Region) -> None:
    def attack(at: Region) -> int | None:
        first, second = at.ask(GROUP), at.ask((at.everybody - GROUP) | {TARGET})
        return difference([*first, *second], at.ask(at.everybody))

    assert attack(bare) == bare.incomes[TARGET], "the control: the target's income"
    assert attack(region) is None


def test_25_a_tracker_whose_last_question_is_the_whole_by_groups(region: Region, bare: Region) -> None:
    """No row is everybody, but all rows together are: one of them is kept back."""

    def attack(at: Region) -> int | None:
        first, second = at.ask(GROUP), at.ask((at.everybody - GROUP) | {TARGET})
        ages = [frozenset(range(start, start + 40)) for start in range(20, 380, 40)]
        ages.append(at.everybody - frozenset().union(*ages))
        return difference([*first, *second], at.ask(*ages))

    assert attack(bare) == bare.incomes[TARGET]
    assert attack(region) is None


def test_25_a_tracker_after_the_whole_by_groups(region: Region, bare: Region) -> None:
    def attack(at: Region) -> int | None:
        ages = [frozenset(range(start, start + 40)) for start in range(20, 380, 40)]
        ages.append(at.everybody - frozenset().union(*ages))
        whole, first = at.ask(*ages), at.ask(GROUP)
        return difference([*first, *at.ask((at.everybody - GROUP) | {TARGET})], whole)

    assert attack(bare) == bare.incomes[TARGET]
    assert attack(region) is None


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (1, 0, 2)])
def test_25_a_tracker_within_one_statement(tmp_path: Path, order: tuple[int, ...]) -> None:
    """Three tables of one statement: the whole, a group, and all others with the target."""
    people = People(400)
    sets = (people.everybody, GROUP, (people.everybody - GROUP) | {TARGET})
    tables = [people.cells(sets[place]) for place in order]

    def leave(differ: int) -> int:
        owner = Owner(tmp_path / str(differ))
        return sum(rows == () for rows in owner.weigh(case("one", differ=differ, persons=400), *tables))

    assert leave(0) == 3, "the control: with the rule off, all of them"
    assert leave(K) < 3


def test_25_a_whole_that_is_told_through_a_join(tmp_path: Path) -> None:
    """Everybody of the one dataset is in the other as well, so the join of both is the whole of the one."""
    people = People(400)

    def attack(differ: int) -> bool:
        owner = Owner(tmp_path / str(differ))
        both = {"differ": differ, "datasets": ("nm/tax/income", "nm/med/visit"), "persons": (400, 900)}
        asked = (
            (case("whole", **both), people.everybody),
            (case("group", differ=differ, persons=400), GROUP),
            (case("others", differ=differ, persons=400), (people.everybody - GROUP) | {TARGET}),
        )
        return all(owner.weigh(about, people.cells(persons)) == ((),) for about, persons in asked)

    assert attack(0), "the control: with the rule off, all three leave"
    assert not attack(K)


def test_a_whole_leaves_where_no_earlier_answers_complete_each_other() -> None:
    people, lineage = People(400), Lineage()
    for group in (GROUP, frozenset(range(150, 300)), frozenset(range(50))):
        lineage.take_in(*released_from(people.cells(group), ()), 400)
    assert withheld_rows(people.cells(people.everybody), [lineage], Apart(K), 1, (400,)) == ()
