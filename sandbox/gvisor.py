"""Tier T2 as a tier of the contract: gVisor boxes. How one is written in words stands in `sandbox.runsc`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plans.box import BoxSpec
from plans.decision import Tier
from plans.errors import TierMissing
from sandbox import bubblewrap, gate, runsc
from sandbox.boxes import Ground, bring_up, group_name, kept, limit_processes
from sandbox.bubblewrap import Walls
from sandbox.cgroups import Allowance, Cgroup, Cgroups
from sandbox.contract import Ends, Offer, Wall
from sandbox.doors import Doors
from sandbox.folders import BoxFolders
from sandbox.identities import Identities
from sandbox.process_box import Fittings, ProcessBox, Started

CAN_BE_TAKEN_OFF = frozenset(
    {
        Wall.USER, Wall.CAPABILITIES, Wall.VIEW, Wall.READ_ONLY, Wall.PROC, Wall.SYSCALLS, Wall.MEMORY,
        Wall.PROCESS_COUNT, Wall.OPEN_FILES, Wall.TEMP_SIZE, Wall.PARENT,
    }
)  # fmt: skip
"""Walls that tests can take off a T2 box; the others are gVisor itself, or stand around its processes only."""


class GvisorBoxes:
    """Makes T2 boxes in `home`, from the images in `images_folder`. See `sandbox.contract.Boxes`.

    `ground` is shared with another tier, so that an image is hashed once for both.
    """

    def __init__(
        self,
        home: Path,
        images_folder: Path,
        identities: Identities,
        *,
        ground: Ground | None = None,
        unsafe_without: frozenset[Wall] = frozenset(),
    ) -> None:
        if not unsafe_without <= CAN_BE_TAKEN_OFF:
            raise ValueError(f"T2 boxes have no such wall: {unsafe_without - CAN_BE_TAKEN_OFF}")
        self._ground = ground or Ground(home, images_folder, identities)
        self._without = unsafe_without
        self._groups = Cgroups.open(group_name(home))
        self._lacking: TierMissing | None = None
        self._tried = False

    def offers(self) -> tuple[Offer, ...]:
        """Say what T2 offers here; nothing where runsc is missing or cannot start a container."""
        try:
            self.require()
        except TierMissing:
            return ()
        return (runsc.offer(self._ground.identities.separate, self._groups.told),)

    def require(self) -> None:
        """Check that this node can hold T2, once in the life of this process, by starting a container.

        Raises:
            TierMissing: it cannot; says why.
        """
        if not self._tried:
            with self._ground.settled() as site:  # given back at the end: nothing keeps it
                try:
                    runsc.try_out(self._walls(Path("/"), site.place, site.uid))
                except TierMissing as problem:
                    self._lacking = problem
            self._tried = True
        if self._lacking is not None:
            raise self._lacking

    async def warm(self) -> None:
        """Start the container that shows whether runsc works, and hash the images that have a name."""
        if self.offers():
            await self._ground.trust_named()

    async def close(self) -> None:
        """Nothing waits."""

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path]) -> ProcessBox:
        """Make a box that runs the house's program of `spec.entry`."""
        return self.unsafe_create(spec, inputs, bubblewrap.entry_program(spec))

    def unsafe_create(
        self, spec: BoxSpec, inputs: Mapping[str, Path], program: tuple[str, ...]
    ) -> ProcessBox:
        """Make a box that runs any program: for `sandbox.attacks` and tests, which attack from inside."""
        if spec.tier.level > Tier.T2.level:
            raise TierMissing(f"this tier is T2, and the plan asks for {spec.tier}", "box.tier")
        if spec.gpus:
            advice = "Ask for none, or for tier T1 on a node that has GPUs."
            raise TierMissing("gVisor gives boxes no GPU", "box.gpus", advice)
        self.require()
        root = self._ground.trusted_root(spec.image)
        with self._ground.settled() as site:
            walls = self._walls(root, site.place, site.uid)
            group = self._groups.make(site.place.whole.name, _allowance(spec, walls))
            tenancy = contextlib.ExitStack()  # what is closed when the box is destroyed
            tenancy.callback(self._ground.identities.give_back, site.uid)
            fittings = Fittings(
                tier=Tier.T2,
                start=lambda: _start(spec, walls, _Lent(group, tenancy), program),
                group=group,
                user=site.uid if walls.separate and walls.has(Wall.USER) else None,
                released=tenancy.close,
                holds_memory=self._groups.limits_memory,
            )
            site.undo.callback(group.discard)
            box = ProcessBox(spec, site.place, fittings)
            box.furnish(inputs)
            site.undo.pop_all()
        return box

    def _walls(self, root: Path, place: BoxFolders, uid: int) -> Walls:
        return Walls(root, place, uid, self._ground.identities.separate, self._without)


@dataclass(frozen=True, slots=True)
class _Lent:
    """What a box has from its tier until it is destroyed."""

    group: Cgroup
    tenancy: contextlib.ExitStack


def _allowance(spec: BoxSpec, walls: Walls) -> Allowance:
    """Return the limits of the whole tree. The memory of runsc itself, some 30 MiB, is of the box's own."""
    limits, unlimited = spec.limits, 2**20
    memory = limits.memory_mb if walls.has(Wall.MEMORY) else unlimited
    count = runsc.processes_on_host(spec) if walls.has(Wall.PROCESS_COUNT) else unlimited
    return Allowance(memory, count, limits.cpus)


async def _start(spec: BoxSpec, walls: Walls, lent: _Lent, program: tuple[str, ...]) -> Started:
    """Start runsc from this thread, whose end would be the box's end, and wait until bubblewrap's walls are up.

    Whether gVisor's own come up is seen by the box's first word, which it says behind them or never.
    """
    ends = _links(spec, walls, lent.tenancy)
    with contextlib.ExitStack() as theirs:
        config, listed = runsc.open_files(runsc.bundle(spec, walls, program), theirs)
        info_end, tell_end = os.pipe()
        kept(theirs, tell_end)
        words = runsc.command(spec, walls, runsc.Descriptors(config, listed, tell_end))
        launching = gate.launch(words, lent.group, (config, listed, tell_end))
        process, first = await bring_up(launching, info_end, theirs)
        if not walls.separate and walls.has(Wall.PROCESS_COUNT):
            limit_processes(first, runsc.processes_on_host(spec))
    return Started(process, ends)


def _links(spec: BoxSpec, walls: Walls, tenancy: contextlib.ExitStack) -> tuple[Ends, ...]:
    if not spec.links:
        return ()
    owner = walls.uid if walls.separate and walls.has(Wall.USER) else None
    doors = Doors(runsc.links_folder(walls), owner, len(spec.links))
    tenancy.callback(doors.close)
    return tuple(Ends(ours, f"{runsc.LINKS}/{number}") for number, ours in enumerate(doors.ends))
