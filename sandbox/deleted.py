"""Files and folders that a box has deleted and still has: they have no name, and take as much of the disk as before.

A folder that was large stays large when it is emptied, also after it was removed, as long as somebody has it open or
works in it. A file has its bytes as long as anybody has it open, or has a part of it mapped. What is open tells how
large it is (`/proc/<pid>/fd`), and so does what is mapped, to a launcher that is root (`/proc/<pid>/map_files`, for
whoever has CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN). To others a mapping tells only of its own part (proc(5), maps),
whatever the whole file has. What is on its way between two sockets tells nothing, so boxes cannot send any
(`sandbox.syscalls`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from sandbox import processes


def of_tree(first: int, device: int) -> tuple[dict[int, int], dict[int, int]]:
    """Return the files and folders on a file system that a box has deleted: by inode the bytes of those that are known,
    and what is mapped of others.

    Each is looked at by itself: one that is closed meanwhile must not end the look at the others.
    """
    known: dict[int, int] = {}
    mapped: dict[int, int] = {}
    for pid in processes.tree(first):
        for path in processes.open_files(pid):
            with contextlib.suppress(OSError):
                known.update(_if_deleted(path, device))
        own: dict[int, int] = {}
        with contextlib.suppress(OSError):  # gone meanwhile
            for path, inode, size in _mapped_deleted(pid, device):
                try:
                    known.update(_if_deleted(path, device))
                except OSError:
                    own[inode] = own.get(inode, 0) + size
        for inode, size in own.items():
            mapped.setdefault(inode, size)
    return known, {inode: size for inode, size in mapped.items() if inode not in known}


def _if_deleted(path: str, device: int) -> dict[int, int]:
    """Return inode and bytes of what a path of `/proc` leads to, if it was deleted and is on this file system."""
    status = os.stat(path)
    if status.st_nlink == 0 and status.st_dev == device:
        return {status.st_ino: status.st_blocks * 512}
    return {}


def _mapped_deleted(pid: int, device: int) -> Iterator[tuple[str, int, int]]:
    """Yield path, inode and size of what a process has mapped of deleted files (proc(5), maps and map_files)."""
    numbers = f"{os.major(device):02x}:{os.minor(device):02x}"
    thread = processes.living_thread(pid)
    places = f"/proc/{os.path.basename(thread)}/map_files"  # only there, of a thread as of a process
    with open(f"{thread}/maps", "rb") as lines:
        for line in lines:
            words = line.split(maxsplit=5)
            if len(words) == 6 and words[3].decode() == numbers and words[5].endswith(b"(deleted)\n"):
                start, _, end = words[0].decode().partition("-")
                path = f"{places}/{int(start, 16):x}-{int(end, 16):x}"
                yield path, int(words[4]), int(end, 16) - int(start, 16)
