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
from plans.errors import DarkroomError, NotAllowed, Unreachable
from plans.plan import Plan, PlanKind
from sandbox import admission
from sandbox.admission import Door, Line, Places, Rules

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
        async with places.place(Line.OPEN), asyncio.timeout(1):
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
        async with asyncio.timeout(1), places.place(Line.OPEN):
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
        async with asyncio.timeout(1), places.place(Line.OPEN):
            pass

    run(work, ONE)
