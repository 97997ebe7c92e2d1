"""Tier T1: bubblewrap. How a box's walls are written as one command line, and nothing else.

From the outside in:

* a gate, two words of `sh`, waits until the launcher has put the process into its control group;
* `setpriv` (as root) takes a user id that belongs to this box alone, no group, no capability, `no_new_privs`.
  It comes *before* bubblewrap: inside a user namespace alone, the box would still be the launcher's own user
  on the host;
* `prlimit` sets the limits that hold without any cgroup; core dumps are off, since they would hold rows;
* `bwrap` with every namespace, no network, no capability, no further user namespace, an environment of our
  own making, and an empty one for itself: with `--clearenv` alone, the launcher's would still stand in
  `/proc/1/environ`;
* the image as `/`, read-only; `/in` read-only; `/out`; `/spill` for engines; a sized tmpfs for `/tmp` (the home)
  and `/dev/shm`; a `/dev` of four devices; a `/proc` of its own, with what tells of the host covered; no `/sys`;
* the filter of `sandbox.syscalls`;
* for a lab: its home, its links, terminals of its own, a folder of packages, and its own loopback;
* standard input and output are the launcher's pipes, standard error goes nowhere;
* Landlock, which the program puts on before anything else (`inside.fence`).

`Walls.without` takes single protections off, for the tests that show what each is good for.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plans.box import BoxSpec, Entry
from plans.decision import Tier
from plans.errors import TierMissing
from sandbox import landlock
from sandbox.contract import Offer, Protection, Wall
from sandbox.folders import BoxFolders
from sandbox.gate import GATE
from sandbox.gpus import LIBRARIES_IN_BOX, Lent
from sandbox.homes import Slot

INNER_USER = "1000"
SHARED_MEMORY_MB = 16

VIRTUAL_HEADROOM_MB = {Entry.PYTHON: 16_384, Entry.LAB: 16_384}
LEAST_HEADROOM_MB = 768
"""Added to the plan's memory for RLIMIT_AS, which counts what libraries and stacks map and never use."""

FENCE = "/box/inside/fence.py"
_MIB = 2**20
_DEVICES = ("null", "zero", "random", "urandom")
_HIDDEN_FOLDERS = ("/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/driver", "/proc/pressure")
_HIDDEN_FILES = (
    "/proc/cmdline", "/proc/diskstats", "/proc/interrupts", "/proc/kallsyms", "/proc/key-users", "/proc/keys",
    "/proc/kmsg", "/proc/kcore", "/proc/loadavg", "/proc/locks", "/proc/modules", "/proc/mounts", "/proc/partitions",
    "/proc/sched_debug", "/proc/schedstat", "/proc/softirqs", "/proc/stat", "/proc/swaps", "/proc/sysrq-trigger",
    "/proc/timer_list", "/proc/vmallocinfo", "/proc/vmstat", "/proc/zoneinfo", "/proc/buddyinfo", "/proc/slabinfo",
    "/proc/pagetypeinfo", "/proc/uptime", "/proc/version", "/proc/config.gz", "/proc/iomem", "/proc/ioports",
)  # fmt: skip
ENVIRONMENT = {"HOME": "/tmp", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Walls:
    """What a box stands on: image and folders of the host behind its view, its user id, and whether that is its own.

    A lab has a `slot` for its home, and a `mirror` where there is one.
    """

    root: Path
    place: BoxFolders
    uid: int
    separate: bool
    without: frozenset[Wall] = frozenset()
    gpus: Lent = Lent()
    slot: Slot | None = None
    mirror: Path | None = None

    def has(self, wall: Wall) -> bool:
        """Whether a protection stands; all do, but in tests."""
        return wall not in self.without

    @property
    def own_user(self) -> bool:
        """Whether the box runs under a user id that is nobody else's."""
        return self.separate and self.has(Wall.USER)


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Numbers of the open files that bubblewrap gets: the filter to read, and where it tells the box's process id."""

    syscalls: int
    info: int


def entry_program(spec: BoxSpec) -> tuple[str, ...]:
    """Return the arguments of Python in the box for one of the house's programs."""
    return ("/box", spec.entry.value, spec.limits.canonical().decode())


def command(spec: BoxSpec, walls: Walls, descriptors: Descriptors, program: tuple[str, ...]) -> list[str]:
    """Return the command line of a box; to be started with an empty environment."""
    fence = (FENCE, "--lab") if spec.entry is Entry.LAB else (FENCE,)
    fenced = (*fence, *program) if walls.has(Wall.LANDLOCK) else program
    return [
        *GATE,
        *identity(walls),
        *_limits(spec, walls),
        found("bwrap"),
        *_namespaces(walls),
        *_files(spec, walls),
        *(word for name, value in _environment(walls).items() for word in ("--setenv", name, value)),
        *("--chdir", "/", "--info-fd", str(descriptors.info)),
        *(("--seccomp", str(descriptors.syscalls)) if walls.has(Wall.SYSCALLS) else ()),
        *("--", "/python/bin/python3", "-I", "-S", "-B", "-X", "utf8", *fenced),
    ]


def offer(separate: bool, memory: str, gpus: int = 0) -> Offer:
    """Return what T1 offers on this machine; `sandbox.attacks` tries it. `memory` says what holds a whole box."""
    version = landlock.abi()
    user = "setpriv before bwrap" if separate else "needs a launcher that may give user ids"
    namespaces = "bwrap: user, pid, net, ipc, uts, mount, cgroup"
    lower = Protection(
        "GPUs", False, f"{gpus}, lent to one box each; a box with one reaches the kernel's driver"
    )
    return Offer(
        Tier.T1,
        (
            Protection("own user id", separate, user),
            Protection("namespaces", shutil.which("bwrap") is not None, namespaces),
            Protection("system calls", True, "seccomp table; a box without it is not started"),
            Protection(
                "Landlock",
                version > 0,
                f"ABI {version}, put on in the box" if version else "not in this kernel",
            ),
            Protection(
                "memory", memory.startswith("memory"), f"RLIMIT_DATA per process; control groups: {memory}"
            ),
            Protection(
                "swap", _no_swap(), "none on this node" if _no_swap() else "this node swaps; encrypt it"
            ),
            *((lower,) if gpus else ()),
        ),
    )


def require_kernel() -> None:
    """Check that this node can hold all walls of T1.

    Raises:
        TierMissing: a tool or a part of the kernel is missing; no weaker box is started instead.
    """
    for tool in ("setpriv", "prlimit", "bwrap"):
        found(tool)
    if landlock.abi() < 1:
        advice = "Use Linux 5.13 or newer with lsm=landlock,… on its command line."
        raise TierMissing("this kernel has no Landlock", "T1", advice)
    allowed = Path("/proc/sys/user/max_user_namespaces")
    if allowed.exists() and allowed.read_text().strip() == "0":
        raise TierMissing(
            "this kernel allows no user namespaces", "T1", "Set user.max_user_namespaces (sysctl)."
        )


NO_CORE = "1"
"""RLIMIT_CORE: one byte is too small for any dump, and the one value at which the kernel does not hand a dump to the
program of the host that core_pattern may name (core(5)); at 0 it would, with rows in it."""


def largest_file(spec: BoxSpec) -> int:
    """Return how many bytes a file of a box may have."""
    limits, home_mb = spec.limits, spec.home.mb if spec.home else 0
    return max(limits.output_mb, limits.temp_mb, limits.spill_mb, home_mb) * _MIB


def rlimits(spec: BoxSpec, headroom_mb: int) -> dict[str, str]:
    """Return the limits of one process, by the names of prlimit(1). A lab works for days: only its time ends it."""
    limits = spec.limits
    cpu = {} if spec.entry is Entry.LAB else {"cpu": f"{limits.cpu_s}:{limits.cpu_s + 1}"}
    return {
        **cpu,
        "core": NO_CORE,
        "data": str(limits.memory_mb * _MIB),
        "as": str((limits.memory_mb + headroom_mb) * _MIB),
        "nofile": str(limits.files),
        "fsize": str(largest_file(spec)),
        "memlock": "0",
        "msgqueue": "0",
        "nice": "0",
        "rtprio": "0",
    }


def identity(walls: Walls) -> list[str]:
    """Return the words that give the process its user id; none when the launcher cannot."""
    if not walls.own_user:
        return []
    uid = str(walls.uid)
    return [
        found("setpriv"), "--reuid", uid, "--regid", uid, "--clear-groups",
        "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs",
    ]  # fmt: skip


def found(tool: str) -> str:
    """Return the path of a tool of the system; raises `TierMissing` if it is not there."""
    path = shutil.which(tool, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if path is None:
        raise TierMissing(f"this machine has no {tool}", "T1", "Install Debian's bubblewrap and util-linux.")
    return path


def _limits(spec: BoxSpec, walls: Walls) -> list[str]:
    """Limits by `prlimit`; that of processes counts per user, so without one of its own it is set later."""
    switches = {
        "core": Wall.CORE_DUMPS, "data": Wall.MEMORY, "as": Wall.MEMORY, "nofile": Wall.OPEN_FILES,
    }  # fmt: skip
    all_limits = rlimits(spec, VIRTUAL_HEADROOM_MB.get(spec.entry, LEAST_HEADROOM_MB))
    if walls.own_user and walls.has(Wall.PROCESS_COUNT):
        all_limits["nproc"] = str(spec.limits.processes + 2)
    held = {
        name: value for name, value in all_limits.items() if name not in switches or walls.has(switches[name])
    }
    return [found("prlimit"), *(f"--{name}={value}" for name, value in held.items())]


def _namespaces(walls: Walls) -> list[str]:
    words = ["--unshare-user", "--unshare-cgroup-try", "--uid", INNER_USER, "--gid", INNER_USER]
    for wall, more in (
        (Wall.NETWORK, ["--unshare-net"]),
        (Wall.PROCESSES, ["--unshare-pid", "--as-pid-1"]),
        (Wall.IPC, ["--unshare-ipc"]),
        (Wall.HOSTNAME, ["--unshare-uts", "--hostname", "box"]),
        (Wall.USER_NAMESPACES, ["--disable-userns"]),
        (Wall.SESSION, ["--new-session"]),
        (Wall.PARENT, ["--die-with-parent"]),
        (Wall.ENVIRONMENT, ["--clearenv"]),
    ):
        words += more if walls.has(wall) else []
    return [*words, "--cap-drop" if walls.has(Wall.CAPABILITIES) else "--cap-add", "ALL"]


def _files(spec: BoxSpec, walls: Walls) -> list[str]:
    limits, place = spec.limits, walls.place
    read = "--ro-bind" if walls.has(Wall.READ_ONLY) else "--bind"
    words = [read, os.fspath(walls.root), "/"]
    words += [*_proc(walls), *_devices(walls, terminals=spec.entry is Entry.LAB)]
    words += [*_tmpfs(walls, "/dev/shm", SHARED_MEMORY_MB), "--remount-ro", "/dev"]
    words += [*_tmpfs(walls, "/tmp", max(limits.temp_mb, 1))]
    out = "--bind" if spec.home is None else "--ro-bind"  # a lab leaves nothing
    words += [read, os.fspath(place.inputs), "/in", out, os.fspath(place.outputs), "/out"]
    if walls.gpus.libraries:
        words += ["--perms", "0755", "--size", "65536", "--tmpfs", os.fspath(LIBRARIES_IN_BOX)]
    for library in walls.gpus.libraries:
        words += ["--ro-bind", os.fspath(library), os.fspath(LIBRARIES_IN_BOX / library.name)]
    if limits.spill_mb:
        words += ["--bind", os.fspath(place.spill), "/spill"]
    words += _of_lab(spec, walls)
    if not walls.has(Wall.VIEW):
        words += ["--ro-bind", "/", "/mirror" if spec.home else "/links"]
    return words


def links_folder(walls: Walls) -> Path:
    """Return where on the host the sockets of a box's links lie, at tiers and programs that have any."""
    return walls.place.whole / "links"


def _of_lab(spec: BoxSpec, walls: Walls) -> Iterator[str]:
    """Yield the words for what only a lab has. A home that is bound by itself lies in a `/home` of its own."""
    if spec.home is None or walls.slot is None:
        return
    source, at = walls.slot.view(spec.home)
    if at != "/home":
        yield from ("--perms", "0711", "--size", "4096", "--tmpfs", "/home")
    yield from ("--bind", os.fspath(source), at)
    if at != "/home":
        yield from ("--remount-ro", "/home")
    yield from ("--ro-bind", os.fspath(links_folder(walls)), "/links")
    if walls.mirror is not None and walls.has(Wall.VIEW):
        yield from ("--ro-bind", os.fspath(walls.mirror), "/mirror")


def _environment(walls: Walls) -> dict[str, str]:
    gpu = {"LD_LIBRARY_PATH": os.fspath(LIBRARIES_IN_BOX)} if walls.gpus.libraries else {}
    return {**ENVIRONMENT, **gpu}


def _proc(walls: Walls) -> Iterator[str]:
    yield from ("--proc", "/proc") if walls.has(Wall.PROCESSES) else ("--ro-bind", "/proc", "/proc")
    if not walls.has(Wall.PROC):
        return
    for folder in _HIDDEN_FOLDERS:
        if os.path.isdir(folder):
            yield from ("--perms", "0555", "--size", "4096", "--tmpfs", folder, "--remount-ro", folder)
    for file in _HIDDEN_FILES:
        if os.path.exists(file) and not os.path.islink(file) and not _is_roots_alone(file, walls):
            yield from ("--ro-bind", "/dev/null", file)


def _is_roots_alone(file: str, walls: Walls) -> bool:
    """Whether only the host's root could read a file, which a box with a user of its own is not; a cover costs time."""
    return walls.separate and walls.has(Wall.USER) and not os.stat(file).st_mode & stat.S_IROTH


def _devices(walls: Walls, *, terminals: bool) -> Iterator[str]:
    if not walls.has(Wall.DEVICES):
        yield from ("--dev-bind", "/dev", "/dev")
        return
    if terminals:  # bubblewrap's own: full and tty beside the four, and an instance of /dev/pts
        yield from ("--dev", "/dev")
    else:
        yield from ("--perms", "0755", "--size", "65536", "--tmpfs", "/dev")
        for device in _DEVICES:
            yield from ("--dev-bind", f"/dev/{device}", f"/dev/{device}")
    for path in walls.gpus.devices:
        yield from ("--dev-bind", os.fspath(path), f"/dev/{path.name}")


def _tmpfs(walls: Walls, folder: str, size_mb: int) -> Iterator[str]:
    yield from ("--perms", "0700")
    if walls.has(Wall.TEMP_SIZE):
        yield from ("--size", str(size_mb * _MIB))
    yield from ("--tmpfs", folder)


def _no_swap() -> bool:
    try:
        return len(Path("/proc/swaps").read_text().splitlines()) <= 1
    except OSError:
        return False
