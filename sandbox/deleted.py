"""Files that a box has deleted and still has: they have no name, and take as much of the disk as before.

A file has its bytes as long as anybody has it open, or has a part of it mapped. What is open tells how large it is
(`/proc/<pid>/fd`); a mapping tells only of its own part (proc(5), maps), whatever the whole file has. What is on its
way between two sockets tells nothing, so boxes cannot send any (`sandbox.syscalls`).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from sandbox import processes


def of_tree(first: int, device: int) -> tuple[dict[int, int], dict[int, int]]:
    """Return the files on a file system that a box has deleted: by inode the bytes of those that are open, and what is
    mapped of others, or of the same.

    Each is looked at by itself: one that is closed meanwhile must not end the look at the others.
    """
    opened: dict[int, int] = {}
    mapped: dict[int, int] = {}
    for pid in processes.tree(first):
        for path in processes.open_files(pid):
            with contextlib.suppress(OSError):
                status = os.stat(path)
                if status.st_nlink == 0 and status.st_dev == device and stat.S_ISREG(status.st_mode):
                    opened[status.st_ino] = status.st_blocks * 512
        own: dict[int, int] = {}
        with contextlib.suppress(OSError):  # gone meanwhile
            for inode, size in _mapped_deleted(pid, device):
                own[inode] = own.get(inode, 0) + size
        for inode, size in own.items():
            mapped.setdefault(inode, size)
    return opened, mapped


def _mapped_deleted(pid: int, device: int) -> Iterator[tuple[int, int]]:
    """Yield inode and size of what a process has mapped of deleted files (proc(5), maps)."""
    numbers = f"{os.major(device):02x}:{os.minor(device):02x}"
    with open(f"{processes.living_thread(pid)}/maps", "rb") as lines:
        for line in lines:
            words = line.split(maxsplit=5)
            if len(words) == 6 and words[3].decode() == numbers and words[5].endswith(b"(deleted)\n"):
                start, _, end = words[0].partition(b"-")
                yield int(words[4]), int(end, 16) - int(start, 16)
