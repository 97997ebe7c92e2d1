"""The launcher's own user: root of a user namespace of its own, and nobody's root outside it.

A launcher gives each box a user id, which only root can do. So that it is not root on the host, it is started
by root and at once becomes somebody else, in a user namespace (user_namespaces(7)) in which just two things of
the host exist:

    0                       the launcher's own user id
    first … first + count   the ids of its boxes, as themselves

The kernel gives it a root's powers over processes and files of these ids, and over nothing else: the files of
the host's root, of keepers, of the centre and of other owners' boxes belong to ids that do not exist here, and
to them this root is one of the others. What it needs no power for is dropped as well, and `no_new_privs` is set.

    root ── fork ──► a helper writes the two maps from outside, which only root may, and ends
      └── unshare ─► takes user and group 0 in there ─► drops what it does not need

The process stays the same one, so whoever started it goes on watching the right one. It does not `exec` again:
what root could read, the launcher has read by then (settings, its key), and nothing of it needs to be readable
for the launcher's user afterwards. For the same reason its modules are loaded beforehand (`_LATE`): an
interpreter below `/root` is closed to it.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plans.errors import SettingsWrong, TierMissing

OVERFLOW = 65534
"""How ids that do not exist in a user namespace are shown in it (user_namespaces(7)): the host's root too."""

LOWEST = 1000

_NEW_USER = 0x10000000
_SET_NO_NEW_PRIVS, _DROP_BOUND, _AMBIENT, _CLEAR_ALL = 38, 24, 47, 4
_CAPABILITIES_VERSION_3 = 0x20080522
_POWERS = {
    0: "CAP_CHOWN: a box's folders belong to its user",
    1: "CAP_DAC_OVERRIDE: its outputs are collected and wiped",
    3: "CAP_FOWNER: whatever modes it gave to them",
    5: "CAP_KILL: its processes are ended",
    6: "CAP_SETGID: it starts under its own group",
    7: "CAP_SETUID: and under its own user",
    8: "CAP_SETPCAP: with an empty set of capabilities",
    19: "CAP_SYS_PTRACE: its memory is added up where no control group counts it",
    24: "CAP_SYS_RESOURCE: its limits are set",
}
_LAST_POWER = 63
_LATE = (
    "concurrent.futures.thread", "encodings.ascii", "encodings.idna", "encodings.latin_1", "encodings.utf_16_be",
    "traceback",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwnIds:
    """The user id of a launcher and those of its boxes, on the host; raises `SettingsWrong` if they overlap."""

    user: int
    first: int
    count: int

    def __post_init__(self) -> None:
        if self.user < LOWEST or self.first < LOWEST or self.count < 1:
            raise SettingsWrong(
                f"a launcher and its boxes have user ids from {LOWEST} upwards", "user, first_uid, uid_count"
            )
        if self.first <= self.user < self.first + self.count:
            raise SettingsWrong("a launcher's user id is none of its boxes'", "user, first_uid, uid_count")

    @property
    def mapping(self) -> str:
        """The two lines of `uid_map` and `gid_map`."""
        return f"0 {self.user} 1\n{self.first} {self.first} {self.count}\n"


def become(ids: OwnIds, groups: Sequence[int] = ()) -> None:
    """Turn this process, which is root and has one thread, into the launcher's own user.

    `groups` are those that it is in beside its own: they open folders that others of its side use too, and its boxes
    are in none of them.

    Raises:
        TierMissing: the kernel gives no user namespace to root.
        SettingsWrong: these ids do not exist here, as in a container that was given few.
    """
    for name in _LATE:
        importlib.import_module(name)
    _close_inherited()
    os.setgroups(list(groups))
    _enter_namespace(ids)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.chdir("/")
    _drop_powers()
    if len(os.getgroups()) != len(groups) or not _is_map(ids):
        raise TierMissing("the launcher did not become its own user", "user namespace")


def step_down(user: int) -> None:
    """Turn this process, which is root and has one thread, into one that may do what any user may, and no more.

    User and group have the same number. What it reads from now on it reads as that user; an interpreter's modules are
    loaded before.

    Raises:
        SettingsWrong: the number is one of the host's own, or does not exist here.
    """
    if user < LOWEST:
        raise SettingsWrong(f"a process of a side has a user id from {LOWEST} upwards", "user")
    for name in _LATE:
        importlib.import_module(name)
    _close_inherited()
    try:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)  # what root could do goes with it (capabilities(7))
    except OSError as problem:
        raise SettingsWrong(
            f"this user id does not exist here ({problem.strerror})",
            "user",
            "Choose one that this machine has.",
        ) from None
    os.chdir("/")
    ctypes.CDLL(None, use_errno=True).prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def is_own() -> bool:
    """Return whether this process has become the root of a namespace of its own."""
    return os.geteuid() == 0 and not _sees_host()


def owners_trusted() -> frozenset[int]:
    """Return the owners, as seen from here, of files that only root or this user can have made.

    In a launcher's own namespace the host's root is shown as `OVERFLOW`, and so are other strangers; there the
    folder above was looked at from outside (`require_roots`).
    """
    own = {0, os.geteuid()}
    return frozenset(own if _sees_host() else own | {OVERFLOW})


def require_roots(folder: Path) -> None:
    """Refuse a folder in which others than root could put what boxes are made of; asked before `become`.

    Raises:
        SettingsWrong: it is missing, another's, or writable for others.
    """
    try:
        status = os.stat(folder)
    except OSError as problem:
        advice = "Build the images: python -m sandbox.images build images/sql"
        raise SettingsWrong(
            f"the folder of images cannot be read ({problem.strerror})", str(folder), advice
        ) from None
    if status.st_uid != 0 or stat.S_IMODE(status.st_mode) & 0o022:
        raise SettingsWrong(
            "others than root could change images here",
            str(folder),
            f"chown root {folder}; chmod 755 {folder}",
        )


def _enter_namespace(ids: OwnIds) -> None:
    """Make the namespace, and have its maps written by a helper that stays outside."""
    made, tell_made = os.pipe()
    mapped, tell_mapped = os.pipe()
    owner = os.getpid()
    helper = os.fork()
    if helper == 0:
        os.close(tell_made)
        _write_maps(owner, ids, made, tell_mapped)
    os.close(made)
    os.close(tell_mapped)
    library = ctypes.CDLL(None, use_errno=True)
    try:
        if library.unshare(_NEW_USER) != 0:
            advice = "Allow them: sysctl user.max_user_namespaces."
            told = os.strerror(ctypes.get_errno())
            raise TierMissing(f"the kernel gives no user namespace ({told})", "user namespace", advice)
        os.write(tell_made, b"1")
        if os.read(mapped, 1) != b"1":
            raise SettingsWrong(
                "these user ids do not exist here",
                ids.mapping.replace("\n", "; "),
                "Choose ids that this machine has.",
            )
    finally:
        os.close(tell_made)
        os.close(mapped)
        os.waitpid(helper, 0)


def _write_maps(owner: int, ids: OwnIds, made: int, tell_mapped: int) -> None:
    """Do the helper's work, and end: it has seen nothing but these arguments."""
    try:
        if os.read(made, 1) == b"1":
            for kind in ("uid_map", "gid_map"):
                Path(f"/proc/{owner}/{kind}").write_text(ids.mapping)
            os.write(tell_mapped, b"1")
    except OSError:
        pass
    finally:
        os._exit(0)


def _close_inherited() -> None:
    """Close every file that root had open but the three standard ones: a file keeps the rights it was opened with."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.close(int(name))
            except OSError:  # the one that listed them
                continue


def _drop_powers() -> None:
    """Keep the powers of `_POWERS`, and never gain another."""
    library = ctypes.CDLL(None, use_errno=True)
    for number in range(_LAST_POWER + 1):
        if number not in _POWERS and library.prctl(_DROP_BOUND, number, 0, 0, 0) != 0:
            break  # beyond the last that this kernel knows
    library.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    kept = sum(1 << number for number in _POWERS)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    if library.capset(header, sets) != 0 or library.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise TierMissing("the launcher could not drop powers that it does not need", "capabilities")


def _is_map(ids: OwnIds) -> bool:
    wanted = [line.split() for line in ids.mapping.splitlines()]
    return all(_map(kind) == wanted for kind in ("uid_map", "gid_map"))


def _sees_host() -> bool:
    """Whether root here is whoever is root outside, as far as can be seen from here: many ids are mapped."""
    return any(line[0] == line[1] == "0" for line in _map("uid_map"))


def _map(kind: str) -> list[list[str]]:
    return [line.split() for line in Path("/proc/self", kind).read_text().splitlines()]
