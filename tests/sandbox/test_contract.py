"""The contract of boxes, over every tier and over the fake: one suite, so that the fake stays faithful."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from plans.box import BoxState, Entry, Link
from plans.decision import Tier
from plans.errors import BoxFailed, OutputRefused, StateConflict, TierMissing
from plans.plan import Plan
from sandbox import conversation
from sandbox.boxes import BubblewrapBoxes
from sandbox.cgroups import Cgroup
from sandbox.contract import LIFE, Box, Boxes, Cause, Ending, Life

pytestmark = pytest.mark.box

SLEEP = "import time\ndef run(session):\n    time.sleep(600)\n"
WRITE = "def run(session):\n    (session.out / 'answer.txt').write_text('42')\n    return {'wrote': 1}\n"


@pytest.fixture(params=["T1", "T2", "fake"])
def boxes(request: pytest.FixtureRequest) -> Boxes:
    fixtures = {"T1": "real_boxes", "T2": "gvisor_boxes", "fake": "local_boxes"}
    found: Boxes = request.getfixturevalue(fixtures[request.param])
    return found


weakest = pytest.mark.parametrize(
    "boxes", ["T1", pytest.param("T2", marks=pytest.mark.long), "fake"], indirect=True
)
"""For what a box does by code that has no part of any tier; with the strong one, too, where there is time."""


def make(boxes: Boxes, plan: Plan, **changes: object) -> Box:
    return boxes.create(dataclasses.replace(plan.stages[0], **changes), {})  # type: ignore[arg-type]


async def begin(box: Box, plan: Plan) -> conversation.Conversation:
    """Start a box and give it its work."""
    pipes = await box.start()
    work = {"plan": plan.plain(), "stage": Entry.CHECK.value, "attempt": 1, "inputs": []}
    await conversation.begin(pipes, work)
    return pipes


def with_box(boxes: Boxes, plan: Plan, steps: Callable[[Box], Awaitable[None]], **changes: object) -> None:
    """Run steps on one box, and leave none behind whatever they do."""

    async def scenario() -> None:
        box = make(boxes, plan, **changes)
        try:
            await steps(box)
        finally:
            await box.kill(Cause.CANCELLED)
            await box.destroy()

    asyncio.run(scenario())


def test_a_box_that_does_its_work_goes_from_created_to_destroyed(boxes: Boxes, check, tmp_path: Path) -> None:
    plan = check(WRITE)

    async def steps(box: Box) -> None:
        assert box.state is BoxState.CREATED
        pipes = await begin(box, plan)
        assert box.state is BoxState.RUNNING
        assert await conversation.outcome(pipes, Entry.CHECK) == {"wrote": 1}
        pipes.to_box.close()
        assert await box.wait() == Ending(BoxState.EXITED, 0, Cause.NONE)
        outputs = await box.collect(tmp_path)
        assert [(output.name, output.size) for output in outputs] == [("answer.txt", 2)]
        assert (tmp_path / "answer.txt").read_text() == "42"
        assert await box.collect(tmp_path) == outputs, "asked twice, the same answer"
        await box.destroy()
        await box.destroy()
        assert box.state is BoxState.DESTROYED

    with_box(boxes, plan, steps)


def test_what_a_box_had_is_gone_when_it_is_destroyed(boxes: Boxes, check, open_home: Path) -> None:
    async def steps(box: Box) -> None:
        await begin(box, plan)
        assert list(open_home.iterdir()) != []

    plan = check(SLEEP)
    with_box(boxes, plan, steps)
    assert list(open_home.iterdir()) == []


def test_a_frozen_box_makes_no_step_until_it_is_thawed(boxes: Boxes, check) -> None:
    plan = check(
        "import time\ndef run(session):\n    with open(session.out / 'n', 'ab', buffering=0) as file:\n"
        "        for n in range(10000): file.write(b'x'); time.sleep(0.01)\n"
    )

    async def counted(box: Box, more_than: int) -> int:
        while (steps := size_of(box.folder / "out" / "n")) <= more_than:
            await asyncio.sleep(0.02)
        return steps

    async def steps(box: Box) -> None:
        await begin(box, plan)
        await counted(box, 0)
        box.freeze()
        box.freeze()
        assert box.state is BoxState.FROZEN
        assert await stands_still(lambda: size_of(box.folder / "out" / "n"))
        before = await counted(box, 0)
        box.thaw()
        box.thaw()
        assert await counted(box, before) > before, "the control: a running box counts on"

    with_box(boxes, plan, steps)


async def stands_still(count: Callable[[], int]) -> bool:
    """Whether a number stays the same for a while. The kernel freezes one process after the other, so on a busy machine
    one may have to look again; what goes on would be seen to do so in every one of these looks.
    """
    for _ in range(10):
        await asyncio.sleep(0.05)
        before = count()
        await asyncio.sleep(0.3)
        if count() == before:
            return True
    return False


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_a_frozen_box_can_be_killed(boxes: Boxes, check) -> None:
    plan = check(SLEEP)

    async def steps(box: Box) -> None:
        await begin(box, plan)
        box.freeze()
        await box.kill(Cause.LEASE)
        assert (await box.wait()).cause is Cause.LEASE
        assert box.state is BoxState.KILLED

    with_box(boxes, plan, steps)


@weakest
def test_the_first_cause_of_a_kill_counts_and_a_second_kill_does_nothing(boxes: Boxes, check) -> None:
    plan = check(SLEEP)

    async def steps(box: Box) -> None:
        await begin(box, plan)
        await asyncio.gather(box.kill(Cause.REVOKED), box.kill(Cause.CANCELLED))
        assert (await box.wait()).cause is Cause.REVOKED

    with_box(boxes, plan, steps)


def test_a_box_can_be_killed_while_it_starts(boxes: Boxes, check) -> None:
    async def steps(box: Box) -> None:
        starting = asyncio.create_task(box.start())
        await asyncio.sleep(0)
        assert box.state is BoxState.STARTING
        await box.kill(Cause.CANCELLED)
        assert box.state is BoxState.KILLED
        with pytest.raises(BoxFailed):
            await starting

    with_box(boxes, check(SLEEP), steps)


def test_a_box_past_its_time_is_killed(boxes: Boxes, check) -> None:
    """Also where it has not even said hello by then, as on a machine that is slow; left alone, it would sleep on."""
    plan = check(SLEEP, wall_s=1)

    async def steps(box: Box) -> None:
        began = time.monotonic()
        with contextlib.suppress(BoxFailed):
            await begin(box, plan)
        ending = await box.wait()
        assert (ending.state, ending.cause) == (BoxState.KILLED, Cause.WALL)
        assert time.monotonic() - began < 60

    with_box(boxes, plan, steps)


@pytest.mark.parametrize("counted", [True, False])
def test_processes_of_a_box_have_one_limit_of_processor_time_together(
    real_boxes: BubblewrapBoxes, check, monkeypatch: pytest.MonkeyPatch, counted: bool
) -> None:
    """46: the kernel's limit is each process's own. With control groups and, where there are none, without."""
    if not counted:
        monkeypatch.setattr(Cgroup, "processor_s", lambda _: None)
    turns = "import os, time\nfor _ in range({}):\n    if os.fork() == 0:\n"
    turns += "        while time.process_time() < 0.5: pass\n        os._exit(0)\n    os.wait()\n"

    async def ends(often: int) -> Ending:
        box = real_boxes.unsafe_create(check(SLEEP, cpu_s=1).stages[0], {}, ("-c", turns.format(often)))
        await box.start()
        ending = await box.wait()
        await box.destroy()
        return ending

    assert asyncio.run(ends(30)).cause is Cause.CPU
    assert asyncio.run(ends(1)).state is BoxState.EXITED, "the control"


@weakest
def test_a_box_that_gives_up_is_failed(boxes: Boxes, check) -> None:
    plan = check(
        "from inside.session import BoxFailure\ndef run(session):\n    raise BoxFailure('no.good', row=3)\n"
    )

    async def steps(box: Box) -> None:
        pipes = await begin(box, plan)
        assert await conversation.outcome(pipes, Entry.CHECK) == conversation.Failure("no.good", {"row": 3})
        assert (await box.wait()).state is BoxState.FAILED

    with_box(boxes, plan, steps)


@weakest
def test_a_box_of_other_code_says_so_and_what_to_do(boxes: Boxes, check) -> None:
    """Its image was built before its plan had a member that it has now; the control is every other test here."""
    plan = check(SLEEP)

    async def steps(box: Box) -> None:
        work = {"plan": plan.plain() | {"later": 1}, "stage": Entry.CHECK.value, "attempt": 1, "inputs": []}
        with pytest.raises(BoxFailed, match="built from other code") as refused:
            await conversation.begin(await box.start(), work)
        assert refused.value.where == "value.malformed" and "make up" in refused.value.next_step

    with_box(boxes, plan, steps)


@weakest
def test_no_tier_has_boxes_that_waited_and_a_cold_one_is_like_every_other(boxes: Boxes, check) -> None:
    plan = check(WRITE)

    async def steps() -> None:
        box = boxes.create(plan.stages[0], {}, cold=True)
        try:
            await begin(box, plan)
            assert not box.waited and (await box.wait()).state is BoxState.EXITED
        finally:
            await box.kill(Cause.CANCELLED)
            await box.destroy()

    asyncio.run(steps())


@weakest
def test_a_step_that_the_table_lacks_is_refused(boxes: Boxes, check, tmp_path: Path) -> None:
    plan = check(SLEEP)

    async def steps(box: Box) -> None:
        with pytest.raises(StateConflict):
            box.freeze()
        with pytest.raises(StateConflict):
            await box.collect(tmp_path)
        with pytest.raises(StateConflict):
            await box.wait()
        await begin(box, plan)
        with pytest.raises(StateConflict):
            await box.start()
        with pytest.raises(StateConflict):
            await box.destroy()

    with_box(boxes, plan, steps)


def test_a_box_that_never_started_can_be_killed_and_destroyed(boxes: Boxes, check) -> None:
    async def steps(box: Box) -> None:
        await box.kill(Cause.CANCELLED)
        assert (await box.wait()).state is BoxState.KILLED

    with_box(boxes, check(SLEEP), steps)


def test_a_link_among_the_outputs_is_refused_and_nothing_is_collected(
    boxes: Boxes, check, tmp_path: Path
) -> None:
    plan = check(
        "import os\ndef run(session):\n    os.chdir(session.out); open('a', 'w'); os.link('a', 'b')\n"
    )

    async def steps(box: Box) -> None:
        pipes = await begin(box, plan)
        await conversation.outcome(pipes, Entry.CHECK)
        await box.wait()
        with pytest.raises(OutputRefused):
            await box.collect(tmp_path)
        assert list(tmp_path.iterdir()) == []

    with_box(boxes, plan, steps)


ECHO = """
def run(session):
    stream = session.links["rows"].open()
    while block := stream.recv(65536):
        stream.sendall(block.upper())
    return {"ended": 1}
"""


def test_a_link_carries_bytes_both_ways_and_the_end_of_the_stream(boxes: Boxes, check) -> None:
    plan = check(ECHO)
    link = Link("rows", "stage:python")

    async def steps(box: Box) -> None:
        pipes = await begin(box, plan)
        ours = pipes.links["rows"].ours
        ours.settimeout(60)
        await asyncio.to_thread(ours.sendall, b"rows and rows")
        assert await asyncio.to_thread(ours.recv, 100) == b"ROWS AND ROWS"
        ours.shutdown(socket.SHUT_WR)
        assert await conversation.outcome(pipes, Entry.CHECK) == {"ended": 1}

    with_box(boxes, plan, steps, links=(link,))


@weakest
def test_a_box_without_links_has_none(boxes: Boxes, check) -> None:
    """The control of the link: the same box without one cannot reach it."""
    plan = check("def run(session):\n    return {'links': len(session.links)}\n")

    async def steps(box: Box) -> None:
        pipes = await begin(box, plan)
        assert await conversation.outcome(pipes, Entry.CHECK) == {"links": 0}

    with_box(boxes, plan, steps)


def test_a_stronger_tier_than_offered_is_refused(boxes: Boxes, check) -> None:
    stronger = Tier.T3 if boxes.offers()[0].tier is Tier.T2 else Tier.T2
    spec = dataclasses.replace(check(SLEEP).stages[0], tier=stronger)
    with pytest.raises(TierMissing):
        boxes.create(spec, {})


def test_every_state_but_the_last_leads_on_and_the_last_leads_nowhere() -> None:
    assert set(LIFE) == set(BoxState)
    assert [state for state in BoxState if not LIFE[state]] == [BoxState.DESTROYED]
    life = Life()
    with pytest.raises(StateConflict):
        life.move(BoxState.COLLECTED)


def test_t1_says_whether_boxes_have_users_of_their_own(real_boxes: Boxes) -> None:
    (offer,) = real_boxes.offers()
    own = next(each for each in offer.protections if each.name == "own user id")
    assert own.held == (os.geteuid() == 0)
