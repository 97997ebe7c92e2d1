"""What every tier makes its boxes on: a folder for them, images that were hashed, user ids.

A site is made before anything runs. Whatever was taken for it is given back if its box does not come to be, and else
when the box is destroyed; so no tier can forget one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from plans.box import BoxSpec, Limits
from plans.errors import HashMismatch, NotFound, TierMissing
from sandbox import folders, images
from sandbox.bubblewrap import Walls
from sandbox.cgroups import Allowance
from sandbox.contract import Wall
from sandbox.homes import Homes, Slot
from sandbox.identities import Identities
from sandbox.process_box import Fittings, ProcessBox


@dataclass(frozen=True, slots=True)
class Site:
    """A place for one box: its folders and its user id.

    `lent` is what the box has until it is destroyed; `undo` what has to go too if it does not come to be.
    """

    place: folders.BoxFolders
    uid: int
    lent: contextlib.ExitStack
    undo: contextlib.ExitStack

    def build(self, spec: BoxSpec, inputs: Mapping[str, Path], fittings: Fittings) -> ProcessBox:
        """Make the box, its inputs before it; what the site has is the box's from now on.

        Raises:
            NotFound, DiskFull: an input cannot be put before it.
        """
        box = ProcessBox(spec, self.place, fittings)
        box.furnish(inputs)
        self.undo.pop_all()
        return box


@dataclass(frozen=True, slots=True)
class Labs:
    """What a launcher has for labs: the folder of their homes, and packages that they may install, if any."""

    homes: Homes
    mirror: Path | None = None


class Sites:
    """The sites of one launcher; shared by its tiers, so that an image is hashed once for all of them."""

    def __init__(
        self, home: Path, images_folder: Path, identities: Identities, labs: Labs | None = None
    ) -> None:
        self.home, self.images_folder, self.identities = home, images_folder, identities
        self._labs = labs
        self._trusted: dict[str, images.Hold] = {}
        if identities.separate:
            folders.require_passable(home)
            folders.require_passable(images_folder)

    @contextlib.contextmanager
    def settled(self) -> Iterator[Site]:
        """Take a user id and make folders; both are given back unless the body builds a box (`Site.build`)."""
        with contextlib.ExitStack() as undo:
            lent = undo.enter_context(contextlib.ExitStack())
            uid = self.identities.take()
            lent.callback(self.identities.give_back, uid)
            place = folders.make(self.home, uid if self.identities.separate else None)
            undo.callback(folders.discard, place.whole)
            yield Site(place, uid, lent, undo)

    def slot(self, site: Site, spec: BoxSpec) -> Slot | None:
        """Return the place for a lab's home, given back once the box is gone; none for other boxes.

        Raises:
            TierMissing: there are no homes here.
        """
        if spec.home is None:
            return None
        if self._labs is None:
            raise TierMissing("this launcher keeps no homes, so it runs no labs", "box.home")
        slot = self._labs.homes.slot(site.uid if self.identities.separate else None)
        site.lent.callback(slot.release)
        return slot

    @property
    def mirror(self) -> Path | None:
        """The folder of packages that labs see, if there is one."""
        mirror = self._labs.mirror if self._labs else None
        return mirror if mirror is not None and mirror.is_dir() else None

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
            held = images.Hold(image)  # before the look, so that nobody prunes it between look and start
            images.verify(image)
            self._trusted[digest] = held
        return image.root


def allowance(limits: Limits, walls: Walls, processes: int) -> Allowance:
    """Return the limits of a box's whole tree, whose `processes` are its own and those that a tier needs around it.

    What a tier needs for itself in memory (gVisor some 30 MiB) is of the box's own.
    """
    unlimited = 2**20
    memory = limits.memory_mb if walls.has(Wall.MEMORY) else unlimited
    return Allowance(memory, processes if walls.has(Wall.PROCESS_COUNT) else unlimited, limits.cpus)
