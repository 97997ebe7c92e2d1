"""What a box costs, and what it holds.

    python benchmarks/box.py [--json]

`box.t1_start_over_bare_ms_p95`: from asking for a box to the first line of the user's code in it, at the 95th
percentile, less the median of the same Python of the same image without a box; both in turns.
`box.warm_ready_ms_p50`: making a query box, handing over a warm one, and its hello with a fresh key.
`box.tpch_…`: see `benchmarks/box_tpch.py`. `box.memory_…`: see `benchmarks/box_memory.py`.
`box.…kill…`, `box.left_behind`, `box.eight_at_once_ratio`: see `benchmarks/box_ends.py`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import box_ends, box_memory, box_tpch, box_yard, sql_runs  # noqa: E402
from benchmarks.report import Metric, main  # noqa: E402
from plans.box import Entry  # noqa: E402
from plans.plan import Plan  # noqa: E402
from sandbox import conversation, images  # noqa: E402
from sandbox.contract import Cause  # noqa: E402
from sandbox.pool import WarmBoxes  # noqa: E402

STARTS, WARM_STARTS = 60, 40
START_GOAL_MS = WARM_GOAL_MS = 50
SETTLE_S = 1.0
"""How long the pool may take to be full again before the next warm box is asked for."""

SPEAKS = "print('up', flush=True)"
"""The user's code: whoever started it hears of its first line. (gVisor has a clock of its own.)"""


def start(yard: box_yard.Yard, number: int) -> Iterator[Metric]:
    """Start boxes and bare processes in turns."""
    boxed, bare = [], []
    for _ in range(number):
        boxed.append(asyncio.run(_start_box(yard)))
        bare.append(asyncio.run(_start_bare()))
    peer = "the same Python of the same image without a box"
    usual = statistics.median(bare)
    over = statistics.quantiles(boxed, n=20)[-1] - usual
    tier = yard.tier.value.lower()
    goal = START_GOAL_MS if tier == "t1" else None
    yield Metric(f"box.{tier}_start_over_bare_ms_p95", over, "ms", at_most=goal)
    yield Metric(f"box.{tier}_start_ms_p50", statistics.median(boxed), "ms", peer=usual, peer_is=peer)


async def _start_box(yard: box_yard.Yard) -> float:
    began = time.monotonic()
    async with yard.living(SPEAKS) as (_, pipes):
        await pipes.from_box.readline()
        return (time.monotonic() - began) * 1000


async def _start_bare() -> float:
    command, pipe = box_yard.bare(SPEAKS), asyncio.subprocess.PIPE
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, env=box_yard.ENVIRONMENT
    )
    if process.stdout is not None:
        await process.stdout.readline()
    took = (time.monotonic() - began) * 1000
    await process.communicate()
    return took


def warm(yard: box_yard.Yard) -> Iterator[Metric]:
    """Ask for query boxes, one after another, each when the pool has had time to be full again."""
    with tempfile.TemporaryDirectory(prefix="dr-warm-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        plan, files = sql_runs.small_plan(folder, images.find("sql").digest)
        times = asyncio.run(_warm_times(yard, plan, files))
    yield Metric("box.warm_ready_ms_p50", statistics.median(times), "ms", at_most=WARM_GOAL_MS)
    yield Metric("box.warm_ready_ms_p95", statistics.quantiles(times, n=20)[-1], "ms")


async def _warm_times(yard: box_yard.Yard, plan: Plan, files: dict[str, Path]) -> list[float]:
    boxes = WarmBoxes(yard.boxes, 1)
    times = []
    try:
        await boxes.warm()
        await _hello(boxes, plan, files)
        for _ in range(WARM_STARTS):
            await asyncio.sleep(SETTLE_S)
            times.append(await _hello(boxes, plan, files))
    finally:
        await boxes.close()
    return times


async def _hello(boxes: WarmBoxes, plan: Plan, files: dict[str, Path]) -> float:
    spec = plan.stage(Entry.QUERY)
    inputs = [{"name": item.name, "sha256": item.sha256} for item in spec.inputs]
    began = time.monotonic()
    box = boxes.create(spec, files)
    try:
        pipes = await box.start()
        said = {"plan": plan.plain(), "stage": spec.entry.value, "attempt": 1, "inputs": inputs}
        await conversation.begin(pipes, said)
        return (time.monotonic() - began) * 1000
    finally:
        await box.kill(Cause.CANCELLED)
        await box.destroy()


def measure() -> Iterator[Metric]:
    """Measure everything; the bombs last."""
    with box_yard.t1() as first, box_yard.t2() as second:
        yield from start(first, STARTS)
        yield from start(second, STARTS // 3)
        yield from warm(first)
        yield from box_ends.left_behind(first)
        yield from box_tpch.tpch()
        killed = [*box_ends.kills(first, "t1"), *box_ends.kills(second, "t2")]
        yield from killed
        yield Metric("box.kill_s_max", max(each.value for each in killed), "s", at_most=box_ends.KILL_GOAL_S)
        yield from box_ends.together(first)
    yield from box_memory.memory()
    yield Metric("machine.load", os.getloadavg()[0], "processes")


if __name__ == "__main__":
    sys.exit(main("box", "What a box costs, and what it holds.", measure))
