"""What every text uses: how an attack is carried out on its own, and what comes of it is told."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

CANARY = re.compile(rb"canary-[0-9a-f]{24}")
"""What canaries look like. A text knows the pattern and no canary, so it finds none in itself."""

LONGEST_S = 40
"""How long one attack may take; one that waits for an answer has a shorter limit of its own."""

_DENIED = (errno.EPERM, errno.ENOSYS, errno.EACCES)
_NUMBERS = {
    "x86_64": {
        "shmget": 29, "semget": 64, "msgget": 68, "ptrace": 101, "syslog": 103, "personality": 135, "mbind": 237,
        "pivot_root": 155, "chroot": 161, "acct": 163, "swapon": 167, "reboot": 169, "sethostname": 170,
        "init_module": 175, "quotactl": 179, "settimeofday": 164, "clock_settime": 227, "mq_open": 240,
        "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "inotify_init1": 294, "unshare": 272,
        "vmsplice": 278, "perf_event_open": 298, "fanotify_init": 300, "name_to_handle_at": 303,
        "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
        "finit_module": 313, "kexec_file_load": 320, "memfd_create": 319, "bpf": 321, "userfaultfd": 323,
        "move_pages": 279, "modify_ldt": 154, "iopl": 172, "ioperm": 173, "socket": 41, "socketpair": 53,
        "io_setup": 206,
    },
    "aarch64": {
        "shmget": 194, "semget": 190, "msgget": 186, "ptrace": 117, "syslog": 116, "personality": 92, "mbind": 235,
        "pivot_root": 41, "chroot": 51, "acct": 89, "swapon": 224, "reboot": 142, "sethostname": 161,
        "init_module": 105, "quotactl": 60, "settimeofday": 170, "clock_settime": 112, "mq_open": 180,
        "kexec_load": 104, "add_key": 217, "request_key": 218, "keyctl": 219, "inotify_init1": 26, "unshare": 97,
        "vmsplice": 75, "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264,
        "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
        "finit_module": 273, "kexec_file_load": 294, "memfd_create": 279, "bpf": 280, "userfaultfd": 282,
        "move_pages": 239, "socket": 198, "socketpair": 199, "io_setup": 0,
    },
}  # fmt: skip
_EVERYWHERE = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442,
    "memfd_secret": 447,
}  # fmt: skip

ROOTS = ("", "/links", "/host", "/proc/1/root", "/proc/1/root/links", "/mnt", "/..")
"""Where the host's root might lie, seen from a box."""

Where = dict[str, Any]
"""Where things stand that an attacker may have heard of: paths, ports, names. Never a canary."""

Attack = Callable[[Where], object]


class Refused(Exception):
    """What was sought is not there, or is not given."""


def call(name: str, *arguments: int) -> bool:
    """Call the kernel with senseless arguments: any answer but a denial means that the call is allowed."""
    number = {**_NUMBERS.get(platform.machine(), {}), **_EVERYWHERE}.get(name)
    if number is None:
        raise Refused("this machine's kind has no such call")
    library = ctypes.CDLL(None, use_errno=True)
    result = int(library.syscall(number, *(ctypes.c_long(value) for value in arguments)))
    if result < 0 and ctypes.get_errno() in _DENIED:
        raise OSError(ctypes.get_errno(), name)
    return True


def allowed(name: str, *arguments: int) -> Attack:
    """Return the attack that makes a call."""
    return lambda _: call(name, *arguments)


def in_child(attempt: Callable[[], object]) -> bool:
    """Return whether an attempt that would change this process succeeds in a child."""
    child = os.fork()
    if child == 0:
        try:
            attempt()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def read(path: str, most: int = 1 << 20) -> bytes:
    """Return the beginning of a file."""
    with open(path, "rb", buffering=0) as file:
        return file.read(most) or b""


def read_somewhere(path: str) -> bytes:
    """Return what lies at a path of the host, wherever its root might be."""
    found = b""
    for root in ROOTS:
        try:
            found += read(root + path)
        except OSError:
            continue
    return found


def lies_somewhere(*paths: str) -> bool:
    """Return whether one of these places of a host can be seen, wherever its root might be."""
    return any(os.path.lexists(root + path) for path in paths for root in ROOTS)


def carry_out(attacks: dict[str, Attack]) -> None:
    """Try each attack in a process of its own, and tell what came of it as one JSON object.

    The one argument says where things stand, and under `only` which attacks are wanted.
    """
    where: Where = json.loads(sys.argv[1])
    wanted = where.get("only") or list(attacks)
    told = {name: _apart(attacks[name], where) for name in wanted if name in attacks}
    sys.stdout.write(json.dumps(told))
    sys.stdout.flush()


def _apart(attack: Attack, where: Where) -> dict[str, Any]:
    """Run an attack in a child, which may die of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        said = os.open("/tmp/said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(said, 1)  # what an attack says there is not the box's answer
        signal.alarm(LONGEST_S)
        _write_all(writing, json.dumps(attempt(attack, where)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        told = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if told:
        return dict(json.loads(told))
    return {**_answer(False, [], f"ended with {status}"), "defect": status == -signal.SIGALRM}


def attempt(attack: Attack, where: Where) -> dict[str, Any]:
    """Try an attack here; an error that no attack expects is a defect of the attack, and told as such."""
    try:
        gain = attack(where)
    except OSError as problem:
        return _answer(False, [], errno.errorcode.get(problem.errno or 0, type(problem).__name__))
    except Refused as problem:
        return _answer(False, [], str(problem))
    except (
        ArithmeticError,
        AttributeError,
        ImportError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as bug:
        return {**_answer(False, [], f"{type(bug).__name__}: {bug}"[:200]), "defect": True}
    if isinstance(gain, bytes):
        loot = sorted({each.decode() for each in CANARY.findall(gain)})
        return _answer(bool(loot), loot, "" if loot else "nothing of interest")
    return _answer(gain is True, [], "" if gain is True else "nothing found")


def _answer(gained: bool, loot: list[str], why: str) -> dict[str, Any]:
    return {"gained": gained, "loot": loot, "why": why, "defect": False}


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
