"""What an attacker tries from inside a box: each attack returns if it succeeded, and raises if it was refused.

`sandbox.doctor` runs this file's text in a box and prints what held. The same text run outside a box is the
control that shows that an attack can succeed. Standard library only, no import of ours: in the box there is
nothing else to rely on.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import socket
import sys
from collections.abc import Callable
from pathlib import Path

_NUMBERS = {
    "x86_64": {
        "ptrace": 101, "add_key": 248, "keyctl": 250, "unshare": 272, "process_vm_readv": 310, "memfd_create": 319,
        "bpf": 321, "userfaultfd": 323, "perf_event_open": 298, "shmget": 29, "setns": 308, "open_by_handle_at": 304,
    },
    "aarch64": {
        "ptrace": 117, "add_key": 217, "keyctl": 219, "unshare": 97, "process_vm_readv": 270, "memfd_create": 279,
        "bpf": 280, "userfaultfd": 282, "perf_event_open": 241, "shmget": 194, "setns": 268, "open_by_handle_at": 265,
    },
}  # fmt: skip
_EVERYWHERE = {"io_uring_setup": 425, "pidfd_open": 434, "clone3": 435, "move_mount": 429}
_DENIED = (errno.EPERM, errno.ENOSYS, errno.EACCES)
_NEW_USER = 0x10000000
_PLAIN_ENVIRONMENT = {"PWD", "HOME", "LANG", "MALLOC_ARENA_MAX", "OPENBLAS_NUM_THREADS"}
_DEVICES = {"null", "zero", "random", "urandom", "shm"}
_ROOT = {"box", "dev", "in", "lib", "lib64", "out", "proc", "python", "tmp"}

Attack = Callable[[], object]


class Refused(Exception):
    """What was sought is not there."""


def call(name: str, *arguments: int) -> int:
    """Call the kernel with senseless arguments: any answer but a denial means that the call is allowed."""
    number = {**_NUMBERS[platform.machine()], **_EVERYWHERE}[name]
    library = ctypes.CDLL(None, use_errno=True)
    result = int(library.syscall(number, *(ctypes.c_long(value) for value in arguments)))
    if result < 0 and ctypes.get_errno() in _DENIED:
        raise OSError(ctypes.get_errno(), name)
    return result


def found(condition: object) -> None:
    """Raise unless the attacker found something."""
    if not condition:
        raise Refused


def family(number: int) -> Attack:
    """Return the attack that opens a socket of an address family."""
    return lambda: socket.socket(
        socket.AddressFamily(number) if number in _families() else number, _kind(number)
    )


def _families() -> set[int]:
    return {int(each) for each in socket.AddressFamily}


def _kind(number: int) -> int:
    return (
        socket.SOCK_RAW
        if number in (16, 17)
        else socket.SOCK_SEQPACKET
        if number == 38
        else socket.SOCK_STREAM
    )


def new_user_namespace() -> None:
    """Try in a child, since success would change this process."""
    child = os.fork()
    if child == 0:
        try:
            call("unshare", _NEW_USER)
        except OSError:
            os._exit(1)
        os._exit(0)
    found(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0)


def mount_something() -> None:
    """Mount a file system over the home."""
    library = ctypes.CDLL(None, use_errno=True)
    result = library.mount(b"none", b"/nowhere", b"tmpfs", 0, None)
    found(result == 0 or ctypes.get_errno() not in _DENIED)


def status_line(name: str) -> str:
    """Return one line of `/proc/self/status` (proc(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(name + ":"))


def environment() -> None:
    """Look for variables that are not a box's own."""
    content = Path("/proc/1/environ").read_bytes().split(b"\0")
    found({each.split(b"=")[0].decode() for each in content if each} - _PLAIN_ENVIRONMENT)


def write(path: str) -> Attack:
    """Return the attack that writes a new file."""
    return lambda: Path(path).write_text("planted")


def neighbours() -> None:
    """Look for processes beside process 1 and this one."""
    found({each for each in os.listdir("/proc") if each.isdigit()} - {"1", str(os.getpid())})


def descriptors() -> None:
    """Look for open files beside the three standard ones and the one that lists them."""
    found(len(os.listdir("/proc/self/fd")) > 4)


ATTACKS: dict[str, Attack] = {
    "sockets: internet": family(2),
    "sockets: internet 6": family(10),
    "sockets: unix": family(1),
    "sockets: virtual machine": family(40),
    "sockets: netlink": family(16),
    "sockets: packets": family(17),
    "sockets: kernel cryptography": family(38),
    "a new user namespace": new_user_namespace,
    "mount": mount_something,
    "chroot": lambda: os.chroot("/"),
    "kernel keyring": lambda: call("add_key", 0, 0, 0, 0, -2),
    "kernel keyring: keyctl": lambda: call("keyctl", 0, -3, 0),
    "io_uring": lambda: call("io_uring_setup", 1, 0),
    "userfaultfd": lambda: call("userfaultfd", 0),
    "programs in the kernel": lambda: call("bpf", 99, 0, 0),
    "performance counters": lambda: call("perf_event_open", 0, 0, -1, -1, 0),
    "tracing": lambda: call("ptrace", 99, 0, 0, 0),
    "memory of others": lambda: call("process_vm_readv", 0, 0, 0, 0, 0, 1),
    "memory files": lambda: os.memfd_create("x"),
    "System V memory": lambda: call("shmget", 0, 4096, 0o1600),
    "files by handle": lambda: call("open_by_handle_at", -1, 0, 0),
    "process descriptors": lambda: call("pidfd_open", 0, 0),
    "clone3": lambda: call("clone3", 0, 0),
    "capabilities": lambda: found(int(status_line("CapEff"), 16) or int(status_line("CapBnd"), 16)),
    "new privileges": lambda: found(status_line("NoNewPrivs") != "1"),
    "no filter": lambda: found(status_line("Seccomp") != "2"),
    "environment of the launcher": environment,
    "other processes": neighbours,
    "open files of the launcher": descriptors,
    "network interfaces": lambda: found(len(Path("/proc/net/dev").read_text().splitlines()) > 3),
    "the image": write("/box/planted.py"),
    "the interpreter": write("/python/bin/planted"),
    "the inputs": write("/in/planted"),
    "the host's configuration": lambda: os.listdir("/etc"),
    "the host's devices and cgroups": lambda: os.listdir("/sys"),
    "settings of the kernel": lambda: found(os.listdir("/proc/sys")),
    "the root of the host": lambda: found(set(os.listdir("/")) - _ROOT),
    "devices": lambda: found(set(os.listdir("/dev")) - _DEVICES),
    "a device of one's own": lambda: os.mknod("/tmp/disk", 0o060600, os.makedev(8, 0)),
    "a terminal": lambda: os.open("/dev/tty", os.O_RDWR),
    "a shell": lambda: found(any(os.path.exists(path) for path in ("/bin/sh", "/usr/bin/sh", "/bin/bash"))),
    "the host's name": lambda: found(os.uname().nodename != "box"),
}


def succeeds(attack: Attack) -> bool:
    """Return whether an attack succeeds; any error but these two kinds is a defect of the attack."""
    try:
        attack()
    except (OSError, Refused):
        return False
    return True


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: succeeds(attack) for name, attack in ATTACKS.items()}))
