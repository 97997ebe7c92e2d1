"""Tier T1 as a tier of the contract: bubblewrap boxes. How one is written in words stands in `sandbox.bubblewrap`."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from plans.box import BoxSpec
from plans.decision import Tier
from plans.errors import TierMissing
from sandbox import bubblewrap, gate, services, syscalls
from sandbox.cgroups import Cgroup, Cgroups, group_name
from sandbox.contract import Ends, Offer, Wall
from sandbox.gpus import Gpus
from sandbox.identities import Identities
from sandbox.process_box import Fittings, ProcessBox, Started
from sandbox.sites import Labs, Sites, allowance

MONITORS = 2
"""Processes of a box's control group beside its own: bubblewrap's monitor, and the gate on its way."""


class BubblewrapBoxes:
    """Makes T1 boxes in `home`, from the images in `images_folder`. See `sandbox.contract.Boxes`."""

    def __init__(
        self,
        home: Path,
        images_folder: Path,
        identities: Identities,
        *,
        gpus: Gpus | None = None,
        labs: Labs | None = None,
        unsafe_without: frozenset[Wall] = frozenset(),
    ) -> None:
        self.sites = Sites(home, images_folder, identities, labs)
        self._gpus = gpus or Gpus.find()
        self._without = unsafe_without
        self._groups = Cgroups.open(group_name(home))

    def offers(self) -> tuple[Offer, ...]:
        """Say what T1 offers here; nothing where the kernel or a tool lacks one of its walls."""
        try:
            self.require()
        except TierMissing:
            return ()
        return (bubblewrap.offer(self.sites.identities.separate, self._groups.told, self._gpus.count),)

    def require(self) -> None:
        """Check that this node can hold T1; raises `TierMissing`, which says why not."""
        bubblewrap.require_kernel()

    async def warm(self) -> None:
        """Hash the images that have a name; one that does not hold stays untrusted."""
        await self.sites.trust_named()

    async def close(self) -> None:
        """Nothing waits."""

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path], *, cold: bool = True) -> ProcessBox:
        """Make a box that runs the house's program of `spec.entry`; no box of this tier has waited."""
        return self.unsafe_create(spec, inputs, bubblewrap.entry_program(spec))

    def unsafe_create(
        self, spec: BoxSpec, inputs: Mapping[str, Path], program: tuple[str, ...]
    ) -> ProcessBox:
        """Make a box that runs any program: for `sandbox.attacks` and tests, which attack from inside."""
        if spec.tier is not Tier.T1:
            raise TierMissing(f"this tier is T1, and the plan asks for {spec.tier}", "box.tier")
        self.require()
        root = self.sites.trusted_root(spec.image)
        with self.sites.settled() as site:
            separate = self.sites.identities.separate
            gpus = self._gpus.take(spec.gpus)
            site.lent.callback(self._gpus.give_back, gpus)
            slot = self.sites.slot(site, spec)
            mirror = self.sites.mirror if slot else None
            walls = bubblewrap.Walls(root, site.place, site.uid, separate, self._without, gpus, slot, mirror)
            held = allowance(spec.limits, walls, spec.limits.processes + MONITORS)
            group = self._groups.make(site.place.whole.name, held)
            site.undo.callback(group.discard)
            fittings = Fittings(
                tier=Tier.T1,
                start=lambda: _start(spec, walls, group, program, site.lent),
                group=group,
                user=site.uid if walls.own_user else None,
                released=site.lent.close,
                holds_memory=self._groups.limits_memory,
                slot=slot,
            )
            return site.build(spec, inputs, fittings)


async def _start(
    spec: BoxSpec,
    walls: bubblewrap.Walls,
    group: Cgroup,
    program: tuple[str, ...],
    lent: contextlib.ExitStack,
) -> Started:
    """Start bubblewrap from this thread, whose end would be the box's end, and wait until the walls are up."""
    with contextlib.ExitStack() as ours:
        theirs = ours.enter_context(contextlib.ExitStack())
        filter_end = gate.kept(theirs, syscalls.filter_file(lab=spec.home is not None))
        info_end, tell_end = os.pipe()
        gate.kept(theirs, tell_end)
        if spec.home is not None:
            owner = walls.uid if walls.own_user else None
            ends, passed = services.listeners(bubblewrap.links_folder(walls), owner, spec.links, lent), []
        else:
            ends, passed = _links(len(spec.links), ours, theirs)
        words = bubblewrap.command(spec, walls, bubblewrap.Descriptors(filter_end, tell_end), program)
        environment = None if walls.has(Wall.ENVIRONMENT) else os.environ
        inherited = [filter_end, tell_end, *passed, *_everything(walls)]
        launching = gate.launch(words, group, inherited, environment)
        most = None if walls.separate or not walls.has(Wall.PROCESS_COUNT) else spec.limits.processes
        process = await gate.bring_up(launching, info_end, theirs, most)
        ours.pop_all()
    return Started(process, ends)


def _links(
    count: int, ours: contextlib.ExitStack, theirs: contextlib.ExitStack
) -> tuple[tuple[Ends, ...], list[int]]:
    """Make the streams of a box's links: connected pairs, so that the box needs no socket call to use its end."""
    ends, passed = [], []
    for _ in range(count):
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.enter_context(mine)
        passed.append(theirs.enter_context(its).fileno())
        ends.append(Ends(mine, passed[-1]))
    return tuple(ends), passed


def _everything(walls: bubblewrap.Walls) -> list[int]:
    """Return all open files of this process, for the test that takes this wall off; else none."""
    if walls.has(Wall.DESCRIPTORS):
        return []
    return [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2 and _is_open(int(name))]


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
