"""ATTACKS H (80–82), E 59: what is tried at a keeper's memory: a grant used again, what was revoked or replaced, a
backup laid back, a release signed twice. The keeper is started again where that could make it forget.

`ask` is the control of every attack: the unchanged thing gets its keys.
"""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.config import KeeperConfig
from keeper.keeper import CLOCK_NOTE_S, Keeper
from keeper.trust import CLOCK_SLACK_S, MOST_RUNS
from keys import api as keys
from plans.box import Entry
from plans.errors import (
    EvidenceBroken,
    HashMismatch,
    NotFound,
    Outdated,
    OutputRefused,
    PolicyDenied,
    RederivationMismatch,
    StateConflict,
)
from plans.key import SealedKeys
from plans.plan import Plan
from plans.reading import Reading
from plans.statements import Duty, Erasure, Head, RosterEntry, Signed, Type
from plans.verdict import Finding
from tests.attacks.keeper_case import ask, refused
from tests.keeper import house
from tests.keeper.house import DAY, NOW
from tests.keeper.people import weighed

# --- 80: uses and approvals -----------------------------------------------------


def run(keeper: Keeper, number: int) -> SealedKeys:
    return ask(keeper, house.plan(keeper.trusted, house.another_request(number)))


def test_80_a_grant_is_used_as_often_as_it_says_and_not_more(keeper: Keeper) -> None:
    third = house.plan(keeper.trusted, house.another_request(3))
    run(keeper, 1)
    run(keeper, 2)
    refused(PolicyDenied, keeper, third)


def test_80_a_restart_at_any_moment_forgets_no_use(settings: KeeperConfig, granted: Signed) -> None:
    keeper = house.start(settings)
    house.believe(keeper, *house.house_statements(granted))
    third = house.plan(keeper.trusted, house.another_request(3))
    for number in (1, 2):
        run(keeper, number)
        keeper = house.start(settings)
    refused(PolicyDenied, keeper, third)


def test_80_a_crash_between_the_count_and_the_answer_does_not_count_the_same_request_twice(
    settings: KeeperConfig, keeper: Keeper, plan: Plan
) -> None:
    """The count is durable, the answer was lost; the launcher asks again with another attempt, at a new keeper."""
    ask(keeper, plan)
    again = house.start(settings)
    ask(again, plan, attempt=2)
    run(again, 9)


def test_80_a_request_is_run_a_few_times_and_no_more_also_after_a_restart(
    settings: KeeperConfig, keeper: Keeper
) -> None:
    for number in range(MOST_RUNS):
        ask(keeper, house.plan(keeper.trusted, nonce=f"{number:032x}"))
    refused(Outdated, keeper, house.plan(keeper.trusted, nonce="f" * 32))
    restarted = house.start(settings)
    refused(Outdated, restarted, house.plan(restarted.trusted, nonce="e" * 32))
    assert not restarted.status()["locked"]


@pytest.mark.parametrize("attempt", range(3))
def test_80_two_at_once_do_not_share_the_last_use(settings: KeeperConfig, attempt: int) -> None:
    """A race: both statements are read by the checker at the same moment, then both ask for the one use left."""
    together = threading.Barrier(4)

    class Slow(house.Checker):
        def __call__(self, check: Plan, statement: str) -> Reading:
            together.wait(120)
            return super().__call__(check, statement)

    keeper = house.start(settings, checker=Slow())
    house.believe(keeper, *house.house_statements(house.grant(replace(house.GRANT, uses=1))))
    made = [house.plan(keeper.trusted, house.another_request(number)) for number in range(4)]

    def attack(plan: Plan) -> bool:
        try:
            return bool(ask(keeper, plan))
        except PolicyDenied:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(attack, made)) == [False, False, False, True]


def each_plan(keeper: Keeper) -> Plan:
    """The owner wants to approve every plan by itself from now on."""
    keeper.believe(house.bundle(2, (replace(house.INCOME_POLICY, each_plan=True),)))
    return house.plan(keeper.trusted)


def test_80_a_plan_that_nobody_approved_waits(keeper: Keeper) -> None:
    plan = each_plan(keeper)
    refused(PolicyDenied, keeper, plan)
    keeper.believe(house.approval(plan.digest))
    ask(keeper, plan)


def test_80_an_approval_of_another_digest_is_none(keeper: Keeper) -> None:
    """ATTACKS 59: an approval replayed for a changed plan."""
    plan = each_plan(keeper)
    keeper.believe(house.approval(plan.digest))
    refused(PolicyDenied, keeper, replace(plan, nonce="6" * 32))
    refused(PolicyDenied, keeper, replace(plan, made_at=plan.made_at + 1))


def test_80_an_approver_who_left_approves_nothing(keeper: Keeper) -> None:
    plan = each_plan(keeper)
    keeper.believe(house.approval(plan.digest, signer="second approver"))
    ask(keeper, plan)
    keeper.believe(house.roster(2, house.entries_without("hu@nm/tax")))
    after = house.plan(keeper.trusted)
    keeper.believe(house.approval(after.digest))
    ask(keeper, after)
    refused(RederivationMismatch, keeper, plan)


def test_80_nobody_approves_their_own_plan(keeper: Keeper) -> None:
    entries = (*house.ENTRIES, RosterEntry(house.MEMBER, Duty.APPROVER, house.key("member").public))
    keeper.believe(house.roster(2, entries))
    plan = each_plan(keeper)
    keeper.believe(house.approval(plan.digest, signer="member"))
    refused(PolicyDenied, keeper, plan)
    keeper.believe(house.approval(plan.digest))
    ask(keeper, plan)


def test_80_an_approval_does_not_replace_the_grant(
    settings: KeeperConfig, granted: Signed, keeper: Keeper
) -> None:
    plan = each_plan(keeper)
    keeper.believe(house.approval(plan.digest))
    keeper.believe(house.revocation(granted))
    refused(PolicyDenied, keeper, plan)


def test_80_a_plan_that_needs_an_approval_is_not_called_allowed(keeper: Keeper, plan: Plan) -> None:
    """The plan was made when a grant was enough; the owner's bundle asks for more now."""
    each_plan(keeper)
    refused(RederivationMismatch, keeper, plan)


# --- 59: revoked, expired, gone -----------------------------------------------------


def test_59_a_revoked_grant_gives_no_key_at_once_and_its_boxes_are_told_to_die(
    keeper: Keeper, plan: Plan, granted: Signed
) -> None:
    running = ask(keeper, plan)
    assert keeper.renew(running.lease)
    keeper.believe(house.revocation(granted))
    refused(PolicyDenied, keeper, plan)
    refused(PolicyDenied, keeper, plan, stage=Entry.JUDGE)
    assert not keeper.renew(running.lease)


def test_59_nothing_is_released_after_a_revocation(keeper: Keeper, plan: Plan, granted: Signed) -> None:
    ask(keeper, plan)
    keeper.believe(house.revocation(granted))
    with pytest.raises(PolicyDenied):
        keeper.release(plan, house.chain(house.records(plan)))


def test_59_a_revoked_approval_ends_its_plan(keeper: Keeper) -> None:
    plan = each_plan(keeper)
    yes = house.approval(plan.digest)
    keeper.believe(yes)
    running = ask(keeper, plan)
    assert keeper.renew(running.lease)
    keeper.believe(house.revocation(yes))
    assert not keeper.renew(running.lease)
    refused(PolicyDenied, keeper, plan)


def test_59_a_revocation_survives_a_restart(
    settings: KeeperConfig, keeper: Keeper, granted: Signed, plan: Plan
) -> None:
    keeper.believe(house.revocation(granted))
    restarted = house.start(settings)
    house.believe(restarted, granted)
    refused(PolicyDenied, restarted, plan)


def test_59_a_grant_that_ends_while_a_box_runs_ends_the_box(
    settings: KeeperConfig, clock: house.Clock
) -> None:
    keeper = house.start(settings, clock)
    house.believe(keeper, *house.house_statements(house.grant(not_after=NOW + 30)))
    plan = house.plan(keeper.trusted)
    running = ask(keeper, plan)
    clock.now += 29
    assert keeper.renew(running.lease)
    clock.now += 1
    assert not keeper.renew(running.lease)
    refused(PolicyDenied, keeper, plan)


def test_59_whoever_leaves_the_roster_takes_running_boxes_along(keeper: Keeper, plan: Plan) -> None:
    for number, name in enumerate((house.APPROVER, "launcher:node1"), start=2):
        keeper.believe(house.roster(2 * number, house.ENTRIES))
        running = ask(keeper, house.plan(keeper.trusted, house.another_request(1)))
        assert keeper.renew(running.lease)
        keeper.believe(house.roster(2 * number + 1, house.entries_without(name)))
        assert not keeper.renew(running.lease), name


def test_59_an_erased_version_ends_the_boxes_that_read_it(keeper: Keeper, plan: Plan) -> None:
    running = ask(keeper, plan)
    erasure = Erasure(house.INCOME, 1, house.manifest().digest, (), NOW, NOW)
    keeper.believe(house.signed(Type.ERASURE, Duty.KEEPER, erasure, "keeper"))
    assert not keeper.renew(running.lease)
    refused(PolicyDenied, keeper, plan)


def test_59_after_a_restart_no_lease_is_known(settings: KeeperConfig, keeper: Keeper, plan: Plan) -> None:
    running = ask(keeper, plan)
    assert not house.start(settings).renew(running.lease)


# --- 81: older things, and the clock -----------------------------------------------------


def test_81_an_older_roster_bundle_or_manifest_is_refused_also_after_a_restart(
    settings: KeeperConfig, keeper: Keeper
) -> None:
    older = (house.roster(1), house.bundle(1), house.signed_manifest(house.manifest(title="relabelled")))
    house.believe(keeper, house.roster(2), house.bundle(2), house.signed_manifest(house.manifest(version=2)))
    for each in (keeper, house.start(settings)):
        for statement in older:
            before = each.status()
            with pytest.raises(Outdated):
                each.believe(statement)
            assert each.status() == before


def test_81_the_very_bundle_that_was_in_force_before_is_refused_too(keeper: Keeper) -> None:
    first = house.bundle(5)
    house.believe(keeper, first, house.bundle(6))
    with pytest.raises(Outdated):
        keeper.believe(first)


def test_81_a_plan_made_under_an_older_bundle_is_refused(keeper: Keeper, plan: Plan) -> None:
    ask(keeper, plan)
    keeper.believe(house.bundle(2))
    refused(RederivationMismatch, keeper, plan)


def test_81_a_plan_for_an_older_version_is_refused(keeper: Keeper, plan: Plan) -> None:
    keeper.believe(house.signed_manifest(house.manifest(version=2)))
    refused(RederivationMismatch, keeper, plan)


def test_81_a_clock_set_back_gives_no_key_also_after_a_restart(
    settings: KeeperConfig, keeper: Keeper, plan: Plan, clock: house.Clock
) -> None:
    clock.now = NOW + CLOCK_NOTE_S
    keeper.now()
    clock.now = NOW + CLOCK_NOTE_S - CLOCK_SLACK_S
    ask(keeper, plan, vouch=house.Vouch(not_after=NOW + CLOCK_NOTE_S))
    clock.now -= 1
    for each in (keeper, house.start(settings, clock)):
        with pytest.raises(Outdated, match="clock"):
            each.challenge(plan.digest)


def test_81_a_clock_set_back_over_a_quiet_month_does_not_revive_an_expired_grant(
    settings: KeeperConfig, keeper: Keeper, plan: Plan, clock: house.Clock
) -> None:
    """Nothing was believed or used since; a lease question is enough for the keeper to have noted the time."""
    clock.now = NOW + 31 * DAY
    assert not keeper.renew("0" * 32)
    with pytest.raises(Outdated, match="clock"):
        house.start(settings, house.Clock(NOW + 29 * DAY)).challenge(plan.digest)


# --- 82: restored from a backup -----------------------------------------------------


def backup(settings: KeeperConfig) -> Path:
    copy = settings.home.parent / "backup"
    shutil.copytree(settings.home, copy, dirs_exist_ok=True)
    return copy


def restore(settings: KeeperConfig, copy: Path) -> Keeper:
    shutil.rmtree(settings.home)
    shutil.copytree(copy, settings.home)
    return house.start(settings)


def locked(keeper: Keeper, plan: Plan) -> None:
    assert keeper.status()["locked"]
    with pytest.raises(StateConflict, match="backup"):
        ask(keeper, plan)
    with pytest.raises(StateConflict, match="backup"):
        keeper.release(plan, house.chain(house.records(plan)))


def test_82_a_backup_of_this_moment_is_no_step_back(
    settings: KeeperConfig, keeper: Keeper, plan: Plan
) -> None:
    ask(restore(settings, backup(settings)), plan)


@pytest.mark.parametrize("forgotten", ["revocation", "use", "erasure", "approval", "bundle", "roster"])
def test_82_a_keeper_that_has_forgotten_is_locked(
    settings: KeeperConfig, keeper: Keeper, granted: Signed, plan: Plan, forgotten: str
) -> None:
    copy = backup(settings)
    erasure = Erasure(house.INCOME, 1, house.manifest().digest, (), NOW, NOW)
    statement = {
        "revocation": house.revocation(granted),
        "erasure": house.signed(Type.ERASURE, Duty.KEEPER, erasure, "keeper"),
        "approval": house.approval(plan.digest),
        "bundle": house.bundle(2),
        "roster": house.roster(2),
    }.get(forgotten)
    if statement:
        keeper.believe(statement)
    else:
        ask(keeper, plan)
    locked(restore(settings, copy), plan)


def test_82_only_a_roster_newer_than_every_roster_before_unlocks(
    settings: KeeperConfig, keeper: Keeper, plan: Plan
) -> None:
    """The thief of a backup also has the rosters that were published since."""
    copy = backup(settings)
    published = [house.roster(2), house.roster(3)]
    house.believe(keeper, *published)
    restored = restore(settings, copy)
    for known in (house.roster(1), *published):
        with pytest.raises(Outdated):
            restored.believe(known)
        locked(restored, plan)
        restored = house.start(settings)
    restored.believe(house.roster(4))
    refused(RederivationMismatch, restored, plan)
    ask(restored, house.plan(restored.trusted))
    ask(house.start(settings), house.plan(restored.trusted))


def test_82_a_locked_keeper_stays_locked_whatever_it_is_asked_and_however_often_it_is_started(
    settings: KeeperConfig, keeper: Keeper, granted: Signed, plan: Plan
) -> None:
    copy = backup(settings)
    keeper.believe(house.revocation(granted))
    restored = restore(settings, copy)
    head = house.signed(Type.HEAD, Duty.CENTRE, Head("centre", 1, "0" * 64, NOW), "log", domain="centre")
    for statement in (house.grant(), house.bundle(2), house.approval(plan.digest)):
        with pytest.raises(StateConflict):
            restored.believe(statement)
    with pytest.raises(StateConflict):
        restored.cosign(head, ())
    restored.renew("0" * 32)
    for _ in range(2):
        restored = house.start(settings, house.Clock(NOW + 2 * CLOCK_NOTE_S))
        restored.renew("0" * 32)
        locked(restored, plan)


def test_82_revocations_are_offered_before_the_lock_opens_and_not_after(
    settings: KeeperConfig, keeper: Keeper, granted: Signed, plan: Plan
) -> None:
    copy = backup(settings)
    forgotten = house.revocation(granted)
    keeper.believe(forgotten)
    restored = restore(settings, copy)
    restored.believe(forgotten)
    locked(restored, plan)
    restored.believe(house.roster(2))
    refused(PolicyDenied, restored, plan)


def test_82_an_older_bundle_is_not_in_force_until_the_newest_is_offered_again(
    settings: KeeperConfig, keeper: Keeper
) -> None:
    copy = backup(settings)
    strict = house.bundle(3, (replace(house.INCOME_POLICY, minimum_group=50),))
    lax = house.bundle(2)
    house.believe(keeper, lax, strict)
    old_plan = house.plan(house.trusted(*house.house_statements(house.grant())))
    restored = restore(settings, copy)
    restored.believe(house.roster(2))
    refused(StateConflict, restored, old_plan)
    with pytest.raises(Outdated):
        restored.believe(lax)
    restored.believe(strict)
    assert house.plan(restored.trusted).decision.obligations.minimum_group == 50  # type: ignore[union-attr]


def test_82_an_erased_key_does_not_come_back_with_an_old_keyring(
    settings: KeeperConfig, keeper: Keeper, plan: Plan
) -> None:
    keyring = settings.home.parent / "keyring backup"
    shutil.copytree(settings.keyring, keyring)
    erasure = Erasure(house.INCOME, 1, house.manifest().digest, (), NOW, NOW)
    keeper.believe(house.signed(Type.ERASURE, Duty.KEEPER, erasure, "keeper"))
    keeper.believe(house.approval(plan.digest))
    file = house.manifest().attributes.name
    keeper.keyring.erase_data_key(file)
    shutil.rmtree(settings.keyring)
    shutil.copytree(keyring, settings.keyring)
    restored = house.start(settings)
    with pytest.raises(NotFound):
        restored.keyring.data_key(file)
    locked(restored, plan)


# --- verdict and release -----------------------------------------------------


def test_exactly_one_release_is_signed_for_a_plan_whatever_comes_later(
    settings: KeeperConfig, keeper: Keeper, plan: Plan
) -> None:
    weighed(keeper, plan)
    first = keeper.release(plan, house.chain(house.records(plan)))
    other = house.verdict(plan, content=house.digest("other content"))
    assert keeper.release(plan, house.chain(house.records(plan, other, attempt=2))) == first
    assert house.start(settings).release(plan, ()) == first, "answered again after a crash"
    assert keys.verify(first).signer == house.key("keeper").public


def test_two_releases_at_once_are_one(settings: KeeperConfig, granted: Signed) -> None:
    together = threading.Barrier(2)

    class Slow(house.Checker):
        def __call__(self, check: Plan, statement: str) -> Reading:
            together.wait(120)
            return super().__call__(check, statement)

    keeper = house.start(settings, checker=Slow())
    house.believe(keeper, *house.house_statements(granted))
    plan = house.plan(keeper.trusted)
    weighed(keeper, plan)
    chains = [
        house.chain(house.records(plan, house.verdict(plan, content=house.digest(name)))) for name in "ab"
    ]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda chain: keeper.release(plan, chain), chains)
    assert first == second


def test_a_refused_output_does_not_leave(keeper: Keeper, plan: Plan) -> None:
    no = house.verdict(plan, finding=Finding.REFUSED, reasons=("small-group",), content="", sealed="")
    query, parse, judge = house.records(plan, no)
    with pytest.raises(OutputRefused, match="small-group|does not let"):
        keeper.release(plan, house.chain((query, parse, replace(judge, outputs=()))))


def test_the_verdict_of_another_plan_lets_nothing_leave(keeper: Keeper, plan: Plan) -> None:
    other = house.plan(keeper.trusted, house.another_request(2))
    with pytest.raises(HashMismatch):
        keeper.release(plan, house.chain(house.records(other)))
    with pytest.raises(HashMismatch):
        keeper.release(plan, house.chain(house.records(plan, house.verdict(other))))


# --- denial of service by replays -----------------------------------------------------


def test_the_same_statements_offered_a_thousand_times_do_not_fill_the_disk(
    settings: KeeperConfig, keeper: Keeper, granted: Signed, plan: Plan
) -> None:
    statements = [granted, house.revocation(granted), house.approval(plan.digest), house.signed_manifest(),
                  house.roster(), house.bundle()]  # fmt: skip
    house.believe(keeper, *statements[:3])
    size = (settings.home / "journal").stat().st_size
    for _ in range(50):
        for statement in statements[:3]:
            keeper.believe(statement)
    assert (settings.home / "journal").stat().st_size == size


def test_what_is_refused_is_not_written_down(settings: KeeperConfig, keeper: Keeper) -> None:
    size = (settings.home / "journal").stat().st_size
    for statement in (house.grant(signer="stranger"), house.roster(2, signer="stranger"), house.bundle(0)):
        with pytest.raises(EvidenceBroken):
            keeper.believe(statement)
    assert (settings.home / "journal").stat().st_size == size
    house.start(settings)
