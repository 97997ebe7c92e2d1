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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from plans.errors import TierMissing

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NOT_EQUAL, _GREATER, _MASKED_EQUAL = 1, 6, 7
_CLONE_NEW = {
    "NEWTIME": 0x80, "NEWNS": 0x20000, "NEWCGROUP": 0x2000000, "NEWUTS": 0x4000000, "NEWIPC": 0x8000000,
    "NEWUSER": 0x10000000, "NEWPID": 0x20000000, "NEWNET": 0x40000000,
}  # fmt: skip
_PUSH_INPUT, _LINUX_CONSOLE = 0x5412, 0x541C  # TIOCSTI, TIOCLINUX
_SET_PARENT_DEATH = 1  # PR_SET_PDEATHSIG, an int: the kernel looks at its lower half
_TELL_OF_OTHERS = (5, 36, 1024, 1026)  # fcntl: F_GETLK, F_OFD_GETLK, F_SETLEASE, F_NOTIFY
_ASK_FOR_LOCKS = (5, 36)  # of these the first two
_LOCK_A_PART = (6, 7, 37, 38)  # fcntl: F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW
_PRETENDED = 0
_CORE_SIZE = 4  # RLIMIT_CORE
_ONLY_CACHED = 8  # RWF_NOWAIT of preadv2


@dataclass(frozen=True, slots=True)
class When:
    """Which calls a denial is about: those whose argument, seen through a mask, has a value; or has another, or a
    larger one."""

    argument: int
    value: int
    mask: int = 2**64 - 1
    other: bool = False
    above: bool = False
    besides: When | None = None
    """What must hold of another argument as well."""

    def all(self) -> tuple[When, ...]:
        """Return every condition, this one first."""
        return (self, *(self.besides.all() if self.besides else ()))


@dataclass(frozen=True, slots=True)
class Denial:
    """Calls that fail with an error number, and why."""

    calls: tuple[str, ...]
    error: int
    why: str
    when: When | None = None


_OTHERS_LIMITS = When(0, 0, other=True)

NEWER = {"statmount": 457, "listmount": 458, "lsm_set_self_attr": 460, "open_tree_attr": 467}
"""Calls that Debian 12's libseccomp does not know by name; their numbers are the same on every architecture."""

DENIALS = (
    Denial(
        ("socket",), errno.EACCES,
        "a box has no peer but its launcher, over pipes; a network namespace does not stop AF_VSOCK or AF_ALG",
    ),
    Denial(
        ("socketpair",), errno.EACCES, "event loops wake themselves by a pair in the process, of this family only",
        When(0, int(socket.AF_UNIX), other=True),
    ),
    *(
        Denial(("clone",), errno.EPERM, "new namespaces, as for unshare", When(0, flag, mask=flag))
        for flag in _CLONE_NEW.values()
    ),
    *(
        Denial(("ioctl",), errno.EPERM, "a terminal takes what is pushed into it as typed", When(1, request, 2**32 - 1))
        for request in (_PUSH_INPUT, _LINUX_CONSOLE)
    ),
    Denial(("prlimit64",), errno.EPERM, "a process has its own limits to lower, not another's", _OTHERS_LIMITS),
    Denial(
        ("prctl",), errno.EPERM, "a box dies with its launcher; nobody takes off the signal by which it does",
        When(0, _SET_PARENT_DEATH, 2**32 - 1),
    ),
    *(
        Denial(
            (call,), errno.EPERM,
            "a core size of 1 alone keeps dumps from a host's program for them; asking for it changes nothing",
            When(resource, _CORE_SIZE, 2**32 - 1, besides=When(resource + 1, 0, other=True)),
        )
        for call, resource in (("prlimit64", 1), ("setrlimit", 0))
    ),
    Denial(("memfd_create", "memfd_secret"), errno.EPERM, "memory that RLIMIT_AS and a sized tmpfs do not count"),
    Denial(
        ("shmget", "shmat", "shmdt", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semtimedop",
         "semctl", "mq_open", "mq_unlink"), errno.EPERM,
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
         "fsconfig", "fspick", *NEWER),
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
        ("reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "vhangup", "syslog",
         "sethostname", "setdomainname", "iopl", "ioperm"),
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

SIGNALS = (
    Denial(
        ("flock",), errno.ENOSYS, "a lock on a file of the image is seen by every box that has the image",
    ),
    *(
        Denial(
            ("fcntl",), _PRETENDED,
            "the same for parts of a file, /dev/null too; DuckDB locks what it writes and stops if it cannot",
            When(1, command, 2**32 - 1),
        )
        for command in _LOCK_A_PART
    ),
    *(
        Denial(
            ("fcntl",), errno.EPERM, "tells of others' locks, and of when they open and read files that boxes share",
            When(1, command, 2**32 - 1),
        )
        for command in _TELL_OF_OTHERS
    ),
    Denial(
        ("preadv2",), errno.EOPNOTSUPP, "tells whether a neighbour has read a part of a file that boxes share",
        When(5, _ONLY_CACHED, _ONLY_CACHED),
    ),
    Denial(
        ("io_setup", "io_submit", "io_getevents", "io_pgetevents", "io_cancel", "io_destroy"), errno.ENOSYS,
        "one number for the whole host: a box that takes all leaves none to it and to its neighbours",
    ),
)  # fmt: skip
"""Denials of what boxes on one kernel could signal to each other with, by files and counters that they share.

A box that has seen data must not tell another one, whose log its author may read. Locks of parts of files are
pretended: nobody but the box opens files that it can write. A kernel of a box's own (T2) keeps locks to itself, and
needs none of these.
"""


KERNEL_NEEDS = frozenset(
    {
        "socket", "socketpair", "memfd_create", "ptrace", "process_vm_readv", "process_vm_writev", "unshare", "setns",
        "clone", "clone3", "mount", "umount2", "pivot_root", "chroot", "prlimit64",
        "prctl",
    }
)  # fmt: skip
"""Calls with which gVisor makes a box's kernel: memory in a file, its parts as traced processes, empty roots.

Of sockets it gets those that reach nothing but itself.
"""


_FAMILY, _TYPE, _PROTOCOL = 0, 1, 2  # arguments of socket(2)
_FAMILIES = (int(socket.AF_UNIX), int(socket.AF_INET), int(socket.AF_INET6))
_ASK_OF_NETWORKS = int(socket.AF_NETLINK)
_TYPE_BITS, _TYPES = 0xF, (int(socket.SOCK_STREAM), int(socket.SOCK_DGRAM))
_PROTOCOLS = (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP)
_KIND, _CHARACTERS, _BLOCKS = 0o170000, 0o020000, 0o060000  # inode(7): S_IFMT, S_IFCHR, S_IFBLK

_OWN_LOOPBACK = "a lab's sockets are of its own loopback, and of its own folders"
_RARE = "raw and rare kinds of sockets reach little known parts of the kernel"

LAB_DENIALS = (
    *(
        Denial(("socket",), errno.EACCES, _OWN_LOOPBACK, when)
        for when in (
            *(When(_FAMILY, each, 2**32 - 1) for each in range(max(_FAMILIES)) if each not in _FAMILIES),
            *(When(_FAMILY, each, 2**32 - 1) for each in range(max(_FAMILIES) + 1, _ASK_OF_NETWORKS)),
            When(_FAMILY, _ASK_OF_NETWORKS, above=True),
        )
    ),
    Denial(
        ("socket",),
        errno.EOPNOTSUPP,
        "who asks for networks is told that there is no asking; ZeroMQ goes on, and"
        " at another error it would end the kernel",
        When(_FAMILY, _ASK_OF_NETWORKS, 2**32 - 1),
    ),
    *(
        Denial(("socket",), errno.EACCES, _RARE, when)
        for when in (
            *(
                When(_PROTOCOL, each, 2**32 - 1)
                for each in range(1, max(_PROTOCOLS))
                if each not in _PROTOCOLS
            ),
            When(_PROTOCOL, max(_PROTOCOLS), above=True),
            *(
                When(_FAMILY, family, 2**32 - 1, besides=When(_TYPE, kind, _TYPE_BITS))
                for family in _FAMILIES[1:]
                for kind in range(_TYPE_BITS + 1)
                if kind not in _TYPES
            ),
        )
    ),
    *(
        Denial((call,), errno.EPERM, "a lab makes FIFOs, and no device", When(mode, kind, _KIND))
        for call, mode in (("mknod", 1), ("mknodat", 2))
        for kind in (_CHARACTERS, _BLOCKS)
    ),
    Denial(
        ("sendmsg", "sendmmsg"),
        errno.EPERM,
        "a deleted file on its way between two sockets is open nowhere, and nobody counts it; plain sending goes on",
    ),
    Denial(
        ("fallocate",),
        errno.EOPNOTSUPP,
        "takes a whole disk within one look at a home; the C library writes instead, as fast as a disk writes",
    ),
)
"""What is denied to labs instead of every socket, every `mknod` and others' limits.

Its network has a loopback and nothing else; of sockets there are streams and datagrams by TCP, UDP and Unix. Its server
lowers limits of the kernels that it starts, which are other processes of the same box.
"""

LAB_SIGNALS = tuple(
    each
    for each in SIGNALS
    if each.calls != ("flock",)
    and (each.when is None or each.when.value not in (*_LOCK_A_PART, *_ASK_FOR_LOCKS))
)
"""Of `SIGNALS` what holds for labs too. Locks are real there: several processes write one database in a home.

Nobody learns by them: boxes with data neither lock nor see locks, so a lab hears of none of theirs.
"""


class _Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def filter_file(*, lab: bool = False) -> int:
    """Return a descriptor from which the BPF program of the filter can be read once; that of a lab denies less.

    Raises:
        TierMissing: libseccomp is missing, or does not take a line of the table; a box without its filter is
            not started.
    """
    return _compiled([*lab_denials(), *LAB_SIGNALS] if lab else [*DENIALS, *SIGNALS])


def lab_denials() -> list[Denial]:
    """Return the table of labs: what a server, its kernels and a terminal need of each other is not denied."""
    spared = {"socket", "mknod", "mknodat"}
    kept = [
        each
        for each in DENIALS
        if not spared & set(each.calls) and not (each.calls == ("prlimit64",) and each.when == _OTHERS_LIMITS)
    ]
    return [*kept, *LAB_DENIALS]


def kernel_filter_file() -> int:
    """Return the same for the processes that are a box's own kernel: less what such a kernel is made with.

    Sentry and gofer have narrower lists of their own; this one also holds for the process that starts them.

    Raises:
        TierMissing: as above.
    """
    table = [
        replace(each, calls=tuple(call for call in each.calls if call not in KERNEL_NEEDS))
        for each in DENIALS
    ]
    return _compiled([*table, _OTHER_SOCKETS])


_OTHER_SOCKETS = Denial(
    ("socket",),
    errno.EACCES,
    "only what reaches nothing but a folder",
    When(0, int(socket.AF_UNIX), other=True),
)


def _compiled(table: Sequence[Denial]) -> int:
    library = _load()
    context = library.seccomp_init(_ALLOW)
    if not context:
        raise TierMissing("libseccomp could not make a filter", "seccomp")
    try:
        for denial in table:
            for call in denial.calls:
                _deny(library, context, call, denial)
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def oci_filter(*, links: bool, lab: bool = False) -> dict[str, Any]:
    """Return the same table as the OCI runtime specification writes it (linux.seccomp), for a kernel of a box's own.

    That kernel (gVisor's of 2022) answers every denial with EPERM. For `clone3` this would break programs, whose
    libraries go on with `clone` after ENOSYS only; so it is left to that kernel, which does not know the call, as
    are newer ones.
    Namespaces that it might once give are its own, never the host's. Symbolic links are denied by Landlock at T1
    (`inside.fence`), and by this filter here.

    Args:
        links: whether the box may make Unix sockets, to reach the links of its plan by name.
        lab: whether it is a lab, which may make more (`LAB_DENIALS`), and symbolic links.
    """
    left, whole = {"clone3", *NEWER}, lab_denials() if lab else DENIALS
    table = [replace(each, calls=tuple(call for call in each.calls if call not in left)) for each in whole]
    if links and not lab:
        table = [_OTHER_SOCKETS if "socket" in each.calls else each for each in table]
    rules = [_oci_rule(each) for each in table if each.calls]
    if not lab:
        rules.append(_oci_rule(Denial(("symlink", "symlinkat"), errno.EPERM, "as Landlock does at T1")))
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [f"SCMP_ARCH_{platform.machine().upper()}"],
        "syscalls": rules,
    }


def _oci_rule(denial: Denial) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "names": list(denial.calls),
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": denial.error,
        "args": [],
    }
    when = denial.when
    rule["args"] = [_oci_condition(each) for each in when.all()] if when else []
    return rule


def _oci_condition(when: When) -> dict[str, Any]:
    if when.other or when.above:
        operation = "SCMP_CMP_GT" if when.above else "SCMP_CMP_NE"
        return {"index": when.argument, "value": when.value, "op": operation}
    return {"index": when.argument, "value": when.mask, "valueTwo": when.value, "op": "SCMP_CMP_MASKED_EQ"}


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


def _deny(library: ctypes.CDLL, context: int, call: str, denial: Denial) -> None:
    number = NEWER.get(call) or library.seccomp_syscall_resolve_name(call.encode())
    compares = [_compare(each) for each in denial.when.all()] if denial.when else []
    arguments = (_Compare * len(compares))(*compares)
    action = _ERRNO | denial.error
    result = library.seccomp_rule_add_array(context, action, number, len(compares), arguments)
    if number == -1 or result != 0:
        raise TierMissing(
            "libseccomp does not take a line of the filter", call, "Install a newer libseccomp2."
        )


def _compare(when: When) -> _Compare:
    if when.other or when.above:
        return _Compare(when.argument, _GREATER if when.above else _NOT_EQUAL, when.value, 0)
    return _Compare(when.argument, _MASKED_EQUAL, when.mask, when.value)


def _export(library: ctypes.CDLL, context: int) -> int:
    descriptor = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    if library.seccomp_export_bpf(context, descriptor) != 0:
        os.close(descriptor)
        raise TierMissing("libseccomp could not write the filter", "seccomp")
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
