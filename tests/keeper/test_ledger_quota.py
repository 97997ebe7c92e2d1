"""Quotas: what may leave in a period, for all together and for one member."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.ledger_case import Case
from keeper.ledger_quota import DAY_S, Charge, Quota, Quotas
from plans.errors import BudgetSpent
from tests.keeper import house
from tests.keeper.people import Owner, People, case

QUOTA = Quota("cells/tax.income.income", 100, 30)
NOW = house.NOW


def spent(*charges: tuple[str, int], at: int = NOW) -> Quotas:
    quotas = Quotas()
    for number, (member, amount) in enumerate(charges):
        quotas.charge(QUOTA.subject, Charge(at, f"plan {number}", member, amount))
    return quotas


def test_93_one_member_has_half_of_what_the_others_have_left() -> None:
    assert spent().room(QUOTA, "a", NOW).own == 50
    assert spent(("a", 50)).room(QUOTA, "a", NOW).own == 0
    assert spent(("a", 50)).room(QUOTA, "b", NOW).own == 25
    assert spent(("a", 50), ("b", 25)).room(QUOTA, "c", NOW).own == 13, "rounded up"


@given(st.integers(0, 50), st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 60)), max_size=40))
def test_93_whatever_is_asked_the_quota_is_kept_and_a_new_member_has_something(
    amount: int, asked: list[tuple[str, int]]
) -> None:
    quota, quotas, total = replace(QUOTA, amount=amount), Quotas(), 0
    for number, (member, cells) in enumerate(asked):
        if cells <= quotas.room(quota, member, NOW).own:
            quotas.charge(quota.subject, Charge(NOW, f"plan {number}", member, cells))
            total += cells
    assert total <= amount
    left = quotas.room(quota, "new", NOW)
    assert left.left == amount - total and (left.own > 0) == (total < amount)


def test_a_charge_is_free_again_when_its_period_has_passed_and_the_day_is_told() -> None:
    quotas = spent(("a", 50))
    assert quotas.room(QUOTA, "a", NOW).renews == NOW + 30 * DAY_S
    assert quotas.room(QUOTA, "a", NOW + 30 * DAY_S - 1).own == 0
    assert quotas.room(QUOTA, "a", NOW + 30 * DAY_S).own == 50


def test_a_charge_is_lowered_and_never_raised() -> None:
    quotas = spent(("a", 50))
    quotas.settle(QUOTA.subject, "plan 0", 80)
    assert quotas.room(QUOTA, "", NOW).left == 50
    quotas.settle(QUOTA.subject, "plan 0", 10)
    quotas.settle(QUOTA.subject, "another plan", 10)
    assert quotas.room(QUOTA, "", NOW).left == 90


def bits(name: str, **changes: object) -> Case:
    """A plan of a member's own code, on a lineage with room for 1,000 bits."""
    quotas = (Quota("bits/nm/tax/income", 1_000, 30),)
    return case(name, figures=(), quotas=quotas, **changes)


def test_58_bits_of_code_are_reserved_before_and_settled_after(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    quota = bits("a").quotas[0]
    owner.ledger.reserve(bits("a"), 1, 400, owner.now)
    owner.ledger.reserve(bits("a"), 2, 400, owner.now)
    assert owner.ledger.room(quota, "", owner.now).left == 600 and len(owner.lines) == 1
    owner.ledger.settle(bits("a").plan, None)
    assert owner.ledger.room(quota, "", owner.now).left == 600, "nobody measured, so all of it counts"
    owner.ledger.settle(bits("a").plan, 50)
    owner.ledger.settle(house.digest("no such plan"), 50)
    assert owner.ledger.room(quota, "", owner.now).left == 950
    with pytest.raises(BudgetSpent):
        owner.ledger.reserve(bits("b"), 1, 501, owner.now)


def test_33_threads_that_race_for_the_last_cells_overspend_nothing(tmp_path: Path) -> None:
    """The ledger is used under the keeper's lock; 16 threads, 40 members, a quota of 100."""
    owner, lock, given = Owner(tmp_path), threading.Lock(), []
    people = People(300)
    table = people.cells(*(range(at, at + 30) for at in range(0, 300, 30)))

    def ask(number: int) -> None:
        for turn in range(4):
            about = case(f"{number} {turn}", member=f"m{number}-{turn}@nm/uni", quotas=(QUOTA,))
            with lock:
                try:
                    owner.weigh(about, table)
                except BudgetSpent:
                    continue
                given.append(table.rows)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < sum(given) <= 100
    owner.start()
    assert owner.ledger.room(QUOTA, "", owner.now).left <= 100 - sum(given)
