"""Control groups: really limiting where this node has them, and read rightly in both versions."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plans.errors import BoxFailed
from sandbox import cgroups
from sandbox.cgroups import MEMORY, PROCESSES, UNIFIED, Allowance, Cgroup, Cgroups
from tests.sandbox.side import eventually
from tests.sandbox.test_contract import stands_still

NAME = f"darkroom-test-{os.getpid()}"
HERE = Cgroups.open(NAME)
needs_groups = pytest.mark.skipif(
    not HERE.limits_memory, reason="this node gives us no control group of memory"
)
SMALL = Allowance(memory_mb=64, processes=8, cpus=1)


@pytest.fixture
def group() -> Iterator[Cgroup]:
    made = HERE.make("box", SMALL)
    yield made
    made.kill()
    made.thaw()
    asyncio.run(made.remove())
    assert made.discard(), "a group was left behind"


def inside(group: Cgroup, code: str) -> subprocess.Popen[str]:
    """Run Python in a group, which it enters before it does anything."""
    enter = "import sys\nfor door in sys.argv[1:]:\n    with open(door, 'w') as file: file.write('0')\n"
    words = [sys.executable, "-I", "-S", "-c", enter + code, *map(os.fspath, group.entrances)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


@needs_groups
def test_memory_beyond_the_limit_ends_the_process_and_is_known(group: Cgroup) -> None:
    assert inside(group, "x = bytearray(100 << 20)").wait(60) == -9
    assert group.ran_out()
    peak = group.memory_peak()
    assert peak is not None and 60 << 20 <= peak <= 64 << 20


@needs_groups
def test_memory_below_the_limit_does_not(group: Cgroup) -> None:
    """The control."""
    assert inside(group, "x = bytearray(30 << 20)").wait(60) == 0
    assert not group.ran_out()


@needs_groups
def test_files_in_memory_count(group: Cgroup, tmp_path: Path) -> None:
    file = Path("/dev/shm", NAME)
    try:
        code = f"with open({str(file)!r}, 'wb') as f:\n    for _ in range(100): f.write(bytes(1 << 20))"
        assert inside(group, code).wait(60) == -9
        assert group.ran_out()
    finally:
        file.unlink(missing_ok=True)


@needs_groups
def test_processes_beyond_the_limit_are_refused(group: Cgroup) -> None:
    code = (
        "import os, time\nn = 0\ntry:\n"
        "    while n < 50:\n        if os.fork() == 0: os.close(1); time.sleep(60); os._exit(0)\n        n += 1\n"
        "except OSError: pass\nprint(n, flush=True)"
    )
    told, _ = inside(group, code).communicate(timeout=60)
    assert int(told) == SMALL.processes - 1


@needs_groups
def test_a_frozen_group_stands_still_and_a_killed_one_is_gone_with_all_its_children(group: Cgroup) -> None:
    code = "import os, time\nos.fork(); os.setsid() if os.fork() == 0 else None\nfor n in range(10**9): pass"
    process = inside(group, code)
    while len(group.pids()) < 4:
        time.sleep(0.01)
    assert group.freeze()
    assert asyncio.run(stands_still(lambda: spent(group)))
    before = spent(group)
    assert group.thaw()
    eventually(lambda: spent(group) > before)  # the control: thawed, it goes on
    assert group.kill()
    process.wait(60)
    eventually(lambda: group.pids() == [])


def spent(group: Cgroup) -> int:
    """Processor time of a group's members, in ticks."""
    stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split() for pid in group.pids())
    return sum(int(stat[11]) + int(stat[12]) for stat in stats)


@needs_groups
def test_what_an_earlier_life_left_is_found_by_its_name() -> None:
    made = HERE.make("left", SMALL)
    try:
        assert len(list(Cgroups.open(NAME).left())) == 1
        assert list(Cgroups.open(NAME + "-other").left()) == []
    finally:
        assert made.discard()


def test_without_groups_a_box_is_made_and_says_so() -> None:
    none = Cgroups.none()
    group = none.make("box", SMALL)
    assert group.entrances == () and not none.limits_memory and none.told == "none that can be written here"
    assert not group.freeze() and not group.kill() and group.memory_peak() is None and group.discard()


def test_a_group_that_cannot_be_limited_is_no_group(tmp_path: Path) -> None:
    """A box is not started in a group without its limit; what was made is removed."""
    (tmp_path / "launcher").touch()
    with pytest.raises(BoxFailed):
        Cgroups({MEMORY: tmp_path / "launcher"}).make("box", SMALL)


# --- version 2, as files: this kernel may have its controllers in version 1


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that answers like a group of version 2; what is written there stays to be read."""
    files = {
        "memory.max": "",
        "memory.swap.max": "",
        "memory.oom.group": "",
        "pids.max": "",
        "cpu.max": "",
        "cpu.weight": "",
    }
    made = Path.mkdir

    def mkdir(self: Path, *arguments: object, **more: object) -> None:
        made(self, *arguments, **more)  # type: ignore[arg-type]
        for name in files:
            (self / name).touch()

    monkeypatch.setattr(Path, "mkdir", mkdir)
    return tmp_path / "launcher"


def test_in_version_2_a_group_with_processes_hands_nothing_on_and_the_topmost_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top, own = tmp_path, tmp_path / "system.slice" / "darkroom.service"
    own.mkdir(parents=True)
    for group in (top, own):
        (group / "cgroup.controllers").write_text("cpuset cpu io memory pids")
        (group / "cgroup.subtree_control").write_text("")
    monkeypatch.setattr(cgroups, "_mounts", lambda: iter([(UNIFIED, top)]))
    monkeypatch.setattr(cgroups, "_memberships", lambda: {"": "/system.slice/darkroom.service"})
    assert set(cgroups._own_groups("x").values()) == {own}, "the control: where it can hand on, it is our own"
    wrote = Path.write_text

    def busy(self: Path, text: str) -> int:
        if self.parent == own:
            raise OSError(16, "Device or resource busy")
        return wrote(self, text)

    (own / "cgroup.subtree_control").write_text("")
    monkeypatch.setattr(Path, "write_text", busy)
    found = cgroups._own_groups("x")
    assert set(found.values()) == {top} and {MEMORY, PROCESSES, "cpu", UNIFIED} == set(found)


def test_version_2_is_limited_by_its_own_files(second: Path) -> None:
    group = Cgroups(dict.fromkeys((MEMORY, PROCESSES, "cpu", UNIFIED), second)).make("box", SMALL)
    box = second / "box"
    assert (box / "memory.max").read_text() == str(64 << 20)
    assert (box / "memory.swap.max").read_text() == "0" and (box / "memory.oom.group").read_text() == "1"
    assert (box / "pids.max").read_text() == "8"
    assert (box / "cpu.max").read_text() == f"{cgroups.PERIOD_US} {cgroups.PERIOD_US}"
    group.weigh(10)
    assert (box / "cpu.weight").read_text() == "10"
    (box / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    (box / "memory.peak").write_text("123\n")
    assert group.ran_out() and group.memory_peak() == 123
    assert group.freeze() and (box / "cgroup.freeze").read_text() == "1"
    assert group.kill() and (box / "cgroup.kill").read_text() == "1"
