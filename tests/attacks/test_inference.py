"""Attacks on persons by many harmless questions (ATTACKS 24-26, 34, 58, 89-93), each with a control: without the ledger
the same questions tell what they are meant to tell.

The region answers exact figures about any set of persons that an attacker can name, in which at least ten are; what the
query language, rounding and dominance rules forbid beside that is not here, so that the ledger stands alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from keeper.ledger_pairs import Pairs
from keeper.ledger_quota import Quota
from plans.checks import Checks
from plans.errors import BudgetSpent
from tests.keeper.people import CASE, Owner, People, case

K = 10
TARGET = 7
Persons = frozenset[int]


@dataclass
class Region:
    """Persons with incomes, an engine that keeps groups below ten back, and the owner's ledger, which can be off."""

    owner: Owner
    persons: int = 400
    on: bool = True
    cells: int = 20_000
    people: People = field(init=False)
    incomes: np.ndarray = field(init=False)
    asked: int = 0

    def __post_init__(self) -> None:
        self.people = People(self.persons + 50)
        self.incomes = np.random.default_rng(3).integers(1_000, 9_999, size=self.persons + 50)
        self.everybody = frozenset(range(self.persons))

    def ask(self, *groups: Iterable[int], member: str = "lin@nm/uni", text: str = "") -> list[int | None]:
        """Return the sum of incomes of each group, or none where it is kept back; in one statement."""
        self.asked += 1
        sets = [frozenset(group) for group in groups]
        shown = [place for place, group in enumerate(sets) if len(group) >= K]
        about = case(
            f"{self.asked}",
            question=case(text or f"text {self.asked}").question,
            member=member,
            differ=K if self.on else 0,
            persons=self.persons,
            quotas=(replace(CASE.quotas[0], amount=self.cells),) if self.on else (),
        )
        (back,) = self.owner.weigh(about, self.people.cells(*(sets[place] for place in shown)))
        left = {place for row, place in enumerate(shown) if row not in back}
        return [self.sum(group) if place in left else None for place, group in enumerate(sets)]

    def sum(self, group: Persons) -> int:
        return int(self.incomes[sorted(group)].sum())


@pytest.fixture
def region(tmp_path: Path) -> Region:
    return Region(Owner(tmp_path / "on"))


@pytest.fixture
def bare(tmp_path: Path) -> Region:
    """The same region with the ledger off."""
    return Region(Owner(tmp_path / "off"), on=False)


def difference(first: Sequence[int | None], second: Sequence[int | None]) -> int | None:
    """What two answers tell by subtraction, if both were given in full."""
    if None in first or None in second:
        return None
    return sum(each or 0 for each in first) - sum(each or 0 for each in second)


def test_24_differencing_across_members_and_days(region: Region, bare: Region) -> None:
    def attack(at: Region) -> int | None:
        first = at.ask(at.everybody, member="wang@nm/uni")
        at.owner.now += 20 * 86_400
        return difference(first, at.ask(at.everybody - {TARGET}, member="zhao@nm/bank"))

    assert attack(bare) == bare.incomes[TARGET], "the control: the target's income"
    assert attack(region) is None


def test_24_differencing_by_a_swap_of_the_target_for_a_friend_whose_income_is_known(
    region: Region, bare: Region
) -> None:
    friend = 8

    def attack(at: Region) -> int | None:
        group = frozenset(range(100, 200))
        told = difference(at.ask(group | {TARGET}), at.ask(group | {friend}))
        return None if told is None else told + int(at.incomes[friend])

    assert attack(bare) == bare.incomes[TARGET]
    assert attack(region) is None


def test_25_a_tracker_by_complements(region: Region, bare: Region) -> None:
    """Everybody; then a group with the target, and the others with the target too: both are large."""

    def attack(at: Region) -> int | None:
        group = frozenset(range(200))
        whole, first = at.ask(at.everybody), at.ask(group)
        second = at.ask((at.everybody - group) | {TARGET})
        return difference([*first, *second], whole)

    assert attack(bare) == bare.incomes[TARGET]
    assert attack(region) is None


def test_25_a_tracker_by_a_union_of_small_groups(region: Region, bare: Region) -> None:
    """No village leaves that has fewer than ten persons, but their sum, and the sum of all but the target."""

    def attack(at: Region) -> int | None:
        villages = [frozenset(range(start, start + 5)) for start in range(0, 100, 5)]
        assert at.ask(*villages) == [None] * 20
        return difference(
            at.ask(frozenset().union(*villages)), at.ask(frozenset().union(*villages) - {TARGET})
        )

    assert attack(bare) == bare.incomes[TARGET]
    assert attack(region) is None


def test_25_a_tracker_by_the_sum_of_a_table(region: Region, bare: Region) -> None:
    """By age, where every group is large; and the same persons but for the target, in one figure."""

    def attack(at: Region) -> int | None:
        ages = [frozenset(range(start, start + 40)) for start in range(0, 400, 40)]
        return difference(at.ask(*ages), at.ask(at.everybody - {TARGET}))

    assert attack(bare) == bare.incomes[TARGET]
    assert attack(region) is None


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
def test_25_a_tracker_by_two_answers_and_their_union(
    region: Region, order: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Three statements of three members, each pair of which differs in hundreds: a, b, and both without the target."""
    first, second = frozenset(range(100)), frozenset(range(100, 250))
    groups = (first, second, (first | second) - {TARGET})

    def attack(at: Region) -> int | None:
        told = {place: at.ask(groups[place], member=f"m{place}@nm/uni") for place in order}
        return difference([*told[0], *told[1]], told[2])

    assert attack(region) is None
    monkeypatch.setattr(Pairs, "near", lambda *_: False)
    weak = Region(Owner(tmp_path / "weak"))
    assert attack(weak) == weak.incomes[TARGET], "the control: the ledger without its rule about pairs"


def test_25_a_tracker_by_two_cells_of_one_table(
    region: Region, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By age, in tens of groups; then two of the ages in one figure, without the target."""
    ages = [frozenset(range(start, start + 40)) for start in range(0, 400, 40)]

    def attack(at: Region) -> int | None:
        table = at.ask(*ages)
        return difference(table[:2], at.ask((ages[0] | ages[1]) - {TARGET}))

    assert attack(region) is None
    assert region.ask(ages[0] | ages[1]) != [None], "their union itself is no secret"
    monkeypatch.setattr(Pairs, "near", lambda *_: False)
    weak = Region(Owner(tmp_path / "weak"))
    assert attack(weak) == weak.incomes[TARGET]


def test_26_the_same_question_of_twenty_members_gives_one_answer_and_costs_one(region: Region) -> None:
    """There is no noise to average; a figure that was kept back stays so, and who else asks learns no more."""
    region.ask(region.everybody)
    groups = (region.everybody - {TARGET}, frozenset(range(100, 200)))
    answers = [region.ask(*groups, member=f"m{number}@nm/uni", text="the same") for number in range(20)]
    assert all(answer == [None, region.sum(groups[1])] for answer in answers)
    assert region.owner.ledger.room(CASE.quotas[0], "", region.owner.now).left == 20_000 - 3


def test_58_many_small_releases_that_add_up(region: Region, bare: Region) -> None:
    """`income <= t` for rising t: each answer is large, and each step between two is one person."""

    def attack(at: Region) -> int:
        order = np.argsort(at.incomes[: at.persons])
        answers = [at.ask(order[: K + step].tolist()) for step in range(80)]
        told = [difference(after, before) for before, after in zip(answers, answers[1:], strict=False)]
        return sum(found is not None for found in told)

    assert attack(bare) == 79, "the control: the incomes of 79 persons"
    assert attack(region) == 0


def test_58_what_leaves_in_steps_of_k_tells_on_groups_of_k_only(region: Region) -> None:
    order = np.argsort(region.incomes[: region.persons])
    steps = [place for place in range(K, 160) if region.ask(order[:place].tolist()) != [None]]
    assert min(after - before for before, after in zip(steps, steps[1:], strict=False)) >= K
    assert len(steps) >= 5, "and something leaves"


def test_89_91_versions_that_differ_by_one_person(region: Region, bare: Region) -> None:
    """A steward removes the target, or adds somebody: the lineage is weighed as one, whatever the version."""
    for change in (lambda all_: all_ - {TARGET}, lambda all_: all_ | {430}):

        def attack(at: Region, change: object = change) -> int | None:
            return difference(at.ask(at.everybody), at.ask(change(at.everybody)))  # type: ignore[operator]

        assert attack(bare) is not None
        assert attack(region) is None


def test_91_a_steward_who_removes_the_others_of_a_group(region: Region, bare: Region) -> None:
    """The target's group has ten; nine are removed in the next version. Total minus total, and the nine are known."""
    nine = frozenset(range(20, 29))

    def attack(at: Region) -> int | None:
        group = nine | {TARGET}
        by_group = at.ask(group, at.everybody - group)
        told = difference(by_group, at.ask(at.everybody - nine))
        return None if told is None else at.sum(group) - told

    assert attack(bare) == bare.incomes[TARGET]
    assert attack(region) is None


def test_92_two_projects_that_pool_their_results(region: Region, bare: Region) -> None:
    """Each has seen one answer; the ledger counts all recipients as one."""

    def attack(at: Region) -> int | None:
        poverty = at.ask(frozenset(range(300)), member="wang@nm/uni")
        health = at.ask(frozenset(range(300)) - {TARGET}, member="sun@nm/hospital")
        return difference(poverty, health)

    assert attack(bare) == bare.incomes[TARGET]
    assert attack(region) is None


def test_93_one_member_who_asks_for_everything_leaves_something_for_the_others(region: Region) -> None:
    region.cells = 100
    rng = np.random.default_rng(1)

    def burn(member: str) -> int:
        given = 0
        for _ in range(120):
            try:
                region.ask(rng.permutation(region.persons)[:200].tolist(), member=member)
            except BudgetSpent:
                continue
            given += 1
        return given

    assert burn("greedy@nm/uni") == 50
    assert region.ask(range(100, 200), member="modest@nm/uni") == [region.sum(frozenset(range(100, 200)))]
    assert burn("greedy@nm/uni") == 0


def test_90_what_is_kept_back_is_an_answer_that_is_charged(region: Region) -> None:
    """An attacker who looks only at what is missing asks the ledger itself; a question costs what an answer costs."""
    region.cells = 60
    region.ask(region.everybody)
    with pytest.raises(BudgetSpent) as told:
        for person in range(100):
            assert region.ask(region.everybody - {person}) == [None]
    left = region.owner.ledger.room(Quota(CASE.quotas[0].subject, 60, 30), "", region.owner.now)
    assert left.left == 30, "half of the quota, and no more of these questions"
    assert not any(digit in told.value.what for digit in "0123456789"), "no number of what others asked"


# --- reconstruction -------------------------------------------------------------------------------------------


def reconstructed(questions: np.ndarray, answers: np.ndarray, rate: float) -> np.ndarray:
    """Return a guess at each person's bit: the least correction of the base rate that explains all answers."""
    best, *_ = np.linalg.lstsq(questions, answers - questions.sum(axis=1) * rate, rcond=None)
    return best + rate > 0.5


def reconstruct(at: Region, bits: np.ndarray, asks: int, seed: int) -> float:
    """Ask how many of random halves have a bit, as eight members together; return the share of bits guessed right."""
    rng = np.random.default_rng(seed)
    questions, answers, spent = [], [], 0
    for number in range(asks):
        half = rng.permutation(at.persons)[: at.persons // 2]
        try:
            given = at.ask(half[bits[half]].tolist(), member=f"m{number % 8}@nm/uni")
        except BudgetSpent:
            if (spent := spent + 1) > 16:
                break  # twice in a row for each of the eight
            continue
        spent = 0
        if given != [None]:
            questions.append(np.isin(np.arange(at.persons), half).astype(float))
            answers.append(float(bits[half].sum()))
    found = reconstructed(np.array(questions), np.array(answers), 0.3)
    return float((found == bits).mean())


def test_34_linear_reconstruction_ends_at_the_quota_with_no_more_than_the_base_rate(tmp_path: Path) -> None:
    """200 persons, 3 in 10 of whom have a bit; guessing "no" for all is right for 70 %. The default quota."""
    bits = np.zeros(200, bool)
    bits[np.random.default_rng(9).permutation(200)[:60]] = True
    free = Region(Owner(tmp_path / "off"), persons=200, on=False)
    assert reconstruct(free, bits, 260, seed=1) > 0.97, "the control: nearly everybody's bit"
    found = []
    for seed in range(3):
        guarded = Region(Owner(tmp_path / f"on{seed}"), persons=200, cells=Checks().cells_of(200))
        found.append(reconstruct(guarded, bits, 260, seed))
    assert np.mean(found) <= 0.70 + 0.02
