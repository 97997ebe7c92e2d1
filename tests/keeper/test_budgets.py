"""Privacy budgets at a keeper: reserved before any key, shared by all, never given back by failure, drawn once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper import server
from keeper.budgets import Budgets
from keeper.config import KeeperConfig
from keeper.keeper import Keeper
from plans.box import Entry
from plans.decision import Outcome
from plans.errors import BudgetSpent, DarkroomError, NotFound, StateConflict
from plans.plan import Plan
from plans.statements import Refund, Type
from policies import api as policies
from server.cli_ledger import budget_lines
from tests.keeper import house, private
from tests.keeper.private import PRIVACY, SPEND, plan, unwrap

HALF = PRIVACY.rho_micro // 2
STAGES = (Entry.QUERY, Entry.PARSE, Entry.JUDGE)


@pytest.fixture
def clock() -> house.Clock:
    return house.Clock()


@pytest.fixture
def settings(tmp_path: Path) -> KeeperConfig:
    return private.settings(tmp_path)


@pytest.fixture
def keeper(settings: KeeperConfig, clock: house.Clock) -> Keeper:
    started = private.start(settings, clock)
    house.believe(started, *private.statements())
    return started


def left(keeper: Keeper) -> int:
    """What the member has left."""
    return keeper.budgets.room(house.INCOME, PRIVACY, house.MEMBER, keeper.now()).own


def spend_all(keeper: Keeper) -> None:
    for number in range(4):
        unwrap(keeper, plan(keeper, number))


# --- reserved, shared, not given back -----------------------------------------------------


def test_the_price_is_reserved_before_the_box_that_reads_has_a_key(keeper: Keeper) -> None:
    about = plan(keeper, 1)
    assert left(keeper) == HALF, "a plan alone costs nothing"
    unwrap(keeper, about)
    assert left(keeper) == HALF - SPEND


def test_a_spent_budget_gives_no_key_and_says_when_it_renews_and_no_number(keeper: Keeper) -> None:
    spend_all(keeper)
    with pytest.raises(BudgetSpent) as refused:
        unwrap(keeper, plan(keeper, 9))
    text = str(refused.value)
    assert "2025-07-15" in text and house.INCOME in text
    assert not any(number in text for number in (str(SPEND), str(PRIVACY.rho_micro)))


def test_without_the_reservation_the_fifth_would_have_its_keys(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Budgets, "reserve", lambda *_: None)
    spend_all(keeper)
    assert unwrap(keeper, plan(keeper, 9)).inputs


def test_another_version_of_the_dataset_has_no_budget_of_its_own(keeper: Keeper) -> None:
    spend_all(keeper)
    newer = private.manifest(version=2)
    for file in newer.files:
        keeper.keyring.store_data_key(file.name, b"\1" * 32)
    house.believe(keeper, house.signed_manifest(newer))
    with pytest.raises(BudgetSpent):
        unwrap(keeper, plan(keeper, 9))


def test_one_member_cannot_burn_the_budget_of_all(keeper: Keeper) -> None:
    """ATTACKS 93: who comes second still has half of what the first left."""
    spend_all(keeper)
    for number in (11, 12):
        unwrap(keeper, plan(keeper, number, member=private.ANOTHER))
    with pytest.raises(BudgetSpent):
        unwrap(keeper, plan(keeper, 13, member=private.ANOTHER))


def test_two_members_who_pool_their_answers_have_one_budget_together(keeper: Keeper) -> None:
    """ATTACKS 92."""
    taken, names = 0, (house.MEMBER, private.ANOTHER)
    for number in range(40):
        try:
            unwrap(keeper, plan(keeper, number, 100_000, member=names[number % 2]))
            taken += 100_000
        except BudgetSpent:
            continue
    room = keeper.budgets.room(house.INCOME, PRIVACY, "", keeper.now())
    assert 0 < taken == PRIVACY.rho_micro - room.left <= PRIVACY.rho_micro


def test_a_plan_that_asks_for_its_keys_again_pays_once(keeper: Keeper) -> None:
    about = plan(keeper, 1)
    unwrap(keeper, about)
    unwrap(keeper, about, attempt=2)
    assert left(keeper) == HALF - SPEND


def test_a_request_that_names_no_price_spends_a_twentieth(keeper: Keeper) -> None:
    unwrap(keeper, plan(keeper, 1, 0))
    assert left(keeper) == HALF - PRIVACY.rho_micro // 20


def test_what_was_spent_stays_spent_after_a_restart(settings: KeeperConfig, keeper: Keeper) -> None:
    spend_all(keeper)
    again = private.start(settings)
    assert left(again) == 0
    with pytest.raises(BudgetSpent):
        unwrap(again, plan(again, 9))


def test_a_period_slides_and_what_is_older_is_free_again(keeper: Keeper, clock: house.Clock) -> None:
    unwrap(keeper, plan(keeper, 1))
    clock.now += 29 * house.DAY
    assert left(keeper) == HALF - SPEND
    clock.now += house.DAY + 1
    assert left(keeper) == HALF


def test_a_twin_from_noisy_marginals_pays_from_the_same_budget(keeper: Keeper) -> None:
    keeper.note("twin-charge", {"dataset": house.INCOME, "rho_micro": 6 * SPEND, "why": "twin"})
    unwrap(keeper, plan(keeper, 1))
    with pytest.raises(BudgetSpent):
        unwrap(keeper, plan(keeper, 2))


def test_a_request_for_more_than_there_ever_is_is_denied_before_it_is_planned(keeper: Keeper) -> None:
    assert keeper.trusted.roster and keeper.trusted.bundle
    request = private.request(1, HALF + 1)
    case = policies.Case(
        request, private.READING, keeper.trusted.bundle, keeper.trusted.current_manifests(),
        keeper.trusted.granted(request.digest), (), house.NOW, 1,
    )  # fmt: skip
    denied = policies.decide(case)
    assert denied.outcome is Outcome.DENY and [reason.rule for reason in denied.reasons] == ["private-spend"]
    good = replace(case, request=private.request(1, HALF))
    assert policies.decide(good).outcome is Outcome.ALLOW


def test_the_owner_sees_what_is_left_and_from_when_there_is_more(keeper: Keeper) -> None:
    unwrap(keeper, plan(keeper, 1))
    assert keeper.trusted.bundle
    (told,) = keeper.budgets.status(keeper.trusted.bundle, keeper.now())
    assert told["left_micro"] == PRIVACY.rho_micro - SPEND
    assert list(budget_lines([told])) == [
        "nm/tax/income: 1,750,000 of 2,000,000 millionths of rho left, more from 2025-07-15"
    ]


# --- drawn once -----------------------------------------------------


@pytest.mark.parametrize("again", [{}, {"attempt": 2}], ids=["the same attempt", "another attempt"])
def test_the_noise_of_a_plan_is_drawn_once(keeper: Keeper, again: dict[str, Any]) -> None:
    about = plan(keeper, 1)
    for stage in STAGES:
        unwrap(keeper, about, stage)
    with pytest.raises(StateConflict, match="drawn once"):
        unwrap(keeper, about, Entry.JUDGE, **again)


def test_nor_can_it_be_drawn_again_after_a_restart(settings: KeeperConfig, keeper: Keeper) -> None:
    about = plan(keeper, 1)
    for stage in STAGES:
        unwrap(keeper, about, stage)
    with pytest.raises(StateConflict, match="drawn once"):
        unwrap(private.start(settings), about, Entry.JUDGE)


def test_nor_for_a_plan_that_reserved_nothing(keeper: Keeper) -> None:
    with pytest.raises(StateConflict, match="drawn once"):
        unwrap(keeper, plan(keeper, 1), Entry.JUDGE)


def test_without_that_rule_a_centre_draws_as_often_as_it_likes(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Budgets, "draw", lambda *_: None)
    about = plan(keeper, 1)
    unwrap(keeper, about)
    for _ in range(3):
        assert unwrap(keeper, about, Entry.JUDGE).inputs


# --- refunds -----------------------------------------------------


@pytest.fixture
def cut_off(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    """A plan whose price was reserved by a keeper that was killed before it gave a key."""
    about = plan(keeper, 1)
    with monkeypatch.context() as patched:
        patched.setattr(Budgets, "open", _killed)
        with pytest.raises(KeyboardInterrupt):
            unwrap(keeper, about)
    yield about


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_no_box_had_a_key_for_is_refunded_by_a_signed_statement(
    settings: KeeperConfig, keeper: Keeper, cut_off: Plan
) -> None:
    again = private.start(settings)
    assert left(again) == HALF - SPEND, "a killed keeper forgets nothing that it reserved"
    signed = again.refund(cut_off.digest)
    assert signed.statement.type is Type.REFUND
    assert Refund.read(signed.statement.body) == Refund(cut_off.digest, SPEND)
    assert left(again) == left(private.start(settings)) == HALF


def test_after_a_refund_the_plan_is_over(keeper: Keeper, cut_off: Plan) -> None:
    keeper.refund(cut_off.digest)
    with pytest.raises(StateConflict, match="given back"):
        unwrap(keeper, cut_off)
    with pytest.raises(StateConflict):
        keeper.refund(cut_off.digest)


def test_nothing_is_refunded_once_a_key_was_given_whatever_became_of_the_box(keeper: Keeper) -> None:
    about = plan(keeper, 1)
    unwrap(keeper, about)
    with pytest.raises(StateConflict, match="keys were given"):
        keeper.refund(about.digest)
    assert left(keeper) == HALF - SPEND


def test_refunds_are_given_at_the_owners_desk_alone(keeper: Keeper, cut_off: Plan) -> None:
    question = {"op": "refund", "plan": cut_off.digest}
    assert "error" in server.answer(keeper, server.OPEN, question)
    told = server.answer(keeper, server.DESK, question)["ok"]
    assert told["refund"]["statement"]["body"]["rho_micro"] == SPEND
    assert server.answer(keeper, server.DESK, {"op": "budgets"})["ok"]["budgets"][0]["left_micro"] == 2 * HALF


def test_nothing_is_refunded_that_was_not_reserved(keeper: Keeper) -> None:
    with pytest.raises(NotFound):
        keeper.refund(plan(keeper, 1).digest)


@pytest.mark.parametrize("lines", range(4))
def test_a_keeper_killed_at_any_line_of_its_journal_never_forgets_a_price_for_which_it_gave_keys(
    settings: KeeperConfig, keeper: Keeper, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    about, written = plan(keeper, 1), 0
    note = keeper.note

    def failing(kind: str, entry: dict[str, Any]) -> None:
        nonlocal written
        if written == lines:
            raise KeyboardInterrupt
        written += 1
        note(kind, entry)

    monkeypatch.setattr(keeper, "note", failing)
    keeper.budgets._note = failing
    given = False
    try:
        given = bool(unwrap(keeper, about).inputs)
    except KeyboardInterrupt:
        given = False
    again = private.start(settings)
    assert given == (lines == 3), "reserved, used, opened: then the keys"
    assert left(again) == HALF - (SPEND if lines else 0)
    if lines and not given:
        again.refund(about.digest)
    assert left(again) == HALF - (SPEND if given else 0)


# --- many at once -----------------------------------------------------


def test_many_who_ask_at_once_never_spend_more_than_there_is(keeper: Keeper) -> None:
    """ATTACKS 33: the check and the reservation are one step."""
    wanted, given, refused = [plan(keeper, number) for number in range(12)], [], []
    start = threading.Barrier(len(wanted))

    def ask(about: Plan) -> None:
        start.wait()
        try:
            given.append(unwrap(keeper, about))
        except DarkroomError as no:
            refused.append(no)

    threads = [threading.Thread(target=ask, args=(about,)) for about in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 4 and len(refused) == 8 and {type(each) for each in refused} == {BudgetSpent}
    assert left(keeper) == 0
