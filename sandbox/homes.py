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
import contextlib
import errno
import os
import resource
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from plans import names
from plans.box import Home
from plans.errors import DarkroomError, DiskFull, SettingsWrong, StateConflict
from sandbox import deleted

_MIB = 2**20
LEAST_RESERVE_MB, LEAST_RESERVE_FILES = 64, 1000
"""How much beyond its size a home may grow at the least before its box is ended: room to save what is open."""

SLACK_MB, SLACK_FILES = 8, 500
"""How much a home that is too large at the start may still grow: files are deleted by a server that runs."""

FAR_MB, FAR_FILES = 4096, 100_000
"""How far beyond twice its size a home may be, and a lab still start in it: each start of a lab that writes as fast as
it can takes a little more of the disk before it is ended.
"""

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
"""How long after a look the next one comes, if the disk shows no growth: longer for homes that take long to look at."""

BUSY = 20
"""A home is looked at during one part in so many of the time."""

MOST_MOVED = 10
"""How often in a row folders may be moved while they are counted, before that is a way to hide what they hold."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Closed(Enum):
    """What becomes of a folder that is closed to us.

    Nothing of a box with a user id of its own is, so that is skipped; it is an administrator's. A box with our own user
    id can close a folder: in a home at rest it is opened, and in a living one that is a way to hide.
    """

    SKIP = 1
    OPEN = 2
    TELL = 3


class _Moved(Exception):
    """A folder was moved away while it was looked at, so that nobody knows what was counted."""


@dataclass(frozen=True, slots=True)
class Use:
    """What lies in a home: bytes on the disk, and entries of any kind."""

    size: int
    files: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something in a folder that is open as `within`."""

    within: int
    name: str
    status: os.stat_result


class Homes:
    """The folder of homes; one launcher has it. `separate`: whether its boxes have user ids of their own."""

    def __init__(self, folder: Path, *, separate: bool) -> None:
        self.folder, self.separate = folder, separate
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
            for slot in self._all_slots():
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

    def left(self, slot: Slot, name: str) -> None:
        """Take back a slot, and the home that its box had, if any."""
        self._held.discard(name)
        self._slots.discard(slot.folder.name)
        self.tidy(slot.folder)

    def tidy(self, slot: Path) -> None:
        """Remove a slot that no box has and in which nothing is any more."""
        if slot.name not in self._slots:
            _remove_if_empty(slot)

    def find(self, name: str) -> Path | None:
        """Return where a home is, or none if there is no such home yet.

        Raises:
            StateConflict: it is there twice, which nothing here does, or it is no folder.
        """
        found = [slot / name for slot in self._all_slots() if os.path.lexists(slot / name)]
        if len(found) > 1:
            raise _for_the_administrator("a home is there twice", name)
        if found and not stat.S_ISDIR(os.lstat(found[0]).st_mode):
            raise _for_the_administrator("a home is no folder", name)
        return found[0] if found else None

    def _all_slots(self) -> list[Path]:
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

    async def settle(self, home: Home) -> Use:
        """Bring the home into the slot and give it to the box; one that is new is empty. Returns what is in it.

        Raises:
            StateConflict: it has a living box, is not as it was left, or is far too large; nothing of it is lost.
            DiskFull: there is no space even for a folder.
        """
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
            use = self._opened(found, Use((2 * home.mb + FAR_MB) * _MIB, 2 * home.files + FAR_FILES))
            os.rename(found, place)
            self._homes.tidy(found.parent)
        _flush(self.folder)
        if self._owner is not None:
            os.chown(place, self._owner, self._owner, follow_symlinks=False)
        return use

    def _opened(self, found: Path, most: Use) -> Use:
        """Close a home to every box, give what is in it to ours, and count it, which is refused beyond `most`."""
        top = os.open(found, _FOLDER)
        try:
            if os.fstat(top).st_dev != os.stat(self.folder).st_dev:
                raise _for_the_administrator("a home lies on another file system than its folder", found.name)
            if self._owner is not None:
                os.fchown(top, os.geteuid(), os.getegid())
            os.fchmod(top, 0o700)
        finally:
            os.close(top)
        try:
            use = _counted(_given(found, self._owner), most)
        except _Moved:
            raise StateConflict("something still works in this home", "home", "Try again shortly.") from None
        if use.size > most.size or use.files > most.files:
            raise StateConflict(
                "this home is far larger than it may be in a lab of this profile",
                "home",
                "Choose a profile with a larger home and delete files there, or ask the administrator of the node.",
            )
        return use


class Watch:
    """Whether a living home is within its size, at a pace that suits it.

    The disk says at once how much was written since the last look, by anybody; only when that is more than the home
    has room for, or when it was not looked at for a while, every file of it is counted, and what the box holds open
    after deleting it.

    Of a deleted file that is mapped and not open, a part may be all that is told. It has the size that it had at the
    last look; one that is new is taken for what the disk has more and nothing else explains.
    """

    def __init__(self, slot: Slot, home: Home, at_start: Use) -> None:
        self._folder, self._closed = slot.path(home), Closed.SKIP if slot.is_others else Closed.TELL
        most, files = home.mb * _MIB, home.files
        reserve = max(LEAST_RESERVE_MB * _MIB, most // 10)
        self.most = Use(
            max(most + reserve, at_start.size + SLACK_MB * _MIB),
            max(files + max(LEAST_RESERVE_FILES, files // 10), at_start.files + SLACK_FILES),
        )
        self._last, self._then, self._due = at_start, self._disk(), 0.0
        self._sizes: dict[int, int] = {}
        self._moved = 0

    async def is_over(self, first: int) -> bool:
        """Look, if it is time to; `first` is the first process of the box."""
        if time.monotonic() < self._due and not self._may_be_over():
            return False
        began, then = time.monotonic(), self._disk()
        try:
            use = await asyncio.to_thread(self._look, first)
        except _Moved:
            self._moved += 1
            return self._moved >= MOST_MOVED
        except OSError:  # closed to us by a box with our own user id, or the disk fails
            return True
        self._moved = 0
        took = time.monotonic() - began
        self._last, self._then = use, then
        self._due = time.monotonic() + min(max(SHORTEST_PAUSE_S, BUSY * took), LONGEST_PAUSE_S)
        return use.size > self.most.size or use.files > self.most.files

    def _look(self, first: int) -> Use:
        sizes: dict[int, int] = {}
        use = _counted(_noted(_walk(self._folder, self._closed), sizes), self.most)
        opened, mapped = deleted.of_tree(first, os.stat(self._folder).st_dev)
        size = use.size + sum(opened.values())
        known = {**self._sizes, **sizes, **opened}
        nameless = {
            inode: part for inode, part in mapped.items() if inode not in opened and inode not in sizes
        }
        left = {inode: max(part, known.get(inode, 0)) for inode, part in nameless.items()}
        size += sum(left.values())
        if strange := [inode for inode in left if inode not in known]:
            unexplained = self._disk().size - self._then.size - (size - self._last.size)
            left[strange[0]] += max(0, unexplained)
            size += max(0, unexplained)
        self._sizes = {**sizes, **opened, **left}
        return Use(size, use.files)

    def _may_be_over(self) -> bool:
        now = self._disk()
        return (
            now.size - self._then.size > self.most.size - self._last.size
            or now.files - self._then.files > self.most.files - self._last.files
        )

    def _disk(self) -> Use:
        """Return what is used of the whole file system."""
        found = os.statvfs(self._folder)
        return Use((found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree)


def _given(top: Path, owner: int | None) -> Iterator[_Entry]:
    """Yield every entry, after giving it to a user id, if any; else what a box has closed to our own is opened.

    What belongs to somebody whom this launcher has no power over was put there by an administrator, and stays theirs.
    """
    for entry in _walk(top, Closed.OPEN if owner is None else Closed.SKIP):
        if owner is not None and (entry.status.st_uid, entry.status.st_gid) != (owner, owner):
            with contextlib.suppress(PermissionError):
                os.chown(entry.name, owner, owner, dir_fd=entry.within, follow_symlinks=False)
        yield entry


def _noted(entries: Iterator[_Entry], sizes: dict[int, int]) -> Iterator[_Entry]:
    """Yield entries, and note by inode how large files are; what takes a page at the most is not worth it."""
    for entry in entries:
        size = entry.status.st_blocks * 512
        if size > resource.getpagesize() and stat.S_ISREG(entry.status.st_mode):
            sizes[entry.status.st_ino] = size
        yield entry


def _counted(entries: Iterator[_Entry], most: Use | None = None) -> Use:
    """Count entries, and bytes of the disk; a file with several names has its bytes once.

    Nothing is counted beyond `most`: what grows as fast as it is looked at would else be looked at for ever.
    """
    size = files = 0
    seen: set[int] = set()
    for entry in entries:
        files += 1
        status = entry.status
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if status.st_ino in seen:
                continue
            seen.add(status.st_ino)
        size += status.st_blocks * 512
        if most is not None and (size > most.size or files > most.files):
            break
    return Use(size, files)


def _walk(top: Path, closed: Closed) -> Iterator[_Entry]:
    """Yield what is below a folder, folders before what is in them, on one file system.

    One folder is open at a time, so that no depth is too deep; the way back is `..`, and whether it led back is seen.

    Raises:
        _Moved: a folder was moved meanwhile.
        PermissionError: one is closed to us, and `closed` says so.
    """
    here = os.open(top, _FOLDER)
    try:
        device = os.fstat(here).st_dev
        above: list[tuple[int, list[str]]] = []
        below = yield from _listed(here, device)
        while below or above:
            if below:
                deeper = _deeper(here, below.pop(), device, closed)
                if deeper is None:
                    continue
                above.append((os.fstat(here).st_ino, below))
                os.close(here)
                here = deeper
                below = yield from _listed(here, device)
            else:
                came, below = above.pop()
                up = os.open("..", _FOLDER, dir_fd=here)
                os.close(here)
                here = up
                if os.fstat(here).st_ino != came or os.fstat(here).st_dev != device:
                    raise _Moved
    finally:
        os.close(here)


def _listed(here: int, device: int) -> Iterator[_Entry]:
    """Yield the entries of an open folder, and return the names of folders among them."""
    below = []
    with os.scandir(here) as entries:
        found = [entry.name for entry in entries]
    for name in found:
        try:
            status = os.stat(name, dir_fd=here, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if status.st_dev != device:
            continue
        yield _Entry(here, name, status)
        if stat.S_ISDIR(status.st_mode):
            below.append(name)
    return below


def _deeper(here: int, name: str, device: int, closed: Closed) -> int | None:
    """Open a folder in an open one; none if it is gone, or is no folder any more."""
    try:
        opened = os.open(name, _FOLDER, dir_fd=here)
    except OSError as problem:
        if problem.errno == errno.EACCES and closed is Closed.SKIP:
            return None
        if problem.errno == errno.EACCES and closed is Closed.OPEN:
            os.chmod(name, 0o700, dir_fd=here)
            return _deeper(here, name, device, Closed.TELL)
        if problem.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
    if os.fstat(opened).st_dev == device:
        return opened
    os.close(opened)
    return None


def _remove_if_empty(folder: Path) -> None:
    """Remove a slot; one with anything in it stays, whatever it is."""
    try:
        os.rmdir(folder)
    except OSError:
        return


def _flush(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    opened = os.open(folder, _FOLDER)
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
