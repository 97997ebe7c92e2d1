"""What an administrator does with homes at rest: sees how large they are, and erases one for good.

The launcher does both, since it alone knows which homes are in a lab now. A home that is to be erased gets another name
first, in its slot, so that no lab starts in half of one; what an end of the launcher leaves of it is removed later
(`finish`). Whoever had it was the attacker: it is looked at by descriptor, and removed without following anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from dataclasses import dataclass

from plans.errors import DarkroomError, NotFound
from plans.record import Record
from sandbox import folders
from sandbox.home_looks import MIB, Closed, Moved, Use, counted, walk
from sandbox.homes import Homes

ERASED = "erased-"
"""How the name of what is being erased begins; no home is called so (`plans.labs.home_of`)."""

MOST = Use(2**50, 2_000_000)
"""Beyond this a home is not counted to its end."""


@dataclass(frozen=True, slots=True)
class Kept(Record):
    """A home: its name, MiB on the disk (rounded up), entries in it, and whether a lab has it now.

    One that is not `counted` changed while it was looked at, is closed to the launcher, or is not as homes are.
    """

    name: str
    mb: int
    files: int
    in_use: bool
    counted: bool = True


def listed(homes: Homes, *, count: bool = True) -> tuple[Kept, ...]:
    """Return every home, by name; to count looks at every file, and may take long."""
    most = MOST if count else None
    return tuple(_looked_at(homes, name, most) for name in sorted(_names(homes)))


async def erase(homes: Homes, name: str) -> None:
    """Remove a home with all that is in it.

    Raises:
        NotFound: there is no such home.
        StateConflict: a lab has it.
    """
    homes.hold(name)
    try:
        found = homes.find(name)
        if found is None:
            raise NotFound("there is no such home", name[:12], "See them with darkroom-server labs homes.")
        found.rename(found.with_name(ERASED + secrets.token_hex(8)))
    finally:
        homes.let_go(name)
    await finish(homes)


async def finish(homes: Homes) -> None:
    """Remove what is being erased, also what an earlier life did not get to the end of."""
    for slot in await asyncio.to_thread(homes.slots):
        for place in slot.glob(ERASED + "*"):
            await folders.wipe(place)
        homes.tidy(slot)


def _names(homes: Homes) -> set[str]:
    return {
        entry.name
        for slot in homes.slots()
        for entry in _entries(slot)
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(ERASED)
    }


def _entries(slot: os.PathLike[str]) -> list[os.DirEntry[str]]:
    """Return what is in a slot; one that was removed meanwhile has nothing."""
    with contextlib.suppress(FileNotFoundError), os.scandir(slot) as found:
        return list(found)
    return []


def _looked_at(homes: Homes, name: str, most: Use | None) -> Kept:
    in_use = homes.is_held(name)
    closed = Closed.SKIP if homes.separate else Closed.TELL
    try:
        place = homes.find(name)
        use = counted(walk(place, closed), most) if place is not None and most is not None else None
    except (Moved, OSError, DarkroomError):
        use = None
    if use is None:  # also while it is on its way from one slot to the next
        return Kept(name, 0, 0, in_use, counted=False)
    return Kept(name, -(-use.size // MIB), use.files, in_use)
