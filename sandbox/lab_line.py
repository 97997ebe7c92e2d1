"""The line in which labs wait: for a place, and for memory that is promised to nobody else.

First come, first served: whoever stands first waits for what it needs, and nobody behind goes past, so that a large lab
is not kept out by many small ones. Everybody who waits hears where and why, whenever that changes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from plans.errors import TierMissing, Unreachable
from sandbox.admission import MOST_WAITING
from sandbox.waiting import MEMORY, PLACES, Waiting

Tell = Callable[[Waiting], None]


@dataclass(slots=True)
class _Turn:
    """One who waits."""

    come: asyncio.Future[None]
    memory_mb: int
    tell: Tell
    told: Waiting | None = None


class LabLine:
    """Gives labs places and memory; `memory_mb` of 0 is not bounded."""

    def __init__(self, places: int, memory_mb: int) -> None:
        self._places, self._memory_mb = places, memory_mb
        self._used_places = self._used_mb = 0
        self._waiting: deque[_Turn] = deque()

    @asynccontextmanager
    async def place(self, memory_mb: int, tell: Tell) -> AsyncIterator[None]:
        """Hold a place with so much memory for the time of the body, waiting for it if need be.

        Raises:
            TierMissing: labs here never have so much memory.
            Unreachable: too many wait already.
        """
        await self._take(memory_mb, tell)
        try:
            yield
        finally:
            self._give_back(memory_mb)

    async def _take(self, memory_mb: int, tell: Tell) -> None:
        if self._memory_mb and memory_mb > self._memory_mb:
            raise TierMissing(
                f"all labs of this node have {self._memory_mb} MiB together, and this one asks for {memory_mb}",
                "labs",
                "Choose a smaller profile, or ask the administrator for more memory for labs (docs/settings.md).",
            )
        if not self._waiting and self._lacks(0, memory_mb) is None:
            self._hold(memory_mb)
            return
        if len(self._waiting) >= MOST_WAITING:
            raise Unreachable("as many labs wait here as may", "labs", "Try again shortly.")
        turn = _Turn(asyncio.get_running_loop().create_future(), memory_mb, tell)
        self._waiting.append(turn)
        self._go_on()
        try:
            await turn.come
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
                self._go_on()
            elif turn.come.done() and not turn.come.cancelled():
                self._give_back(memory_mb)
            raise

    def _give_back(self, memory_mb: int) -> None:
        self._used_places -= 1
        self._used_mb -= memory_mb
        self._go_on()

    def _go_on(self) -> None:
        """Let in whoever can come in now, and tell the others where they stand."""
        while self._waiting and self._lacks(0, self._waiting[0].memory_mb) is None:
            turn = self._waiting.popleft()
            if not turn.come.done():
                self._hold(turn.memory_mb)
                turn.come.set_result(None)
        for before, turn in enumerate(self._waiting):
            stands = Waiting(before, self._lacks(before, turn.memory_mb) or MEMORY)
            if stands != turn.told:
                turn.told = stands
                turn.tell(stands)

    def _lacks(self, before: int, memory_mb: int) -> str | None:
        """Return what there is too little of for one with so many before it."""
        if self._places - self._used_places <= before:
            return PLACES
        if self._memory_mb and self._used_mb + memory_mb > self._memory_mb:
            return MEMORY
        return None

    def _hold(self, memory_mb: int) -> None:
        self._used_places += 1
        self._used_mb += memory_mb
