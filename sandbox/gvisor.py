"""Tier T2 as a tier of the contract: gVisor boxes. How one is written in words stands in `sandbox.runsc`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from plans.box import BoxSpec
from plans.decision import Tier
from plans.errors import TierMissing
from sandbox import bubblewrap, gate, runsc, services
from sandbox.bubblewrap import Walls
from sandbox.cgroups import Cgroup, Cgroups, group_name
from sandbox.contract import Ends, Offer, Wall
from sandbox.doors import Doors
from sandbox.folders import BoxFolders
from sandbox.identities import Identities
from sandbox.process_box import Fittings, ProcessBox, Started
from sandbox.sites import Sites, allowance

CAN_BE_TAKEN_OFF = frozenset(
    {
        Wall.USER, Wall.CAPABILITIES, Wall.VIEW, Wall.READ_ONLY, Wall.PROC, Wall.SYSCALLS, Wall.MEMORY,
        Wall.PROCESS_COUNT, Wall.OPEN_FILES, Wall.TEMP_SIZE, Wall.PARENT,
    }
)  # fmt: skip
"""Walls that tests can take off a T2 box; the others are gVisor itself, or stand around its processes only."""


AGAIN_S = 60.0
"""After how long a node is tried again whose first container said nothing in time: it may have stood still then."""


class GvisorBoxes:
    """Makes T2 boxes in `home`, from the images in `images_folder`. See `sandbox.contract.Boxes`.

    `sites` are shared with another tier, so that an image is hashed once for both.
    """

    def __init__(
        self,
        home: Path,
        images_folder: Path,
        identities: Identities,
        *,
        sites: Sites | None = None,
        unsafe_without: frozenset[Wall] = frozenset(),
    ) -> None:
        if not unsafe_without <= CAN_BE_TAKEN_OFF:
            raise ValueError(f"T2 boxes have no such wall: {unsafe_without - CAN_BE_TAKEN_OFF}")
        self._sites = sites or Sites(home, images_folder, identities)
        self._without = unsafe_without
        self._groups = Cgroups.open(group_name(home))
        self._lacking: TierMissing | None = None
        self._tried, self._again = False, 0.0

    def offers(self) -> tuple[Offer, ...]:
        """Say what T2 offers here; nothing where runsc is missing or cannot start a container."""
        try:
            self.require()
        except TierMissing:
            return ()
        return (runsc.offer(self._sites.identities.separate, self._groups.told),)

    def require(self) -> None:
        """Check that this node can hold T2, by starting a container, until one has shown it or that it cannot.

        Raises:
            TierMissing: it cannot; says why.
        """
        if not self._tried and time.monotonic() >= self._again:
            self._try()
        if self._lacking is not None:
            raise self._lacking

    def _try(self) -> None:
        with self._sites.settled() as site:  # given back at the end: nothing keeps it
            try:
                runsc.try_out(self._walls(Path("/"), site.place, site.uid))
            except TimeoutError:
                self._lacking, self._again = runsc.cannot("it does not answer"), time.monotonic() + AGAIN_S
                return
            except TierMissing as problem:
                self._lacking, self._tried = problem, True
                return
        self._lacking, self._tried = None, True

    async def warm(self) -> None:
        """Start the container that shows whether runsc works, and hash the images that have a name."""
        if self.offers():
            await self._sites.trust_named()

    async def close(self) -> None:
        """Nothing waits."""

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path], *, cold: bool = True) -> ProcessBox:
        """Make a box that runs the house's program of `spec.entry`; no box of this tier has waited."""
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
        root = self._sites.trusted_root(spec.image)
        with self._sites.settled() as site:
            slot = self._sites.slot(site, spec)
            walls = replace(
                self._walls(root, site.place, site.uid),
                slot=slot,
                mirror=self._sites.mirror if slot else None,
            )
            held = allowance(spec.limits, walls, runsc.processes_on_host(spec))
            group = self._groups.make(site.place.whole.name, held)
            site.undo.callback(group.discard)
            fittings = Fittings(
                tier=Tier.T2,
                start=lambda: _start(spec, walls, group, site.lent, program),
                group=group,
                user=site.uid if walls.own_user else None,
                released=site.lent.close,
                holds_memory=self._groups.limits_memory,
                slot=slot,
            )
            return site.build(spec, inputs, fittings)

    def _walls(self, root: Path, place: BoxFolders, uid: int) -> Walls:
        return Walls(root, place, uid, self._sites.identities.separate, self._without)


async def _start(
    spec: BoxSpec, walls: Walls, group: Cgroup, lent: contextlib.ExitStack, program: tuple[str, ...]
) -> Started:
    """Start runsc from this thread, whose end would be the box's end, and wait until bubblewrap's walls are up.

    Whether gVisor's own come up is seen by the box's first word, which it says behind them or never.
    """
    ends = _links(spec, walls, lent)
    with contextlib.ExitStack() as theirs:
        config, listed = runsc.open_files(runsc.bundle(spec, walls, program), theirs)
        info_end, tell_end = os.pipe()
        gate.kept(theirs, tell_end)
        words = runsc.command(spec, walls, runsc.Descriptors(config, listed, tell_end))
        launching = gate.launch(words, group, (config, listed, tell_end))
        most = None if walls.separate or not walls.has(Wall.PROCESS_COUNT) else runsc.processes_on_host(spec)
        process = await gate.bring_up(launching, info_end, theirs, most)
    return Started(process, ends)


def _links(spec: BoxSpec, walls: Walls, lent: contextlib.ExitStack) -> tuple[Ends, ...]:
    """Make the doors of a box's links, which are closed when the box is destroyed."""
    if not spec.links:
        return ()
    owner = walls.uid if walls.own_user else None
    folder = bubblewrap.links_folder(walls)
    if spec.home is not None:
        return services.listeners(folder, owner, spec.links, lent)
    doors = Doors(folder, owner, len(spec.links))
    lent.callback(doors.close)
    return tuple(Ends(ours, f"{runsc.LINKS}/{number}") for number, ours in enumerate(doors.ends))
