"""A box that is a tree of processes on this host: the contract's steps, shared by every tier that starts one.

A tier brings only a `Start`: how the first process comes up behind its walls. States, limits, killing,
collecting are the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from plans.box import BoxSpec, BoxState
from plans.errors import BoxFailed, StateConflict
from plans.statements import StageOutput
from sandbox import collecting, folders, processes
from sandbox.contract import ENDED, Cause, Conversation, Ending, Life
from sandbox.folders import BoxFolders

WATCH_S = 0.2
"""How often memory, outputs and the clock are looked at."""

DYING_S = 2.0
"""How long a killed tree may take to be gone."""

_MIB = 2**20
_BY_STATUS = {128 + signal.SIGXCPU: Cause.CPU, 128 + signal.SIGXFSZ: Cause.OUTPUT}

Start = Callable[[BoxSpec, BoxFolders], Awaitable[asyncio.subprocess.Process]]
"""Start the first process of a box, its pipes open; it waits for its launcher's first frame."""


@dataclass(frozen=True, slots=True)
class Fittings:
    """What a tier gives to a box: how it starts, and what is done once it is wiped."""

    start: Start
    released: Callable[[], None]


class ProcessBox:
    """See `sandbox.contract.Box`."""

    def __init__(self, spec: BoxSpec, place: BoxFolders, fittings: Fittings) -> None:
        self._spec, self._place, self._fittings = spec, place, fittings
        self._life = Life()
        self._cause = Cause.NONE
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._outputs: tuple[StageOutput, ...] = ()
        self._began = 0.0

    @property
    def state(self) -> BoxState:
        """The present state."""
        return self._life.state

    @property
    def folder(self) -> Path:
        """Where the box's inputs and outputs lie on the host until it is destroyed."""
        return self._place.whole

    async def start(self) -> Conversation:
        """Start the process; see the contract."""
        self._life.move(BoxState.STARTING)
        self._began = time.monotonic()
        try:
            self._process = await self._fittings.start(self._spec, self._place)
        except BoxFailed:
            self._end(BoxState.FAILED, 1)
            raise
        if self._cause is not Cause.NONE:
            await self._finish_off()
            await self._process.wait()
            self._end(BoxState.KILLED, 128 + signal.SIGKILL)
            raise BoxFailed("the box was killed while it started", self._cause)
        self._life.move(BoxState.RUNNING)
        self._tasks = [asyncio.create_task(self._await_end()), asyncio.create_task(self._watch())]
        from_box, to_box = self._process.stdout, self._process.stdin
        if from_box is None or to_box is None:
            raise BoxFailed("the box has no pipes", Cause.PROTOCOL)
        return Conversation(from_box, to_box)

    def freeze(self) -> None:
        """Stop every process."""
        if self.state is not BoxState.FROZEN:
            self._life.move(BoxState.FROZEN)
            processes.stop(self._pid)

    def thaw(self) -> None:
        """Let every process go on."""
        if self.state is not BoxState.RUNNING:
            self._life.move(BoxState.RUNNING)
            processes.go_on(self._pid)

    async def kill(self, cause: Cause) -> None:
        """End every process; the first cause counts."""
        if self.state in ENDED or self.state is BoxState.DESTROYED:
            return
        self._cause = self._cause or cause
        if self.state is BoxState.CREATED:
            self._end(BoxState.KILLED, 128 + signal.SIGKILL)
        else:
            if self._process is not None:
                await self._finish_off()
            await self.wait()  # a box that is just starting sees the cause when its walls are up

    async def wait(self) -> Ending:
        """Return how the box ended, once it has."""
        if self.state is BoxState.CREATED:
            raise StateConflict("a box that was not started does not end", "box")
        return await asyncio.shield(self._ended)

    async def collect(self, folder: Path) -> tuple[StageOutput, ...]:
        """Move the outputs out; hashing runs beside the loop, since outputs can be large."""
        if self.state is not BoxState.COLLECTED:
            if self.state is not BoxState.EXITED:
                raise StateConflict(f"the outputs of a box that is {self.state} are not collected", "box")
            limit = self._spec.limits.output_mb * _MIB
            self._outputs = await asyncio.to_thread(collecting.collect, self._place.outputs, folder, limit)
            self._life.move(BoxState.COLLECTED)
        return self._outputs

    async def destroy(self) -> None:
        """Wipe the folders, and give back what the tier lent."""
        if self.state is BoxState.DESTROYED:
            return
        self._life.move(BoxState.DESTROYED)
        await folders.wipe(self._place.whole)
        self._fittings.released()

    @property
    def _pid(self) -> int:
        if self._process is None:
            raise StateConflict("the box was not started", "box")
        return self._process.pid

    async def _finish_off(self) -> None:
        """Kill the whole tree and wait until it is gone.

        Killing bubblewrap's monitor takes the box's process 1 with it, and the kernel ends a process
        namespace with its process 1; the others are named as well, for tiers that have no namespace.
        """
        tree = processes.tree(self._pid)
        for pid in reversed(tree):
            processes.send(pid, signal.SIGKILL)
        await processes.gone(tree[1:], DYING_S)

    async def _await_end(self) -> None:
        """Wait for the first process, then settle what its end means."""
        if self._process is None:
            return
        code = await self._process.wait()
        status = 128 - code if code < 0 else code
        if self._cause is Cause.NONE:
            self._cause = self._limit_behind(status)
        ended = BoxState.EXITED if status == 0 else BoxState.FAILED
        if self._cause is not Cause.NONE:
            ended = BoxState.KILLED
        self._end(ended, status)

    def _limit_behind(self, status: int) -> Cause:
        """Return which limit of the kernel's ended the box. Nobody but the kernel kills a box unasked."""
        if status == 128 + signal.SIGKILL:
            spent = time.monotonic() - self._began
            return Cause.CPU if spent >= self._spec.limits.cpu_s else Cause.MEMORY
        return _BY_STATUS.get(status, Cause.NONE)

    def _end(self, state: BoxState, status: int) -> None:
        if self.state is BoxState.FROZEN and state is BoxState.EXITED:
            state = BoxState.FAILED
        self._life.move(state)
        if not self._ended.done():
            self._ended.set_result(Ending(state, status, self._cause))

    async def _watch(self) -> None:
        """Kill the box at the limits that no kernel limit of ours covers."""
        while not self._ended.done():
            cause = self._over_limit()
            if cause is not Cause.NONE:
                await self.kill(cause)
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._ended), WATCH_S)

    def _over_limit(self) -> Cause:
        limits = self._spec.limits
        if time.monotonic() - self._began > limits.wall_s:
            return Cause.WALL
        count, size = collecting.usage(self._place.outputs)
        if count > collecting.LARGEST_COUNT or size > limits.output_mb * _MIB:
            return Cause.OUTPUT
        if processes.memory_bytes(self._pid) > limits.memory_mb * _MIB:
            return Cause.MEMORY
        return Cause.NONE
