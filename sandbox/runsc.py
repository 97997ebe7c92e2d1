"""Tier T2 in words: how a gVisor box is written as one command line and one bundle, and nothing else.

gVisor's `runsc` gives the box a kernel of its own, in a process of the box's user (the sentry): the system calls
of the program are answered there, and files are opened by a second process (the gofer). Both lock themselves in
an empty root, with no capability over the host and a filter that allows few calls. What is put around them:

* the gate, the user id and the limits of T1 (`sandbox.bubblewrap`);
* `bwrap` with every namespace, whose view of the host is this one: runsc's program, the image, the box's folders.
  So even the process that starts sentry and gofer, the only one without an empty root, sees nothing of the host, and
  the whole tree dies with its first process. User 0 in this view is the box's own user on the host;
* a filter of system calls around all of them: the table of T1, less what a box's kernel is made with;
* the bundle (OCI runtime specification 1.0.2), which only exists in memory: the image as `/`, read-only; `/in`
  read-only; `/out`; `/spill`; `/links`; a sized `/tmp` and `/dev/shm`; `/sys` closed and `/proc/sys` empty; no
  capability; limits; the filter of `sandbox.syscalls`, which the box's own kernel applies.

The platform is ptrace, which needs no device and no rights. No log is kept: it could hold arguments and names.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plans.box import BoxSpec, Entry
from plans.decision import Tier
from plans.errors import TierMissing
from sandbox import bubblewrap, syscalls
from sandbox.bubblewrap import Walls
from sandbox.contract import Offer, Protection, Wall
from sandbox.gate import GATE

TRIAL_S = 10.0
"""How long a first container may take to show that runsc can start one here."""

OWN_THREADS = 96
"""Threads of the host that runsc, gofer and sentry have for themselves; about 45 were counted for an idle box."""

MOST_THREADS = 8192
"""Threads of the host that any box may have, so that no box takes all that the node has."""

HOST_FILES = 16_384
"""Files that sentry and gofer may hold open; each file of the box costs them more than one."""

TOOLS = "/usr/bin:/bin:/usr/local/bin"
"""Where runsc may lie; never what a variable of the environment says."""

LINKS, MIRROR = "/links", "/mirror"
_RUNSC, _IMAGE, _CONFIG = "/runsc", "/image", "/bundle/config.json"
_MIB = 2**20
_SMALL = 4096
_PLAIN = ["nosuid", "nodev", "noexec"]
_CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
_NO_CAPABILITIES: dict[str, list[str]] = {name: [] for name in _CAPABILITY_SETS}
_UNSAFE_CAPABILITIES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SYS_ADMIN", "CAP_SYS_CHROOT")
RUNNER_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_DAC_READ_SEARCH")
"""What the runner of a member's program has over that program, which it gives another user id (`inside.alone`).

They are rights in the kernel of the box, which knows nothing but the box. The program has none of them.
"""

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


def program_words(program: tuple[str, ...]) -> list[str]:
    """Return the command of the box; Landlock has no place in it, since the box's kernel has none."""
    return ["/python/bin/python3", "-I", "-S", "-B", "-X", "utf8", *program]


def bundle(spec: BoxSpec, walls: Walls, program: tuple[str, ...]) -> dict[str, Any]:
    """Return the container as the OCI runtime specification writes it (config.json)."""
    content = {
        **_container(program_words(program), _mounts(spec, walls), _rlimits(spec, walls)),
        "root": {"path": _IMAGE, "readonly": walls.has(Wall.READ_ONLY)},
    }
    content["process"]["capabilities"] = _capabilities(spec, walls)
    if walls.has(Wall.SYSCALLS):
        lab = spec.entry is Entry.LAB
        content["linux"]["seccomp"] = syscalls.oci_filter(links=bool(spec.links), lab=lab)
    return content


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Numbers of the open files that bubblewrap gets: bundle and filter to read, and where it tells a process id."""

    config: int
    filter: int
    info: int


def command(spec: BoxSpec, walls: Walls, descriptors: Descriptors) -> list[str]:
    """Return the command line of a box; to be started with an empty environment."""
    place = walls.place
    read = "--ro-bind" if walls.has(Wall.READ_ONLY) else "--bind"
    words = [read, os.fspath(walls.root), _IMAGE, read, os.fspath(place.inputs), "/in"]
    words += [
        "--bind" if spec.home is None else "--ro-bind",
        os.fspath(place.outputs),
        "/out",
    ]  # a lab leaves nothing
    if spec.limits.spill_mb:
        words += ["--bind", os.fspath(place.spill), "/spill"]
    if spec.links:
        words += ["--ro-bind", os.fspath(bubblewrap.links_folder(walls)), LINKS]
    elif not walls.has(Wall.VIEW):
        words += ["--ro-bind", "/", LINKS]
    if spec.home is not None and walls.slot is not None:
        source, at = walls.slot.view(spec.home)
        words += ["--bind", os.fspath(source), at]
        if walls.mirror is not None:
            words += ["--ro-bind", os.fspath(walls.mirror), MIRROR]
    return [
        *GATE,
        *bubblewrap.identity(walls),
        *_host_limits(spec, walls),
        *_surroundings(descriptors.config, descriptors.filter, walls),
        *words,
        *("--info-fd", str(descriptors.info), "--"),
        *_run(walls, links=bool(spec.links)),
    ]


def processes_on_host(spec: BoxSpec) -> int:
    """Return how many processes and threads of the host a box may be.

    A process of the box is traced, and has a thread on the host for each thread of the sentry that ever ran it: 16
    busy ones of 4 threads each were 900 within seconds, and a sentry that gets no more threads is gone. How many
    processes the box has is held by its own kernel (`_rlimits`); this is for a kernel that was taken over.
    """
    count = spec.limits.processes
    return min(count * (count + 32) + OWN_THREADS, MOST_THREADS)


def offer(separate: bool, memory: str) -> Offer:
    """Return what T2 offers on this machine; `memory` says what control groups hold a whole box."""
    like_t1 = {each.name: each for each in bubblewrap.offer(separate, memory).protections}
    return Offer(
        Tier.T2,
        (
            like_t1["own user id"],
            Protection(
                "own kernel", True, "gVisor (runsc, ptrace): a container was started to see that it can"
            ),
            Protection("namespaces", True, "those of the box's kernel, and bwrap's around it"),
            Protection("system calls", True, "the table in the box's kernel and, narrower, around it"),
            Protection(
                "memory", memory.startswith("memory"), f"RLIMIT_AS per process; control groups: {memory}"
            ),
            like_t1["swap"],
        ),
    )


def try_out(walls: Walls) -> None:
    """Start a container whose only file is runsc's own program, and ask that for its version.

    Raises:
        TierMissing: a tool is missing, or no container can be started here; says what runsc said.
        TimeoutError: it says nothing in time, which may be otherwise at another time.
    """
    content = {**_container([_RUNSC, "--version"], [], []), "root": {"path": _IMAGE, "readonly": True}}
    view = ["--dir", _IMAGE, "--ro-bind", _tool("runsc"), _IMAGE + _RUNSC, "--"]
    with contextlib.ExitStack() as opened:
        files = open_files(content, opened)
        words = [*bubblewrap.identity(walls), *_surroundings(*files, walls), *view, *_run(walls, links=False)]
        try:
            done = subprocess.run(
                words, env={}, cwd="/", pass_fds=files, stdin=subprocess.DEVNULL, capture_output=True, timeout=TRIAL_S
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        except OSError as problem:
            raise cannot(problem.strerror or "it cannot be run") from None
    if done.returncode != 0 or b"runsc version" not in done.stdout:
        told = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise cannot(_UNPRINTABLE.sub(" ", told)[:200] or f"status {done.returncode}")


def open_files(content: Mapping[str, Any], stack: contextlib.ExitStack) -> tuple[int, int]:
    """Return two open files, in memory only, that can be read once and are closed with the stack: bundle and filter."""
    config = os.memfd_create("bundle", os.MFD_CLOEXEC)
    stack.callback(os.close, config)
    os.write(config, json.dumps(content).encode())
    os.lseek(config, 0, os.SEEK_SET)
    listed = syscalls.kernel_filter_file()
    stack.callback(os.close, listed)
    return config, listed


def _container(
    arguments: list[str], mounts: list[dict[str, Any]], rlimits: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return what every container has; user 0 in it is the box's own user on the host, without a capability."""
    environment = [f"{name}={value}" for name, value in bubblewrap.ENVIRONMENT.items()]
    return {
        "ociVersion": "1.0.2",
        "hostname": "box",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": arguments,
            "env": environment,
            "cwd": "/",
            "capabilities": _NO_CAPABILITIES,
            "noNewPrivileges": True,
            "rlimits": rlimits,
        },
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": _PLAIN}, *mounts],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }


def _capabilities(spec: BoxSpec, walls: Walls) -> dict[str, list[str]]:
    if not walls.has(Wall.CAPABILITIES):
        return dict.fromkeys(_CAPABILITY_SETS, list(_UNSAFE_CAPABILITIES))
    if spec.entry is Entry.PYTHON:
        return {
            **_NO_CAPABILITIES,
            **dict.fromkeys(("bounding", "effective", "permitted"), list(RUNNER_CAPABILITIES)),
        }
    return _NO_CAPABILITIES


def _mounts(spec: BoxSpec, walls: Walls) -> list[dict[str, Any]]:
    """Return the file systems beside the image. `/dev` is filled by gVisor with devices that are its own."""
    limits = spec.limits
    read = "ro" if walls.has(Wall.READ_ONLY) else "rw"
    mounts = [_tmpfs("/dev", "mode=755", f"size={_SMALL}", read)]
    if walls.has(Wall.PROC):
        mounts += [
            _tmpfs("/sys", "mode=000", f"size={_SMALL}", "ro"),
            _tmpfs("/proc/sys", "mode=555", f"size={_SMALL}", "ro"),
        ]
    # A member's program is another user in the box, and writes where its runner does; neither can remove the other's.
    mode = "mode=1777" if spec.entry is Entry.PYTHON else "mode=700"
    for folder, size_mb in (("/dev/shm", bubblewrap.SHARED_MEMORY_MB), ("/tmp", max(limits.temp_mb, 1))):
        size = [f"size={size_mb * _MIB}"] if walls.has(Wall.TEMP_SIZE) else []
        mounts.append(_tmpfs(folder, mode, *size))
    mounts += [_bind("/in", read), _bind("/out", "rw" if spec.home is None else "ro")]
    if limits.spill_mb:
        mounts.append(_bind("/spill", "rw"))
    if spec.links or not walls.has(Wall.VIEW):
        mounts.append(_bind(LINKS, "ro"))
    return [*mounts, *_of_lab(spec, walls)]


def _of_lab(spec: BoxSpec, walls: Walls) -> list[dict[str, Any]]:
    """Return the mounts that only a lab has. Terminals are in the `/dev` of gVisor."""
    if spec.home is None or walls.slot is None:
        return []
    _, at = walls.slot.view(spec.home)
    around = [] if at == "/home" else [_tmpfs("/home", "mode=711", f"size={_SMALL}")]
    mirror = [] if walls.mirror is None else [_bind(MIRROR, "ro")]
    return [*around, _bind(at, "rw"), *mirror]


def _tmpfs(folder: str, *options: str) -> dict[str, Any]:
    return {"destination": folder, "type": "tmpfs", "source": "tmpfs", "options": [*_PLAIN, *options]}


def _bind(folder: str, access: str) -> dict[str, Any]:
    """Mount a folder of runsc's view at the same place in the box."""
    return {"destination": folder, "type": "bind", "source": folder, "options": ["bind", *_PLAIN, access]}


def _rlimits(spec: BoxSpec, walls: Walls) -> list[dict[str, Any]]:
    """Return the limits of the box's kernel. It only tells DATA and CPU; AS and the host's limits hold instead."""
    limits = spec.limits
    headroom = bubblewrap.VIRTUAL_HEADROOM_MB.get(spec.entry, bubblewrap.LEAST_HEADROOM_MB)
    held = {
        "CORE": int(bubblewrap.NO_CORE),
        "FSIZE": bubblewrap.largest_file(spec),
        "MEMLOCK": 0,
    }
    if spec.entry is not Entry.LAB:
        held["CPU"] = limits.cpu_s + 1
    if walls.has(Wall.MEMORY):
        held |= {"DATA": limits.memory_mb * _MIB, "AS": (limits.memory_mb + headroom) * _MIB}
    if walls.has(Wall.PROCESS_COUNT):
        held["NPROC"] = limits.processes
    if walls.has(Wall.OPEN_FILES):
        held["NOFILE"] = limits.files
    return [{"type": f"RLIMIT_{name}", "hard": value, "soft": value} for name, value in held.items()]


def _host_limits(spec: BoxSpec, walls: Walls) -> list[str]:
    """Return limits of the host around the box's kernel.

    None of memory and file size: all memory of a box is one file of its kernel, larger than it will ever be filled.
    That is counted by the control group, or by the watcher.
    """
    cpu_s = spec.limits.cpu_s
    words = [
        bubblewrap.found("prlimit"),
        f"--core={bubblewrap.NO_CORE}",
        *(() if spec.entry is Entry.LAB else (f"--cpu={cpu_s}:{cpu_s}",)),
        f"--nofile={_at_most(resource.RLIMIT_NOFILE, HOST_FILES)}",
    ]
    words += ["--memlock=0", "--msgqueue=0", "--nice=0", "--rtprio=0"]
    if walls.own_user and walls.has(Wall.PROCESS_COUNT):
        words.append(f"--nproc={processes_on_host(spec)}")
    return words


def _at_most(kind: int, wanted: int) -> int:
    """Return a limit that may be set: without rights, none is raised above the launcher's own."""
    own = resource.getrlimit(kind)[1]
    return wanted if own == resource.RLIM_INFINITY else min(wanted, own)


def _surroundings(config: int, syscall_filter: int, walls: Walls) -> list[str]:
    """Return bubblewrap's words: what runsc sees of the host, with all rights in this view and none beyond it."""
    return [
        bubblewrap.found("bwrap"), "--unshare-all", "--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "ALL",
        "--as-pid-1", "--new-session", "--clearenv", *(("--die-with-parent",) if walls.has(Wall.PARENT) else ()),
        "--tmpfs", "/", "--proc", "/proc", "--dir", "/dev", "--dev-bind", "/dev/null", "/dev/null", "--dir", "/tmp",
        "--dir", "/state", "--ro-bind", _tool("runsc"), _RUNSC, "--ro-bind-data", str(config), _CONFIG, "--chdir", "/",
        *(("--seccomp", str(syscall_filter)) if walls.has(Wall.SYSCALLS) else ()),
    ]  # fmt: skip


def _run(walls: Walls, *, links: bool) -> list[str]:
    filtered = ["--oci-seccomp"] if walls.has(Wall.SYSCALLS) else []
    doors = ["--host-uds=open"] if links else []
    return [
        _RUNSC, "--rootless", "--root", "/state", "--platform=ptrace", "--network=none", "--ignore-cgroups",
        "--file-access-mounts=shared", *filtered, *doors, "run", "--bundle", os.path.dirname(_CONFIG), "box",
    ]  # fmt: skip


def _tool(name: str) -> str:
    path = shutil.which(name, path=TOOLS)
    if path is None:
        raise TierMissing(f"this machine has no {name}", "T2", "Install Debian's runsc (gVisor).")
    return path


def cannot(told: str) -> TierMissing:
    """Return the error of a node on which runsc cannot start a container; `told` says why."""
    advice = "Run `darkroom-server doctor` on this node, or use a tier that it offers."
    return TierMissing(f"runsc cannot start a container here: {told}", "T2", advice)
