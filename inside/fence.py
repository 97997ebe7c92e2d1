"""The second wall around files: Landlock, put on by the box itself before anything else is imported.

    python3 -I -S /box/inside/fence.py [--lab] PROGRAM …      a path and its arguments, or -c TEXT

Bubblewrap decides what a box sees; Landlock (landlock(7), ABI 1 and later) decides in the kernel, by another
mechanism, what may be done with it. If a defect, or a mistake in a command line, ever put a folder of the host
into a box, this wall would still refuse it. Beyond that it closes what a mount cannot: nothing that a box has
written can be executed, and no symbolic link, FIFO or socket can be made. From ABI 4 on TCP, and from ABI 6 on
signals and abstract sockets beyond the box, are refused here as well. `/proc` stays readable, as far as it is
not covered: DuckDB does not survive a closed `/proc/self/cgroup`.

A lab's fence (`--lab`) lets it write in its home, make links, FIFOs and sockets, use terminals, and speak TCP, which
reaches no further than its own loopback; what it has written is executed as little as elsewhere.

It runs in the box, since a process under Landlock cannot mount, and bubblewrap must. What follows in the same
process, and all its children, can never take it off.
"""

from __future__ import annotations

import ctypes
import os
import sys

READ_FILE, READ_FOLDER, EXECUTE, WRITE, TRUNCATE = 1 << 2, 1 << 3, 1 << 0, 1 << 1, 1 << 14
DEVICE_CALLS = 1 << 15
REMOVE_FOLDER, REMOVE_FILE, MAKE_FOLDER, MAKE_FILE, REFER = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 13
READ = READ_FILE | READ_FOLDER
CHANGE = WRITE | TRUNCATE | REMOVE_FOLDER | REMOVE_FILE | MAKE_FOLDER | MAKE_FILE | REFER

OWN = ("/tmp", "/out", "/spill", "/dev/shm")
"""Where a box may write plain files and folders; nothing in it can be executed."""

GIVEN = ("/in", "/proc")
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
NVIDIA = (*(f"/dev/nvidia{number}" for number in range(64)), "/dev/nvidiactl", "/dev/nvidia-uvm")
"""The devices of GPUs that a box may have, by name: a fence around a fenced process cannot list `/dev`."""

MAKE_SOCKET, MAKE_FIFO, MAKE_LINK = 1 << 9, 1 << 10, 1 << 12
LAB_OWN = ("/home", "/tmp", "/dev/shm")
LAB_GIVEN = ("/proc", "/mirror", "/links")
TERMINALS = ("/dev/pts", "/dev/ptmx", "/dev/tty", "/dev/full")
"""What labs have instead: no inputs, no outputs, but a home, packages to install, links to services, and terminals."""

IMAGE = ("/bin", "/python", "/box", "/lib", "/lib64", "/etc", "/usr", "/gpu")
"""Where an image has its files; what is not there needs no rule."""

_FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_TCP = 0b11
_SCOPES = 0b11
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_VERSION, _BENEATH = 1, 1
_FOR_FILES = EXECUTE | WRITE | READ_FILE | TRUNCATE | DEVICE_CALLS
_UNSUPPORTED = 78
"""Exit status of a box whose kernel has no Landlock: it runs nothing (`sandbox.landlock` asks before)."""


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def put_on(own: tuple[str, ...] = OWN, given: tuple[str, ...] = GIVEN, *, lab: bool = False) -> None:
    """Put the fence around this process for ever; exit when the kernel cannot. A second one can only narrow the first.

    Args:
        own: folders where it may write.
        given: what it may read beside the image.
        lab: whether it is a lab's.
    """
    kernel = ctypes.CDLL(None, use_errno=True)
    abi = int(kernel.syscall(_CREATE, None, 0, _VERSION))
    if abi < 1:
        os._exit(_UNSUPPORTED)
    files = sum(rights for version, rights in _FILE_RIGHTS.items() if abi >= version)
    wanted = _Ruleset(files, _TCP if abi >= 4 and not lab else 0, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = int(kernel.syscall(_CREATE, ctypes.byref(wanted), size, 0))
    for path, rights in [*_rules(own, given), *(_of_lab(own) if lab else ())]:
        _allow(kernel, ruleset, path, rights & files)
    if ruleset < 0 or kernel.syscall(_RESTRICT, ruleset, 0) != 0:
        os._exit(_UNSUPPORTED)
    os.close(ruleset)


def _rules(own: tuple[str, ...], given: tuple[str, ...]) -> list[tuple[str, int]]:
    image = [(path, READ | EXECUTE) for path in IMAGE]
    writable = [(path, READ | CHANGE) for path in own]
    devices = [(path, READ_FILE | WRITE) for path in DEVICES]
    gpus = [(path, READ_FILE | WRITE | DEVICE_CALLS) for path in NVIDIA]
    return [*image, *writable, *((path, READ) for path in given), *devices, *gpus]


def _of_lab(own: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return what a lab may beyond others, beside what it may write (rules of one path add up)."""
    makes = [(path, MAKE_SOCKET | MAKE_FIFO | MAKE_LINK) for path in own]
    return [*makes, *((path, READ | WRITE | DEVICE_CALLS) for path in TERMINALS)]


def _allow(kernel: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    """Add a rule; a path that is not there needs none."""
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):
        rights &= _FOR_FILES
    rule = _Rule(rights, parent)
    if kernel.syscall(_ADD, ruleset, _BENEATH, ctypes.byref(rule), 0) != 0:
        os._exit(_UNSUPPORTED)
    os.close(parent)


def main() -> None:
    """Put the fence on and go on as the program."""
    if sys.argv[1] == "--lab":
        del sys.argv[1]
        put_on(LAB_OWN, LAB_GIVEN, lab=True)
    else:
        put_on()
    what, *arguments = sys.argv[1:]
    if what == "-c":
        sys.argv = ["-c", *arguments[1:]]
        exec(compile(arguments[0], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
    else:
        import runpy  # only here: its import is half of what the fence costs

        sys.argv = [what, *arguments]
        runpy.run_path(what, run_name="__main__")


if __name__ == "__main__":
    main()
