"""Tier T1: bubblewrap. How a box's walls are written as one command line, and nothing else.

From the outside in:

* `setpriv` (as root) takes a user id that belongs to this box alone, no group, no capability, `no_new_privs`.
  It comes *before* bubblewrap: inside a user namespace alone, the box would still be the launcher's own user
  on the host;
* `prlimit` sets the limits that hold without any cgroup; core dumps are off, since they would hold rows;
* `bwrap` with every namespace, no network, no capability, no further user namespace, an environment of our
  own making, and an empty one for itself: with `--clearenv` alone, the launcher's would still stand in
  `/proc/1/environ`;
* the image as `/`, read-only; `/in` read-only; `/out`; a sized tmpfs for `/tmp` (the home) and `/dev/shm`; a
  `/dev` of four devices; a `/proc` of its own, with what tells of the host covered; no `/sys`;
* the filter of `sandbox.syscalls`;
* standard input and output are the launcher's pipes, standard error goes nowhere.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from plans.box import BoxSpec, Entry
from plans.decision import Tier
from plans.errors import TierMissing
from sandbox.contract import Offer, Protection

INNER_USER = "1000"
VIRTUAL_HEADROOM_MB = 768
"""Added to the plan's memory for RLIMIT_AS, which counts what libraries and stacks map and never use."""

SHARED_MEMORY_MB = 16
_MIB = 2**20
_DEVICES = ("null", "zero", "random", "urandom")
_HIDDEN_FOLDERS = ("/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/driver")
_HIDDEN_FILES = (
    "/proc/cmdline", "/proc/diskstats", "/proc/interrupts", "/proc/kallsyms", "/proc/key-users", "/proc/keys",
    "/proc/loadavg", "/proc/locks", "/proc/modules", "/proc/mounts", "/proc/partitions", "/proc/sched_debug",
    "/proc/schedstat", "/proc/softirqs", "/proc/stat", "/proc/swaps", "/proc/timer_list", "/proc/vmstat",
)  # fmt: skip
_ENVIRONMENT = {"HOME": "/tmp", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Walls:
    """What a box stands on: the host's folders behind its view, its user id, and whether that is its own."""

    root: Path
    inputs: Path
    outputs: Path
    uid: int
    separate: bool


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Numbers of the open files that bubblewrap gets: the filter to read, and where it tells the box's process id."""

    syscalls: int
    info: int


def entry_program(entry: Entry) -> tuple[str, ...]:
    """Return the arguments of Python in the box for one of the house's programs."""
    return ("/box", entry.value)


def command(spec: BoxSpec, walls: Walls, descriptors: Descriptors, program: tuple[str, ...]) -> list[str]:
    """Return the command line of a box; to be started with an empty environment."""
    return [
        *_identity(walls),
        *_limits(spec, walls),
        _found("bwrap"),
        *("--unshare-all", "--unshare-user", "--disable-userns", "--uid", INNER_USER, "--gid", INNER_USER),
        *(
            "--cap-drop",
            "ALL",
            "--as-pid-1",
            "--new-session",
            "--die-with-parent",
            "--hostname",
            "box",
            "--clearenv",
        ),
        *_files(spec, walls),
        *(word for name, value in _ENVIRONMENT.items() for word in ("--setenv", name, value)),
        *("--chdir", "/", "--seccomp", str(descriptors.syscalls), "--info-fd", str(descriptors.info)),
        *("--", "/python/bin/python3", "-I", "-S", "-B", "-X", "utf8", *program),
    ]


def offers(separate: bool) -> Offer:
    """Return what T1 offers on this machine; `sandbox.doctor` tries it by attacking."""
    return Offer(
        Tier.T1,
        (
            Protection(
                "own user id",
                separate,
                "setpriv before bwrap" if separate else "needs a launcher run by root",
            ),
            Protection(
                "namespaces",
                shutil.which("bwrap") is not None,
                "bwrap: user, pid, net, ipc, uts, mount, cgroup",
            ),
            Protection("system calls", True, "seccomp table; a box without it is not started"),
            Protection("memory", True, "RLIMIT_AS per process, and the sum watched every 0.2 s; no cgroup"),
            Protection("files", True, "mount namespace, read-only image; no Landlock"),
        ),
    )


def _identity(walls: Walls) -> list[str]:
    if not walls.separate:
        return []
    uid = str(walls.uid)
    return [
        _found("setpriv"), "--reuid", uid, "--regid", uid, "--clear-groups",
        "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs",
    ]  # fmt: skip


def _limits(spec: BoxSpec, walls: Walls) -> list[str]:
    """Limits by `prlimit`; that of processes counts per user, so without one of its own it is set later."""
    limits = spec.limits
    address_space = (limits.memory_mb + VIRTUAL_HEADROOM_MB) * _MIB
    words = [
        _found("prlimit"), "--core=0", f"--as={address_space}", f"--cpu={limits.cpu_s}:{limits.cpu_s + 1}",
        f"--nofile={limits.files}", f"--fsize={max(limits.output_mb, limits.temp_mb) * _MIB}", "--memlock=0",
        "--msgqueue=0", "--nice=0", "--rtprio=0",
    ]  # fmt: skip
    return [*words, f"--nproc={limits.processes + 2}"] if walls.separate else words


def _files(spec: BoxSpec, walls: Walls) -> list[str]:
    words = ["--ro-bind", os.fspath(walls.root), "/", "--proc", "/proc"]
    for folder in _HIDDEN_FOLDERS:
        if os.path.isdir(folder):
            words += ["--perms", "0555", "--size", "4096", "--tmpfs", folder, "--remount-ro", folder]
    for file in _HIDDEN_FILES:
        if os.path.exists(file) and not os.path.islink(file):
            words += ["--ro-bind", "/dev/null", file]
    words += ["--perms", "0755", "--size", "65536", "--tmpfs", "/dev"]
    for device in _DEVICES:
        words += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    words += [
        "--perms",
        "0700",
        "--size",
        str(SHARED_MEMORY_MB * _MIB),
        "--tmpfs",
        "/dev/shm",
        "--remount-ro",
        "/dev",
    ]
    words += ["--perms", "0700", "--size", str(max(spec.limits.temp_mb, 1) * _MIB), "--tmpfs", "/tmp"]
    words += ["--ro-bind", os.fspath(walls.inputs), "/in", "--bind", os.fspath(walls.outputs), "/out"]
    return words


def _found(tool: str) -> str:
    path = shutil.which(tool, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if path is None:
        raise TierMissing(f"this machine has no {tool}", "T1", "Install Debian's bubblewrap and util-linux.")
    return path
