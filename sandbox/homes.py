"""Homes of labs: folders that outlive their boxes, and that nothing which wipes boxes can reach.

    homes/<slot>/<name>      a home, in the slot of the box that has it, or had it last

A *slot* is a fresh folder that a box sees as `/home` from its start on, also while it waits without work. When it gets
work its member's home is moved there by one rename, and stays there at the end; the next box's slot takes it over. So a
home is in one place at every moment, whatever is killed: there is no copy, no list of homes that could be wrong, and
nothing here removes a folder that is not empty (`rmdir`).

Moving goes in an order that can break off anywhere:

1. the name is held: a home has one living box;
2. the home's own folder becomes the launcher's, so that no box can enter it, and whatever is in it the new box's. What
   breaks off here is done again by the next start, which looks at every file;
3. one rename, into the slot;
4. the home's own folder becomes the box's.

The box is the attacker, also afterwards: its files are looked at by descriptor, no link is ever followed, however deep
or strangely named they are. While somebody runs in a home nothing but its size is looked at. Where a launcher has no
user ids to give, its boxes could write in their slots; there a box sees its own home alone, and none waits.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import stat
import threading
from pathlib import Path

from plans import names
from plans.box import Home
from plans.errors import DarkroomError, DiskFull, SettingsWrong, StateConflict
from sandbox.home_looks import FOLDER, MIB, Closed, Moved, Use, Watch, counted, given

FAR_MB, FAR_FILES = 4096, 100_000
"""How far beyond twice its size a home may be, and a lab still start in it: each start of a lab that writes as fast as
it can takes a little more of the disk before it is ended.
"""

LEAST_FREE_MB = 256
"""How much of the disk is free at the least when a lab starts. Homes may together be larger than the disk; what is left
then is for labs that run, to save what is open.
"""


class Homes:
    """The folder of homes; one launcher has it. `separate`: whether its boxes have user ids of their own;
    `least_free_mb`: how many MiB of its disk are free when a lab starts.
    """

    def __init__(self, folder: Path, *, separate: bool, least_free_mb: int = LEAST_FREE_MB) -> None:
        self.folder, self.separate, self._least_free_mb = folder, separate, least_free_mb
        self._held: set[str] = set()
        self._slots: set[str] = set()

    def prepare(self) -> None:
        """Make the folder, and remove slots without a home that an earlier life has left.

        Raises:
            SettingsWrong: it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o711)
            for slot in self.slots():
                self.tidy(slot)
        except OSError as problem:
            advice = "It must belong to the launcher's user, on a disk that can be written."
            raise SettingsWrong(
                f"the launcher cannot use its folder of homes ({problem.strerror})", str(self.folder), advice
            ) from None

    def slot(self, owner: int | None) -> Slot:
        """Make an empty slot for a box; `owner` is the box's user id, or none when it has none of its own.

        Raises:
            DiskFull: it cannot be made.
        """
        folder = self.folder / secrets.token_hex(8)
        try:
            folder.mkdir()
            folder.chmod(0o711)
        except OSError as problem:
            raise DiskFull(f"the place of a home could not be made ({problem.strerror})", "home") from None
        self._slots.add(folder.name)
        return Slot(self, folder, owner)

    def hold(self, name: str) -> None:
        """Take a home for one box; raises `StateConflict` if another one has it."""
        if name in self._held:
            raise StateConflict(
                "this member has a lab already, and a home is in one lab at a time",
                "home",
                "Use the lab that runs, or stop it first.",
            )
        self._held.add(name)

    def is_held(self, name: str) -> bool:
        """Whether a home was taken, and not given back yet."""
        return name in self._held

    def let_go(self, name: str) -> None:
        """Take back a home that was held."""
        self._held.discard(name)

    def left(self, slot: Slot, name: str) -> None:
        """Take back a slot, and the home that its box had, if any."""
        self.let_go(name)
        self._slots.discard(slot.folder.name)
        self.tidy(slot.folder)

    def tidy(self, slot: Path) -> None:
        """Remove a slot that no box has and in which nothing is any more."""
        if slot.name not in self._slots:
            _remove_if_empty(slot)

    def require_room(self) -> None:
        """Check that a lab that starts finds room on the disk, and leaves room to those that run.

        Raises:
            DiskFull: less is free than there has to be.
        """
        found = os.statvfs(self.folder)
        if found.f_bavail * found.f_frsize < self._least_free_mb * MIB:
            raise DiskFull(
                f"less than {self._least_free_mb:,} MiB are free on the disk of homes, which is kept for labs that run",
                "home",
            )

    def find(self, name: str) -> Path | None:
        """Return where a home is, or none if there is no such home yet.

        Raises:
            StateConflict: it is there twice, which nothing here does, or it is no folder.
        """
        found = [slot / name for slot in self.slots() if os.path.lexists(slot / name)]
        if len(found) > 1:
            raise _for_the_administrator("a home is there twice", name)
        if found and not stat.S_ISDIR(os.lstat(found[0]).st_mode):
            raise _for_the_administrator("a home is no folder", name)
        return found[0] if found else None

    def slots(self) -> list[Path]:
        """Return every slot; a link to somewhere else is none."""
        with os.scandir(self.folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


class Slot:
    """The place of one box's home; see the module. It is given back once nothing of the box runs any more."""

    def __init__(self, homes: Homes, folder: Path, owner: int | None) -> None:
        self.folder = folder
        self._homes, self._owner, self._name = homes, owner, ""
        self._working = threading.Lock()
        self._over = False

    @property
    def is_others(self) -> bool:
        """Whether the box has a user id of its own."""
        return self._owner is not None

    def view(self, home: Home) -> tuple[Path, str]:
        """Return the folder that the box gets, and where it sees it."""
        if self._homes.separate:
            return self.folder, "/home"
        return self.folder / home.name, f"/home/{home.name}"

    def path(self, home: Home) -> Path:
        """Return where the home lies on the host while the box has it."""
        return self.folder / home.name

    def watch(self, home: Home, at_start: Use) -> Watch:
        """Return whoever sees that the living home stays within its size."""
        return Watch(self.path(home), Closed.SKIP if self.is_others else Closed.TELL, home, at_start)

    async def settle(self, home: Home) -> Use:
        """Bring the home into the slot and give it to the box; one that is new is empty. Returns what is in it.

        Raises:
            StateConflict: it has a living box, is not as it was left, or is far too large; nothing of it is lost.
            DiskFull: the disk is full, or nearly.
        """
        self._homes.require_room()
        self._homes.hold(names.require("file", home.name, "home"))
        self._name = home.name
        return await asyncio.to_thread(self._settle, home)

    def release(self) -> None:
        """Give slot and home back; what still settles in a thread is waited for, which is short."""
        with self._working:
            if not self._over:
                self._over = True
                self._homes.left(self, self._name)

    def _settle(self, home: Home) -> Use:
        with self._working:
            if self._over:
                raise StateConflict("the box of this home has ended", "home")
            try:
                return self._moved_here(home)
            except OSError as problem:
                raise _explained(problem) from None

    def _moved_here(self, home: Home) -> Use:
        place, found = self.path(home), self._homes.find(home.name)
        if found is None:
            place.mkdir(0o700)
            use = Use(0, 0)
        else:
            use = self._opened(found, Use((2 * home.mb + FAR_MB) * MIB, 2 * home.files + FAR_FILES))
            os.rename(found, place)
            self._homes.tidy(found.parent)
        _flush(self.folder)
        if self._owner is not None:
            os.chown(place, self._owner, self._owner, follow_symlinks=False)
        return use

    def _opened(self, found: Path, most: Use) -> Use:
        """Close a home to every box, give what is in it to ours, and count it, which is refused beyond `most`."""
        top = os.open(found, FOLDER)
        try:
            if os.fstat(top).st_dev != os.stat(self.folder).st_dev:
                raise _for_the_administrator("a home lies on another file system than its folder", found.name)
            if self._owner is not None:
                os.fchown(top, os.geteuid(), os.getegid())
            os.fchmod(top, 0o700)
        finally:
            os.close(top)
        try:
            use = counted(given(found, self._owner), most)
        except Moved:
            raise StateConflict("something still works in this home", "home", "Try again shortly.") from None
        if use.size > most.size or use.files > most.files:
            raise StateConflict(
                "this home is far larger than it may be in a lab of this profile",
                "home",
                "Choose a profile with a larger home and delete files there, or ask the administrator of the node.",
            )
        return use


def _remove_if_empty(folder: Path) -> None:
    """Remove a slot; one with anything in it stays, whatever it is."""
    try:
        os.rmdir(folder)
    except OSError:
        return


def _flush(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    opened = os.open(folder, FOLDER)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _explained(problem: OSError) -> DarkroomError:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("there is no space for a home on this node's disk", "home")
    if problem.errno in (errno.EPERM, errno.EACCES, errno.EOVERFLOW):
        return _for_the_administrator(
            "files of a home belong to a user id that this launcher does not have", ""
        )
    if problem.errno == errno.EXDEV:
        return _for_the_administrator("a home lies on another file system than its folder", "")
    return _for_the_administrator(f"a home could not be brought to its lab ({problem.strerror})", "")


def _for_the_administrator(sentence: str, name: str) -> StateConflict:
    return StateConflict(
        sentence,
        f"home {name[:12]}" if name else "home",
        "Nothing of it is lost; the administrator of the node sees to it below the launcher's folder homes.",
    )
