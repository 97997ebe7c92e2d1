"""When the pool starts the boxes that are to wait: not while a job's stages follow each other, and not never.

The loop's clock runs ahead instead of waiting, so what is measured is what the pool means, on every machine.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from plans.box import BoxSpec, Entry, Limits
from plans.decision import Tier
from sandbox import pool
from sandbox.contract import Offer
from sandbox.pool import WarmBoxes

LIMITS = Limits(64, 1, 0, 1, 1, 1, 1, 1, 1)
KIND = BoxSpec(Entry.CHECK, "sha256:" + "0" * 64, (), LIMITS, Tier.T1)


class Told:
    """A box that only hears what happens to it."""

    waits = can_wait = True

    def furnish(self, inputs: Mapping[str, Path]) -> None: ...
    def assign(self, spec: BoxSpec) -> None: ...
    async def prestart(self) -> None: ...
    async def kill(self, cause: object) -> None: ...
    async def destroy(self) -> None: ...


class Hurried(selectors.DefaultSelector):
    """Waits for nothing: `now` is later instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """A loop with that clock."""

    def __init__(self) -> None:
        self._clock = Hurried()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


class Below:
    """A tier that notes when a box is made to wait; `asking` is true while a job asks for one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.started: list[float] = []
        self.asking, self.clock = False, clock

    def offers(self) -> tuple[Offer, ...]:
        return ()

    async def warm(self) -> None: ...
    async def close(self) -> None: ...

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path]) -> Told:
        if not self.asking:
            self.started.append(self.clock())
        return Told()


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REST_S", 0.2)
    monkeypatch.setattr(pool, "LONGEST_REST_S", 0.6)


async def ask(below: Below, warm: WarmBoxes, times: int) -> float:
    """Ask for boxes 50 ms apart and return when the last was asked for."""
    for number in range(times):
        await asyncio.sleep(0.05 if number else 0)
        below.asking = True
        warm.create(KIND, {})
        below.asking = False
    return below.clock()


def run(times: int, after_s: float) -> tuple[list[float], float, float]:
    """Return when boxes were made to wait, and when the first and last of the job's were asked for."""

    async def steps() -> tuple[list[float], float, float]:
        clock = asyncio.get_running_loop().time
        monkeypatch.setattr(pool, "time", SimpleNamespace(monotonic=clock))
        below = Below(clock)
        warm = WarmBoxes(below, 4)  # type: ignore[arg-type]
        first = clock()
        last = await ask(below, warm, times)
        await asyncio.sleep(after_s)
        await warm.close()
        return below.started, first, last

    with pytest.MonkeyPatch.context() as monkeypatch, asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(steps())


def test_nothing_is_started_between_the_stages_of_a_job() -> None:
    started, _, last = run(4, 0.8)
    assert len(started) == 1 and started[0] >= last + 0.19


def test_where_somebody_always_asks_it_is_started_all_the_same() -> None:
    started, first, last = run(40, 0)
    assert started and first + 0.59 <= started[0] < last
