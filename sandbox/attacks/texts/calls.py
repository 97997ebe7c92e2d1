"""ATTACKS C and F from inside: sockets of every kind, and calls that reach the kernel, other processes, namespaces."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct

from sandbox.attacks.texts.common import (
    ROOTS,
    Attack,
    Refused,
    Where,
    allowed,
    carry_out,
    in_child,
    read_somewhere,
)

_NEW_USER = 0x10000000


# ------------------------------------------------------------------------------------------------- sockets


def opens(family: int, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> Attack:
    """Return the attack that opens a socket of an address family."""

    def attack(_: Where) -> bool:
        try:
            socket.socket(family, kind, protocol).close()
        except OSError as problem:
            # The family, kind or protocol is unknown to this kernel, but asking for it is allowed.
            unknown = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EINVAL)
            if problem.errno not in unknown:
                raise
        return True

    return attack


def hears(address: object, family: int, kind: int = socket.SOCK_STREAM) -> bytes:
    """Connect and return what the other side says first."""
    with socket.socket(family, kind) as peer:
        peer.settimeout(3)
        peer.connect(address)
        if kind == socket.SOCK_DGRAM:
            peer.send(b"?")
        return peer.recv(4096)


def tcp(name: str) -> Attack:
    """Return the attack that hears what listens on loopback."""
    return lambda where: hears(("127.0.0.1", where[name]), socket.AF_INET)


def udp(where: Where) -> bytes:
    """Ask the host over UDP, as a question to a name server would go."""
    return hears(("127.0.0.1", where["udp"]), socket.AF_INET, socket.SOCK_DGRAM)


def names_of_hosts(_: Where) -> bool:
    """Ask for the address of a name."""
    return bool(socket.getaddrinfo("darkroom.example", 443))


def metadata_address(_: Where) -> bool:
    """Reach the address at which clouds tell a machine its secrets; nothing is asked there."""
    with socket.socket() as peer:
        peer.settimeout(2)
        peer.connect(("169.254.169.254", 80))
        return True


def unix(name: str) -> Attack:
    """Return the attack that hears what listens at a path of the host."""

    def attack(where: Where) -> bytes:
        for root in ROOTS:
            try:
                return hears(root + where[name], socket.AF_UNIX)
            except FileNotFoundError:
                continue
        raise Refused("no socket is there")

    return attack


def abstract(where: Where) -> bytes:
    """Hear what listens at an abstract name, which has no path that could be hidden."""
    return hears("\0" + where["abstract"], socket.AF_UNIX)


def interfaces(_: Where) -> bool:
    """Look for network interfaces beside loopback."""
    return len(socket.if_nameindex()) > 1


SOCKETS: dict[str, Attack] = {
    "socket-inet": opens(socket.AF_INET),
    "socket-inet6": opens(socket.AF_INET6),
    "socket-udp": opens(socket.AF_INET, socket.SOCK_DGRAM),
    "socket-icmp": opens(socket.AF_INET, socket.SOCK_DGRAM, 1),
    "socket-raw": opens(socket.AF_INET, socket.SOCK_RAW, 1),
    "socket-unix": opens(socket.AF_UNIX),
    "socket-pair": allowed("socketpair", 40, 1, 0, 0),
    "socket-vsock": opens(40),
    "socket-netlink": opens(16, socket.SOCK_RAW),
    "socket-packet": opens(17, socket.SOCK_RAW),
    "socket-alg": opens(38, socket.SOCK_SEQPACKET),
    "socket-xdp": opens(44, socket.SOCK_RAW),
    "tcp-of-host": tcp("tcp"),
    "udp-of-host": udp,
    "name-service": names_of_hosts,
    "metadata-address": metadata_address,
    "unix-socket-of-host": unix("unix"),
    "abstract-socket-of-host": abstract,
    "interfaces": interfaces,
    "ray-port": tcp("ray_port"),
    "ray-object-store": unix("ray_socket"),
    "ray-token": lambda where: read_somewhere(where["ray_token"]),
}


# ------------------------------------------------------------------------------- calls and namespaces


def new_user_namespace(_: Where) -> bool:
    """Become root of a user namespace of one's own."""
    return in_child(_new_user)


def _new_user() -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_NEW_USER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def clone_with_user_namespace(_: Where) -> bool:
    """The same by the flags of `clone`."""
    library = ctypes.CDLL(None, use_errno=True)
    number = 56 if os.uname().machine == "x86_64" else 220
    child = int(library.syscall(number, _NEW_USER | 17, 0, 0, 0, 0))  # 17: SIGCHLD
    if child == 0:
        os._exit(0)
    if child < 0:
        raise OSError(ctypes.get_errno(), "clone")
    os.waitpid(child, 0)
    return True


def mount_something(_: Where) -> bool:
    """Mount a file system over the home."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(b"none", b"/tmp", b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    return True


def change_root(_: Where) -> bool:
    """Change the root of the files."""
    os.chroot("/tmp")
    return True


def push_into_terminal(_: Where) -> bool:
    """Push a character into the terminal as if it had been typed (TIOCSTI)."""
    library = ctypes.CDLL(None, use_errno=True)
    for descriptor in range(3):
        library.ioctl(descriptor, ctypes.c_ulong(0x5412), b"x")
        if ctypes.get_errno() not in (errno.EPERM, errno.EACCES):
            return True
    raise Refused("the request is denied")


def lock_of_image(_: Where) -> bool:
    """Lock a file that every box of this image has; whoever asks for the same lock hears of it."""
    with open("/python/bin/python3", "rb") as shared:
        fcntl.flock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


def lock_of_device(_: Where) -> bool:
    """Lock a part of a device that every box has, and have another process see it: one bit for each of 2^63 places."""
    with open("/dev/null", "r+b", buffering=0) as held:
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, os.getpid())
        return not in_child(_same_lock)


def _same_lock() -> None:
    with open("/dev/null", "r+b", buffering=0) as wanted:
        fcntl.lockf(wanted, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, os.getppid())


def ask_for_locks(_: Where) -> bool:
    """Ask who has locked a part of a file that boxes share."""
    with open("/python/bin/python3", "rb") as shared:
        fcntl.fcntl(shared, fcntl.F_GETLK, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))
    return True


def watch_folder(_: Where) -> bool:
    """Have oneself told when anybody reads a file of the image (the older way of watching)."""
    folder = os.open("/python/bin", os.O_RDONLY | os.O_CLOEXEC)
    fcntl.fcntl(folder, fcntl.F_NOTIFY, fcntl.DN_ACCESS)
    return True


def look_into_cache(_: Where) -> bool:
    """Ask whether somebody has read a part of a file lately, without reading it."""
    file = os.open("/python/bin/python3", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.preadv(file, [bytearray(1)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        return True  # that, too, is an answer
    return True


def device_of_ones_own(_: Where) -> bool:
    """Make the host's first disk."""
    os.mknod("/tmp/disk", 0o060600, os.makedev(8, 0))
    return True


CALLS: dict[str, Attack] = {
    "user-namespace": new_user_namespace,
    "user-namespace-by-clone": clone_with_user_namespace,
    "other-namespaces": allowed("unshare", 0x20000),
    "join-namespace": allowed("setns", -1, 0),
    "mount": mount_something,
    "mount-by-descriptor": allowed("fsopen", 0, 0),
    "move-mount": allowed("move_mount", -1, 0, -1, 0, 0),
    "open-tree": allowed("open_tree", -1, 0, 0),
    "pivot-root": allowed("pivot_root", 0, 0),
    "chroot": change_root,
    "keyring-add": allowed("add_key", 0, 0, 0, 0, -2),
    "keyring-ask": allowed("request_key", 0, 0, 0, 0),
    "keyring": allowed("keyctl", 0, -3, 0),
    "io-uring": allowed("io_uring_setup", 1, 0),
    "userfaultfd": allowed("userfaultfd", 1),
    "kernel-programs": allowed("bpf", 99, 0, 0),
    "performance-counters": allowed("perf_event_open", 0, 0, -1, -1, 0),
    "tracing": allowed("ptrace", 99, 0, 0, 0),
    "memory-read": allowed("process_vm_readv", 0, 0, 0, 0, 0, 1),
    "memory-write": allowed("process_vm_writev", 0, 0, 0, 0, 0, 1),
    "compare-processes": allowed("kcmp", 0, 0, 0, 0, 0),
    "process-descriptors": allowed("pidfd_open", 0, 0),
    "take-descriptors": allowed("pidfd_getfd", -1, 0, 0),
    "memory-files": allowed("memfd_create", 0, 99),
    "secret-memory": allowed("memfd_secret", 99),
    "shared-memory": allowed("shmget", 0, 4096, 0o1600),
    "semaphores": allowed("semget", 0, 0, 0),
    "message-queues": allowed("msgget", -1, 0),
    "named-queues": allowed("mq_open", 0, 0, 0, 0),
    "files-by-handle": allowed("open_by_handle_at", -1, 0, 0),
    "handles-of-files": allowed("name_to_handle_at", -1, 0, 0, 0, 0),
    "clone3": allowed("clone3", 0, 0),
    "watch-files": allowed("inotify_init1", 0),
    "watch-mounts": allowed("fanotify_init", 0, 0),
    "kernel-modules": allowed("init_module", 0, 0, 0),
    "kernel-module-files": allowed("finit_module", -1, 0, 0),
    "other-kernel": allowed("kexec_load", 0, 0, 0, 0),
    "kernel-log": allowed("syslog", 10, 0, 0),
    "reboot": allowed("reboot", 0, 0, 0, 0),
    "swap": allowed("swapon", 0, 0),
    "accounting": allowed("acct", -1),
    "clock": allowed("clock_settime", 0, 0),
    "rename-host": allowed("sethostname", 0, -1),
    "old-personality": allowed("personality", 0x0008000),
    "shared-pipe-pages": allowed("vmsplice", -1, 0, 0, 0),
    "memory-placement": allowed("move_pages", 0, 0, 0, 0, 0, 0),
    "terminal-injection": push_into_terminal,
    "device-of-ones-own": device_of_ones_own,
    "lock-of-image": lock_of_image,
    "lock-of-device": lock_of_device,
    "ask-for-locks": ask_for_locks,
    "watch-folder": watch_folder,
    "look-into-cache": look_into_cache,
    "requests-of-host": allowed("io_setup", 1, 0),
}


if __name__ == "__main__":
    carry_out({**SOCKETS, **CALLS})
