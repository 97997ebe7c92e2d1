"""A box that waited can be dead, or hang, before anybody has noticed: its stage goes on in one fresh box, once, and
only as long as the lost one has said no hello.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from keys.signing import SigningKey
from plans.box import BoxSpec, BoxState, Entry
from plans.errors import BoxFailed, BoxLimit
from plans.plan import Plan
from sandbox import conversation, processes, stage
from sandbox.boxes import BubblewrapBoxes
from sandbox.contract import Box, Boxes, Cause
from sandbox.fake import UnsafeLocalBoxes
from sandbox.lease import LeaseTimes
from sandbox.pool import WarmBoxes
from sandbox.process_box import ProcessBox
from sandbox.shelf import Shelf, StageName
from sandbox.stage import StageRun, Workshop
from tests.sandbox.side import Side, side
from tests.sandbox.test_pool import ANSWER, until

__all__ = ["side"]

pytestmark = pytest.mark.box

DIES = "import os\ndef run(session):\n    os._exit(9)\n"
Meddle = Callable[[ProcessBox], None]


class Watched:
    """Boxes of a pool; `meddle` does something to each in the moment in which it is handed over."""

    def __init__(self, pool: WarmBoxes, meddle: Meddle) -> None:
        self._pool, self._meddle = pool, meddle
        self.made: list[Box] = []
        self.asked: list[bool] = []

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path], *, cold: bool = False) -> Box:
        box = self._pool.create(spec, inputs, cold=cold)
        assert isinstance(box, ProcessBox)
        self._meddle(box)
        self.made.append(box)
        self.asked.append(cold)
        return box


def killed(box: ProcessBox) -> None:
    """End what waits, from outside; the launcher has had no time to hear of it."""
    if box.waits:
        for pid in reversed(processes.tree(box.pid)):
            os.kill(pid, signal.SIGKILL)


def stopped(box: ProcessBox) -> None:
    """Let what waits hang."""
    if box.waits:
        for pid in processes.tree(box.pid):
            os.kill(pid, signal.SIGSTOP)


def untouched(box: ProcessBox) -> None:
    """The control."""


def dies_at_once(box: ProcessBox) -> None:
    """Let a box die as soon as it is started, whether it had waited or not."""
    start = box.start

    async def start_and_die() -> Any:
        pipes = await start()
        for pid in reversed(processes.tree(box.pid)):
            os.kill(pid, signal.SIGKILL)
        return pipes

    box.start = start_and_die  # type: ignore[method-assign]


def hangs_at_once(box: ProcessBox) -> None:
    """Let a box stand still as soon as it is started."""
    start = box.start

    async def start_and_hang() -> Any:
        pipes = await start()
        for pid in processes.tree(box.pid):
            os.kill(pid, signal.SIGSTOP)
        return pipes

    box.start = start_and_hang  # type: ignore[method-assign]


def run_stage(
    side: Side, below: Any, plan: Plan, meddle: Meddle, warm: bool = True
) -> tuple[dict[str, Any], Watched]:
    """Run the one stage of a plan in a pool of these boxes; return its answer, and the boxes that were made."""

    async def steps() -> tuple[dict[str, Any], Watched]:
        pool = WarmBoxes(below, 1)
        pool.want((plan.stages[0],) if warm else ())
        await pool.warm()
        try:
            if warm:
                await until(lambda: len(pool.kinds) == 1)
            boxes = Watched(pool, meddle)
            shelf = Shelf(side.config.home)
            shelf.prepare()
            shelf.put(plan)
            shop = Workshop(side.config, SigningKey.fresh(), boxes, shelf, None, LeaseTimes())  # type: ignore[arg-type]
            run = StageRun(shop, StageName(plan.digest, Entry.CHECK, 1), lambda _: None)
            return await run.answer(), boxes
        finally:
            await pool.close()

    return asyncio.run(steps())


@pytest.fixture(params=["T1", pytest.param("fake", marks=pytest.mark.long)])
def below(request: pytest.FixtureRequest) -> Boxes:
    found: BubblewrapBoxes | UnsafeLocalBoxes = request.getfixturevalue(
        {"T1": "real_boxes", "fake": "local_boxes"}[request.param]
    )
    return found


def answered(answer: dict[str, Any]) -> object:
    return answer["ok"]["record"]["statement"]["body"]["report"]


def test_control_a_box_that_waited_and_lives_is_the_only_one(side: Side, below, check) -> None:
    answer, boxes = run_stage(side, below, check(ANSWER), untouched)
    assert answered(answer) == {"answer": 42}
    assert [box.waited for box in boxes.made] == [True]
    assert "again" not in answer["ok"]["timings"]


@pytest.mark.parametrize("lose", [killed, stopped])
def test_a_stage_whose_waiting_box_was_lost_goes_on_in_a_fresh_one(
    side: Side, below, check, lose: Meddle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs is waited for as long as any, which is short here; the fresh one has its full time."""
    patient = conversation.HELLO_S

    def waited_for_less(box: ProcessBox) -> None:
        monkeypatch.setattr(conversation, "HELLO_S", 2.0 if box.waits else patient)
        lose(box)

    answer, boxes = run_stage(side, below, check(ANSWER), waited_for_less)
    assert answered(answer) == {"answer": 42}
    assert [box.waited for box in boxes.made] == [True, False] and boxes.asked == [False, True]
    timings = answer["ok"]["timings"]
    assert timings["again"] <= timings["created"] <= timings["hello"]


def test_it_is_tried_once_more_and_not_for_ever(side: Side, below, check) -> None:
    answer, boxes = run_stage(side, below, check(ANSWER), dies_at_once)
    assert answer["error"]["where"] in (Cause.PROTOCOL, Cause.MEMORY)
    assert len(boxes.made) == 2 and "again" in answer["timings"]


def test_after_hello_nothing_is_tried_again(side: Side, below, check) -> None:
    answer, boxes = run_stage(side, below, check(DIES), untouched)
    assert answer["error"]["where"] in (Cause.PROTOCOL, Cause.MEMORY)
    assert [box.waited for box in boxes.made] == [True]
    assert "hello" in answer["timings"] and "again" not in answer["timings"]


def test_a_box_that_had_not_waited_is_not_made_twice(side: Side, below, check) -> None:
    """What ends a box before its hello that was started for its work would end the next one, too."""
    answer, boxes = run_stage(side, below, check(ANSWER), dies_at_once, warm=False)
    assert "error" in answer and [box.waited for box in boxes.made] == [False]


@pytest.mark.parametrize("hangs", [True, False])
def test_whoever_waits_for_a_box_that_reaches_its_time_before_its_hello_hears_of_the_limit(
    side: Side, below, check, hangs: bool
) -> None:
    """As on a machine that is too slow for it: "the box does not speak as it should" would send everybody astray."""
    plan = check(ANSWER, wall_s=1 if hangs else 120)
    answer, boxes = run_stage(side, below, plan, hangs_at_once if hangs else untouched, warm=False)
    assert len(boxes.made) == 1
    if not hangs:
        assert answered(answer) == {"answer": 42}, "the control"
        return
    error = answer["error"]
    assert (error["code"], error["where"]) == (BoxLimit.code, Cause.WALL)
    assert "limit of time" in error["title"] and "higher limit" in error["next_step"]
    assert "hello" not in answer["timings"]


def test_a_box_that_says_nothing_in_time_is_no_answer_for_ever(
    side: Side, below, check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that stood still for a while must not end a job for good. The control: what a box did itself is kept."""
    monkeypatch.setattr(conversation, "HELLO_S", 1.0)
    answer, boxes = run_stage(side, below, check(ANSWER), hangs_at_once, warm=False)
    assert len(boxes.made) == 1 and answer["error"]["where"] == conversation.START
    assert "not up within 1 s" in answer["error"]["title"] and "again shortly" in answer["error"]["next_step"]
    assert not stage._is_final(Entry.QUERY, BoxFailed("late", answer["error"]["where"]))
    assert stage._is_final(Entry.QUERY, BoxFailed("the box ended without a result", Cause.PROTOCOL))


@pytest.mark.parametrize("leaves", [True, False])
def test_a_box_that_takes_its_time_to_end_after_its_report_has_done_its_work(
    side: Side, below, check, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    """Longer than one would wait for a box that has broken off. The control: one that never ends is ended."""
    monkeypatch.setattr(stage, "ENDING_S", 0.05)
    if not leaves:
        monkeypatch.setattr(stage, "LEAVING_S", 0.05)

    def slow(box: ProcessBox) -> None:
        wait = box.wait

        async def wait_longer() -> Any:
            await asyncio.sleep(0.5)
            return await wait()

        box.wait = wait_longer  # type: ignore[method-assign]

    answer, _ = run_stage(side, below, check(ANSWER), slow, warm=False)
    if leaves:
        assert answered(answer) == {"answer": 42}
    else:
        assert answer["error"]["where"] == Cause.PROTOCOL


def test_a_box_that_was_cancelled_is_not_made_again(side: Side, below, check) -> None:
    plan = check(ANSWER)

    async def steps() -> None:
        pool = WarmBoxes(below, 1)
        pool.want((plan.stages[0],))
        await pool.warm()
        await until(lambda: len(pool.kinds) == 1)
        boxes = Watched(pool, stopped)
        shelf = Shelf(side.config.home)
        shelf.prepare()
        shelf.put(plan)
        shop = Workshop(side.config, SigningKey.fresh(), boxes, shelf, None, LeaseTimes())  # type: ignore[arg-type]
        run = StageRun(shop, StageName(plan.digest, Entry.CHECK, 1), lambda _: None)
        answering = asyncio.create_task(run.answer())
        await until(lambda: run.state is BoxState.RUNNING)
        await run.kill(Cause.CANCELLED)
        answer = await answering
        assert answer["error"]["where"] == Cause.CANCELLED and len(boxes.made) == 1
        await pool.close()

    asyncio.run(steps())
