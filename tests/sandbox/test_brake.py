"""The brake of boxes: whatever is held stands still, at every tier, and goes on as if nothing had been."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import brake, processes
from sandbox.brake import Brake
from sandbox.cgroups import Cgroup, Cgroups
from sandbox.contract import Box, Boxes
from sandbox.process_box import ProcessBox
from tests.sandbox.side import eventually
from tests.sandbox.test_cgroups import HERE, SMALL, inside
from tests.sandbox.test_contract import begin, boxes, size_of, with_box

__all__ = ["boxes"]
COUNTING = (
    "import os, threading\ndef count(name):\n    with open(name, 'ab', buffering=0) as file:\n"
    "        while True: file.write(b'x')\n"
    "def run(session):\n    threading.Thread(target=count, args=(session.out / 'thread',)).start()\n"
    "    count(session.out / ('parent' if os.fork() else 'child'))\n"
)
TRIES = 10
"""How often a box may be held until it has come to a stand: on a busy machine it takes longer than it is waited for."""

MANY = (
    "import os\nos.fork(); os.setsid() if os.fork() == 0 else None\n"
    "while True: os.waitpid(os.fork() or os._exit(0), 0)"
)


@pytest.mark.box
def test_a_box_that_is_held_makes_no_step_and_goes_on_afterwards(boxes: Boxes, check) -> None:
    """At once, not a moment later: whoever holds it counts what it has. Threads and children included."""
    plan = check(COUNTING, output_mb=64)

    async def steps(box: Box) -> None:
        assert isinstance(box, ProcessBox)
        await begin(box, plan)
        parts = [box.folder / "out" / name for name in ("thread", "parent", "child")]

        def sizes() -> list[int]:
            return [size_of(part) for part in parts]

        async def grows(since: list[int]) -> None:
            while any(now <= then for now, then in zip(sizes(), since, strict=True)):
                await asyncio.sleep(0.01)

        await grows([0, 0, 0])
        for _ in range(3):
            before = await asyncio.to_thread(held_still, box, sizes)
            await grows(before)

    with_box(boxes, plan, steps)


def held_still(box: ProcessBox, sizes: Callable[[], list[int]]) -> list[int]:
    """Hold a box, see that nothing grows, and return how large its parts were."""
    for _ in range(TRIES):
        with box.brake.held() as still:
            before = sizes()
            time.sleep(0.1)
            if still:
                assert sizes() == before
                return before
    raise AssertionError("the box never came to a stand")


@pytest.mark.parametrize("groups", [HERE, Cgroups.none()], ids=["group", "signals"])
def test_what_has_many_children_in_a_moment_stands_still(groups: Cgroups) -> None:
    group = groups.make("brake", SMALL)
    with inside(group, MANY) as started:
        try:
            eventually(lambda: len(processes.tree(started.pid)) > 1)
            stood = 0
            for _ in range(TRIES):
                with Brake(group, lambda: started.pid).held() as still:
                    members = processes.tree(started.pid)
                    time.sleep(0.1)
                    same = processes.tree(started.pid) == members
                assert same or not still, "something was born of what stands still"
                stood += still
            assert stood, "it never came to a stand"
        finally:
            group.kill()
            for pid in reversed(processes.tree(started.pid)):
                processes.send(pid, 9)
            started.kill()
    asyncio.run(group.remove())


class Slow(Cgroup):
    """A group of which one process is inside a system call that does not return."""

    def __init__(self) -> None:
        super().__init__({})
        self.told: list[str] = []

    @property
    def is_frozen(self) -> bool:
        return False

    def freeze(self) -> bool:
        self.told.append("freeze")
        return True

    def thaw(self) -> bool:
        self.told.append("thaw")
        return True


def test_what_does_not_come_to_a_stand_is_said_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brake, "STANDING_S", 0.05)
    group = Slow()

    with Brake(group, lambda: None).held() as still:
        assert not still
    assert group.told == ["freeze", "thaw"]


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        ("freeze", "", ["freeze"]),
        ("freeze", "thaw", ["freeze", "thaw"]),
        ("", "", ["thaw"]),
        ("", "thaw", ["thaw"]),
    ],
)
def test_whoever_is_done_with_a_box_lets_it_go_only_if_nobody_else_has_it(
    monkeypatch: pytest.MonkeyPatch, first: str, then: str, told: list[str]
) -> None:
    """A lease that is lost while a home is looked at freezes the box; one that is back does not disturb the look."""
    monkeypatch.setattr(brake, "STANDING_S", 0.0)
    group = Slow()
    found = Brake(group, lambda: None)

    with found.held():
        if first:
            found.freeze()
        if then:
            found.thaw()
        assert "thaw" not in group.told
    seen = [word for at, word in enumerate(group.told) if at]  # but for the first stop
    assert seen == told


def test_the_processor_time_of_what_is_held_stays(tmp_path: Path) -> None:
    """The control of every look by processes: without the hold the count goes on."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as started:
        try:
            with Brake(Cgroup({}), lambda: started.pid).held() as still:
                assert still
                before = processes.processor_s(started.pid)
                time.sleep(0.1)
                assert processes.processor_s(started.pid) == before
            before = processes.processor_s(started.pid)
            eventually(lambda: processes.processor_s(started.pid) > before)
        finally:
            started.kill()
