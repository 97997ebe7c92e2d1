"""The ledger's rule: a released set and every earlier one of the lineage differ in no person, or in k persons at least.

The oracle knows the persons; the ledger sees fingerprints only. Sets are written as Python sets of persons.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.ledger_nearness import Known, Prints, columns_of, joined
from keeper.ledger_pairs import NEWEST, Newest, Pairs, sets_of
from keeper.ledger_rules import MOST_ROUNDS, Apart, Lineage, released_from, withheld_rows
from plans.errors import BudgetSpent, HashMismatch
from plans.sets import Sets
from tests.keeper.people import Owner, People, case

PEOPLE = People(1_000)
ALL = PEOPLE.everybody
K = 10


def some(first: int, after: int) -> frozenset[int]:
    return frozenset(range(first, after))


def lineage(*tables: Sets, persons: int = 0) -> Lineage:
    """A lineage of which these tables have left."""
    found = Lineage()
    for table in tables:
        found.take_in(*released_from(table, ()), persons)
    return found


def withheld(table: Sets, *earlier: Sets, differ: int = K, minimum: int = 1, persons: int = 0) -> Any:
    return withheld_rows(table, [lineage(*earlier, persons=persons)], Apart(differ), minimum)


# --- nearness -------------------------------------------------------------------------------------------------


def test_equal_sets_are_equal_and_one_person_is_seen_exactly() -> None:
    known = Known()
    known.add(joined(columns_of(PEOPLE.cells(some(0, 500)))))
    same, less, swapped = (
        joined(columns_of(PEOPLE.cells(each))) for each in (some(0, 500), some(1, 500), some(1, 501))
    )
    assert not known.unknown(same).any() and not known.near(same, K).any()
    for other in (less, swapped):
        assert known.near(other, K).all() and known.unknown(other).all()


def test_no_near_set_of_many_is_missed_and_what_differs_in_many_persons_is_rarely_called_near() -> None:
    """500 pairs of sets, the same in all but d persons, for d of k - 1 (all near), 3 k and 6 k."""
    rng = np.random.default_rng(5)
    called = {}
    for apart in (1, 2, K - 1, 3 * K, 6 * K):
        changes = rng.choice([-1, 1], size=(500, apart, 64)).sum(axis=1)
        known = Known()
        known.add(Prints(np.zeros(1, np.int64), np.zeros((1, 64), np.int64)))
        called[apart] = known.near(Prints(np.full(500, apart % 2), changes), K).mean()
    assert called[1] == called[2] == called[K - 1] == 1
    assert called[3 * K] < 0.01 and called[6 * K] == 0


# --- single sets ----------------------------------------------------------------------------------------------


def test_24_the_same_count_without_one_person_is_kept_back() -> None:
    everybody, without = PEOPLE.cells(ALL), PEOPLE.cells(ALL - {7})
    assert withheld(without, everybody) == (0,)
    assert withheld(without, everybody, differ=1) == (), "control: with the rule off it leaves"
    assert withheld(everybody, everybody) == (), "the same set has the same answer"
    assert withheld(PEOPLE.cells(some(0, 600)), everybody) == ()


@pytest.mark.parametrize("persons", range(1, K))
def test_sets_that_differ_in_fewer_than_k_persons_are_kept_back(persons: int) -> None:
    earlier = PEOPLE.cells(some(0, 500))
    for other in (
        some(persons, 500),
        some(0, 500 + persons),
        some(persons // 2, 500 + persons - persons // 2),
    ):
        assert withheld(PEOPLE.cells(other), earlier) == (0,)


def test_25_a_complement_in_the_whole_dataset_counts_as_soon_as_the_whole_has_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Padding query: everybody, then all women, then all men and one woman more: their sum tells on her."""
    women, rest = some(0, 450), some(450, 1_000) | {449}
    parts = (PEOPLE.cells(women), PEOPLE.cells(ALL))
    for first, second in (parts, parts[::-1]):
        assert withheld(PEOPLE.cells(rest), first, second, persons=1_000) == (0,)
    assert withheld(PEOPLE.cells(rest), parts[0], persons=1_000) == (), "nobody knows the whole"
    assert withheld(PEOPLE.cells(rest), *parts, persons=0) == (0,), "as two answers and their sum"
    monkeypatch.setattr(Pairs, "near", lambda *_: False)
    assert withheld(PEOPLE.cells(rest), *parts, persons=1_000) == (0,), "as the rest of a whole"
    assert withheld(PEOPLE.cells(rest), *parts, persons=0) == (), "control: without both it leaves"


def test_25_the_union_of_a_tables_cells_is_compared_like_a_cell() -> None:
    """By town, then over all towns but for one person: no cell of the first is near to the second."""
    towns = PEOPLE.cells(some(0, 200), some(200, 400), some(400, 700))
    assert withheld(PEOPLE.cells(some(0, 699)), towns) == (0,)
    assert withheld(towns, PEOPLE.cells(some(0, 699))), "and the other way round"
    assert withheld(PEOPLE.cells(some(0, 650)), towns) == ()


def test_25_a_tables_total_without_one_cell_is_compared_like_a_cell() -> None:
    towns = PEOPLE.cells(some(0, 200), some(200, 400), some(400, 700))
    two_towns_less_one = PEOPLE.cells(some(200, 699))
    assert withheld(two_towns_less_one, towns) == (0,)
    back = withheld(towns, two_towns_less_one)
    assert set(back) & {1, 2}, "keeping only the first town back would show the sum of the other two"


def test_27_small_groups_that_the_engine_kept_back_do_not_follow_from_the_total() -> None:
    """Three persons of a fourth town never left the box; the sum of the others would tell their number."""
    everybody = PEOPLE.cells(ALL)
    towns = PEOPLE.cells(some(0, 300), some(300, 600), some(600, 997))
    back = withheld(towns, everybody)
    assert back == (0,), "one more town is kept back, so that at least k persons are missing together"


def test_where_nothing_helps_the_whole_table_is_kept_back() -> None:
    towns = PEOPLE.cells(*(some(at, at + 20) for at in range(0, 1_000, 20)))
    sums = [PEOPLE.cells(some(at, 1_000) - {999}) for at in range(0, 20 * (MOST_ROUNDS + 2), 20)]
    assert withheld(towns, *sums) == tuple(range(50))


# --- tables ---------------------------------------------------------------------------------------------------


def test_two_rows_of_one_table_that_are_near_do_not_leave_together() -> None:
    """Rows overlap when a key is of a row and not of a person: January, and February without one."""
    months = PEOPLE.cells(some(1, 500), some(0, 500), some(600, 900))
    assert withheld(months) == (0,)
    assert withheld(PEOPLE.cells(some(0, 500), some(0, 500))) == (), "the same persons are no difference"


def test_persons_behind_a_figure_are_compared_with_earlier_cells() -> None:
    table = PEOPLE.table([some(0, 800), some(0, 499)])
    assert withheld(table, PEOPLE.cells(some(0, 500))) == (0,)
    assert withheld(table, PEOPLE.cells(some(0, 700))) == ()


def test_figures_that_rest_on_too_few_do_not_leave_and_so_are_not_compared() -> None:
    table = PEOPLE.table([some(0, 300), some(0, 3)], [some(300, 600), frozenset()])
    assert withheld(table, minimum=10) == ()
    released, _ = released_from(table, (), minimum=10)
    assert [len(column) for column in released] == [2, 0]


@pytest.mark.parametrize("differ", [0, K])
def test_24_a_row_of_too_few_persons_is_kept_back_whoever_sent_it(differ: int) -> None:
    """No query box leaves such a row; a keeper that gets one all the same keeps it back. Control: no minimum."""
    table = PEOPLE.cells(some(1, 100), some(200, 200 + K - 2))
    assert withheld_rows(table, [Lineage()], Apart(differ), K) == (1,)
    assert withheld_rows(table, [Lineage()], Apart(differ), 1) == ()


def test_what_is_kept_back_is_no_earlier_answer() -> None:
    released = released_from(PEOPLE.cells(some(0, 100), some(100, 300)), (0,))
    found = Lineage()
    found.take_in(*released, 0)
    assert withheld_rows(PEOPLE.cells(some(1, 100)), [found], Apart(K)) == ()
    assert withheld_rows(PEOPLE.cells(some(101, 300)), [found], Apart(K)) == (0,)


def test_a_table_of_two_lineages_is_weighed_against_both() -> None:
    income, health = lineage(PEOPLE.cells(some(0, 500))), lineage(PEOPLE.cells(some(500, 900)))
    for offered in (some(0, 499), some(500, 899)):
        assert withheld_rows(PEOPLE.cells(offered), [income, health], Apart(K)) == (0,)
        assert withheld_rows(PEOPLE.cells(offered), [Lineage()], Apart(K)) == ()


def test_empty_tables_are_weighed_without_ado() -> None:
    assert withheld(Sets(0, 2, [], [])) == ()
    assert withheld(PEOPLE.cells(some(0, 50)), Sets(0, 1, [], [])) == ()


SMALL = People(60, seed=8)


@st.composite
def partitions(draw: st.DrawFn) -> list[frozenset[int]]:
    """A few disjoint groups of 5 persons or more, which may leave somebody out."""
    of = draw(st.lists(st.integers(0, 3), min_size=60, max_size=60))
    groups = [frozenset(p for p, group in enumerate(of) if group == each) for each in (1, 2, 3)]
    return [group for group in groups if len(group) >= 5]


@settings(max_examples=40, deadline=None)
@given(st.lists(partitions(), min_size=2, max_size=5))
def test_whatever_was_asked_no_two_answers_nor_their_sums_tell_on_fewer_than_k(asked: Any) -> None:
    """The oracle: all sets that left, the totals of their tables and the complements in these differ in 0 or >= 5."""
    found, left = Lineage(), []
    for groups in asked:
        table = SMALL.cells(*groups)
        back = withheld_rows(table, [found], Apart(5))
        found.take_in(*released_from(table, back), 60)
        shown = [group for place, group in enumerate(groups) if place not in back]
        total = frozenset().union(*shown)
        answer = {*shown, total, *(total - group for group in shown)} - {frozenset()}
        whole = {SMALL.everybody - each for each in answer} if SMALL.everybody in left else set()
        for new in answer | whole:
            assert all(len(new ^ old) == 0 or len(new ^ old) >= 5 for old in left)
        left += sorted(answer, key=sorted)


# --- pairs ----------------------------------------------------------------------------------------------------


def test_25_two_answers_and_their_union_but_for_one_are_not_told_whichever_comes_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = some(0, 100), some(100, 300)
    both = (one | other) - {7}
    orders = ((one, other, both), (one, both, other), (both, other, one))
    for first, second, last in orders:
        assert withheld(PEOPLE.cells(last), PEOPLE.cells(first), PEOPLE.cells(second)) == (0,)
    assert withheld(PEOPLE.cells(one | other), PEOPLE.cells(one), PEOPLE.cells(other)) == (), (
        "a total of its parts"
    )
    several = PEOPLE.cells(one, other, some(300, 500), some(500, 800))
    assert withheld(PEOPLE.cells(both), several) == (0,), "two cells of one table of four"
    assert withheld(several, PEOPLE.cells(both)) == (0,), "the smaller one of the two"
    monkeypatch.setattr(Pairs, "near", lambda *_: False)
    for first, second, last in orders:
        assert withheld(PEOPLE.cells(last), PEOPLE.cells(first), PEOPLE.cells(second)) == (), "the control"
    assert withheld(PEOPLE.cells(both), several) == ()


def pairs_of(*groups: frozenset[int]) -> Pairs:
    newest = Newest()
    for column in columns_of(PEOPLE.cells(*groups)):
        newest.add(column)
    return Pairs([newest])


@settings(max_examples=60, deadline=None)
@given(st.integers(10, 400), st.integers(10, 400), st.integers(0, 60), st.integers(0, 60))
def test_pairs_are_near_where_their_sum_differs_in_few_persons_and_not_where_it_does_in_many(
    first: int, second: int, without: int, more: int
) -> None:
    """The oracle knows how many persons the union lacks and has more: 1 to 5 are near, 0 or 40 and more are not."""
    one, other = some(0, first), some(first, first + second)
    union = frozenset(range(min(without, first - 1), first + second + more))
    apart = len(union ^ (one | other))
    (column,) = columns_of(PEOPLE.cells(union))
    near = pairs_of(one, other).near(sets_of(column)[0], K)
    assert near or not 1 <= apart <= K // 2
    assert not near or 1 <= apart < 4 * K


def test_pairs_of_the_newest_sets_are_looked_at_and_an_older_one_is_no_longer() -> None:
    """Where the promise ends: after so many newer sets; and one that is released again is new again."""
    newest, (first,) = Newest(), columns_of(PEOPLE.cells(some(0, 100)))
    rng = np.random.default_rng(2)
    for again in (False, True):
        newest.add(first)
        signs = rng.integers(-90, 90, size=(NEWEST - 1, 64))
        newest.add(Prints(np.full(NEWEST - 1, 500), signs))
        if again:
            newest.add(first)
        newest.add(Prints(np.full(1, 500), signs[:1] + 2))
        assert len(newest) == NEWEST
        assert (100 in [one.size for one in newest.named().values()]) is again


# --- pages ----------------------------------------------------------------------------------------------------


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return Owner(tmp_path)


def test_asking_again_for_the_same_plan_gives_the_same_answer_and_costs_nothing(owner: Owner) -> None:
    owner.weigh(case("a"), PEOPLE.cells(some(0, 500)))
    table = PEOPLE.cells(some(1, 500), some(500, 900))
    first = owner.weigh(case("b"), table)
    before = owner.ledger.room(case("b").quotas[0], "", owner.now)
    assert first == ((0,),)
    for attempt in (1, 2):
        assert owner.weigh(case("b"), table, attempt=attempt) == first
    assert owner.ledger.room(case("b").quotas[0], "", owner.now) == before and len(owner.lines) == 2


def test_another_attempt_may_find_the_rows_in_another_order_but_no_other_rows(owner: Owner) -> None:
    owner.weigh(case("a"), PEOPLE.cells(some(0, 500)))
    assert owner.weigh(case("b"), PEOPLE.cells(some(1, 500), some(500, 900))) == ((0,),)
    assert owner.weigh(case("b"), PEOPLE.cells(some(500, 900), some(1, 500)), attempt=2) == ((1,),)
    with pytest.raises(HashMismatch):
        owner.weigh(case("b"), PEOPLE.cells(some(500, 900), some(2, 500)), attempt=3)


def test_26_the_same_question_of_anybody_has_the_same_answer_and_is_charged_once(owner: Owner) -> None:
    owner.weigh(case("a"), PEOPLE.cells(some(0, 500)))
    question, table = case("b").question, PEOPLE.cells(some(1, 500), some(500, 900))
    first = owner.weigh(case("b"), table)
    left, kept = (
        owner.ledger.room(case("b").quotas[0], "", owner.now).left,
        owner.ledger.cells("nm/tax/income"),
    )
    for number in range(5):
        again = case(f"again {number}", question=question, member=f"member{number}@nm/uni")
        assert owner.weigh(again, table) == first
    assert owner.ledger.room(case("b").quotas[0], "", owner.now).left == left
    assert owner.ledger.cells("nm/tax/income") == kept


def test_a_refusal_that_depends_on_the_number_of_rows_is_charged_and_stays(owner: Owner) -> None:
    small = (case("x").quotas[0].__class__("cells/tax.income.income", 4, 30),)
    with pytest.raises(BudgetSpent):
        owner.weigh(case("b", quotas=small), PEOPLE.cells(some(0, 100), some(100, 200), some(200, 300)))
    assert owner.ledger.room(small[0], "", owner.now).left == 3
    owner.start()
    with pytest.raises(BudgetSpent):
        owner.weigh(case("b", quotas=small), PEOPLE.cells(some(0, 100)), attempt=2)
    assert owner.ledger.room(small[0], "", owner.now).left == 3
    assert owner.ledger.cells("nm/tax/income") == 0, "nothing left"


def test_before_any_box_has_a_key_a_spent_quota_refuses_at_no_charge(owner: Owner) -> None:
    small = (case("x").quotas[0].__class__("cells/tax.income.income", 1, 30),)
    owner.ledger.require_room(case("a", quotas=small), owner.now)
    owner.weigh(case("a", quotas=small), PEOPLE.cells(some(0, 100)))
    with pytest.raises(BudgetSpent) as told:
        owner.ledger.require_room(case("b", quotas=small), owner.now)
    assert "tax.income.income" in told.value.where and "2025-" in told.value.next_step
    owner.ledger.require_room(case("a", quotas=small), owner.now)
    assert len(owner.lines) == 1


def test_everything_is_known_after_a_restart(owner: Owner) -> None:
    owner.weigh(case("a", persons=1_000), PEOPLE.cells(ALL))
    owner.weigh(case("b"), PEOPLE.table([some(0, 400), some(0, 300)], [some(400, 900), some(400, 899)]))
    before = owner.ledger
    started = owner.start()
    assert started is not before and started.cells("nm/tax/income") == before.cells("nm/tax/income")
    assert owner.weigh(case("c"), PEOPLE.cells(some(0, 399))) == ((0,),)
    assert owner.weigh(case("d"), PEOPLE.cells(some(299, 1_000))) == ((0,),)
