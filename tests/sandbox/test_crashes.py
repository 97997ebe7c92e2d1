"""Faults at every step: a launcher that is killed.

Each ends in a named state with a sentence, and never in a weaker box. After a restart nothing of the life before is
left, and asking again gives the kept answer, or a clean new attempt.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plans.box import Entry
from plans.decision import Tier
from plans.errors import (
    DarkroomError,
    Unreachable,
)
from plans.statements import StageRecord
from sandbox import processes, reaper
from sandbox.cgroups import LAUNCHER, Cgroups, group_name
from sandbox.images import Image
from tests.sandbox.side import (
    COUNT,
    FIRST,
    HAND_OVER,
    ROOT,
    SLEEP,
    USER,
    Side,
    answers,
    begun,
    eventually,
    launched,
    of_boxes,
    run_query,
    side,
    sql_plan,
)

__all__ = ["side"]
pytestmark = pytest.mark.box
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives boxes users of their own")

STEPS = ("created", "started", "hello", "keys", "done", "collected", "before the record", "after the record")
MANY = int(os.environ.get("DARKROOM_TEST_BOXES", "12"))
"""Boxes in a row; what one of them leaves is seen after any of the next. 200 where there is time."""
STRONG = ("created", "done")
"""Steps at which a launcher of strong boxes is killed in every run: before such a box has begun, and when it has ended.
What a launcher does of itself is the same for both tiers.
"""

DIES = """
import os, signal, sys
from pathlib import Path
from sandbox import launcher
from sandbox.shelf import Shelf
from sandbox.stage import StageRun

step, mark, keep = sys.argv[2], StageRun._mark, Shelf.keep_result
die = lambda: os.kill(os.getpid(), signal.SIGKILL)

def marked(self, name, state):
    mark(self, name, state)
    if name == step:
        die()

def kept(self, name, answer):
    if step == "before the record":
        die()
    keep(self, name, answer)
    if step == "after the record":
        die()

StageRun._mark, Shelf.keep_result = marked, kept
os.umask(0o077)
launcher.begin(Path(sys.argv[1]))
"""
"""A launcher that is killed at one step."""


def spawned(side: Side, program: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    settings = side.config.home.parent / "launcher.json"
    side.config.save(settings)
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", program, str(settings), *arguments],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], **variables},
    )  # fmt: skip
    eventually(lambda: answers(side))
    return process


def mounts() -> int:
    return len(Path("/proc/self/mountinfo").read_text().splitlines())


def groups(side: Side) -> list[str]:
    """Control groups of the launcher's boxes."""
    top, name = Path("/sys/fs/cgroup"), group_name(side.config.home / "boxes")
    folders = [place / name for place in (top, *top.iterdir()) if (place / name).is_dir()]
    return sorted(
        str(box) for folder in folders for box in folder.iterdir() if box.is_dir() and box.name != LAUNCHER
    )


@needs_root
@pytest.mark.parametrize(
    ("step", "tier"),
    [
        *((step, Tier.T1) for step in STEPS),
        *((step, Tier.T2) for step in STRONG),
        *(pytest.param(step, Tier.T2, marks=pytest.mark.long) for step in STEPS if step not in STRONG),
    ],
)
def test_a_launcher_killed_at_any_step_leaves_nothing_and_its_heir_answers(
    side: Side, probe_image: Image, step: str, tier: Tier
) -> None:
    plan = sql_plan(probe_image.digest, HAND_OVER)
    plan = replace(plan, stages=tuple(replace(stage, tier=tier) for stage in plan.stages))
    before = mounts()
    process = spawned(side, DIES, step)
    if tier.value not in [offer["tier"] for offer in side.client.status()["tiers"]]:
        process.kill()
        process.wait()
        pytest.skip(f"this node has no {tier}")
    side.client.put(plan)
    with pytest.raises(Unreachable):
        run_query(side, plan)
    assert process.wait(60) == -signal.SIGKILL
    eventually(lambda: of_boxes() == [])
    if step not in ("before the record", "after the record"):
        assert side.boxes, "the control: a killed launcher could not clean"
    with launched(side):
        assert side.boxes == [] and mounts() == before
        first = run_query(side, plan)
        assert run_query(side, plan) == first, "asking again gives what was kept"
        assert [output.name for output in first.outputs] == ["rows"]
        asked = side.keeper.asked.count("unwrap")
        kept = step == "after the record"
        had_keys = STEPS.index(step) >= STEPS.index("keys")
        assert asked == (1 if kept else 1 + had_keys), (
            "a kept answer runs nothing; a new attempt asks for its own keys"
        )
    assert of_boxes() == [] and groups(side) == []


CLINGS = """
import ctypes, platform
def run(session):
    library, number = ctypes.CDLL(None), {"x86_64": 157, "aarch64": 167}[platform.machine()]
    tries = [library.prctl(1, 0, 0, 0, 0), library.syscall(number, ctypes.c_ulong(1 + 2**32), 0, 0, 0, 0)]
    return {"clings": tries.count(0)}
"""
"""Sets PR_SET_PDEATHSIG to none; the kernel looks at the lower half of the number only."""


@pytest.mark.parametrize("tier", [Tier.T1, Tier.T2])
def test_a_box_cannot_take_off_the_signal_by_which_it_dies(side: Side, check, tier: Tier) -> None:
    """In T2 it may: what it asks there is its own kernel's processes, which die with gVisor's."""
    plan = check(CLINGS)
    plan = replace(plan, stages=(replace(plan.stages[0], tier=tier),))
    with launched(side):
        if tier.value not in [offer["tier"] for offer in side.client.status()["tiers"]]:
            pytest.skip(f"this node has no {tier}")
        side.client.put(plan)
        record = StageRecord.read(side.client.run(plan.digest, Entry.CHECK, 1).record.statement.body)
    assert record.report == {"clings": 0} or tier is Tier.T2
    assert ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0, "the control: without the filter it works"


SIBLING = """
import os, sys, time
from sandbox import own_user

user, first, count = map(int, sys.argv[1:])
own_user.become(own_user.OwnIds(user, first, count))
if os.fork() == 0:
    os.setresuid(first, first, first)
    print(os.getpid(), flush=True)
    time.sleep(600)
"""


@needs_root
def test_what_outlives_its_launcher_is_ended_by_the_next_although_its_namespace_is_another(
    side: Side,
) -> None:
    """A process in the namespace of an earlier life: a launcher's own powers do not reach it."""
    command = [sys.executable, "-P", "-c", SIBLING, str(USER), str(FIRST), str(COUNT)]
    with subprocess.Popen(
        command, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as first_life:
        left = int(first_life.stdout.readline())
    assert left in processes.living() and of_boxes() == [left], "the control: it outlives its launcher"
    with launched(side):
        assert of_boxes() == []


@needs_root
def test_the_reaper_ends_what_runs_under_a_boxs_user_and_nothing_else(tmp_path: Path) -> None:
    held = [
        subprocess.Popen(["/usr/bin/setpriv", f"--reuid={uid}", "--clear-groups", "/bin/sleep", "600"])
        for uid in (FIRST, FIRST + COUNT - 1, FIRST + COUNT)
    ]
    eventually(lambda: len(of_boxes()) == 2)
    left = reaper.reap(tmp_path / "none", range(FIRST, FIRST + COUNT), Cgroups.none())
    assert left.processes == 2
    assert [process.wait(60) for process in held[:2]] == [-signal.SIGKILL] * 2
    assert held[2].poll() is None, "the user beside the boxes' is left alone"
    held[2].kill()
    held[2].wait()


def test_the_reaper_knows_processes_by_the_folder_of_their_box(tmp_path: Path) -> None:
    """As a launcher without user ids for boxes has to."""
    name = "0123456789abcdef"
    (tmp_path / name).mkdir()
    command = ["/bin/sh", "-c", "sleep 600; true", "monitor"]
    named = subprocess.Popen([*command, f"--bundle={tmp_path / name}"])
    other = subprocess.Popen([*command, str(tmp_path / "another")])
    left = reaper.reap(tmp_path, range(0), Cgroups.none())
    assert (left.processes, left.folders) == (1, 1) and named.wait(60) == -signal.SIGKILL
    assert other.poll() is None
    other.kill()
    other.wait()


def test_the_reaper_knows_processes_by_where_their_mounts_come_from(tmp_path: Path) -> None:
    """A program can call itself anything; it cannot change where its inputs are mounted from."""
    name = "fedcba9876543210"
    (tmp_path / name / "in").mkdir(parents=True)
    view = [
        "--ro-bind",
        "/",
        "/",
        "--bind",
        str(tmp_path / name / "in"),
        "/mnt",
        "--unshare-pid",
        "--die-with-parent",
    ]
    rename = "exec -a innocent sleep 600"
    monitor = subprocess.Popen(["/usr/bin/bwrap", *view, "/bin/bash", "-c", rename])

    def innocent() -> list[int]:
        tree = processes.tree(monitor.pid)
        return [pid for pid in tree if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"innocent")]

    eventually(lambda: bool(innocent()))
    (inner,) = innocent()
    found = reaper._left_processes(frozenset({name}), range(0))
    assert inner in found and monitor.pid in found and os.getpid() not in found
    assert reaper.reap(tmp_path, range(0), Cgroups.none()).processes >= 2
    monitor.wait(60)


def test_the_reaper_wipes_deep_closed_and_strangely_named_trees(tmp_path: Path) -> None:
    box = tmp_path / "boxes" / "b"
    (box / "out" / "closed").mkdir(parents=True)
    (box / "out" / "closed" / "file").write_text("x")
    (box / "out" / os.fsdecode(b"\xff\n-rf")).write_text("x")
    os.symlink("/etc/passwd", box / "out" / "link")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    os.symlink(outside, box / "out" / "folder")
    deep(box / "out")
    (box / "out" / "closed").chmod(0)
    (box / "out").chmod(0o500)
    reaper.reap(tmp_path / "boxes", range(0), Cgroups.none())
    assert list((tmp_path / "boxes").iterdir()) == []
    assert (outside / "kept").exists() and Path("/etc/passwd").exists()


def deep(folder: Path) -> None:
    here = os.getcwd()
    os.chdir(folder)
    for _ in range(5000):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(here)


LOADS_NOTHING = """
import os, sys
from pathlib import Path
from sandbox import launcher, own_user

class Closed:
    def find_spec(self, name, path=None, target=None):
        if name in sys.builtin_module_names:
            return None
        (Path(os.environ["TOLD"]) / "loaded").write_text(name)
        raise ImportError(name)

become = own_user.become
def becoming(ids, groups=()):
    become(ids, groups)
    sys.meta_path.insert(0, Closed())

own_user.become = becoming
os.umask(0o077)
launcher.begin(Path(sys.argv[1]))
"""


@needs_root
def test_a_launcher_loads_no_module_once_it_is_its_own_user(side: Side, probe_image: Image) -> None:
    """Its interpreter may be closed to it, as below /root; on machines where it is not, nobody would notice."""
    plans = [sql_plan(probe_image.digest, HAND_OVER), sql_plan(probe_image.digest, "not python")]
    process = spawned(side, LOADS_NOTHING, TOLD=str(side.config.home))
    for plan in plans:
        side.client.put(plan)
        with contextlib.suppress(DarkroomError):
            run_query(side, plan)
    assert run_query(side, plans[0]).outputs
    with pytest.raises(DarkroomError):
        side.client.put(replace(plans[0], domain="nm/other"))
    process.terminate()
    process.wait(60)
    loaded = side.config.home / "loaded"
    assert not loaded.exists(), loaded.read_text()


# --- many ---------------------------------------------------------


def open_files(pid: int) -> list[str]:
    """What a process has open. A launcher hashes images beside its work, and holds each by one of its files."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(entry))
    return found


def test_many_boxes_in_a_row_leave_nothing(side: Side, check) -> None:
    """Neither process, mount, folder, control group nor open file of the launcher's."""
    with launched(side) as process:

        def state() -> tuple[int, int, int, int, int]:
            kept = str(side.config.images_folder)
            files = len([path for path in open_files(process.pid) if not path.startswith(kept)])
            return files, len(processes.tree(process.pid)), mounts(), len(groups(side)), len(side.boxes)

        def one() -> None:
            plan = check("def run(session):\n    (session.out / 'a').write_text('x')\n")
            side.client.put(plan)
            side.client.run(plan.digest, Entry.CHECK, 1)

        def least() -> tuple[int, ...]:
            """The smallest of several looks: a connection that closes or a file that is just hashed is no leftover."""
            looks = []
            for _ in range(20):
                looks.append(state())
                time.sleep(0.05)
            return tuple(map(min, zip(*looks, strict=True)))

        def no_more_than(before: tuple[int, ...]) -> bool:
            return all(now <= then for now, then in zip(least(), before, strict=True))

        one()
        before = least()
        for _ in range(MANY):
            one()
        eventually(lambda: no_more_than(before))


# --- a launcher that no root has started --------------------------

PLAIN = """
import importlib, os, sys
from pathlib import Path
from sandbox import launcher, own_user

for name in own_user._LATE:
    importlib.import_module(name)  # this interpreter may be closed to others than root
user = int(sys.argv[2])
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
os.umask(0o077)
launcher.begin(Path(sys.argv[1]))
"""


def plain(side: Side) -> Side:
    """The same side, its launcher started as its own user."""
    config = replace(side.config, user=None)
    for path in (config.key_file, config.home.parent / "launcher.json"):
        path.touch()
        os.chown(path, USER, USER)
    return replace(side, config=config)


@contextlib.contextmanager
def without_root(side: Side) -> Iterator[subprocess.Popen[bytes]]:
    process = spawned(side, PLAIN, str(USER))
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@needs_root
def test_a_launcher_that_is_not_started_by_root_says_what_is_less_and_cleans_all_the_same(
    side: Side, check
) -> None:
    side = plain(side)
    quick, slow = check("def run(session):\n    return {'done': 1}\n"), check(SLEEP)
    with without_root(side) as process:
        (t1,) = [offer for offer in side.client.status()["tiers"] if offer["tier"] == "T1"]
        (own,) = [each for each in t1["protections"] if each["name"] == "own user id"]
        assert own["held"] is False and side.client.status()["own_user"] is False
        side.client.put(quick)
        assert side.client.run(quick.digest, Entry.CHECK, 1).record
        side.client.put(slow)
        begun(side, slow)
        boxes = processes.tree(process.pid)[1:]
        assert boxes, "the control: they are there to be left"
        process.kill()
        process.wait()
        eventually(lambda: not set(boxes) & set(processes.living()))
    assert side.boxes, "the control: a killed launcher could not clean"
    with without_root(side):
        assert side.boxes == []
