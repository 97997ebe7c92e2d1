"""The brake of a box: every process of it stopped, and let go on, for whoever freezes it and for whoever must look.

Two ask for it. A lease that is not renewed *freezes* its box (`sandbox.contract`). A look at a home that must be sure
*holds* its box for as long as it takes (`sandbox.home_looks`): what stands still moves nothing out of sight. A box goes
on once neither is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from sandbox import processes
from sandbox.cgroups import Cgroup

STANDING_S = 5.0
"""How long a held box may take to stand still: a process inside a system call of the disk stops when that returns."""

_LOOK_S = 0.002


class Brake:
    """`first` gives the first process as long as it lives. A control group stops all at once; without one, signals."""

    def __init__(self, group: Cgroup, first: Callable[[], int | None]) -> None:
        self._group, self._first = group, first
        self._frozen, self._holds = False, 0

    def freeze(self) -> None:
        """Stop every process until `thaw`; where a group does it, they stop one after the other a moment later."""
        self._frozen = True
        if not self._group.freeze() and (first := self._first()) is not None:
            processes.stop(first)

    def thaw(self) -> None:
        """Let every process go on, once nobody holds them."""
        self._frozen = False
        self._go_on()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[bool]:
        """Hold every process still; gives whether all of them are, which one that cannot be stopped in time prevents.

        Whatever does not stand still by then makes the one step that it is in, and no other.
        """
        self._holds += 1
        try:
            yield await self._stand_still()
        finally:
            self._holds -= 1
            self._go_on()

    async def _stand_still(self) -> bool:
        if not self._group.freeze():
            first = self._first()
            return first is None or await asyncio.to_thread(processes.stop, first)
        until = time.monotonic() + STANDING_S
        while not self._group.is_frozen and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
        return self._group.is_frozen

    def _go_on(self) -> None:
        if self._frozen or self._holds:
            return
        if not self._group.thaw() and (first := self._first()) is not None:
            processes.go_on(first)
