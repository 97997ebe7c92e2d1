"""Tier T1 as a tier of the contract: bubblewrap boxes, each with a user id of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
from collections.abc import Mapping
from pathlib import Path

from plans.box import BoxSpec
from plans.errors import BoxFailed, HashMismatch, TierMissing
from sandbox import bubblewrap, folders, images, syscalls
from sandbox.contract import Cause, Offer
from sandbox.folders import BoxFolders
from sandbox.identities import Identities
from sandbox.process_box import Fittings, ProcessBox

STARTING_S = 10.0
"""How long bubblewrap may take to have its walls up."""


class BubblewrapBoxes:
    """Makes T1 boxes in `home`, from the images in `images_folder`. See `sandbox.contract.Boxes`."""

    def __init__(self, home: Path, images_folder: Path, identities: Identities) -> None:
        self._home, self._images, self._identities = home, images_folder, identities
        self._trusted: set[str] = set()
        if identities.separate:
            folders.require_passable(home)
            folders.require_passable(images_folder)

    def offers(self) -> Offer:
        """Say what T1 offers here."""
        return bubblewrap.offers(self._identities.separate)

    async def warm(self) -> None:
        """Hash the images that have a name, a file at a time; one that does not hold stays untrusted."""
        for image in images.named(self._images):
            with contextlib.suppress(HashMismatch):
                for _ in images.verify_stepwise(image):
                    await asyncio.sleep(0)
                self._trusted.add(image.digest)

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path]) -> ProcessBox:
        """Make a box that runs the house's program of `spec.entry`."""
        return self.unsafe_create(spec, inputs, bubblewrap.entry_program(spec.entry))

    def unsafe_create(
        self, spec: BoxSpec, inputs: Mapping[str, Path], program: tuple[str, ...]
    ) -> ProcessBox:
        """Make a box that runs any program: for `sandbox.doctor` and tests, which attack from inside."""
        offered = self.offers().tier
        if spec.tier.level > offered.level:
            raise TierMissing(f"this node offers {offered}, and the plan asks for {spec.tier}", "box.tier")
        root = self._trusted_root(spec.image)
        uid = self._identities.take()
        owner = uid if self._identities.separate else None
        with contextlib.ExitStack() as undo:
            undo.callback(self._identities.give_back, uid)
            place = folders.make(self._home, owner, inputs)
            undo.pop_all()
        walls = bubblewrap.Walls(root, place.inputs, place.outputs, uid, self._identities.separate)

        async def start(spec: BoxSpec, _: BoxFolders) -> asyncio.subprocess.Process:
            return await _start(spec, walls, program)

        return ProcessBox(spec, place, Fittings(start, lambda: self._identities.give_back(uid)))

    def _trusted_root(self, digest: str) -> Path:
        """Return the image's root, whose every byte is hashed once in the life of this process.

        Raises:
            NotFound: it is not here.
            HashMismatch: it was changed.
        """
        image = images.by_digest(digest, self._images)
        if digest not in self._trusted:
            images.verify(image)
            self._trusted.add(digest)
        return image.root


async def _start(
    spec: BoxSpec, walls: bubblewrap.Walls, program: tuple[str, ...]
) -> asyncio.subprocess.Process:
    """Start bubblewrap from this thread, whose end would be the box's end, and wait until the walls are up."""
    filter_end = syscalls.filter_file()
    info_end, tell_end = os.pipe()
    try:
        words = bubblewrap.command(spec, walls, bubblewrap.Descriptors(filter_end, tell_end), program)
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=(filter_end, tell_end),
            env={},
            cwd="/",
        )
    finally:
        os.close(filter_end)
        os.close(tell_end)
    first = await _first_process(info_end)
    if first is None:
        await process.wait()
        raise BoxFailed(
            "the box's walls did not come up", "box.start", "Run `darkroom-server doctor` on this node."
        )
    if not walls.separate:
        _limit_processes(first, spec.limits.processes)
    return process


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


def _limit_processes(pid: int, limit: int) -> None:
    """Limit the processes of a box without a user of its own; its user namespace counts them from zero."""
    try:
        resource.prlimit(pid, resource.RLIMIT_NPROC, (limit, limit))
    except (ProcessLookupError, PermissionError):
        raise BoxFailed("the box's limit of processes could not be set", Cause.PROTOCOL) from None
