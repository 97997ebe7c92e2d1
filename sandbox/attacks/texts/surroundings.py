"""ATTACKS C and H from inside: what can be seen and changed of the host, the launcher, the image, the neighbours."""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import resource
import shutil
import struct
import subprocess
import sys
from pathlib import Path

from sandbox.attacks.texts.common import (
    Attack,
    Refused,
    Where,
    carry_out,
    lies_somewhere,
    read,
    read_somewhere,
)

_KNOWN_PLACES = (
    "/etc/shadow", "/etc/hostname", "/etc/machine-id", "/etc/ssh", "/var/lib", "/usr/sbin",
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


def other_processes(where: Where) -> bool:
    """Look for processes beside process 1 and this one's own family."""
    own = {1, os.getpid(), os.getppid()}
    return any(_lives(number) for number in range(2, where["pids"]) if number not in own)


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
    """Ask whether a crash would leave memory on the disk, or, at a limit of 0, hand it to a program of the host."""
    return resource.getrlimit(resource.RLIMIT_CORE) != (1, 1)


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
    carry_out(LEFT)
