"""Warm boxes: faster, and in nothing else different from a box that was started for its work."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from plans.box import BoxSpec, BoxState, Entry, Input
from plans.errors import NotFound, StateConflict
from plans.plan import Plan
from sandbox import conversation, pool, process_box
from sandbox.boxes import BubblewrapBoxes
from sandbox.contract import Box, Cause
from sandbox.pool import WarmBoxes
from sandbox.process_box import ProcessBox

pytestmark = pytest.mark.box

ANSWER = "def run(session):\n    return {'answer': 42}\n"
PATIENCE_S = 60.0
"""It measures nothing: it ends what waits for ever, on a slow machine too."""


@asynccontextmanager
async def warmed(boxes: BubblewrapBoxes, *kinds: BoxSpec, most: int = 4) -> AsyncIterator[WarmBoxes]:
    """A pool in which a box of each kind waits."""
    warm = WarmBoxes(boxes, most)
    warm.want(kinds)
    await warm.warm()
    await until(lambda: len(warm.kinds) == len(kinds))
    try:
        yield warm
    finally:
        await warm.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.02)


async def answer(box: Box, plan: Plan) -> object:
    pipes = await box.start()
    await conversation.begin(
        pipes, {"plan": plan.plain(), "stage": Entry.CHECK.value, "attempt": 1, "inputs": []}
    )
    return await conversation.outcome(pipes, Entry.CHECK)


async def end(box: Box) -> None:
    await box.kill(Cause.CANCELLED)
    await box.destroy()


def run(steps: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(steps())  # type: ignore[arg-type]


def test_a_box_that_waits_is_handed_over_and_another_takes_its_place(real_boxes, check) -> None:
    plan = check(ANSWER)

    async def steps() -> None:
        async with warmed(real_boxes, plan.stages[0]) as warm:
            (waiting,) = warm._waiting.values()
            box = warm.create(plan.stages[0], {})
            assert box is waiting and box.state is BoxState.CREATED
            assert await answer(box, plan) == {"answer": 42}
            await end(box)
            await until(lambda: len(warm.kinds) == 1)
            (another,) = warm._waiting.values()
            assert another is not waiting and another.pid != box.pid

    run(steps)


def test_a_box_is_handed_over_once(real_boxes, check) -> None:
    plan = check(ANSWER)

    async def steps() -> None:
        async with warmed(real_boxes, plan.stages[0]) as warm:
            first, second = warm.create(plan.stages[0], {}), warm.create(plan.stages[0], {})
            assert first is not second and first.folder != second.folder
            await first.start()
            with pytest.raises(StateConflict):
                first.assign(plan.stages[0])
            await end(first)
            await end(second)

    run(steps)


def test_a_box_that_waits_has_no_input_no_key_and_no_plan(real_boxes, check, tmp_path: Path) -> None:
    """What it is told it is told over the pipe, after it was handed over; the control: then the input is there."""
    plan = check(ANSWER)
    source = tmp_path / "rows"
    source.write_text("canary")
    source.chmod(0o444)
    spec = dataclasses.replace(plan.stages[0], inputs=(Input("rows", ""),))

    async def steps() -> None:
        async with warmed(real_boxes, spec) as warm:
            (waiting,) = warm._waiting.values()
            assert waiting.spec.inputs == () and list((waiting.folder / "in").iterdir()) == []
            command = Path(f"/proc/{waiting.pid}/cmdline").read_bytes()
            assert plan.digest.encode() not in command and plan.nonce.encode() not in command
            box = warm.create(spec, {"rows": source})
            assert isinstance(box, ProcessBox) and (box.folder / "in" / "rows").read_text() == "canary"
            await end(box)

    run(steps)


@pytest.mark.parametrize("change", ["memory_mb", "cpus", "wall_s"])
def test_a_box_of_another_kind_is_never_handed_over(real_boxes, check, change: str) -> None:
    plan = check(ANSWER)
    limits = dataclasses.replace(plan.stages[0].limits, **{change: 19})
    other = dataclasses.replace(plan.stages[0], limits=limits)

    async def steps() -> None:
        async with warmed(real_boxes, plan.stages[0]) as warm:
            (waiting,) = warm._waiting.values()
            box = warm.create(other, {})
            assert box is not waiting
            await end(box)

    run(steps)


def test_a_box_that_died_waiting_is_not_handed_over(real_boxes, check) -> None:
    plan = check(ANSWER)

    async def steps() -> None:
        async with warmed(real_boxes, plan.stages[0]) as warm:
            (waiting,) = warm._waiting.values()
            os.kill(waiting.pid, signal.SIGKILL)
            await until(lambda: not waiting.waits)
            box = warm.create(plan.stages[0], {})
            assert box is not waiting
            assert await answer(box, plan) == {"answer": 42}
            await end(box)

    run(steps)


def test_a_box_whose_input_is_missing_is_not_used_for_anything_else(
    real_boxes, check, open_home: Path
) -> None:
    plan = check(ANSWER)
    spec = dataclasses.replace(plan.stages[0], inputs=(Input("rows", ""),))

    async def steps() -> None:
        async with warmed(real_boxes, spec) as warm:
            (waiting,) = warm._waiting.values()
            with pytest.raises(NotFound):
                warm.create(spec, {"rows": Path("/nowhere")})
            await until(lambda: waiting.state is BoxState.DESTROYED)

    run(steps)


def test_a_box_can_be_killed_while_it_waits_for_its_start(real_boxes, check) -> None:
    plan = check(ANSWER)

    async def steps() -> None:
        async with warmed(real_boxes, plan.stages[0]) as warm:
            box = warm.create(plan.stages[0], {})
            await box.kill(Cause.REVOKED)
            assert (await box.wait()).cause is Cause.REVOKED
            await box.destroy()

    run(steps)


def test_the_clock_of_a_box_begins_when_it_is_handed_over(
    real_boxes, check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has waited is not taken from its time. The control: what passes later is."""
    plan = check(
        "import time\ndef run(session):\n    time.sleep(0.5)\n    return {'answer': 1}\n", wall_s=500
    )
    passed = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0])
    monkeypatch.setattr(process_box, "time", clock)

    async def steps() -> None:
        async with warmed(real_boxes, plan.stages[0]) as warm:
            passed[0] += 1000
            box = warm.create(plan.stages[0], {})
            assert await answer(box, plan) == {"answer": 1}
            await end(box)
            late = warm.create(plan.stages[0], {})
            await late.start()
            passed[0] += 1000
            assert (await late.wait()).cause is Cause.WALL
            await end(late)

    run(steps)


def test_nothing_of_a_pool_is_left_when_it_closes(real_boxes, check, open_home: Path) -> None:
    plan = check(ANSWER)

    async def steps() -> None:
        async with warmed(real_boxes, plan.stages[0]) as warm:
            (waiting,) = warm._waiting.values()
            assert list(open_home.iterdir()) != []
        assert not waiting.waits
        assert list(open_home.iterdir()) == []

    run(steps)


def test_the_kind_not_asked_for_longest_goes_first(real_boxes, check) -> None:
    plan, other = check(ANSWER), check(ANSWER, wall_s=19)

    async def steps() -> None:
        async with warmed(real_boxes, plan.stages[0], most=1) as warm:
            box = warm.create(other.stages[0], {})
            await until(lambda: warm.kinds == (pool.kind_of(other.stages[0]),))
            await end(box)

    run(steps)


def test_kinds_are_kept_for_the_next_life_and_a_broken_file_means_none(check, tmp_path: Path) -> None:
    kinds = (pool.kind_of(check(ANSWER).stages[0]),)
    pool.keep_kinds(tmp_path / "warm.json", kinds)
    assert pool.read_kinds(tmp_path / "warm.json") == kinds
    (tmp_path / "warm.json").write_bytes(b"[1")
    assert pool.read_kinds(tmp_path / "warm.json") == ()
    assert pool.read_kinds(tmp_path / "none.json") == ()


def test_a_kind_that_is_forgotten_while_its_box_starts_leaves_no_box(real_boxes, check) -> None:
    """46: whoever asks for ever other limits must not use up the user ids for boxes."""

    async def steps() -> None:
        async with warmed(real_boxes, most=1) as warm:
            kinds = [check(ANSWER, wall_s=20 + n).stages[0] for n in range(3)]
            gate_open, prestart = asyncio.Event(), ProcessBox.prestart
            starting: list[ProcessBox] = []

            async def slow(box: ProcessBox) -> None:
                await prestart(box)
                starting.append(box)
                await gate_open.wait()

            ProcessBox.prestart = slow  # type: ignore[method-assign]
            try:
                asked = [warm.create(kinds[0], {})]
                await until(lambda: bool(starting))  # one of the first kind
                asked += [warm.create(kind, {}) for kind in kinds[1:]]
            finally:
                gate_open.set()
                ProcessBox.prestart = prestart  # type: ignore[method-assign]
            for box in asked:
                await end(box)
            await until(lambda: warm.kinds == (pool.kind_of(kinds[2]),))

    run(steps)


def test_two_who_kill_a_box_that_waits_both_see_it_killed(real_boxes, check) -> None:
    async def steps() -> None:
        box = real_boxes.create(check(ANSWER).stages[0], {})
        await box.prestart()
        await asyncio.gather(box.kill(Cause.CANCELLED), box.kill(Cause.REVOKED))
        assert (await box.wait()).cause is Cause.CANCELLED
        await box.destroy()

    run(steps)
