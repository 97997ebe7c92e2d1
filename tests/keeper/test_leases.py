"""Leases end with what they rest on; challenges are worth something once, and briefly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from keeper import challenges
from keeper.challenges import CHALLENGE_S, Challenges
from keeper.leases import LEASE_S, Ground, Leases
from plans.errors import Malformed
from tests.keeper import house
from tests.keeper.house import NOW

PLAN = house.digest("plan")
GROUND = Ground(PLAN, house.key("launcher").public, (house.digest("grant"),))


def yes(_: Ground) -> bool:
    return True


def no(_: Ground) -> bool:
    return False


# --- leases -----------------------------------------------------


def test_a_lease_goes_on_while_it_is_renewed_and_its_ground_stands() -> None:
    leases = Leases()
    name, expires = leases.give(GROUND, NOW)
    assert expires == NOW + LEASE_S
    for n in range(1, 6):
        assert leases.renew(name, yes, NOW + n * LEASE_S)
    assert leases.count() == 1


def test_a_lease_that_was_not_renewed_in_time_is_gone_for_good() -> None:
    leases = Leases()
    name, _ = leases.give(GROUND, NOW)
    assert not leases.renew(name, yes, NOW + LEASE_S + 1)
    assert not leases.renew(name, yes, NOW)


def test_a_lease_whose_ground_fell_is_gone_for_good() -> None:
    leases = Leases()
    name, _ = leases.give(GROUND, NOW)
    assert not leases.renew(name, no, NOW + 1)
    assert not leases.renew(name, yes, NOW + 1) and leases.count() == 0


def test_a_lease_is_judged_by_its_own_ground() -> None:
    leases = Leases()
    name, _ = leases.give(GROUND, NOW)
    other, _ = leases.give(Ground(house.digest("other plan"), "", ()), NOW)
    assert leases.renew(name, lambda ground: ground == GROUND, NOW)
    assert not leases.renew(other, lambda ground: ground == GROUND, NOW)


@pytest.mark.parametrize("name", ["", "0" * 32, "*"])
def test_nobody_knows_of_a_lease_that_was_never_given(name: str) -> None:
    leases = Leases()
    leases.give(GROUND, NOW)
    assert not leases.renew(name, yes, NOW)


def test_a_finished_lease_is_over_and_finishing_twice_is_nothing() -> None:
    leases = Leases()
    name, _ = leases.give(GROUND, NOW)
    leases.finish(name)
    leases.finish(name)
    assert not leases.renew(name, yes, NOW)


def test_leases_of_boxes_that_vanished_do_not_pile_up() -> None:
    leases = Leases()
    for n in range(50):
        leases.give(GROUND, NOW + n * LEASE_S * 2)
    assert leases.count() == 1


# --- challenges -----------------------------------------------------


def test_a_challenge_is_answered_once_for_its_plan_and_in_time() -> None:
    open_ones = Challenges()
    nonce = open_ones.issue(PLAN, NOW)
    assert open_ones.take(nonce, PLAN, NOW + CHALLENGE_S) == nonce
    assert open_ones.take(nonce, PLAN, NOW) is None


def test_a_challenge_of_another_plan_or_time_is_worth_nothing_and_is_used_up() -> None:
    open_ones = Challenges()
    first, second = open_ones.issue(PLAN, NOW), open_ones.issue(PLAN, NOW)
    assert open_ones.take(first, house.digest("other"), NOW) is None
    assert open_ones.take(first, PLAN, NOW) is None
    assert open_ones.take(second, PLAN, NOW + CHALLENGE_S + 1) is None


@pytest.mark.parametrize(
    "plan", ["", "plan", "sha256:" + "A" * 64, house.digest("p") + "\n", "x" * 10_000_000]
)
def test_only_a_plans_digest_gets_a_challenge(plan: str) -> None:
    with pytest.raises(Malformed):
        Challenges().issue(plan, NOW)


def test_a_flood_costs_bounded_memory_and_the_newest_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(challenges, "MOST_OPEN", 100)
    open_ones = Challenges()
    issued = [open_ones.issue(PLAN, NOW) for _ in range(300)]
    assert len(set(issued)) == 300
    assert [open_ones.take(nonce, PLAN, NOW) for nonce in issued] == [None] * 200 + issued[200:]


def test_two_who_answer_the_same_challenge_at_once_do_not_both_succeed() -> None:
    open_ones = Challenges()
    for _ in range(20):
        nonce = open_ones.issue(PLAN, NOW)
        with ThreadPoolExecutor(4) as pool:
            taken = list(pool.map(lambda n: open_ones.take(n, PLAN, NOW), [nonce] * 4))
        assert (taken.count(nonce), taken.count(None)) == (1, 3)
