"""What memory is counted as a box's: its own files in memory, and never those of the machine around it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import processes
from tests.sandbox.side import eventually

SIZE = 24 << 20
OWN_ROOT = [
    "bwrap",
    "--ro-bind",
    "/usr",
    "/usr",
    "--symlink",
    "usr/lib",
    "/lib",
    "--symlink",
    "usr/lib64",
    "/lib64",
    "--symlink",
    "usr/bin",
    "/bin",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
]


@pytest.fixture
def files_of_this_machine() -> Iterator[None]:
    file = Path("/dev/shm", uuid.uuid4().hex)
    file.write_bytes(bytes(SIZE))
    yield
    file.unlink()


def counted(command: list[str], script: str) -> int:
    """Return what is counted of a process that says when it is ready."""
    with subprocess.Popen(
        [*command, "/bin/sh", "-c", f"{script}; echo ready; read line"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as started:  # fmt: skip
        assert started.stdout is not None and started.stdin is not None
        started.stdout.readline()
        try:
            return processes.memory_bytes(started.pid)
        finally:
            started.stdin.close()


@pytest.mark.usefixtures("files_of_this_machine")
def test_files_in_memory_of_the_machine_are_no_boxs() -> None:
    """As before a box has its own root: a box that begins was once killed for them."""
    assert counted([], "true") < SIZE


def test_files_in_memory_of_a_box_are_its_own() -> None:
    assert counted(OWN_ROOT, f"head -c {SIZE} /dev/zero > /tmp/file") > SIZE


HIDDEN = """
import ctypes, sys, threading, time
kept = []
def hold():
    kept.append(bytearray(b"x" * (96 << 20)))
    print("ready", flush=True)
    time.sleep(600)
threading.Thread(target=hold).start()
if sys.argv[1] == "ends":
    ctypes.CDLL(None).syscall(60, 0)
time.sleep(600)
"""


def state_of(pid: int) -> str:
    """The state of a process's first thread (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


@pytest.mark.parametrize("first", ["goes on", "ends"])
def test_a_process_whose_first_thread_has_ended_has_its_memory_still(first: str) -> None:
    """The kernel shows nothing of such a thread, and all of the others. The control: one whose first thread goes on."""
    with subprocess.Popen([sys.executable, "-c", HIDDEN, first], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        started.stdout.readline()
        eventually(lambda: first != "ends" or state_of(started.pid) == "Z")
        try:
            assert processes.memory_bytes(started.pid) > 96 << 20
        finally:
            started.kill()
