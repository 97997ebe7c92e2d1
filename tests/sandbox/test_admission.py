"""What a launcher lets in: which plan at which door, who may ask, and whose turn it is."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from plans.box import BoxSpec, Entry, Limits
from plans.decision import Tier
from plans.errors import DarkroomError, NotAllowed, TierMissing, Unreachable
from plans.plan import Plan, PlanKind
from sandbox import admission
from sandbox.admission import Door, Line, Places, Rules, Together

IMAGE, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SMALL = Limits(256, 8, 0, 4, 10, 20, 32, 64, 1)
RULES = Rules("nm/tax", {Entry.CHECK: SMALL, Entry.INGEST: SMALL, Entry.PYTHON: SMALL, Entry.TWIN: SMALL})
ENTRY = {PlanKind.CHECK: Entry.CHECK, PlanKind.TRIAL: Entry.PYTHON, PlanKind.INGEST: Entry.INGEST}
ENTRY |= {PlanKind.TWIN: Entry.TWIN}


def plan(kind: PlanKind = PlanKind.CHECK, domain: str = "nm/tax", **box: object) -> Plan:
    spec = BoxSpec(ENTRY[kind], IMAGE, (), SMALL, Tier.T1)
    return Plan(
        kind=kind, domain=domain, request=None, request_signature="", decision=None, program=None, material="x",
        stages=(replace(spec, **box),), nonce="0" * 32, made_at=0,
    )  # fmt: skip


def admitted(found: Plan, door: Door) -> bool:
    try:
        admission.require_admissible(found, door, RULES, {IMAGE})
    except NotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    ("what", "found", "at_open", "at_owner"),
    [
        ("a check", plan(), True, True),
        ("a trial", plan(PlanKind.TRIAL), True, True),
        ("an ingest", plan(PlanKind.INGEST), False, True),
        ("a twin", plan(PlanKind.TWIN), False, True),
        ("an image without a name", plan(image=OTHER), False, True),
        ("another domain's", plan(domain="nm/health"), False, False),
        ("more memory than its program has", plan(limits=replace(SMALL, memory_mb=257)), False, False),
        ("more time", plan(limits=replace(SMALL, wall_s=21)), False, False),
        ("arguments", plan(arguments=("x",)), False, False),
        ("a GPU", plan(gpus=1), False, False),
    ],
)
def test_what_may_run_at_which_door(what: str, found: Plan, at_open: bool, at_owner: bool) -> None:
    assert (admitted(found, Door.OPEN), admitted(found, Door.OWNER)) == (at_open, at_owner), what


def test_a_program_without_a_ceiling_runs_nowhere() -> None:
    with pytest.raises(NotAllowed):
        admission.require_admissible(plan(), Door.OWNER, Rules("nm/tax", {}), {IMAGE})


def test_only_named_users_may_ask_and_no_box() -> None:
    own = os.geteuid()
    first, second = socket.socketpair()
    with first, second:
        admission.require_peer(first, range(0), ())  # the control: ourselves
        if own == 0:
            return
        with pytest.raises(NotAllowed):
            admission.require_peer(first, range(own, own + 1), ())


def test_every_line_has_places_whatever_the_number() -> None:
    for count in (1, 2, 4, 63, 500):
        sizes = admission.places(count, 6)
        assert set(sizes) == set(Line) and min(sizes.values()) >= 1
        assert count < 4 or sum(sizes.values()) <= count


def run(work: Callable[[Places], object], sizes: dict[Line, int]) -> None:
    async def main() -> None:
        await work(Places(sizes))

    asyncio.run(main())


ONE = dict.fromkeys(Line, 1)


def test_a_full_line_does_not_hold_up_another() -> None:
    async def work(places: Places) -> None:
        async with places.place(Line.OPEN), asyncio.timeout(60):
            async with places.place(Line.OWNER), places.place(Line.KEYED):
                pass
            with pytest.raises(TimeoutError):  # the control: the full one does wait
                async with asyncio.timeout(0.05), places.place(Line.OPEN):
                    pass

    run(work, ONE)


def test_who_waits_gets_the_place_in_turn() -> None:
    async def work(places: Places) -> None:
        order: list[int] = []

        async def one(number: int) -> None:
            async with places.place(Line.OPEN):
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(one(number) for number in range(5)))
        assert order == [0, 1, 2, 3, 4]

    run(work, ONE)


def test_whoever_comes_when_too_many_wait_is_told_to_come_again() -> None:
    async def work(places: Places) -> None:
        async def one() -> DarkroomError | None:
            try:
                async with places.place(Line.OPEN):
                    await asyncio.sleep(0.01)
            except DarkroomError as problem:
                return problem
            return None

        ends = await asyncio.gather(*(one() for _ in range(admission.MOST_WAITING + 3)))
        refused = [end for end in ends if end is not None]
        assert len(refused) == 2 and isinstance(refused[0], Unreachable)
        async with asyncio.timeout(60), places.place(Line.OPEN):
            pass

    run(work, ONE)


def test_a_place_is_not_lost_with_who_gave_up_waiting() -> None:
    async def work(places: Places) -> None:
        async def one() -> None:
            async with places.place(Line.OPEN):
                await asyncio.sleep(10)

        async with places.place(Line.OPEN):
            waiting = [asyncio.create_task(one()) for _ in range(3)]
            await asyncio.sleep(0)
            for task in waiting[:2]:
                task.cancel()
        await asyncio.sleep(0)
        waiting[2].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(60), places.place(Line.OPEN):
            pass

    run(work, ONE)


# ------------------------------------------------------------------------------- places for stages side by side


def test_two_batches_never_wait_for_each_other_with_half_of_their_places() -> None:
    """Three places, two batches of two. The control: each stage for itself takes one and waits for ever."""

    async def run(alone: bool) -> list[str]:
        places = Places(dict.fromkeys(Line, 3 if not alone else 2))
        batches = [Together(places, Line.KEYED, 2) for _ in range(2)]
        ended: list[str] = []

        async def stage(number: int, met: asyncio.Barrier) -> None:
            place = places.place(Line.KEYED) if alone else batches[number].place()
            async with place:
                await met.wait()
            ended.append(f"{number}")

        meetings = [asyncio.Barrier(2), asyncio.Barrier(2)]
        order = [(0, meetings[0]), (1, meetings[1]), (0, meetings[0]), (1, meetings[1])]
        tasks = [asyncio.create_task(stage(*each)) for each in order]
        await asyncio.wait(tasks, timeout=0.2 if alone else 60)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for line in Line:  # every place is there again, whatever happened
            await asyncio.wait_for(places.take(line, 2 if alone else 3), 60)
        return sorted(ended)

    assert asyncio.run(run(alone=False)) == ["0", "0", "1", "1"]
    assert asyncio.run(run(alone=True)) == []


def test_a_place_is_given_back_as_its_stage_ends_and_the_rest_with_the_last() -> None:
    async def run() -> None:
        places = Places(dict.fromkeys(Line, 2))
        batch = Together(places, Line.KEYED, 2)
        async with batch.place():
            async with batch.place():
                assert not batch.idle
            await asyncio.wait_for(places.take(Line.KEYED, 1), 60)
            places.give_back(Line.KEYED, 1)
        assert batch.idle
        await asyncio.wait_for(places.take(Line.KEYED, 2), 60)

    asyncio.run(run())


def test_whoever_needs_more_waits_in_turn_and_is_not_overtaken() -> None:
    async def run() -> list[str]:
        places, order = Places(dict.fromkeys(Line, 2)), list[str]()
        await places.take(Line.KEYED, 1)

        async def take(name: str, count: int) -> None:
            await places.take(Line.KEYED, count)
            order.append(name)
            places.give_back(Line.KEYED, count)

        first = asyncio.create_task(take("two", 2))
        await asyncio.sleep(0)
        second = asyncio.create_task(take("one", 1))
        await asyncio.sleep(0.01)
        assert order == []
        places.give_back(Line.KEYED, 1)
        await asyncio.gather(first, second)
        return order

    assert asyncio.run(run()) == ["two", "one"]


def test_those_behind_a_waiting_stage_that_gives_up_do_not_wait_for_it() -> None:
    async def run() -> None:
        places = Places(dict.fromkeys(Line, 2))
        await places.take(Line.KEYED, 1)
        batch = Together(places, Line.KEYED, 2)

        async def stage() -> None:
            async with batch.place():
                pass

        waiting = asyncio.create_task(stage())
        await asyncio.sleep(0)
        behind = asyncio.create_task(places.take(Line.KEYED, 1))
        await asyncio.sleep(0.01)
        assert not behind.done()
        waiting.cancel()
        await asyncio.wait_for(behind, 60)
        assert batch.idle

    asyncio.run(run())


def test_a_launcher_that_never_has_so_many_places_says_so() -> None:
    async def run() -> None:
        with pytest.raises(TierMissing):
            await Places(dict.fromkeys(Line, 1)).take(Line.KEYED, 2)

    asyncio.run(run())
