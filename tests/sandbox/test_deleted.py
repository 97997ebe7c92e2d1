"""Files that a process has deleted and still has: how large they are, by whatever way they are kept. No box here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plans.box import Home
from sandbox import deleted, home_looks
from sandbox.home_looks import LEAST_RESERVE_MB, MIB, Closed, Use, Watch

SIZE = 30
ROOT = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root is told by the kernel how large what is mapped is"
)
CHILD = """
import ctypes, os, sys, threading, time
kernel = ctypes.CDLL(None)
kernel.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
kernel.mmap.restype = ctypes.c_void_p
def more():
    for n, line in enumerate(sys.stdin):
        name = f"{sys.argv[1]}/f{n}"
        place = os.open(name, os.O_RDWR | os.O_CREAT)
        os.posix_fallocate(place, 0, int(line) << 20)
        if sys.argv[2] == "mapped":
            assert kernel.mmap(None, 4096, 1, 1, place, 0) != ctypes.c_void_p(-1).value
            os.close(place)
        os.unlink(name)
        print("done", flush=True)
    os._exit(0)
threading.Thread(target=more).start()
if sys.argv[3] == "ends": kernel.syscall(60, 0)
"""


@contextmanager
def child(folder: Path, kept: str, first: str = "goes on") -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-I", "-S", "-c", CHILD, str(folder), kept, first]
    pipe, none = subprocess.PIPE, subprocess.DEVNULL  # what is captured of tests may lie in a deleted file
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=none, text=True) as started:
        yield started
        assert started.stdin is not None
        started.stdin.close()


def write(started: subprocess.Popen[str], mib: int) -> None:
    """Let the process write a file, keep it, and delete it."""
    assert started.stdin is not None and started.stdout is not None
    started.stdin.write(f"{mib}\n")
    started.stdin.flush()
    assert started.stdout.readline() == "done\n"


def found(started: subprocess.Popen[str], folder: Path) -> tuple[list[int], list[int]]:
    known, mapped = deleted.of_tree(started.pid, folder.stat().st_dev)
    return list(known.values()), list(mapped.values())


@pytest.mark.parametrize("kept", ["open", pytest.param("mapped", marks=ROOT)])
@pytest.mark.parametrize("first", ["goes on", "ends"])
def test_what_is_deleted_and_kept_has_its_whole_size(tmp_path: Path, kept: str, first: str) -> None:
    """Of a process whose first thread has ended, too. The control: what has a name is none of these."""
    with child(tmp_path, kept, first) as started:
        write(started, SIZE)
        (tmp_path / "named").write_bytes(b"x")
        assert found(started, tmp_path) == ([SIZE * MIB], [])


@pytest.mark.parametrize("way", ["open", "worked in"])
def test_a_folder_that_was_large_counts_after_it_was_removed(tmp_path: Path, way: str) -> None:
    """It keeps the blocks that its names took. The control: one that nobody has any more is gone."""
    code = (
        "import os, sys\nos.makedirs(sys.argv[1] + '/large'); os.chdir(sys.argv[1] + '/large')\n"
        "open('0', 'w').close()\nfor n in range(1, 2000): os.link('0', str(n) + 'x' * 200)\n"
        "for name in os.listdir('.'): os.unlink(name)\n"
        "place = os.open('.', os.O_RDONLY)\nos.rmdir(sys.argv[1] + '/large')\n"
        "if sys.argv[2] == 'open': os.chdir('/')\nelse: os.close(place)\n"
        "print(flush=True); sys.stdin.readline(); os.chdir('/')\n"
        "if sys.argv[2] == 'open': os.close(place)\nprint(flush=True); sys.stdin.readline()\n"
    )
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    words = [sys.executable, "-I", "-S", "-c", code, str(tmp_path), way]
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=none, text=True) as started:
        assert started.stdin is not None and started.stdout is not None
        started.stdout.readline()
        (size,), mapped = found(started, tmp_path)
        assert size > 300_000 and not mapped
        started.stdin.write("\n")
        started.stdin.flush()
        started.stdout.readline()
        assert found(started, tmp_path) == ([], [])
        started.stdin.close()


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel as it is to a launcher that is not root."""
    told = deleted._if_deleted

    def refused(path: str, device: int) -> dict[int, int]:
        if "/map_files/" in path:
            raise PermissionError
        return told(path, device)

    monkeypatch.setattr(deleted, "_if_deleted", refused)


@pytest.mark.usefixtures("untold")
def test_to_others_a_mapping_tells_of_its_own_part_alone(tmp_path: Path) -> None:
    with child(tmp_path, "mapped") as started:
        write(started, SIZE)
        assert found(started, tmp_path) == ([], [4096])


@pytest.mark.parametrize("told", [pytest.param(True, marks=ROOT), False])
def test_a_home_of_deleted_and_mapped_files_is_over(
    tmp_path: Path, told: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel does not tell, by what the disk has more. The control: within the reserve it is not over."""
    if not told:
        request.getfixturevalue("untold")
    monkeypatch.setattr(home_looks, "SHORTEST_PAUSE_S", 0)
    monkeypatch.setattr(home_looks, "BUSY", 0)
    watch = Watch(tmp_path, Closed.SKIP, Home("a" * 32, 40, 100), Use(0, 0))
    with child(tmp_path, "mapped") as started:

        def is_over() -> bool:
            return asyncio.run(watch.is_over(started.pid, lambda: contextlib.nullcontext(True)))

        write(started, SIZE)
        assert not is_over()
        write(started, SIZE)
        assert not is_over()
        write(started, 10 + LEAST_RESERVE_MB)
        assert is_over()
