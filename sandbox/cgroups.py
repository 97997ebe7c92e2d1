"""Control groups: the kernel's own limits for a whole box, where this node lets us have them.

A box gets one group in each hierarchy that can be written: memory (its tmpfs included), number of processes, share
of the processors, and the switches that stop and kill a whole group at once. Both forms are known: version 2
(one tree, kernel documentation *cgroup-v2*) and version 1 (a tree per controller, *cgroup-v1*); hosts in between
have both, and each thing is taken where it is found.

    <our own group>/<name of the launcher>/<box>

`prepare` makes the launcher's folder and can give it to another user; that needs rights on our own group, which a
launcher that is not root has only when somebody delegates them. Where nothing can be written a box lives without:
rlimits and the watcher of `sandbox.process_box` hold it, and `offers()` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plans.errors import BoxFailed

MEMORY, PROCESSES, PROCESSORS, FREEZER, UNIFIED = "memory", "pids", "cpu", "freezer", "unified"
CONTROLLERS = (MEMORY, PROCESSES, PROCESSORS, FREEZER, UNIFIED)
"""`unified` is version 2, whose core files freeze and kill. Beside a freezer of version 1 it is left out: entering it
takes the kernel 10 ms."""

LAUNCHER = "launcher"
"""The group of a launcher itself, beside those of its boxes."""

PERIOD_US = 100_000
"""The span in which a box may use `cpus` times as much processor time (cpu.max, cpu.cfs_quota_us)."""

_MIB = 2**20
_REMOVING_S = 2.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a box's group may use: MiB, number of processes (none: not limited here), processors."""

    memory_mb: int
    processes: int
    cpus: int


class Cgroups:
    """The groups of one launcher: a folder per hierarchy in which it makes one group per box."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    @classmethod
    def open(cls, name: str) -> Cgroups:
        """Use what is writable here, under the launcher's `name`; what cannot be had is left out."""
        found = {kind: own / name for kind, own in _own_groups(name).items() if _usable(kind, own / name)}
        return cls(found)

    @classmethod
    def none(cls) -> Cgroups:
        """Use nothing."""
        return cls({})

    @property
    def limits_memory(self) -> bool:
        """Whether the kernel holds the memory of a whole box."""
        return MEMORY in self._folders

    @property
    def told(self) -> str:
        """Say what the kernel does for a whole box here."""
        return ", ".join(self._folders) or "none that can be written here"

    def make(self, box: str, allowance: Allowance) -> Cgroup:
        """Make the groups of a box.

        Raises:
            BoxFailed: one cannot be made or limited; the box is not started without it.
        """
        folders = {kind: folder / box for kind, folder in self._folders.items()}
        group = Cgroup(folders)
        try:
            for kind, folder in folders.items():
                _enter(kind, folder.parent)
            for folder in set(folders.values()):  # in version 2 one folder is in all of them
                folder.mkdir()
            for path, value in _settings(folders, allowance):
                path.write_text(value)
        except OSError as problem:
            group.discard()
            advice = "Run `darkroom-server doctor` on this node."
            raise BoxFailed(
                f"the box's control group could not be made ({problem.strerror})", "box.start", advice
            ) from None
        return group

    def left(self) -> Iterator[Cgroup]:
        """Yield the groups that an earlier life of this launcher has left."""
        names: dict[str, dict[str, Path]] = {}
        for kind, folder in self._folders.items():
            for box in folder.iterdir() if folder.exists() else ():
                if box.is_dir() and box.name != LAUNCHER:
                    names.setdefault(box.name, {})[kind] = box
        for folders in names.values():
            yield Cgroup(folders)


class Cgroup:
    """The groups of one box."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    @property
    def entrances(self) -> tuple[Path, ...]:
        """The files by which a process enters by itself: it writes 0 there. One thread enters version 1 at once."""
        one = [folder / "tasks" for folder in self._folders.values()]
        return tuple(path if path.exists() else path.with_name("cgroup.procs") for path in dict.fromkeys(one))

    def pids(self) -> list[int]:
        """Return the processes of the box, as far as a group knows them."""
        for folder in self._folders.values():
            with contextlib.suppress(OSError, ValueError):
                return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
        return []

    def freeze(self) -> bool:
        """Stop every process at once; return whether the kernel can."""
        return self._switch(("cgroup.freeze", "1"), ("freezer.state", "FROZEN"))

    @property
    def is_frozen(self) -> bool | None:
        """Whether every process stands still by now: the kernel stops one after the other. None where it cannot."""
        found = None
        for kind, name, sign in (
            (UNIFIED, "cgroup.events", "frozen 1"),
            (FREEZER, "freezer.state", "FROZEN"),
        ):
            with contextlib.suppress(OSError, KeyError):
                if sign in (self._folders[kind] / name).read_text().splitlines():
                    return True
                found = False
        return found

    def thaw(self) -> bool:
        """Let every process go on; return whether the kernel can."""
        return self._switch(("cgroup.freeze", "0"), ("freezer.state", "THAWED"))

    def kill(self) -> bool:
        """Kill every process (cgroup.kill, Linux 5.14; or while they are frozen); return whether the kernel can."""
        if self._switch(("cgroup.kill", "1"), None):
            return True
        if not self.freeze():
            return False
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        return self.thaw()

    def weigh(self, percent: int) -> None:
        """Set the share of the processors when they are scarce; 100 is the share of any box with work."""
        folder = self._folders.get(PROCESSORS)
        if folder is not None:
            unified = (folder / "cpu.weight").exists()
            name, value = ("cpu.weight", percent) if unified else ("cpu.shares", percent * 1024 // 100)
            with contextlib.suppress(OSError):  # a matter of courtesy, not of limits
                (folder / name).write_text(str(value))

    def memory_peak(self) -> int | None:
        """Return the most bytes that the box ever had, or none if nobody counts."""
        return self._number("memory.peak", "memory.max_usage_in_bytes")

    def processor_s(self) -> float | None:
        """Return the seconds of processor time that the box has used, its ended processes included, or none."""
        folder = self._folders.get(UNIFIED)
        with contextlib.suppress(OSError, StopIteration, ValueError):
            lines = (folder / "cpu.stat").read_text().splitlines() if folder else []
            return int(next(line for line in lines if line.startswith("usage_usec ")).split()[1]) / 1e6
        return None

    def ran_out(self) -> bool:
        """Whether the kernel ended a process of the box because its memory was used up."""
        events = self._path(MEMORY, "memory.events", "memory.oom_control")
        with contextlib.suppress(OSError, StopIteration, ValueError):
            lines = events.read_text().splitlines() if events else []
            return int(next(line for line in lines if line.startswith("oom_kill ")).split()[1]) > 0
        return False

    async def remove(self) -> None:
        """Remove the groups once their last process is gone; what is gone already is no error."""
        until = time.monotonic() + _REMOVING_S
        while not self.discard() and time.monotonic() < until:
            await asyncio.sleep(0.01)

    def discard(self) -> bool:
        """Remove what can be removed now; return whether nothing is left."""
        for folder in self._folders.values():
            with contextlib.suppress(OSError):
                folder.rmdir()
                folder.parent.rmdir()  # the launcher's own, once no box is left in it
        return not any(folder.exists() for folder in self._folders.values())

    def _switch(self, second: tuple[str, str], first: tuple[str, str] | None) -> bool:
        """Write to the switch of version 2, or else to that of version 1."""
        tries = [(self._folders.get(UNIFIED), second)]
        if first is not None:
            tries.append((self._folders.get(FREEZER), first))
        for folder, (name, value) in tries:
            if folder is not None:
                with contextlib.suppress(OSError):
                    (folder / name).write_text(value)
                    return True
        return False

    def _number(self, second: str, first: str) -> int | None:
        path = self._path(MEMORY, second, first)
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text()) if path else None
        return None

    def _path(self, kind: str, second: str, first: str) -> Path | None:
        folder = self._folders.get(kind)
        if folder is None:
            return None
        return folder / (second if (folder / second).exists() else first)


def group_name(home: Path) -> str:
    """Return the name of a launcher's control groups: of its folder for boxes, so that an heir finds what it left."""
    return "darkroom-" + hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:16]


def prepare(name: str, owner: int) -> None:
    """Make a launcher's folders in our own groups and give them to the user `owner`; root does it beforehand.

    In version 2 whoever moves a process must own what both groups have in common (cgroups(7)), so this process,
    which becomes the launcher, goes into a group of its own below the launcher's folder.
    """
    for kind, own in _own_groups(name).items():
        folder, parts = own / name, [own / name]
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
            if kind == UNIFIED:
                (folder / LAUNCHER).mkdir(exist_ok=True)
                (folder / LAUNCHER / "cgroup.procs").write_text(str(os.getpid()))
                parts.append(folder / LAUNCHER)
            for part in parts:
                for path in (part, part / "cgroup.procs", part / "cgroup.subtree_control"):
                    if path.exists():
                        os.chown(path, owner, owner)


def forget(name: str) -> None:
    """Remove the folders that `prepare` made, once the launcher is gone; those with a box in them stay."""
    for own in _own_groups(name).values():
        for folder in (own / name / LAUNCHER, own / name):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _settings(folders: dict[str, Path], allowance: Allowance) -> Iterator[tuple[Path, str]]:
    """Yield each file to write, and what; version 2 is known by the names of its files."""
    memory, most = folders.get(MEMORY), str(allowance.memory_mb * _MIB)
    if memory is not None and (memory / "memory.max").exists():
        yield from ((memory / "memory.max", most), (memory / "memory.oom.group", "1"))
        if (memory / "memory.swap.max").exists():
            yield memory / "memory.swap.max", "0"
    elif memory is not None:
        yield memory / "memory.limit_in_bytes", most
        if (memory / "memory.memsw.limit_in_bytes").exists():
            yield memory / "memory.memsw.limit_in_bytes", most
    if PROCESSES in folders:
        yield folders[PROCESSES] / "pids.max", str(allowance.processes)
    cpu, quota = folders.get(PROCESSORS), allowance.cpus * PERIOD_US
    if cpu is not None and (cpu / "cpu.max").exists():
        yield cpu / "cpu.max", f"{quota} {PERIOD_US}"
    elif cpu is not None and (cpu / "cpu.cfs_quota_us").exists():
        yield cpu / "cpu.cfs_quota_us", str(quota)


def _usable(kind: str, folder: Path) -> bool:
    """Whether we can make groups here."""
    probe = folder / "probe"
    try:
        _enter(kind, folder)
        probe.mkdir()
    except OSError:
        return False
    Cgroup({kind: probe}).discard()
    return True


def _enter(kind: str, folder: Path) -> None:
    """Make a launcher's own folder, and in version 2 hand the controller on to the groups below it."""
    folder.mkdir(exist_ok=True)
    control = folder / "cgroup.subtree_control"
    if control.exists() and kind in (MEMORY, PROCESSES, PROCESSORS):
        control.write_text(f"+{kind}")


def _own_groups(name: str) -> dict[str, Path]:
    """Return the folder of this process's own group in each hierarchy that we use.

    For a launcher that `prepare` has moved it is the group in which it was started.
    """
    found: dict[str, Path] = {}
    memberships = _memberships()
    for kind, mount in _mounts():
        path = memberships.get("" if kind == UNIFIED else kind)
        if path is None:
            continue
        own = mount / path.removesuffix(f"/{name}/{LAUNCHER}").lstrip("/")
        if kind != UNIFIED:
            found[kind] = own
            continue
        base = _base(own, mount, name)
        found |= dict.fromkeys((UNIFIED, *_words(base / "cgroup.controllers")), base)
    if (
        FREEZER in found
        and UNIFIED in found
        and found[UNIFIED] not in (found.get(MEMORY), found.get(PROCESSES))
    ):
        del found[UNIFIED]
    return {kind: found[kind] for kind in CONTROLLERS if kind in found}


def _base(own: Path, mount: Path, name: str) -> Path:
    """Return the group of version 2 below which a launcher's groups can have controllers.

    A group that has processes hands no controller on (the rule of no internal processes), but for the topmost.
    So it is our own group where that has none beside us or hands on already, and else the topmost of this mount,
    which only root may use.
    """
    for base in (own, mount):
        if (base / name).is_dir():
            return base
    wanted = set(_words(own / "cgroup.controllers"))
    for base in (own, mount):
        control = base / "cgroup.subtree_control"
        with contextlib.suppress(OSError):
            for controller in wanted - set(_words(control)):
                control.write_text(f"+{controller}")
            return base
    return own


def _words(file: Path) -> list[str]:
    """Return the controllers that a file of version 2 names, as far as we use them."""
    try:
        return [word for word in file.read_text().split() if word in (MEMORY, PROCESSES, PROCESSORS)]
    except OSError:
        return []


def _memberships() -> dict[str, str]:
    """Read `/proc/self/cgroup` (cgroups(7)): the path by controller; version 2 has the empty name."""
    found = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                found[controller] = path
    return found


def _mounts() -> Iterator[tuple[str, Path]]:
    """Read `/proc/self/mountinfo` (proc(5)): each hierarchy's controller, or `unified`, and where it is mounted."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            kind, _, options = after.split(" ", 2)
            place = Path(before.split()[4])
            if kind == "cgroup2":
                yield UNIFIED, place
            elif kind == "cgroup":
                for controller in set(options.split(",")) & {MEMORY, PROCESSES, PROCESSORS, FREEZER}:
                    yield controller, place
