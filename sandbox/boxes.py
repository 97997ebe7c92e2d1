"""Tier T1 as a tier of the contract: bubblewrap boxes, each with a user id of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import resource
import socket
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from plans.box import BoxSpec
from plans.decision import Tier
from plans.errors import BoxFailed, HashMismatch, NotFound, TierMissing
from sandbox import bubblewrap, folders, gate, images, syscalls
from sandbox.cgroups import Allowance, Cgroup, Cgroups
from sandbox.contract import Cause, Ends, Offer, Wall
from sandbox.gpus import Gpus
from sandbox.identities import Identities
from sandbox.process_box import Fittings, ProcessBox, Started

STARTING_S = 10.0
"""How long bubblewrap may take to have its walls up."""

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
        unsafe_without: frozenset[Wall] = frozenset(),
    ) -> None:
        self.ground = Ground(home, images_folder, identities)
        self._gpus = gpus or Gpus.find()
        self._without = unsafe_without
        self._groups = Cgroups.open(group_name(home))

    def offers(self) -> tuple[Offer, ...]:
        """Say what T1 offers here; nothing where the kernel or a tool lacks one of its walls."""
        try:
            self.require()
        except TierMissing:
            return ()
        return (bubblewrap.offer(self.ground.identities.separate, self._groups.told, self._gpus.count),)

    def require(self) -> None:
        """Check that this node can hold T1; raises `TierMissing`, which says why not."""
        bubblewrap.require_kernel()

    async def warm(self) -> None:
        """Hash the images that have a name; one that does not hold stays untrusted."""
        await self.ground.trust_named()

    async def close(self) -> None:
        """Nothing waits."""

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path]) -> ProcessBox:
        """Make a box that runs the house's program of `spec.entry`."""
        return self.unsafe_create(spec, inputs, bubblewrap.entry_program(spec))

    def unsafe_create(
        self, spec: BoxSpec, inputs: Mapping[str, Path], program: tuple[str, ...]
    ) -> ProcessBox:
        """Make a box that runs any program: for `sandbox.attacks` and tests, which attack from inside."""
        if spec.tier is not Tier.T1:
            raise TierMissing(f"this tier is T1, and the plan asks for {spec.tier}", "box.tier")
        self.require()
        root = self.ground.trusted_root(spec.image)
        with self.ground.settled() as site:
            separate = self.ground.identities.separate
            lent = self._gpus.take(spec.gpus)
            site.undo.callback(self._gpus.give_back, lent)
            walls = bubblewrap.Walls(root, site.place, site.uid, separate, self._without, lent)
            group = self._groups.make(site.place.whole.name, _allowance(spec, walls))
            site.undo.callback(group.discard)
            fittings = Fittings(
                tier=Tier.T1,
                start=lambda: _start(spec, walls, group, program),
                group=group,
                user=site.uid if separate and walls.has(Wall.USER) else None,
                released=lambda: self._released(walls),
                holds_memory=self._groups.limits_memory,
            )
            box = ProcessBox(spec, site.place, fittings)
            box.furnish(inputs)
            site.undo.pop_all()
        return box

    def _released(self, walls: bubblewrap.Walls) -> None:
        """Take back what a box had, once it is wiped."""
        self.ground.identities.give_back(walls.uid)
        self._gpus.give_back(walls.gpus)


@dataclass(frozen=True, slots=True)
class Site:
    """A place for one box: its folders, its user id, and what is undone if the box does not come to be."""

    place: folders.BoxFolders
    uid: int
    undo: contextlib.ExitStack


class Ground:
    """What every tier stands on: a folder for boxes, images that were hashed, user ids."""

    def __init__(self, home: Path, images_folder: Path, identities: Identities) -> None:
        self.home, self.images_folder, self.identities = home, images_folder, identities
        self._trusted: dict[str, images.Hold] = {}
        if identities.separate:
            folders.require_passable(home)
            folders.require_passable(images_folder)

    @contextlib.contextmanager
    def settled(self) -> Iterator[Site]:
        """Take a user id and make folders; both are given back unless the body keeps them (`undo.pop_all`)."""
        with contextlib.ExitStack() as undo:
            uid = self.identities.take()
            undo.callback(self.identities.give_back, uid)
            place = folders.make(self.home, uid if self.identities.separate else None)
            undo.callback(folders.discard, place.whole)
            yield Site(place, uid, undo)

    async def trust_named(self) -> None:
        """Hash the images that have a name, a file at a time; one that does not hold stays untrusted."""
        known: images.Known = {}
        for image in images.named(self.images_folder):
            if image.digest in self._trusted:
                continue
            with contextlib.suppress(HashMismatch, NotFound):
                held = images.Hold(image)
                for _ in images.verify_stepwise(image, known):
                    await asyncio.sleep(0)
                self._trusted[image.digest] = held

    def trusted_root(self, digest: str) -> Path:
        """Return the image's root, whose every byte is hashed once in the life of this process.

        Raises:
            NotFound: it is not here.
            HashMismatch: it was changed.
        """
        image = images.by_digest(digest, self.images_folder)
        if digest not in self._trusted:
            held = images.Hold(
                image
            )  # before the look, so that it is not pruned between the look and the start
            images.verify(image)
            self._trusted[digest] = held
        return image.root


def group_name(home: Path) -> str:
    """Return the name of a launcher's control groups: of its folder for boxes, so that an heir finds what it left."""
    return "darkroom-" + hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:16]


def _allowance(spec: BoxSpec, walls: bubblewrap.Walls) -> Allowance:
    limits = spec.limits
    unlimited = 2**20
    memory = limits.memory_mb if walls.has(Wall.MEMORY) else unlimited
    count = limits.processes + MONITORS if walls.has(Wall.PROCESS_COUNT) else unlimited
    return Allowance(memory, count, limits.cpus)


async def _start(spec: BoxSpec, walls: bubblewrap.Walls, group: Cgroup, program: tuple[str, ...]) -> Started:
    """Start bubblewrap from this thread, whose end would be the box's end, and wait until the walls are up."""
    with contextlib.ExitStack() as ours:
        theirs = ours.enter_context(contextlib.ExitStack())
        filter_end = kept(theirs, syscalls.filter_file())
        info_end, tell_end = os.pipe()
        kept(theirs, tell_end)
        ends, passed = _links(len(spec.links), ours, theirs)
        words = bubblewrap.command(spec, walls, bubblewrap.Descriptors(filter_end, tell_end), program)
        environment = None if walls.has(Wall.ENVIRONMENT) else os.environ
        inherited = [filter_end, tell_end, *passed, *_everything(walls)]
        launching = gate.launch(words, group, inherited, environment)
        process, first = await bring_up(launching, info_end, theirs)
        if not walls.separate and walls.has(Wall.PROCESS_COUNT):
            limit_processes(first, spec.limits.processes)
        ours.pop_all()
    return Started(process, ends)


async def bring_up(
    launching: Awaitable[gate.Process], info_end: int, theirs: contextlib.ExitStack
) -> tuple[gate.Process, int]:
    """Wait for a launch until bubblewrap's walls are up; return its process, and the id of the first one behind it.

    Args:
        info_end: where bubblewrap tells that id; closed in any case.
        theirs: holds the box's ends of what it inherits, closed here once it has them.

    Raises:
        BoxFailed: the walls did not come up; nothing runs.
    """
    try:
        process = await launching
    except BoxFailed:
        os.close(info_end)
        raise
    theirs.close()
    first = await _first_process(info_end)
    if first is None:
        await _ended(process)
        advice = "Run `darkroom-server doctor` on this node."
        raise BoxFailed("the box's walls did not come up", "box.start", advice)
    return process, first


def kept(stack: contextlib.ExitStack, descriptor: int) -> int:
    """Return an open file that is closed with the stack."""
    stack.callback(os.close, descriptor)
    return descriptor


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


async def _ended(process: gate.Process) -> None:
    """Wait for a process that gave up; end one that hangs."""
    try:
        await asyncio.wait_for(process.wait(), 1.0)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _first_process(info_end: int) -> int | None:
    """Read the process id of the box's first process from bubblewrap, or none if it ended before it had one."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(info_end, "rb")
    )
    try:
        told = await asyncio.wait_for(reader.read(), STARTING_S)
        return int(json.loads(told)["child-pid"])
    except (TimeoutError, ValueError, KeyError):
        return None
    finally:
        transport.close()


def limit_processes(pid: int, limit: int) -> None:
    """Limit the processes of a box without a user of its own; its user namespace counts them from zero."""
    try:
        resource.prlimit(pid, resource.RLIMIT_NPROC, (limit, limit))
    except (ProcessLookupError, PermissionError):
        raise BoxFailed("the box's limit of processes could not be set", Cause.PROTOCOL) from None
