"""The system-call filter of boxes (seccomp, mode filter), as a table in which each line gives its reason.

A box reads files, computes, and writes files; it speaks over two pipes that it inherits. So everything that
reaches another kernel object, another process or the kernel's own machinery is denied. The filter is a list
of denials, not of permissions, because DuckDB and Python use different calls on different C libraries; the
namespaces, the empty capability set and `no_new_privs` stand behind it. Foreign architectures (32-bit calls
on a 64-bit kernel) kill the caller.

The program is built by libseccomp through ctypes, and handed to bubblewrap as BPF in a descriptor.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
from dataclasses import dataclass
from typing import Any

from plans.errors import TierMissing

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NOT_EQUAL, _MASKED_EQUAL = 1, 7
_CLONE_NEW = {
    "NEWTIME": 0x80, "NEWNS": 0x20000, "NEWCGROUP": 0x2000000, "NEWUTS": 0x4000000, "NEWIPC": 0x8000000,
    "NEWUSER": 0x10000000, "NEWPID": 0x20000000, "NEWNET": 0x40000000,
}  # fmt: skip
_TERMINAL_REQUESTS = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: a terminal would take characters pushed into it as typed (ATTACKS 44)."""


@dataclass(frozen=True, slots=True)
class Denial:
    """Calls that fail with an error number, and why."""

    calls: tuple[str, ...]
    error: int
    why: str


DENIALS = (
    Denial(
        ("socket", "socketpair"), errno.EACCES,
        "a box has no peer but its launcher, over pipes; a network namespace does not stop AF_VSOCK or AF_ALG",
    ),
    Denial(("memfd_create", "memfd_secret"), errno.EPERM, "memory that RLIMIT_AS and a sized tmpfs do not count"),
    Denial(
        ("shmget", "shmat", "shmctl", "msgget", "semget", "mq_open"), errno.EPERM,
        "System V and POSIX queues and memory: uncounted, and they outlive a process",
    ),
    Denial(
        ("io_uring_setup", "io_uring_enter", "io_uring_register"), errno.ENOSYS,
        "does other calls' work past this filter",
    ),
    Denial(("keyctl", "add_key", "request_key"), errno.EPERM, "kernel keyrings are not namespaced"),
    Denial(("userfaultfd",), errno.EPERM, "stops the kernel in the middle of a copy: the classic help of an exploit"),
    Denial(
        ("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd", "pidfd_open"),
        errno.EPERM, "one process has no business in another",
    ),
    Denial(("bpf", "perf_event_open", "lookup_dcookie"), errno.EPERM, "programs and counters inside the kernel"),
    Denial(("unshare", "setns"), errno.EPERM, "new namespaces give back the capabilities that a box has lost"),
    Denial(
        ("clone3",), errno.ENOSYS,
        "its flags lie behind a pointer that a filter cannot read; the C library falls back to clone",
    ),
    Denial(
        ("mount", "umount2", "pivot_root", "chroot", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsmount",
         "fsconfig", "fspick"),
        errno.EPERM, "the box's view of files is the one that it was given",
    ),
    Denial(
        ("open_by_handle_at", "name_to_handle_at"), errno.EPERM, "opens files by number, past the mounted view",
    ),
    Denial(("fanotify_init", "inotify_init", "inotify_init1"), errno.EPERM, "watching files tells what neighbours do"),
    Denial(
        ("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module"), errno.EPERM,
        "replaces the kernel, or parts of it",
    ),
    Denial(
        ("reboot", "swapon", "swapoff", "acct", "quotactl", "syslog", "sethostname", "setdomainname", "iopl", "ioperm"),
        errno.EPERM, "administration of the host",
    ),
    Denial(
        ("settimeofday", "clock_settime", "clock_adjtime", "adjtimex"), errno.EPERM, "the host's clock is the host's",
    ),
    Denial(
        ("personality", "modify_ldt", "vm86", "vm86old", "uselib", "ustat", "sysfs", "_sysctl", "nfsservctl"),
        errno.EPERM, "old calls with old defects",
    ),
    Denial(("mbind", "migrate_pages", "move_pages", "set_mempolicy"), errno.EPERM, "placement of memory on the host"),
    Denial(("vmsplice",), errno.EPERM, "pages shared between a pipe and a process: two published escapes"),
    Denial(("mknod", "mknodat"), errno.EPERM, "a box makes no device, FIFO or socket; its outputs are plain files"),
)  # fmt: skip


KERNEL_NEEDS = frozenset(
    {
        "socket", "socketpair", "memfd_create", "ptrace", "process_vm_readv", "process_vm_writev", "unshare", "setns",
        "clone3", "mount", "umount2", "pivot_root", "chroot",
    }
)  # fmt: skip
"""Calls with which gVisor makes a box's kernel: memory in a file, its parts as traced processes, empty roots.

Of sockets it gets those that reach nothing but itself.
"""


class _Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


_Rule = tuple[str, int, _Compare | None]
"""A call, the error with which it fails, and what an argument of it is compared with."""


def filter_file() -> int:
    """Return a descriptor from which the BPF program of the filter can be read once.

    Raises:
        TierMissing: libseccomp is missing, or does not take a line of the table; a box without its filter is
            not started.
    """
    rules = [(call, denial.error, None) for denial in DENIALS for call in denial.calls]
    namespaces = [
        ("clone", errno.EPERM, _Compare(0, _MASKED_EQUAL, flag, flag)) for flag in _CLONE_NEW.values()
    ]
    return _compiled([*rules, *namespaces, *_terminal_rules()])


def kernel_filter_file() -> int:
    """Return the same for the processes that are a box's own kernel: less what such a kernel is made with.

    Sentry and gofer have narrower lists of their own; this one also holds for the process that starts them.

    Raises:
        TierMissing: as above.
    """
    rules = [
        (call, denial.error, None) for denial in DENIALS for call in denial.calls if call not in KERNEL_NEEDS
    ]
    other_family = ("socket", errno.EACCES, _Compare(0, _NOT_EQUAL, int(socket.AF_UNIX), 0))
    return _compiled([*rules, other_family, *_terminal_rules()])


def _terminal_rules() -> list[_Rule]:
    return [
        ("ioctl", errno.EPERM, _Compare(1, _MASKED_EQUAL, 0xFFFFFFFF, request))
        for request in _TERMINAL_REQUESTS
    ]


def _compiled(rules: list[_Rule]) -> int:
    library = _load()
    context = library.seccomp_init(_ALLOW)
    if not context:
        raise TierMissing("libseccomp could not make a filter", "seccomp")
    try:
        for call, error, compare in rules:
            _deny(library, context, (call, error), () if compare is None else (compare,))
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def oci_filter(*, links: bool) -> dict[str, Any]:
    """Return the same table as the OCI runtime specification writes it (linux.seccomp), for a kernel of a box's own.

    That kernel (gVisor's of 2022) answers every denial with EPERM. For `clone3` this would break programs, whose
    libraries go on with `clone` after ENOSYS only; so it is left to that kernel, which does not know the call.
    Namespaces that it might once give are its own, never the host's. Symbolic links are denied by Landlock at T1
    (`inside.fence`), and by this filter here.

    Args:
        links: whether the box may make Unix sockets, to reach the links of its plan by name.
    """
    rules = [_oci_rule([call for call in each.calls if call != "clone3"], each.error) for each in DENIALS]
    rules.append(_oci_rule(["symlink", "symlinkat"], errno.EPERM))
    if links:
        rules = [rule for rule in rules if "socket" not in rule["names"]]
        rules.append(_oci_rule(["socketpair"], errno.EACCES))
        other_family = {"index": 0, "value": int(socket.AF_UNIX), "op": "SCMP_CMP_NE"}
        rules.append(_oci_rule(["socket"], errno.EACCES, other_family))
    masked = [("clone", 0, flag, flag) for flag in _CLONE_NEW.values()]
    masked += [("ioctl", 1, 0xFFFFFFFF, request) for request in _TERMINAL_REQUESTS]
    for call, index, mask, value in masked:
        compare = {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
        rules.append(_oci_rule([call], errno.EPERM, compare))
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [f"SCMP_ARCH_{platform.machine().upper()}"],
        "syscalls": [rule for rule in rules if rule["names"]],
    }


def _oci_rule(calls: list[str], error: int, *compare: dict[str, Any]) -> dict[str, Any]:
    return {"names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": error, "args": list(compare)}


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError:
        advice = "Install Debian's libseccomp2."
        raise TierMissing("this machine has no libseccomp", "seccomp", advice) from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Compare),
    ]  # fmt: skip
    return library


def _deny(library: ctypes.CDLL, context: int, what: tuple[str, int], compare: tuple[_Compare, ...]) -> None:
    call, error = what
    number = library.seccomp_syscall_resolve_name(call.encode())
    arguments = (_Compare * len(compare))(*compare)
    result = library.seccomp_rule_add_array(context, _ERRNO | error, number, len(compare), arguments)
    if number == -1 or result != 0:
        raise TierMissing(
            "libseccomp does not take a line of the filter", call, "Install a newer libseccomp2."
        )


def _export(library: ctypes.CDLL, context: int) -> int:
    descriptor = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    if library.seccomp_export_bpf(context, descriptor) != 0:
        os.close(descriptor)
        raise TierMissing("libseccomp could not write the filter", "seccomp")
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
