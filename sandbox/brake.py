"""The brake of a box: every process of it stopped, and let go on, for whoever freezes it and for whoever must look.

Two ask for it. A lease that is not renewed *freezes* its box (`sandbox.contract`). A look at a home that must be sure
*holds* its box for as long as it takes (`sandbox.home_looks`): what stands still moves nothing out of sight. A box goes
on once neither is left.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from sandbox import processes
from sandbox.cgroups import Cgroup

STANDING_S = 0.5
"""How long a group may take to say that all stand. It never does while one is inside a system call of the disk, or is
traced, as gVisor's are; then it counts that none makes a step.
"""

_LOOK_S = 0.002


class Brake:
    """`first` gives the first process as long as it lives.

    A control group with a freezer stops all and lets none go on. Without one signals do, and are no wall: a box can
    have its own timer wake it, or be born anew faster than it is listed, and a shell may say that its command stands.
    """

    def __init__(self, group: Cgroup, first: Callable[[], int | None]) -> None:
        self._group, self._first = group, first
        self._frozen, self._holds = False, 0
        self._moving = threading.Lock()

    def freeze(self) -> None:
        """Stop every process until `thaw`; where a group does it, they stop one after the other a moment later."""
        with self._moving:
            self._frozen = True
            self._stop()

    def thaw(self) -> None:
        """Let every process go on, once nobody holds them."""
        with self._moving:
            self._frozen = False
            self._go_on()

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Hold every process still; gives whether all of them are.

        A process inside a system call makes that one step, and no other. This waits: it is for a
        thread beside the loop, which then does nothing else before the box goes on.
        """
        with self._moving:
            self._holds += 1
        try:
            with self._moving:
                still = self._stop()
            yield still and self._stands_still()
        finally:
            with self._moving:
                self._holds -= 1
                self._go_on()

    def _stop(self) -> bool:
        """Stop every process, or begin to; return whether that can come true."""
        return self._group.freeze() or (first := self._first()) is None or processes.stop(first)

    def _stands_still(self) -> bool:
        """Wait until a group that stops one after the other has stopped all; whoever stops by signals has waited."""
        until = time.monotonic() + STANDING_S
        while (still := self._group.is_frozen) is False and time.monotonic() < until:
            time.sleep(_LOOK_S)
        if still is False and (first := self._first()) is not None:
            return processes.stand_still(first)
        return still is not False

    def _go_on(self) -> None:
        if self._frozen or self._holds:
            return
        if not self._group.thaw() and (first := self._first()) is not None:
            processes.go_on(first)
