"""Calls that wait for a job to move: whoever asks with `wait` is answered as soon as there is something new.

All calls that wait are served by one look at the database, of their jobs' states alone and only while somebody
waits. The longer nothing has moved, the rarer it is: a hundredth of that time, so that waiting is hardly ever
seen in a job's duration, and jobs that wait for people cost next to nothing.

A waiting call holds no thread. It ends by itself after `LONGEST_S`; each member has a few places and all
together have `MOST`; a call that finds none free is answered at once, and its client pauses instead. Who calls
is checked again by the caller of `moved`: a session may have ended meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool

from plans.errors import DarkroomError

LONGEST_S = 20.0
"""How long a call may wait; shorter than clients' and proxies' patience."""

MOST, MOST_PER_MEMBER = 1_000, 25
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.25

Look = Callable[[tuple[str, ...]], Mapping[str, tuple[str, int]]]
"""From job ids to state and the moment of the last move, in Unix seconds; blocking."""


@dataclass(eq=False)
class _Call:
    member: str
    job: str
    seen: frozenset[str]
    moved: asyncio.Event = field(default_factory=asyncio.Event)


class Waiting:
    """The waiting calls of one running portal; belongs to its event loop."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._calls: set[_Call] = set()
        self._watcher: asyncio.Task[None] | None = None

    async def moved(self, member: str, job: str, seen: frozenset[str], longest_s: float) -> None:
        """Return once the job's state is none of `seen`, or there is no place, or after `longest_s`."""
        if len(self._calls) >= MOST or sum(c.member == member for c in self._calls) >= MOST_PER_MEMBER:
            return
        call = _Call(member, job, seen)
        self._calls.add(call)
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch())
        try:
            async with asyncio.timeout(min(longest_s, LONGEST_S)):
                await call.moved.wait()
        except TimeoutError:
            return
        finally:
            self._calls.discard(call)

    async def _watch(self) -> None:
        """Look until nobody waits. A database that cannot be asked ends the waiting; asking again says why."""
        while self._calls:
            try:
                found = await run_in_threadpool(self._look, tuple({call.job for call in self._calls}))
            except DarkroomError:
                found = {}
            for call in self._calls:
                if found.get(call.job, ("", 0))[0] not in call.seen:
                    call.moved.set()
            newest = max((at for _, at in found.values()), default=0)
            await asyncio.sleep(min(max((time.time() - newest) / 100, SHORTEST_PAUSE_S), LONGEST_PAUSE_S))
