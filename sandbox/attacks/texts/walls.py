"""ATTACKS C and H from inside: sockets, calls, namespaces, files, what is left of the launcher."""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

from sandbox.attacks.texts.common import (
    ROOTS,
    Attack,
    Refused,
    Where,
    allowed,
    carry_out,
    in_child,
    lies_somewhere,
    read,
    read_somewhere,
)

_CHARACTERS = range(33, 127)
_NEW_USER = 0x10000000
_KNOWN_PLACES = (
    "/etc/shadow", "/etc/hostname", "/etc/machine-id", "/etc/ssh", "/root", "/home", "/var/lib", "/usr/sbin",
    "/sys/kernel", "/sys/fs/cgroup", "/run", "/boot", "/host", "/.dockerenv",
)  # fmt: skip
_KNOWN_DEVICES = (
    "/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/fuse", "/dev/kvm", "/dev/tty", "/dev/console", "/dev/ptmx",
    "/dev/net/tun", "/dev/vsock", "/dev/sda", "/dev/vda", "/dev/nvme0", "/dev/loop-control", "/dev/mqueue", "/dev/full",
)  # fmt: skip
_KERNEL_SETTINGS = (
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/fs/binfmt_misc",
    "/proc/sys/vm/panic_on_oom", "/proc/bus/pci", "/proc/irq/0", "/proc/fs/ext4",
)  # fmt: skip
_SHELLS = (
    "/bin/sh",
    "/usr/bin/sh",
    "/bin/bash",
    "/usr/bin/env",
    "/bin/busybox",
    "/usr/bin/perl",
    "/usr/bin/gcc",
)


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
    "socket-pair": lambda _: bool(socket.socketpair()),
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
}


# --------------------------------------------------------------------- what is left of host and launcher


def environment(_: Where) -> bytes:
    """Read the variables of this process, and of process 1 as it was started."""
    own = b"\0".join(name + b"=" + value for name, value in os.environb.items())
    try:
        return own + read("/proc/1/environ")
    except OSError:
        return own


def first_environment(_: Where) -> bytes:
    """Read the variables with which process 1 was started, which clearing them does not change."""
    return read("/proc/1/environ")


def descriptors(_: Where) -> bytes:
    """Read every open file beside the three standard ones."""
    found = b""
    for descriptor in range(3, 256):
        try:
            found += os.pread(descriptor, 4096, 0)
        except OSError:
            continue
    return found


def other_processes(_: Where) -> bool:
    """Look for processes beside process 1 and this one's own family."""
    own = {1, os.getpid(), os.getppid()}
    return any(_lives(number) for number in range(2, 65536) if number not in own)


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except OSError as problem:
        return problem.errno == errno.EPERM
    return True


def listed_processes(_: Where) -> bool:
    """The same by the list of processes."""
    own = {"1", str(os.getpid()), str(os.getppid())}
    return bool({name for name in os.listdir("/proc") if name.isdigit()} - own)


def host_file(where: Where) -> bytes:
    """Read a file of the host."""
    return read_somewhere(where["file"])


def root_of_first_process(where: Where) -> bytes:
    """Walk through the root that process 1 sees, to the host's files."""
    return b"".join(read(f"/proc/1/root{root}{where['file']}") for root in ("", "/links") if _is(root, where))


def _is(root: str, where: Where) -> bool:
    return os.path.lexists(f"/proc/1/root{root}{where['file']}")


def places_of_host(_: Where) -> bool:
    """Look for places that only a host has."""
    return lies_somewhere(*_KNOWN_PLACES)


def neighbours_files(where: Where) -> bytes:
    """Read what another box of this launcher was given, and what it wrote."""
    return b"".join(read_somewhere(path) for path in where.get("neighbour", []))


def host_name(where: Where) -> bool:
    """Learn the name of the host."""
    return os.uname().nodename == where["hostname"]


def queue_of_host(where: Where) -> bytes:
    """Take a message from a System V queue of the host, by its number."""
    library = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(8 + 256)
    if library.msgrcv(where["queue"], buffer, 256, 0, 0o4000) < 0:  # IPC_NOWAIT
        raise OSError(ctypes.get_errno(), "msgrcv")
    return buffer.raw


def memory_of_host(where: Where) -> bytes:
    """Attach a System V segment of the host, by its number."""
    library = ctypes.CDLL(None, use_errno=True)
    library.shmat.restype = ctypes.c_void_p
    address = library.shmat(where["segment"], None, 0o10000)  # SHM_RDONLY
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "shmat")
    return ctypes.string_at(address, 256)


def kernel_settings(_: Where) -> bool:
    """Look for the kernel's settings; whoever writes `core_pattern` is root on the host."""
    return any(os.path.lexists(path) for path in _KERNEL_SETTINGS)


def devices(_: Where) -> bool:
    """Look for devices beside those that give nothing, zeros and random bytes."""
    return any(os.path.lexists(path) for path in _KNOWN_DEVICES)


def launchers_session(_: Where) -> bool:
    """Belong to the session of the launcher, and so to its terminal."""
    return os.getsid(0) not in (1, os.getppid(), os.getpid())


def working_folder(_: Where) -> bool:
    """Stand in a folder that is not the box's."""
    return os.getcwd() != "/" or os.path.samefile(".", "/") is False


def capabilities(_: Where) -> bool:
    """Look for any capability: effective, permitted, inheritable, or one that a program could bring."""
    library = ctypes.CDLL(None, use_errno=True)
    header, data = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    if library.capget(header, data) == 0 and any(data.raw):
        return True
    return any(library.prctl(23, number, 0, 0, 0) == 1 for number in range(41))  # PR_CAPBSET_READ


def new_privileges(_: Where) -> bool:
    """Ask whether programs with set-user-id would give their privileges."""
    return ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) != 1  # PR_GET_NO_NEW_PRIVS


def no_filter(_: Where) -> bool:
    """Ask whether the system calls go unfiltered (2 is a filter)."""
    return ctypes.CDLL(None).prctl(21, 0, 0, 0, 0) != 2  # PR_GET_SECCOMP


def setuid_programs(_: Where) -> bool:
    """Look for programs with set-user-id, set-group-id or capabilities of their own."""
    for folder, _folders, files in os.walk("/", topdown=True):
        if folder.startswith(("/proc", "/tmp")):
            continue
        for name in files:
            path = os.path.join(folder, name)
            try:
                if os.lstat(path).st_mode & 0o6000 or "security.capability" in os.listxattr(
                    path, follow_symlinks=False
                ):
                    return True
            except OSError:
                continue
    return False


def writes(*paths: str) -> Attack:
    """Return the attack that writes a file in one of these places."""

    def attack(_: Where) -> bool:
        for path in paths:
            try:
                Path(path).write_text("planted")
            except OSError:
                continue
            return True
        raise Refused("none of the places can be written")

    return attack


def writable_root(_: Where) -> bool:
    """Ask whether image or inputs are mounted so that they could be written."""
    return any(not os.statvfs(path).f_flag & os.ST_RDONLY for path in ("/", "/in", "/box", "/python"))


def changes_image(_: Where) -> bool:
    """Change a file that is there, by its mode and by its bytes."""
    os.chmod("/python/bin/python3", 0o777)
    return True


def runs_what_it_wrote(_: Where) -> bool:
    """Run a program that the box has written itself."""
    shutil.copyfile("/python/bin/python3", "/tmp/tool")
    os.chmod("/tmp/tool", 0o755)
    return subprocess.run(["/tmp/tool", "-I", "-S", "-c", ""], stderr=subprocess.DEVNULL).returncode in (0, 1)


def plants_link(_: Where) -> bool:
    """Make a symbolic link for somebody else to follow."""
    os.symlink("/etc/shadow", "/tmp/link")
    return True


def plants_pipe(_: Where) -> bool:
    """Make a FIFO, at which a reader outside would wait for ever."""
    os.mkfifo("/tmp/pipe")
    return True


def preloads(_: Where) -> bool:
    """Look whether libraries can be planted before every program: variables of the loader, or its file."""
    planted = any(name.startswith("LD_") for name in os.environ)
    return planted or os.access("/etc/ld.so.preload", os.W_OK) or os.path.lexists("/etc/ld.so.preload")


def plants_start_files(_: Where) -> bool:
    """Plant what the next Python would run: `sitecustomize`, a `.pth` file, a module before the library's."""
    Path("/tmp/sitecustomize.py").write_text("import os; os._exit(77)")
    Path("/tmp/usercustomize.py").write_text("import os; os._exit(77)")
    home = Path(f"/tmp/.local/lib/python3.{sys.version_info.minor}/site-packages")
    home.mkdir(parents=True, exist_ok=True)
    (home / "x.pth").write_text("import os; os._exit(77)\n")
    words = ["/python/bin/python3", "-I", "-S", "-c", "pass"]
    return subprocess.run(words, cwd="/tmp", env={"HOME": "/tmp"}).returncode == 77


def platforms_code(where: Where) -> bool:
    """Look for the platform's own code, keys and settings at the paths that they have on this host."""
    return lies_somewhere(*where["platform"])


def core_files(_: Where) -> bool:
    """Ask whether a crash would leave memory on the disk."""
    return resource.getrlimit(resource.RLIMIT_CORE) != (0, 0)


def shells(_: Where) -> bool:
    """Look for a shell or a compiler."""
    return any(os.path.exists(path) for path in _SHELLS)


def terminals(_: Where) -> bool:
    """Open the terminal of the launcher."""
    os.close(os.open("/dev/tty", os.O_RDWR))
    return True


def rays_code(_: Where) -> bool:
    """Look for Ray itself, with which `ray.init(address="auto")` would look for a cluster."""
    return importlib.util.find_spec("ray") is not None


LEFT: dict[str, Attack] = {
    "environment": environment,
    "first-environment": first_environment,
    "descriptors": descriptors,
    "other-processes": other_processes,
    "listed-processes": listed_processes,
    "root-of-first-process": root_of_first_process,
    "file-of-host": host_file,
    "places-of-host": places_of_host,
    "neighbours-files": neighbours_files,
    "platforms-code": platforms_code,
    "name-of-host": host_name,
    "queue-of-host": queue_of_host,
    "memory-of-host": memory_of_host,
    "kernel-settings": kernel_settings,
    "devices": devices,
    "launchers-session": launchers_session,
    "working-folder": working_folder,
    "capabilities": capabilities,
    "new-privileges": new_privileges,
    "no-filter": no_filter,
    "setuid-programs": setuid_programs,
    "write-image": writes("/planted", "/box/planted.py", "/python/bin/planted", "/lib64/planted"),
    "write-inputs": writes("/in/planted"),
    "writable-root": writable_root,
    "change-image": changes_image,
    "run-what-it-wrote": runs_what_it_wrote,
    "symbolic-link": plants_link,
    "fifo": plants_pipe,
    "preloaded-libraries": preloads,
    "start-files": plants_start_files,
    "core-files": core_files,
    "shells": shells,
    "terminal": terminals,
    "ray-itself": rays_code,
}

if __name__ == "__main__":
    carry_out({**SOCKETS, **CALLS, **LEFT})
