"""The walls around porter, proxy and Hub: each has a user id of its own and sees little of the machine.

They face browsers and labs, and the Hub and the proxy are large programs of others. Behind bubblewrap they see the
system's libraries, this installation's Python and the house's modules that they need, all read-only; their own folder;
and the folders of the sockets that they ask at. They see nothing of owners or of the centre. They share the host's
loopback network, since that is what they are for, and have no other namespace of it.

Root builds the walls (a checkout may lie below a folder that only root may enter) and steps down behind them, so what
runs there has no power of root's. Where we are not root, the walls are the same and the user is ours.

    python -m notebooks.X SETTINGS ──exec──► bwrap … [setpriv …] python -m notebooks.X inside   ◄── settings on stdin
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plans.errors import SettingsWrong, TierMissing

INSIDE = "inside"
"""The argument with which a module starts what runs behind the walls."""

LEAST_USER = 1000
MODULES = ("keys", "notebooks", "plans", "sandbox")
"""The house's packages that are seen there."""

_SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ssl",
    "/etc/ld.so.cache",
    "/etc/localtime",
)
_ACCOUNTS, _GROUPS, _HOSTS = 20, 21, 22
_OPEN_FILES = 16_384
"""The porter has a connection parked for each of many."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a process sees beside the system: folders that it may write, those with sockets, and its user id."""

    module: str
    user: int | None
    writes: tuple[Path, ...] = ()
    reaches: tuple[Path, ...] = ()
    reads: tuple[Path, ...] = ()


def enter(room: Room, told: Mapping[str, Any]) -> None:
    """Become the process behind its walls; `told` is what it reads from standard input. Never returns.

    Raises:
        TierMissing: this machine has no bubblewrap.
        SettingsWrong: the user id is one of the host's own.
    """
    if room.user is not None and room.user < LEAST_USER:
        raise SettingsWrong(f"a process of labs has a user id from {LEAST_USER} upwards", room.module)
    for number, text in _small_files(room.user).items():
        _give(number, text)
    _give(0, json.dumps(dict(told)))
    most = min(_OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    words = command(room)
    os.execve(words[0], words, {})


def command(room: Room) -> list[str]:
    """Return the command line of the walls and of what runs behind them."""
    root = os.geteuid() == 0
    drops = ["--cap-drop", "ALL"]
    drops += (
        [word for power in ("SETUID", "SETGID", "SETPCAP") for word in ("--cap-add", f"CAP_{power}")]
        if root
        else []
    )
    return [
        _tool("bwrap"),
        *(() if root else ("--unshare-user",)),
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--die-with-parent", "--new-session", *drops),
        *_files(room),
        *_environment(),
        *("--chdir", "/tmp"),
        "--",
        *_identity(room.user if root else None),
        *(sys.executable, "-P", "-B", "-m", room.module, INSIDE),
    ]  # fmt: skip


def told() -> dict[str, Any]:
    """Return what the outer part handed over, and close standard input."""
    content = json.loads(sys.stdin.read())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return dict(content)


def _files(room: Room) -> list[str]:
    words = ["--perms", "0755", "--dir", "/etc"]
    for place in _SYSTEM:
        if os.path.islink(place):
            words += ["--symlink", os.readlink(place), place]
        elif os.path.exists(place):
            words += ["--ro-bind", place, place]
    for number, name in ((_ACCOUNTS, "passwd"), (_GROUPS, "group"), (_HOSTS, "hosts")):
        words += ["--perms", "0444", "--ro-bind-data", str(number), f"/etc/{name}"]
    words += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"]
    seen = [
        *(("--ro-bind", path) for path in _code()),
        *(("--ro-bind-try", path) for path in room.reads),
        *(("--ro-bind", path) for path in room.reaches),
        *(("--bind", path) for path in room.writes),
    ]
    ways = dict.fromkeys(parent for _, path in seen for parent in reversed(path.parents) if parent.name)
    for way in ways:
        if way not in map(Path, ("/tmp", "/etc", "/usr")):
            words += ["--perms", "0755", "--dir", str(way)]
    for how, path in seen:
        words += [how, str(path), str(path)]
    return words


def _code() -> Sequence[Path]:
    """Return the interpreter, the environment's packages and the house's modules."""
    house = Path(__file__).resolve().parent.parent
    found = [Path(sys.base_prefix), Path(sys.prefix), *(house / name for name in MODULES)]
    return [path for path in dict.fromkeys(found) if not path.is_relative_to("/usr")]


def _environment() -> list[str]:
    house = Path(__file__).resolve().parent.parent
    values = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(house),
        "LANG": "C.UTF-8",
        "HOME": "/tmp",
    }
    return ["--clearenv", *(word for name, value in values.items() for word in ("--setenv", name, value))]


def _identity(user: int | None) -> list[str]:
    if user is None:
        return []
    return [
        _tool("setpriv"), "--reuid", str(user), "--regid", str(user), "--clear-groups",
        "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs",
    ]  # fmt: skip


def _small_files(user: int | None) -> dict[int, str]:
    number = os.geteuid() if user is None else user
    return {
        _ACCOUNTS: f"darkroom:x:{number}:{number}:Darkroom:/tmp:/usr/sbin/nologin\n",
        _GROUPS: f"darkroom:x:{number}:\n",
        _HOSTS: "127.0.0.1 localhost\n",
    }


def _give(number: int, text: str) -> None:
    """Put a text behind a descriptor that the next program inherits."""
    memory = os.memfd_create("darkroom")
    os.write(memory, text.encode())
    os.lseek(memory, 0, os.SEEK_SET)
    os.dup2(memory, number, inheritable=True)
    if memory != number:
        os.close(memory)


def _tool(name: str) -> str:
    path = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if path is None:
        raise TierMissing(
            f"this machine has no {name}", "labs", "Install Debian's bubblewrap and util-linux."
        )
    return path
