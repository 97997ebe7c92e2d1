"""Watches how much of the home is used: tells it, and stops kernels and terminals before the launcher stops the lab.

The launcher kills a lab whose home is larger than its quota and the reserve beyond it. Before that, when the quota is
reached, this watch bounds the size of every file that kernels and terminals write (RLIMIT_FSIZE), so that they get
"File too large" instead; the server is spared, so that documents can still be saved within the reserve. When there is
room again, the bound is taken off. It is a courtesy and no wall: the member may lift it, and meets the launcher.

What it finds lies in `home.json`, for server, panel and client:

    {"used_mb", "limit_mb", "reserve_mb", "files", "files_limit", "full"}
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import time
from collections.abc import Collection, Iterator
from pathlib import Path

SMALL = 16 * 1024
"""Bytes of the largest file that kernels and terminals may write while the home is full."""

SHORTEST_PAUSE_S = 2.0
IDLE_SHARE = 20
"""A look at all files is followed by a pause of so many times what it took."""

STEP_S = 0.005
"""How long a look may keep connections waiting at a time."""

WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How the runner opens what the member may have put something else in place of: no FIFO keeps it waiting."""

_MIB = 2**20


class HomeWatch:
    """Looks at all files of a home, again and again, a little at each step."""

    def __init__(self, home: Path, mb: int, files: int, told: Path) -> None:
        self._home, self._mb, self._files, self._told = home, mb, files, told
        self._look: Iterator[tuple[int, int]] | None = None
        self._next, self._busy_s = 0.0, 0.0
        self.full = False

    def step(self, spared: Collection[int]) -> None:
        """Look a little further; `spared` are the processes that are never bounded."""
        begun = time.monotonic()
        if self._look is None:
            if begun < self._next:
                return
            self._look, self._busy_s = used(os.fspath(self._home), 4 * self._files), 0.0
        found = (0, 0)
        for found in self._look:  # noqa: B007 - the last one is the whole
            if time.monotonic() - begun > STEP_S:
                self._busy_s += time.monotonic() - begun
                return
        self._look = None
        self._busy_s += time.monotonic() - begun
        self._next = time.monotonic() + max(SHORTEST_PAUSE_S, IDLE_SHARE * self._busy_s)
        self._settle(*found, spared)

    def _settle(self, count: int, size: int, spared: Collection[int]) -> None:
        was, self.full = self.full, size >= self._mb * _MIB or count >= self._files
        if self.full or was:
            for pid in _others(spared):
                bound(pid, self.full)
        self._tell(count, size)

    def _tell(self, count: int, size: int) -> None:
        said = {
            "used_mb": -(-size // _MIB),
            "limit_mb": self._mb,
            "reserve_mb": reserve_mb(self._mb),
            "files": count,
            "files_limit": self._files,
            "full": self.full,
        }
        with contextlib.suppress(OSError):  # the member may have put something else there
            new = self._told / "home.json.new"
            place = os.open(new, WRITE, 0o600)
            with open(place, "w") as file:
                file.write(json.dumps(said))
            new.replace(self._told / "home.json")


def reserve_mb(mb: int) -> int:
    """Return how many MiB beyond its quota a home may have before its lab is ended."""
    return max(64, -(-mb // 10))


def used(folder: str, enough: int) -> Iterator[tuple[int, int]]:
    """Yield, entry by entry, how many files and folders there are so far and how many bytes they take on the disk.

    What has several names counts once. After `enough` entries nothing more is looked at.
    """
    count, size = 0, 0
    seen: set[tuple[int, int]] = set()
    left = [folder]
    while left and count < enough:
        try:
            entries = os.scandir(left.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                except OSError:
                    continue
                count += 1
                key = (status.st_dev, status.st_ino)
                if status.st_nlink == 1 or key not in seen:
                    size += 512 * status.st_blocks
                    seen |= (
                        {key} if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False) else set()
                    )
                yield count, size
    yield count, size


def bound(pid: int, full: bool) -> None:
    """Bound the files that a process writes, or take our bound off; a process that has ended needs neither."""
    with contextlib.suppress(OSError, ValueError):
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        if full and soft != SMALL:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (SMALL, hard))
        elif not full and soft == SMALL:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def _others(spared: Collection[int]) -> list[int]:
    """Return the processes of this box; outside of one, where we are not process 1, that is nobody."""
    if os.getpid() != 1:
        return []
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in spared]
    return []
