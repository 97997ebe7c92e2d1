"""A box that is a tree of processes on this host: the contract's steps, shared by every tier that starts one.

A tier brings only its `Fittings`: how the first process comes up behind its walls, its control group, its user.
States, limits, killing, collecting are the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plans.box import BoxSpec, BoxState, Entry
from plans.decision import Tier
from plans.errors import BoxFailed, DarkroomError, StateConflict
from plans.statements import StageOutput
from sandbox import collecting, folders, gate, processes
from sandbox.brake import Brake
from sandbox.cgroups import Cgroup
from sandbox.contract import ENDED, Cause, Conversation, Ending, Ends, Life
from sandbox.folders import BoxFolders
from sandbox.gate import Process
from sandbox.home_looks import Use
from sandbox.homes import Slot

WATCH_S = 0.2
"""How often outputs, the clock and the group's count of memory are looked at."""

CLOSE_WATCH_S = 0.05
"""How often memory is added up where no control group holds it."""

HOME_WATCH_S = 0.5
"""How often the disk is asked how much was written, for a box with a home."""

LAB_PATIENCE = 5
"""How many times rarer a lab is looked at than other boxes: there are many, for days, and most do nothing."""

CPU_GRACE_S = 1.0
"""How far beyond its limit of processor time a box may be: the kernel's limit of one process comes first."""

DYING_S = 2.0
"""How long a killed tree may take to be gone."""

_FIRST_LOOK_S, _LAST_LOOK_S = 0.05, 2.0
"""Pauses between looks at a tree that is not gone by then."""

_RELEASING: set[asyncio.Task[None]] = set()
"""What waits for such a tree; a loop keeps no task by itself."""

_WAITING, _WORKING = 10, 100
_MIB = 2**20
_BY_STATUS = {128 + signal.SIGXCPU: Cause.CPU, 128 + signal.SIGXFSZ: Cause.OUTPUT}


@dataclass(frozen=True, slots=True)
class Started:
    """A first process whose walls are up, and the launcher's ends of the box's links, in the plan's order."""

    process: Process
    ends: tuple[Ends, ...] = ()


@dataclass(frozen=True, slots=True)
class Fittings:
    """What a tier gives to a box.

    `start` brings up the first process, its pipes open; it waits for its launcher's first frame. `user` is the
    id that belongs to this box alone, or none. `released` is called once the box is wiped. `slot` is where a lab's home
    comes to.
    """

    tier: Tier
    start: Callable[[], Awaitable[Started]]
    group: Cgroup
    user: int | None
    released: Callable[[], None]
    holds_memory: bool = False
    slot: Slot | None = None


class ProcessBox:
    """See `sandbox.contract.Box`."""

    def __init__(self, spec: BoxSpec, place: BoxFolders, fittings: Fittings) -> None:
        self.spec, self._place, self._fittings = spec, place, fittings
        self._life = Life()
        self.brake = Brake(fittings.group, self._first)
        self._cause = Cause.NONE
        self._up: Started | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._outputs: tuple[StageOutput, ...] = ()
        self._began = 0.0
        self._waited = False

    @property
    def state(self) -> BoxState:
        """The present state."""
        return self._life.state

    @property
    def tier(self) -> Tier:
        """What the box is."""
        return self._fittings.tier

    @property
    def folder(self) -> Path:
        """Where the box's inputs and outputs lie on the host until it is destroyed."""
        return self._place.whole

    @property
    def pid(self) -> int:
        """The first process, as the host numbers it; raises `StateConflict` before there is one."""
        if self._up is None:
            raise StateConflict("the box was not started", "box")
        return self._up.process.pid

    @property
    def memory_peak(self) -> int | None:
        """The most bytes that the box had, or none where no control group counts."""
        return self._fittings.group.memory_peak()

    def furnish(self, inputs: Mapping[str, Path]) -> None:
        """Put the inputs before the box, before it has any work."""
        if self.state is not BoxState.CREATED:
            raise StateConflict(f"a box that is {self.state} gets no more inputs", "box")
        folders.furnish(self._place, self._fittings.user, inputs)

    async def prestart(self) -> None:
        """Let the process come up and wait; to whoever creates the box it stays `created`.

        Until it has work it gives way to boxes that have.
        """
        self._fittings.group.weigh(_WAITING)
        self._waited = True
        self._up = await self._fittings.start()

    def assign(self, spec: BoxSpec) -> None:
        """Give a box that waits the specification for which it is handed over, of the kind that it was started as."""
        if self.state is not BoxState.CREATED or len(spec.links) != len(self.spec.links):
            raise StateConflict("a box is handed over once, before it has any work", "box")
        self.spec = spec
        self._fittings.group.weigh(_WORKING)

    @property
    def can_wait(self) -> bool:
        """Whether a box of this kind can be started before it has work; a home bound by itself must be there first."""
        return self._fittings.slot is None or self._fittings.user is not None

    @property
    def waited(self) -> bool:
        """Whether the process was up before anybody asked for the box."""
        return self._waited

    @property
    def waits(self) -> bool:
        """Whether a process is up and waits for its first word, as far as this process has heard: one that died in
        this moment, or that hangs, is not noticed.
        """
        return self._up is not None and self._up.process.returncode is None

    async def start(self) -> Conversation:
        """Start the process; see the contract."""
        self._life.move(BoxState.STARTING)
        self._began = time.monotonic()
        try:
            at_home = await self._settle()
            up = self._up = self._up or await self._fittings.start()
        except DarkroomError:
            if self._up is not None:
                await self._finish_off(self._up.process)
            self._end(BoxState.FAILED, 1)
            raise
        if self._cause is not Cause.NONE:
            await self._finish_off(up.process)
            await gate.ended(up.process)
            self._end(BoxState.KILLED, 128 + signal.SIGKILL)
            raise BoxFailed("the box was killed while it started", self._cause)
        self._life.move(BoxState.RUNNING)
        self._tasks = [asyncio.create_task(self._await_end(up.process)), asyncio.create_task(self._watch())]
        if at_home is not None:
            self._tasks.append(asyncio.create_task(self._watch_home(at_home)))
        return self._conversation(up)

    async def _settle(self) -> Use | None:
        """Bring the home to a box that has one; raises as `sandbox.homes.Slot.settle`."""
        slot, home = self._fittings.slot, self.spec.home
        return await slot.settle(home) if slot is not None and home is not None else None

    def _conversation(self, up: Started) -> Conversation:
        from_box, to_box = up.process.stdout, up.process.stdin
        if from_box is None or to_box is None:
            raise BoxFailed("the box has no pipes", Cause.PROTOCOL)
        links = {link.name: ends for link, ends in zip(self.spec.links, up.ends, strict=True)}
        return Conversation(from_box, to_box, links)

    def _first(self) -> int | None:
        """Return the first process while it lives."""
        return None if self._up is None or self._up.process.returncode is not None else self._up.process.pid

    def freeze(self) -> None:
        """Stop every process."""
        if self.state is not BoxState.FROZEN:
            self._life.move(BoxState.FROZEN)
            self.brake.freeze()

    def thaw(self) -> None:
        """Let every process go on."""
        if self.state is not BoxState.RUNNING:
            self._life.move(BoxState.RUNNING)
            self.brake.thaw()

    async def kill(self, cause: Cause) -> None:
        """End every process; the first cause counts."""
        if self.state in ENDED or self.state is BoxState.DESTROYED:
            return
        self._cause = self._cause or cause
        if self._up is not None:
            await self._finish_off(self._up.process)
        if self.state is BoxState.CREATED:
            if self._up is not None:
                await gate.ended(self._up.process)
            if self.state is BoxState.CREATED:  # somebody else may have killed it meanwhile
                self._end(BoxState.KILLED, 128 + signal.SIGKILL)
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
            rules = collecting.Rules(self.spec.outputs, self.spec.limits.output_mb * _MIB)
            self._outputs = await asyncio.to_thread(collecting.collect, self._place.outputs, folder, rules)
            self._life.move(BoxState.COLLECTED)
        return self._outputs

    async def destroy(self) -> None:
        """Wipe the folders, and give back what the tier lent."""
        if self.state is BoxState.DESTROYED:
            return
        self._life.move(BoxState.DESTROYED)
        if self._up is not None:
            _close(end.ours for end in self._up.ends)
            await gate.emptied(self._up.process)
        await folders.wipe(self._place.whole)
        await self._fittings.group.remove()
        user = self._fittings.user
        if user is None or not processes.of_user(user):
            self._fittings.released()
            return
        releasing = asyncio.create_task(self._release_late(user))
        _RELEASING.add(releasing)
        releasing.add_done_callback(_RELEASING.discard)

    async def _release_late(self, user: int) -> None:
        """Give back what the tier lent once nothing runs under the box's user any more. On a machine with much to do a
        large tree takes longer to die than anybody waits for it; until it is gone its id and its home are nobody's.
        """
        pause = _FIRST_LOOK_S
        while left := processes.of_user(user):
            for pid in left:
                processes.send(pid, signal.SIGKILL)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK_S)
        self._fittings.group.discard()
        self._fittings.released()

    async def _finish_off(self, process: Process) -> None:
        """Kill the whole tree and wait until it is gone.

        Where the kernel kills a whole group at once nothing escapes. Otherwise: killing the first process takes
        the box's process 1 with it, and the kernel ends a process namespace with its process 1; the others are
        named as well, for tiers that have no namespace, and so is whatever else runs under the box's own user.
        """
        group, user = self._fittings.group, self._fittings.user
        group.kill()
        tree = processes.tree(process.pid)
        for pid in reversed(tree):
            processes.send(pid, signal.SIGKILL)
        group.thaw()  # what is frozen in version 1 dies only when it goes on
        others = [*tree[1:], *group.pids(), *(processes.of_user(user) if user is not None else ())]
        for pid in others:
            if pid != process.pid:
                processes.send(pid, signal.SIGKILL)
        await processes.gone([pid for pid in others if pid != process.pid], DYING_S)

    async def _await_end(self, process: Process) -> None:
        """Wait for the first process, then settle what its end means."""
        code = await gate.ended(process)
        status = 128 - code if code < 0 else code
        if self._cause is Cause.NONE:
            self._cause = self._limit_behind(status)
        ended = BoxState.EXITED if status == 0 else BoxState.FAILED
        if self._cause is not Cause.NONE:
            ended = BoxState.KILLED
        self._end(ended, status)

    def _limit_behind(self, status: int) -> Cause:
        """Return which limit of the kernel's ended the box, or none: somebody on this node killed it.

        Where memory runs out the kernel kills a process of the box, which need not be the first: gVisor's own ends with
        a status of its own then, and may do so before the watch looks.
        """
        if status and self._fittings.group.ran_out():
            return Cause.MEMORY
        if status != 128 + signal.SIGKILL:
            return _BY_STATUS.get(status, Cause.NONE)
        limits, spent = self.spec.limits, time.monotonic() - self._began
        could_have_had = spent * (limits.cpus + 1)
        if not self._is_lab and could_have_had >= limits.cpu_s:
            return Cause.CPU
        return Cause.NONE if self._fittings.holds_memory else Cause.MEMORY

    def _end(self, state: BoxState, status: int) -> None:
        if self.state is BoxState.FROZEN and state is BoxState.EXITED:
            state = BoxState.FAILED
        self._life.move(state)
        if not self._ended.done():
            self._ended.set_result(Ending(state, status, self._cause))

    async def _watch_home(self, at_start: Use) -> None:
        """Kill the box when its home is too large."""
        slot, home = self._fittings.slot, self.spec.home
        if slot is None or home is None:
            return
        watch = slot.watch(home, at_start)
        while not await self._over_within(HOME_WATCH_S):
            if await watch.is_over(self.pid, self.brake.held):
                await self.kill(Cause.HOME)
                return

    async def _over_within(self, pause_s: float) -> bool:
        """Wait for so long, or until the box has ended; return whether it has."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._ended), pause_s)
        return self._ended.done()

    async def _watch(self) -> None:
        """Kill the box at the limits that no kernel limit of ours covers.

        The first look comes after a pause as every other: at once it would delay the first words of the conversation.
        """
        pause = WATCH_S if self._fittings.holds_memory else CLOSE_WATCH_S
        if self._is_lab:
            pause *= LAB_PATIENCE
        while not await self._over_within(pause):
            cause = self._over_limit()
            if cause is not Cause.NONE:
                await self.kill(cause)
                return

    def _over_limit(self) -> Cause:
        limits = self.spec.limits
        if time.monotonic() - self._began > limits.wall_s:
            return Cause.WALL
        left = collecting.usage(self._place.outputs)
        if not left.whole or left.entries > self.spec.outputs.files or left.size > limits.output_mb * _MIB:
            return Cause.OUTPUT
        if limits.spill_mb:
            spilled = collecting.usage(self._place.spill)
            if not spilled.whole or spilled.size > limits.spill_mb * _MIB:
                return Cause.OUTPUT
        if not self._is_lab and self._processor_s() > limits.cpu_s + CPU_GRACE_S:
            return Cause.CPU
        return Cause.MEMORY if self._over_memory() else Cause.NONE

    @property
    def _is_lab(self) -> bool:
        """Whether the box works for days, and processor time is no limit of it."""
        return self.spec.entry is Entry.LAB

    def _processor_s(self) -> float:
        """Return the processor time of the whole box; the kernel's own limit is each process's by itself."""
        counted = self._fittings.group.processor_s()
        return processes.processor_s(self.pid) if counted is None else counted

    def _over_memory(self) -> bool:
        """Whether the box has used up its memory: as the kernel says, or as we add it up."""
        if self._fittings.holds_memory:
            return self._fittings.group.ran_out()
        return processes.memory_bytes(self.pid) > self.spec.limits.memory_mb * _MIB


def _close(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.close()
