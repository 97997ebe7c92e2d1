"""How homes of labs are looked at: by descriptor, following no link, however deep or strangely named what is there.

The box that has a home is the attacker, also of whoever counts what it wrote: folders are moved away while they are
counted, closed, or filled as fast as they are looked at, and files are deleted and held open (`sandbox.deleted`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from plans.box import Home
from sandbox import deleted

MIB = 2**20
LEAST_RESERVE_MB, LEAST_RESERVE_FILES = 64, 1000
"""How much beyond its size a home may grow at the least before its box is ended: room to save what is open."""

SLACK_MB, SLACK_FILES = 8, 500
"""How much a home that is too large at the start may still grow: files are deleted by a server that runs."""

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
"""How long after a look the next one comes, if the disk shows no growth: longer for homes that take long to look at."""

BUSY = 20
"""A home is looked at during one part in so many of the time."""

MOST_MOVED = 10
"""How often in a row folders may be moved while they are counted, before that is a way to hide what they hold."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Closed(Enum):
    """What becomes of a folder that is closed to us.

    Nothing of a box with a user id of its own is, so that is skipped; it is an administrator's. A box with our own user
    id can close a folder: in a home at rest it is opened, and in a living one that is a way to hide.
    """

    SKIP = 1
    OPEN = 2
    TELL = 3


class Moved(Exception):
    """A folder was moved away while it was looked at, so that nobody knows what was counted."""


@dataclass(frozen=True, slots=True)
class Use:
    """What lies in a home: bytes on the disk, and entries of any kind."""

    size: int
    files: int


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a folder that is open as `within`."""

    within: int
    name: str
    status: os.stat_result


class Watch:
    """Whether a living home is within its size, at a pace that suits it.

    The disk says at once how much was written since the last look, by anybody; only when that is more than the home
    has room for, or when it was not looked at for a while, every file of it is counted, and what the box holds open
    after deleting it.

    Of a deleted file that is mapped and not open, a part may be all that is told. It has the size that it had at the
    last look; one that is new is taken for what the disk has more and nothing else explains.
    """

    def __init__(self, folder: Path, closed: Closed, home: Home, at_start: Use) -> None:
        self._folder, self._closed = folder, closed
        most, files = home.mb * MIB, home.files
        reserve = max(LEAST_RESERVE_MB * MIB, most // 10)
        self.most = Use(
            max(most + reserve, at_start.size + SLACK_MB * MIB),
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
        except Moved:
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
        use = counted(_noted(walk(self._folder, self._closed), sizes), self.most)
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


def given(top: Path, owner: int | None) -> Iterator[Entry]:
    """Yield every entry, after giving it to a user id, if any; else what a box has closed to our own is opened.

    What belongs to somebody whom this launcher has no power over was put there by an administrator, and stays theirs.
    """
    for entry in walk(top, Closed.OPEN if owner is None else Closed.SKIP):
        if owner is not None and (entry.status.st_uid, entry.status.st_gid) != (owner, owner):
            with contextlib.suppress(PermissionError):
                os.chown(entry.name, owner, owner, dir_fd=entry.within, follow_symlinks=False)
        yield entry


def _noted(entries: Iterator[Entry], sizes: dict[int, int]) -> Iterator[Entry]:
    """Yield entries, and note by inode how large files are; what takes a page at the most is not worth it."""
    for entry in entries:
        size = entry.status.st_blocks * 512
        if size > resource.getpagesize() and stat.S_ISREG(entry.status.st_mode):
            sizes[entry.status.st_ino] = size
        yield entry


def counted(entries: Iterator[Entry], most: Use | None = None) -> Use:
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


def walk(top: Path, closed: Closed) -> Iterator[Entry]:
    """Yield what is below a folder, folders before what is in them, on one file system.

    One folder is open at a time, so that no depth is too deep; the way back is `..`, and whether it led back is seen.

    Raises:
        Moved: a folder was moved meanwhile.
        PermissionError: one is closed to us, and `closed` says so.
    """
    here = os.open(top, FOLDER)
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
                up = os.open("..", FOLDER, dir_fd=here)
                os.close(here)
                here = up
                if os.fstat(here).st_ino != came or os.fstat(here).st_dev != device:
                    raise Moved
    finally:
        os.close(here)


def _listed(here: int, device: int) -> Iterator[Entry]:
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
        yield Entry(here, name, status)
        if stat.S_ISDIR(status.st_mode):
            below.append(name)
    return below


def _deeper(here: int, name: str, device: int, closed: Closed) -> int | None:
    """Open a folder in an open one; none if it is gone, or is no folder any more."""
    try:
        opened = os.open(name, FOLDER, dir_fd=here)
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
