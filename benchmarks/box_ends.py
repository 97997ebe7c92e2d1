"""How soon a box is gone once it has to go, what boxes leave behind, and how they get on with each other."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from benchmarks.box_yard import FIRST_UID, UIDS, Ran, Yard, with_limits
from benchmarks.report import Metric
from sandbox import processes
from sandbox.contract import Cause, Ending
from sandbox.process_box import ProcessBox

KILL_GOAL_S, TIMES = 2.0, 5
IN_A_ROW, AT_ONCE = 200, 8
STARVING_GOAL = 2.0

SLEEP = "import time\nprint('up', flush=True)\ntime.sleep(60)"
ORPHANS = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(60)
        os._exit(0)
print('up', flush=True)
time.sleep(60)
"""
FORKS = """
import os
print('up', flush=True)
while True:
    try: os.fork()
    except OSError: pass
"""
DEAF = """
import signal, time
for number in range(1, 32):
    if number not in (9, 19): signal.signal(number, signal.SIG_IGN)
print('up', flush=True)
while True: pass
"""
GROWS = "print('up', flush=True)\nx = []\nwhile True: x.append(bytearray(b'x' * 2**20))"
FLOODS = "print('up', flush=True)\nwhile True: open('/out/x', 'ab').write(b'x' * 2**20)"


async def kill_one(yard: Yard, code: str, cause: Cause, before: Callable[[ProcessBox], None]) -> float:
    """Start a box, wait until it says that it is up, kill it; return seconds until no process of it was left."""
    async with yard.living(code) as (box, pipes):
        await pipes.from_box.readline()
        await asyncio.sleep(0.1)
        before(box)
        tree = processes.tree(box.pid)
        began = time.monotonic()
        await box.kill(cause)
        await processes.gone(tree, 10 * KILL_GOAL_S)
        return time.monotonic() - began


async def reach(yard: Yard, code: str, wall_s: int) -> float:
    """Start a box that reaches a limit; return seconds from the limit, or from its first word, to its end."""
    async with yard.living(code, limits=with_limits(wall_s=wall_s)) as (box, pipes):
        began = time.monotonic()
        await pipes.from_box.readline()
        spoke = time.monotonic()
        ending: Ending = await box.wait()
        ended = time.monotonic()
    return ended - began - wall_s if ending.cause is Cause.WALL else ended - spoke


def kills(yard: Yard, tier: str) -> Iterator[Metric]:
    """Kill and reach limits in every way that there is; yield the slowest of each, and of all."""

    def nothing(_: ProcessBox) -> None:
        return

    ways: dict[str, Callable[[], Coroutine[Any, Any, float]]] = {
        "cancel": lambda: kill_one(yard, SLEEP, Cause.CANCELLED, nothing),
        "revocation": lambda: kill_one(yard, DEAF, Cause.REVOKED, nothing),
        "double_forks": lambda: kill_one(yard, ORPHANS, Cause.CANCELLED, nothing),
        "fork_bomb": lambda: kill_one(yard, FORKS, Cause.CANCELLED, nothing),
        "frozen": lambda: kill_one(yard, ORPHANS, Cause.CANCELLED, lambda box: box.freeze()),
        "wall": lambda: reach(yard, FORKS, 1),
        "memory": lambda: reach(yard, GROWS, 30),
        "output": lambda: reach(yard, FLOODS, 30),
    }
    slowest = {name: max(asyncio.run(way()) for _ in range(TIMES)) for name, way in ways.items()}
    for name, seconds in slowest.items():
        yield Metric(f"box.{tier}_kill_{name}_s", seconds, "s", at_most=KILL_GOAL_S)


def left_behind(yard: Yard) -> Iterator[Metric]:
    """Run many boxes in a row and count what is there afterwards and was not before."""
    asyncio.run(yard.run("print(1)"))
    before, began = present(yard), time.monotonic()
    told = [asyncio.run(yard.run("print(1)")).told for _ in range(IN_A_ROW)]
    each = (time.monotonic() - began) / IN_A_ROW
    extra = sum(max(0, now - then) for now, then in zip(present(yard), before, strict=True))
    missing = sum(text != "1\n" for text in told)
    yield Metric("box.left_behind", extra + missing, "things", at_most=0)
    yield Metric("box.whole_life_ms", each * 1000, "ms")


def present(yard: Yard) -> tuple[int, ...]:
    """Count our processes and those of boxes' users, descriptors, mounts, folders of boxes, control groups."""
    users = range(FIRST_UID, FIRST_UID + 2 * UIDS)
    theirs = sum(_owner(entry) in users for entry in Path("/proc").iterdir() if entry.name.isdigit())
    ours = len(processes.tree(os.getpid()))
    mounts = len(Path("/proc/self/mountinfo").read_text().splitlines())
    groups = sum(len(folders) for _, folders, _ in os.walk("/sys/fs/cgroup"))
    return ours, theirs, len(os.listdir("/proc/self/fd")), mounts, len(list(yard.home.iterdir())), groups


def together(yard: Yard) -> Iterator[Metric]:
    """Let boxes do equal work at once, and small work beside bombs."""
    times = asyncio.run(_equal_work(yard))
    yield Metric(
        "box.eight_at_once_ratio", max(times) / min(times), "x", at_most=STARVING_GOAL,
        peer=1.0, peer_is="the fastest of the eight",
    )  # fmt: skip
    alone, beside = asyncio.run(_beside_bombs(yard))
    peer = "the same alone on the machine"
    yield Metric("box.beside_bombs_ms_p95", _p95(beside) * 1000, "ms", peer=_p95(alone) * 1000, peer_is=peer)


WORK = """
import sys, time
sys.stdin.readline()
began = time.monotonic()
n = 0
for i in range(8_000_000): n += i * i
print(time.monotonic() - began)
"""


async def _equal_work(yard: Yard) -> list[float]:
    boxes = [yard.make(WORK) for _ in range(AT_ONCE)]
    try:
        pipes = [await box.start() for box in boxes]
        for each in pipes:
            each.to_box.write(b"go\n")
        return [float(await each.from_box.readline()) for each in pipes]
    finally:
        for box in boxes:
            await box.kill(Cause.CANCELLED)
            await box.destroy()


async def _beside_bombs(yard: Yard, times: int = 20) -> tuple[list[float], list[float]]:
    """Return seconds of small boxes alone, and while a fork bomb and boxes that outgrow their memory run."""

    async def small() -> float:
        ran: Ran = await yard.run("print(sum(i * i for i in range(500_000)))")
        return ran.seconds

    async def grow_for_ever() -> None:
        while True:
            await yard.run(GROWS)

    alone = [await small() for _ in range(times)]
    async with yard.living(FORKS) as (_, pipes):
        await pipes.from_box.readline()
        growing = asyncio.create_task(grow_for_ever())
        beside = [await small() for _ in range(times)]
        growing.cancel()
        await asyncio.gather(growing, return_exceptions=True)
    return alone, beside


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _owner(entry: Path) -> int:
    try:
        return entry.stat().st_uid
    except OSError:
        return -1
