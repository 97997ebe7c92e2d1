"""How much memory a program on look-alike data may have in a lab: what the lab has left, and no more.

A lab is one box with one limit of memory for all of its processes. Whatever goes beyond it ends the whole lab, with
every kernel and what was not saved. So a program that runs beside a notebook gets a bound of its own, which the kernel
holds for each of its processes (RLIMIT_DATA, as in a job's box). While it runs the whole lab is looked at, since the
program may have several processes and the notebook goes on: when the lab is nearly full, the program is ended.

It is a courtesy and no wall: the wall is the launcher's. Outside a lab there is no bound, since it is your machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from darkroom import local

LEAST_MB = 64
"""MiB that a program needs to begin at all."""

LEAST_RESERVE_MB, MOST_RESERVE_MB, RESERVE_SHARE = 64, 512, 10
"""What the lab keeps for itself: a tenth of its memory, within these bounds in MiB."""

LOOK_S, CLOSE_LOOK_S = 0.01, 1.0
"""How often a lab is looked at quickly, and closely where nothing seems wrong."""

_MIB = 2**20
_IN_MEMORY = ("/tmp", "/dev/shm")
"""Folders of a lab's box that lie in its memory."""

_LACK = ("MemoryError", "OutOfMemoryException")
_ABORTED = "std::bad_alloc"


@dataclass(frozen=True, slots=True)
class Room:
    """The memory of a lab: bytes that it may have, and how many it has now; `quick` is a guess at the latter that costs
    little, off by what changes slowly.
    """

    limit: int
    used: Callable[[], int]
    quick: Callable[[], int] | None = None

    @property
    def most(self) -> int:
        """Bytes that all of the lab may have while a program runs in it."""
        reserve = min(max(LEAST_RESERVE_MB * _MIB, self.limit // RESERVE_SHARE), MOST_RESERVE_MB * _MIB)
        return self.limit - reserve

    @property
    def left(self) -> int:
        """Bytes that a program may have now."""
        return max(0, self.most - self.used())


class Lookout:
    """Says when a lab is so full that the program in it has to end. It looks closely when a quick look says so."""

    def __init__(self, room: Room | None) -> None:
        self._room, self._next, self._off = room, 0.0, 0

    def is_full(self, group: int = 0) -> bool:
        """Whether the lab has more than it may have while a program runs; where nobody counts it never has. The
        program's processes, a `group`, stand still while it is looked at closely, so that they take no more meanwhile.
        """
        room = self._room
        if room is None:
            return False
        guess = (room.quick or room.used)()
        if guess + self._off <= room.most and time.monotonic() < self._next:
            return False
        _send(group, signal.SIGSTOP)
        used = room.used()
        self._off, self._next = used - guess, time.monotonic() + CLOSE_LOOK_S
        if used <= room.most:
            _send(group, signal.SIGCONT)
        return used > room.most


def _send(group: int, number: int) -> None:
    if group:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody of it is left
            os.killpg(group, number)


def here() -> Room | None:
    """Return the room of this lab; none outside of one. Each process of a lab is told the lab's limit as its own."""
    if not local.in_lab():
        return None
    import resource  # which Windows lacks, and labs have

    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return None if limit == resource.RLIM_INFINITY else Room(limit, used, quick)


def is_lack(error: str, log: str) -> bool:
    """Whether a program failed for want of memory, by the name of its error and what it printed."""
    return error.endswith(_LACK) or _ABORTED in log


def used() -> int:
    """Return the bytes that the processes of this lab have, shared pages counted once, with the files in memory."""
    return sum(map(_of_process, _pids())) + sum(map(_of_folder, _IN_MEMORY))


def quick() -> int:
    """Return the bytes that processes have beside mapped files, pages that they share counted for each of them: the
    kernel keeps these numbers, so that nothing is walked through.
    """
    return sum(_own(pid) for pid in _pids()) + sum(map(_of_folder, _IN_MEMORY))


def _pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _of_process(pid: str) -> int:
    """Return a process's own part (proc(5), smaps_rollup), or all that it has where that is not told."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            found = [line.split() for line in file if line.startswith(b"Pss:")]
        return 1024 * int(found[0][1])
    except (OSError, ValueError, IndexError):
        pass
    return _own(pid, files=True)


def _own(pid: str, *, files: bool = False) -> int:
    """Return what lies in memory of a process (proc(5), statm), with or without what it maps of files."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared = file.read().split()[:3]
        return (int(resident) - (0 if files else int(shared))) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0  # it has ended


def _of_folder(folder: str) -> int:
    """Return the bytes in a folder that is a file system of its own."""
    try:
        if os.stat(folder).st_dev == os.stat("/").st_dev:
            return 0
        found = os.statvfs(folder)
    except OSError:
        return 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize
