"""How homes of labs are looked at: by descriptor, following no link, however deep or strangely named what is there.

The box that has a home is the attacker, also of whoever counts what it wrote: folders are moved away while they are
counted, closed, or filled as fast as they are looked at, and files are deleted and held open (`sandbox.deleted`). What
moves cannot be counted, so a look that has to be right is one at a box that is held still (`sandbox.brake`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
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

HELD = 4
"""How many times as long as it was held for a look a box has for itself afterwards, however much the disk changes."""

LONGEST_FREE_S = 10.0
"""How long a box has for itself between two such looks at the most: it can make them slow, and write meanwhile."""

LONGEST_UNSURE_S = 300.0
"""How long sure looks may fail, since a box does not come to a stand or something moves all the same, before that is a
way to hide. Whoever waits for a slow disk does not stand still either, for seconds.
"""

SURE_EVERY_S = 600.0
"""How long a home goes without a sure look at the most, whatever the disk shows: others may delete as much as a box
writes at the same moment.
"""

OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What a look fails of that is no fault of the box. It counts as a look that did not come to an end."""

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


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found, and what was used of the whole file system when it began."""

    use: Use
    disk: Use


Held = Callable[[], AbstractContextManager[bool]]
"""Holds a box still; gives whether it is (`sandbox.brake.Brake.held`)."""


class Watch:
    """Whether a living home is within its size, at a pace that suits it.

    Two looks differ in what they are worth. A *quick* one counts every file while the box works, and the box can be
    lucky: what it moves behind the look is in neither place. A *sure* one has the box held still meanwhile.

    The disk says at once how much was written since the last sure look, by anybody and wherever it lies now. As long as
    that is no more than the home had room for then, quick looks are made now and then; beyond it nothing but a sure one
    can tell. What others write so costs a box some moments, and never its life.
    """

    def __init__(self, folder: Path, closed: Closed, home: Home, at_start: Use) -> None:
        self._folder, self._closed = folder, closed
        most, files = home.mb * MIB, home.files
        reserve = max(LEAST_RESERVE_MB * MIB, most // 10)
        self.most = Use(
            max(most + reserve, at_start.size + SLACK_MB * MIB),
            max(files + max(LEAST_RESERVE_FILES, files // 10), at_start.files + SLACK_FILES),
        )
        self._sure = self._last = Seen(at_start, self._disk())
        self._due = self._sure_from = 0.0
        self._sure_at = time.monotonic()
        self._sizes: dict[int, int] = {}

    async def is_over(self, first: int, held: Held) -> bool:
        """Look, if it is time to; `first` is the first process of the box, `held` holds it still."""
        now = time.monotonic()
        try:
            if not self._wants_to_be_sure(now) and (
                now < self._due or not await self._is_over_quickly(first)
            ):
                return False
            return now >= self._sure_from and await asyncio.to_thread(self._is_over_surely, first, held)
        except OSError as problem:  # closed to us by a box with our own user id, or the disk fails
            return problem.errno not in OURS

    async def _is_over_quickly(self, first: int) -> bool:
        """Look while the box works; whether there seems to be too much, or something moved meanwhile."""
        began = time.monotonic()
        try:
            use = await asyncio.to_thread(self._look, first)
        except Moved:
            return True
        self._due = _next(began, BUSY, (SHORTEST_PAUSE_S, LONGEST_PAUSE_S))
        return self._is_beyond(use)

    def _is_over_surely(self, first: int, held: Held) -> bool:
        """Look while the box stands still. One that cannot be made to for long is over.

        All of it in one thread: a box that stood still until a thread is free would stand for the looks at others.
        """
        began = time.monotonic()
        with held() as still:
            try:
                use = self._look(first)
            except Moved:
                still, use = False, Use(0, 0)
        self._sure_from = _next(began, HELD, (0, LONGEST_FREE_S))
        if still:
            self._sure_at, self._sure = began, self._last
            self._due = _next(began, BUSY, (SHORTEST_PAUSE_S, LONGEST_PAUSE_S))
        return self._is_beyond(use) or began - self._sure_at >= SURE_EVERY_S + LONGEST_UNSURE_S

    def _wants_to_be_sure(self, now: float) -> bool:
        return self._may_be_over() or now - self._sure_at >= SURE_EVERY_S

    def _look(self, first: int) -> Use:
        """Count what has a name, and what the box holds open or mapped after deleting it.

        Where the kernel does not tell how large a file is of which a part is mapped (`sandbox.deleted`), it has the
        size that it had at the last look; one that is new is taken for what the disk has more and nothing else
        explains.
        """
        sizes: dict[int, int] = {}
        disk = self._disk()
        use = counted(_noted(walk(self._folder, self._closed), sizes), self.most)
        top = os.stat(self._folder)
        kept, mapped = deleted.of_tree(first, top.st_dev)
        size = top.st_blocks * 512 + use.size + sum(kept.values())
        known = {**self._sizes, **sizes, **kept}
        nameless = {inode: part for inode, part in mapped.items() if inode not in sizes}
        left = {inode: max(part, known.get(inode, 0)) for inode, part in nameless.items()}
        size += sum(left.values())
        if strange := [inode for inode in left if inode not in known]:
            unexplained = self._disk().size - self._last.disk.size - (size - self._last.use.size)
            left[strange[0]] += max(0, unexplained)
            size += max(0, unexplained)
        self._sizes = {**sizes, **kept, **left}
        found = Use(size, use.files + len(kept) + len(left))
        self._last = Seen(found, disk)
        return found

    def _may_be_over(self) -> bool:
        """Whether the home would be too large if all that the disk has more were in it.

        More than it had least since the last sure look: what others delete makes no room to hide in.
        """
        now, then = self._disk(), self._sure
        least = Use(min(now.size, then.disk.size), min(now.files, then.disk.files))
        self._sure = Seen(then.use, least)
        return self._is_beyond(
            Use(then.use.size + now.size - least.size, then.use.files + now.files - least.files)
        )

    def _is_beyond(self, use: Use) -> bool:
        return use.size > self.most.size or use.files > self.most.files

    def _disk(self) -> Use:
        """Return what is used of the whole file system."""
        found = os.statvfs(self._folder)
        return Use((found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree)


def _next(began: float, part: int, bounds_s: tuple[float, float]) -> float:
    """Return when to look again after a look that began then: it takes one part in so many of the time."""
    least_s, most_s = bounds_s
    now = time.monotonic()
    return now + min(max(least_s, part * (now - began)), most_s)


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
