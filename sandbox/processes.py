"""The processes of a box as the host sees them: found by descent, stopped, continued, counted, awaited.

Every process of a box descends from bubblewrap's monitor as long as that lives: an orphan inside is adopted
by the box's own process 1. So descent finds double forks and new sessions too (ATTACKS 47), for root and for
others.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_LIBRARY = ctypes.CDLL(None)
_ROUNDS, _ROUND_S = 100, 0.001
"""How often stopping looks again, and how long it gives each time; each round stops all that it sees."""

_QUIET = 3
"""How many rounds in a row find the same processes, and all of them stopped; one just born is not listed yet."""

_MOMENT_S = 0.02
"""For how long no thread may make a step to be taken for one that stands."""

LAST = 8
"""How many processes of a box are asked for its temporary folders: the last one may just have ended."""


def tree(first: int) -> list[int]:
    """Return `first` and the process ids that descend from it, parents before children, zombies left out."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (line := _stat(entry)) is not None and not _over(line):
            children.setdefault(int(line[1]), []).append(int(entry))
    found, waiting = [first], [first]
    while waiting:
        born = children.get(waiting.pop(0), [])
        found += born
        waiting += born
    return found


def stop(first: int) -> bool:
    """Stop every thread of the tree (SIGSTOP), looking again until none goes on and no new one appears; return whether
    that came true in some rounds.

    Every thread by itself: of a process that is traced, as gVisor's are, the signal only stops the one that takes it.
    And parents before children: a tracer that is not stopped yet lets what it traces go on.
    """
    before: list[int] = []
    quiet = 0
    for _ in range(_ROUNDS):
        members = tree(first)
        going = [each for pid in members for each in _threads(pid) if _goes(*each)]
        quiet = quiet + 1 if not going and members == before else 0
        if quiet == _QUIET:
            return True
        before = members
        for pid, thread in going:
            _LIBRARY.tgkill(pid, thread, int(signal.SIGSTOP))
        time.sleep(_ROUND_S)
    return False


def stand_still(first: int) -> bool:
    """Whether no thread of a tree makes a step for a moment: none runs, none is new, none was given a processor."""
    before = _steps(first)
    time.sleep(_MOMENT_S)
    return all(state != b"R" for state, *_ in before.values()) and _steps(first) == before


def go_on(first: int) -> None:
    """Let every process of the tree go on."""
    for pid in tree(first):
        send(pid, signal.SIGCONT)


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


async def gone(pids: list[int], timeout_s: float) -> bool:
    """Wait until none of these processes lives; return whether that came true in time."""
    end = time.monotonic() + timeout_s
    while any(_alive(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.005)
    return True


def of_user(uid: int) -> list[int]:
    """Return the living processes that a user id runs: all of a box's, when the id is the box's own."""
    seen = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return [pid for pid in seen if uid in users(pid) and _alive(pid)]


def living() -> list[int]:
    """Return every living process that can be seen from here."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _alive(int(entry))]


def users(pid: int) -> frozenset[int]:
    """Return the user ids of a process: real, effective, saved, of files; none if it is gone.

    Not the owner of `/proc/<pid>`: a process that makes itself undumpable shows root there (proc(5)).
    """
    with contextlib.suppress(OSError, ValueError):
        text = _read(f"/proc/{pid}/status")
        begin = text.index(b"\nUid:") + len(b"\nUid:")
        return frozenset(map(int, text[begin : text.index(b"\n", begin)].split()))
    return frozenset()


def memory_bytes(first: int) -> int:
    """Return the memory of a tree: proportional set size, shared pages counted once, and files that lie in memory."""
    members = tree(first)
    whole = _memory_files(members)
    total = whole + max(_files_in_memory(pid) for pid in members[-LAST:])
    for pid in members:
        parts = _mapped(pid)
        total += parts.get("Pss", 0) - (parts.get("Pss_Shmem", 0) if whole else 0)
    return total


def processor_s(first: int) -> float:
    """Return the seconds of processor time of a tree: its own, and of the ended ones that it waited for."""
    ticks = sum(int(tick) for pid in tree(first) if (line := _stat(str(pid))) for tick in line[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_files(pids: list[int]) -> int:
    """Return the bytes of the files in which a kernel that is a process (gVisor's) has all memory of its box.

    What of them is mapped is only a part: pages of files that the box has in memory are in them too. Boxes that have
    the host's kernel cannot make such files (`sandbox.syscalls`).
    """
    found: dict[tuple[int, int], int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                path = f"/proc/{pid}/fd/{name}"
                if os.readlink(path).startswith("/memfd:"):
                    status = os.stat(path)
                    found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def living_thread(pid: int) -> str:
    """Return a folder of `/proc` that tells what a process has: memory, maps, root.

    That is its first thread's, unless it has ended: then there is nothing in it, and the others go on with all of it.
    """
    line = _stat(str(pid))
    if line is not None and line[0] in "ZX":
        for _, thread in _threads(pid):
            own = _stat(f"{pid}/task/{thread}")
            if own is not None and own[0] not in "ZX":
                return f"/proc/{pid}/task/{thread}"
    return f"/proc/{pid}"


def open_files(pid: int) -> list[str]:
    """Return the paths in `/proc` of what every thread has open, works in, or has as its root; a thread can have all of
    them for itself (clone(2)).
    """
    found = []
    for _, thread in _threads(pid):
        folder = f"/proc/{pid}/task/{thread}"
        found += [os.path.join(folder, name) for name in ("cwd", "root")]
        with contextlib.suppress(OSError):
            found += [f"{folder}/fd/{name}" for name in os.listdir(f"{folder}/fd")]
    return found


def _mapped(pid: int) -> dict[str, int]:
    """Return the bytes of a process by kind (proc(5), smaps_rollup), each page divided among those who share it."""
    with contextlib.suppress(OSError, ValueError):
        lines = Path(living_thread(pid), "smaps_rollup").read_text().splitlines()[1:]
        return {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines}
    return {}


def _threads(pid: int) -> list[tuple[int, int]]:
    """Return the threads of a process, each with the process it belongs to."""
    with contextlib.suppress(OSError):
        return [(pid, int(name)) for name in os.listdir(f"/proc/{pid}/task")]
    return []


def _steps(first: int) -> dict[int, tuple[bytes, ...]]:
    """Return by thread its state and how often it was given a processor (proc(5), status)."""
    found = {}
    for pid in tree(first):
        for _, thread in _threads(pid):
            with contextlib.suppress(OSError):
                lines = _read(f"/proc/{pid}/task/{thread}/status").splitlines()
                state = next(line.split()[1] for line in lines if line.startswith(b"State:"))
                found[thread] = (state, *(line for line in lines if b"ctxt_switches" in line))
    return found


def _goes(pid: int, thread: int) -> bool:
    """Whether a thread is neither stopped, by a signal or by its tracer, nor at its end."""
    line = _stat(f"{pid}/task/{thread}")
    return line is not None and line[0] not in "TtZX"


def _files_in_memory(pid: int) -> int:
    """Return the bytes in the temporary folders that a box's process sees, once it has a root of its own.

    The root is held while it is looked at: a process that changes its root between two looks would have the files of
    this machine counted as its own.
    """
    with contextlib.suppress(OSError), _folder(os.path.join(living_thread(pid), "root")) as root:
        if os.path.samestat(os.fstat(root), os.stat("/")):
            return 0
        return sum(_used(folder, root) for folder in ("tmp", "dev/shm"))
    return 0


def _used(folder: str, root: int) -> int:
    """Return the bytes used in a folder below an open one, if it is a file system of its own."""
    with contextlib.suppress(OSError), _folder(folder, root) as opened:
        found = os.fstatvfs(opened)
        if os.fstat(opened).st_dev != os.fstat(root).st_dev:
            return (found.f_blocks - found.f_bfree) * found.f_frsize
    return 0


@contextlib.contextmanager
def _folder(path: str, within: int | None = None) -> Iterator[int]:
    opened = os.open(path, os.O_PATH | os.O_DIRECTORY, dir_fd=within)
    try:
        yield opened
    finally:
        os.close(opened)


def _alive(pid: int) -> bool:
    line = _stat(str(pid))
    return line is not None and not _over(line)


def _over(line: list[str]) -> bool:
    """Whether nothing of a process runs any more; one whose first thread has ended may have others (field 20)."""
    return line[0] in "ZX" and int(line[17]) <= 1


def _stat(task: str) -> list[str] | None:
    """Return the fields of `/proc/<task>/stat` from the state on (proc(5)), or none if it is gone."""
    try:
        return _read(f"/proc/{task}/stat").decode(errors="replace").rpartition(") ")[2].split()
    except OSError:
        return None


def _read(path: str) -> bytes:
    """Return the beginning of a file of the kernel's, which has all that is looked for.

    Whole trees are looked through between two words of a conversation, so each file costs its three system calls.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
