"""Warm boxes: started beforehand, their programs imported, with no input, key or identity yet.

Most of what a small box costs is Python importing its program. So for each kind of box that was asked for lately
one more is started behind its walls; once its program is imported it says `ready`, and waits. Whoever asks for a
box of that kind gets it, ready or nearly so: its inputs are linked into the folder that it already sees, and the
conversation begins. It is handed over once, runs one stage, and is destroyed like any other; nothing goes back into
the pool. One that was lost while it waited can be handed over before that is noticed; `sandbox.stage` asks for another
then, a cold one.

Two boxes are of one kind when nothing that a process is started with differs: tier, image, program, limits, number
of links (of a lab: which links, and how large a home). What belongs to a plan comes later, over the pipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from plans import canonical
from plans.box import BoxSpec, Link, Outputs
from plans.errors import DarkroomError, Unreachable
from sandbox.contract import Box, Boxes, Cause, Offer
from sandbox.process_box import ProcessBox

REST_S, LONGEST_REST_S = 0.3, 1.0
"""How long nobody must have asked for a box before the next is started: those that were handed over come first, and
the stages that follow them. Where somebody always asks, it is started all the same after the longer time.
"""


NOBODY = "nobody"
"""The name of the home of a lab that waits; it has none yet."""


class ProcessBoxes(Boxes, Protocol):
    """A tier whose boxes can be started beforehand."""

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path]) -> ProcessBox:
        """See `sandbox.contract.Boxes`."""


class WarmBoxes:
    """Boxes of `below`, some of which wait already. See `sandbox.contract.Boxes`.

    At most `most` kinds are kept warm; the one not asked for longest goes first. `on_wanted` hears the kinds
    whenever they change, so that an heir can be told (`want`).
    """

    def __init__(
        self,
        below: ProcessBoxes,
        most: int,
        on_wanted: Callable[[tuple[BoxSpec, ...]], None] = lambda _: None,
    ) -> None:
        self._below, self._most, self._tell = below, most, on_wanted
        self._waiting: dict[BoxSpec, ProcessBox] = {}
        self._wanted: dict[BoxSpec, None] = {}  # in the order in which they were last asked for
        self._tasks: set[asyncio.Task[None]] = set()
        self._filling = False
        self._closed = False
        self._asked = 0.0

    def offers(self) -> tuple[Offer, ...]:
        """Say what the tiers below offer."""
        return self._below.offers()

    async def warm(self) -> None:
        """Do what the tiers below do beforehand, then start what is wanted."""
        await self._below.warm()
        self._fill()

    def want(self, kinds: tuple[BoxSpec, ...]) -> None:
        """Keep boxes of these kinds warm from now on: what an earlier life was asked for."""
        self._wanted.update(dict.fromkeys(kind_of(kind) for kind in kinds[: self._most]))

    async def close(self) -> None:
        """End the boxes that wait."""
        self._closed = True
        for box in self._waiting.values():
            self._drop(box)
        self._waiting.clear()
        while self._tasks:
            await asyncio.gather(*self._tasks)
        await self._below.close()

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path], *, cold: bool = False) -> Box:
        """Hand over a box that waits, or make one; see the contract."""
        box = None if cold else self._taken(spec)
        box = box or self._made(spec)
        try:
            box.furnish(inputs)
        except DarkroomError:
            self._drop(box)
            raise
        if not spec.gpus and box.can_wait:  # a box that waits would keep a GPU from those with work
            self._remember(kind_of(spec))
        return box

    @property
    def kinds(self) -> tuple[BoxSpec, ...]:
        """The kinds of which a box waits."""
        return tuple(kind for kind, box in self._waiting.items() if box.waits)

    def _taken(self, spec: BoxSpec) -> ProcessBox | None:
        """Return the box of this kind that waits, if it still lives; it is nobody else's from now on."""
        box = self._waiting.pop(kind_of(spec), None)
        if box is not None and not box.waits:
            self._drop(box)
            return None
        if box is not None:
            box.assign(spec)
        return box

    def _made(self, spec: BoxSpec) -> ProcessBox:
        """Make a box. Where no user id is free, one that waits gives up its own, for whoever asks next."""
        try:
            return self._below.create(spec, {})
        except Unreachable:
            for kind in list(self._waiting)[:1]:
                self._drop(self._waiting.pop(kind))
            raise

    def _remember(self, kind: BoxSpec) -> None:
        self._asked = time.monotonic()
        known = kind in self._wanted
        self._wanted.pop(kind, None)
        self._wanted[kind] = None
        while len(self._wanted) > self._most:
            oldest = next(iter(self._wanted))
            del self._wanted[oldest]
            if oldest in self._waiting:
                self._drop(self._waiting.pop(oldest))
        if not known:
            self._tell(tuple(self._wanted))
        self._fill()

    def _fill(self) -> None:
        if not self._filling and not self._closed:
            self._filling = True
            self._run(self._start_missing())

    async def _start_missing(self) -> None:
        """Start what is missing, one after the other, the kind that was asked for last at first."""
        try:
            while not self._closed:
                await self._quiet()
                missing = [kind for kind in reversed(self._wanted) if kind not in self._waiting]
                if not missing:
                    return
                if not await self._start(missing[0]):
                    self._wanted.pop(missing[0], None)  # whoever asks for one is told why there is none
        finally:
            self._filling = False

    async def _quiet(self) -> None:
        """Wait until nobody has asked for a box for a while, though not for ever."""
        until = time.monotonic() + LONGEST_REST_S
        while (left := min(self._asked + REST_S, until) - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def _start(self, kind: BoxSpec) -> bool:
        """Start one box, and return whether it waits now."""
        try:
            box = self._below.create(kind, {})
        except DarkroomError:
            return False
        try:
            await box.prestart()
        except DarkroomError:
            await _end(box)
            return False
        if self._closed or kind not in self._wanted:  # forgotten while it started
            await _end(box)
        else:
            self._waiting[kind] = box
        return True

    def _drop(self, box: ProcessBox) -> None:
        self._run(_end(box))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def read_kinds(path: Path) -> tuple[BoxSpec, ...]:
    """Return the kinds that were kept in a file; a file that is missing or broken means none."""
    try:
        return tuple(BoxSpec.read(kind) for kind in canonical.decode(path.read_bytes()))
    except (OSError, DarkroomError, TypeError):
        return ()


def keep_kinds(path: Path, kinds: tuple[BoxSpec, ...]) -> None:
    """Keep kinds in a file, for the next life; one that cannot be written costs only some warmth."""
    with contextlib.suppress(OSError):
        new = path.with_name(path.name + ".new")
        new.write_bytes(canonical.encode([kind.plain() for kind in kinds]))
        new.replace(path)


def kind_of(spec: BoxSpec) -> BoxSpec:
    """Return what boxes of one kind have in common: a specification without what belongs to one plan."""
    if spec.home is not None:  # links of labs have names, and a home's size is a limit of files
        home = replace(spec.home, name=NOBODY)
        return replace(spec, inputs=(), arguments=(), outputs=Outputs(), home=home)
    links = tuple(Link(f"link-{number}", f"stage:{spec.entry}") for number, _ in enumerate(spec.links))
    return replace(spec, inputs=(), arguments=(), outputs=Outputs(), links=links)


async def _end(box: ProcessBox) -> None:
    await box.kill(Cause.CANCELLED)
    await box.destroy()
