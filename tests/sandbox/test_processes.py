"""What memory is counted as a box's: its own files in memory, and never those of the machine around it."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import processes

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
