"""How far above its limit the memory of a box ever gets, for programs that take all that they can.

Measured from outside, two ways: what the box's control group says was its peak, where there is one, and every
10 ms the sum over the whole tree of processes: proportional set size, what is in its tmpfs, and what is in its
memfds beyond what is mapped. The second way sees what no control group counts, and is all that is left
where a node has none; so every bomb is tried with and without a group.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import box_yard
from benchmarks.box_yard import Yard
from benchmarks.report import Metric
from sandbox.process_box import ProcessBox

GOAL_MB = 64
LIMIT_MB, TEMP_MB = 512, 256
EVERY_S = 0.01
_MIB = 2**20
_HOSTS = {os.stat(folder).st_dev for folder in ("/", "/tmp", "/dev/shm")}
_PART = re.compile(r"^(Pss|Pss_Shmem):\s+(\d+) kB$", re.MULTILINE)

_ENGINE = """
import sys; sys.path.append("/box")
import duckdb
engine = duckdb.connect(":memory:", config={"memory_limit": "256MiB", "threads": 2, "temp_directory": ""})
n = 100_000
while True:
    engine.execute("%s".replace("N", str(n))).fetchall()
    n = n * 5 // 4
"""
_FILL = """
held, n = [], 0
for folder in ("/tmp", "/dev/shm"):
    try:
        while True:
            open(f"{folder}/{n}", "wb", buffering=0).write(b"x" * 2**20)
            n += 1
    except OSError: pass
while True: held.append(bytearray(b"y" * 2**20))
"""
BOMBS = {
    "range": ("sql", _ENGINE % "SELECT len(range(N))"),
    "repeat": ("sql", _ENGINE % "SELECT length(repeat('abcdefgh', N))"),
    "array_to_string": ("sql", _ENGINE % "SELECT length(array_to_string(range(N), ','))"),
    "python": ("sql", "x = []\nwhile True: x.append(object())"),
    "python-processes": (
        "sql",
        "import os\nfor _ in range(4): os.fork()\nx = []\nwhile True: x.append(bytearray(b'x' * 2**18))",
    ),
    "memfd": ("sql", "import os\nf = os.memfd_create('x')\nwhile True: os.write(f, b'x' * 2**20)"),
    "mapped": (
        "sql",
        "import mmap\nx = []\nwhile True: m = mmap.mmap(-1, 2**24); m.write(b'x' * 2**24); x.append(m)",
    ),
    "tmpfs": ("sql", _FILL),
    "numpy": (
        "python",
        "import sys; sys.path.append('/box')\nimport numpy\nx = []\nwhile True: x.append(numpy.ones(2**20))",
    ),
}
"""By name: the image that it needs, and the text."""

LIMITS = box_yard.with_limits(
    memory_mb=LIMIT_MB, temp_mb=TEMP_MB, cpu_s=30, wall_s=20, processes=64, files=128, cpus=2
)


def memory() -> Iterator[Metric]:
    """Let every bomb off, with the node's control groups and without."""
    worst = {}
    with box_yard.t1() as held, box_yard.t1(groups=False) as unheld:
        for how, yard in (("", held), ("no_cgroup_", unheld)):
            over = {
                name: over_limit(yard, *bomb) for name, bomb in BOMBS.items() if box_yard.has_image(bomb[0])
            }
            worst[how] = max(over.values())
            for name, value in over.items():
                yield Metric(f"box.memory_{how}{name}_mb", value, "MiB over")
    yield Metric("box.memory_over_limit_mb_max", max(worst.values()), "MiB", at_most=GOAL_MB)


def over_limit(yard: Yard, image: str, code: str) -> float:
    """Let one bomb off and return how many MiB above its limit the box ever was; below it, less than zero."""
    with Sampler() as sampler:
        asyncio.run(yard.run(code, limits=LIMITS, watch=sampler.follow, image=image))
    return sampler.peak / _MIB - LIMIT_MB


@dataclass
class Sampler:
    """A thread that adds up a box's memory, from when it is told of one until the end of the `with` block."""

    peak: int = 0
    _box: ProcessBox | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def follow(self, box: ProcessBox) -> None:
        """Begin with this box."""
        self._box = box

    def __enter__(self) -> Sampler:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(EVERY_S):
            if (box := self._box) is not None:
                self.peak = max(self.peak, memory_of(box.pid), box.memory_peak or 0)


def memory_of(first: int) -> int:
    """Return the bytes of a tree of processes as the module says."""
    mapped = mapped_shared = 0
    temporary, memfds = dict[int, int](), dict[int, int]()
    for pid in _tree(first):
        with contextlib.suppress(OSError):
            parts = dict(_PART.findall(Path(f"/proc/{pid}/smaps_rollup").read_text()))
            mapped += 1024 * int(parts.get("Pss", 0))
            mapped_shared += 1024 * int(parts.get("Pss_Shmem", 0))
        temporary |= _tmpfs(pid)
        memfds |= _memfds(pid)
    return mapped + sum(temporary.values()) + max(0, sum(memfds.values()) - mapped_shared)


def _tree(first: int) -> list[int]:
    found, waiting = [], [first]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                waiting += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def _tmpfs(pid: int) -> dict[int, int]:
    """Return the bytes in each tmpfs that a box writes, by device; what it shares with the host is none of it."""
    found = {}
    for folder in ("tmp", "dev/shm"):
        with contextlib.suppress(OSError):
            path = Path("/proc", str(pid), "root", folder)
            device, space = os.stat(path).st_dev, os.statvfs(path)
            if device not in _HOSTS:
                found[device] = (space.f_blocks - space.f_bfree) * space.f_frsize
    return found


def _memfds(pid: int) -> dict[int, int]:
    """Return the bytes in each memfd that a process has open, by inode."""
    found = {}
    with contextlib.suppress(OSError):
        for entry in os.listdir(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{entry}"
            if os.readlink(path).startswith("/memfd:"):
                status = os.stat(path)
                found[status.st_ino] = status.st_blocks * 512
    return found


if __name__ == "__main__":
    for metric in memory():
        print(f"{time.strftime('%H:%M:%S')} {metric.id} {metric.value:.0f} {metric.unit}")
