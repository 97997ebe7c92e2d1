"""Attacks on boxes from inside (ATTACKS C 35-49, H 86 and 87), each with a control that can succeed."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from plans.box import BoxSpec, BoxState, Entry, Limits
from plans.decision import Tier
from sandbox import images, processes, recipes
from sandbox.attacks_inside import ATTACKS
from sandbox.boxes import BubblewrapBoxes
from sandbox.contract import Cause, Ending
from sandbox.identities import Identities
from sandbox.process_box import ProcessBox

pytestmark = pytest.mark.box
TEXT = Path(images.__file__).with_name("attacks_inside.py").read_text()
CANARY = "canary-3f9a"
SMALL = {
    "memory_mb": 128, "temp_mb": 8, "spill_mb": 0, "output_mb": 4, "cpu_s": 5, "wall_s": 6, "processes": 16, "files": 64, "cpus": 1,
}  # fmt: skip
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives boxes users of their own")


@dataclass(frozen=True)
class Ran:
    """What came of a box: what it printed, how it ended, how long it took, and the most memory that was seen."""

    told: str
    ending: Ending
    seconds: float
    memory_mb: float


class Range:
    """Runs Python in boxes of its own folder."""

    def __init__(self, home: Path) -> None:
        self.home, self.image = home, images.find("sql")
        self.boxes = BubblewrapBoxes(home, recipes.images_folder(), Identities(64201, 8))

    def box(self, code: str, **limits: int) -> ProcessBox:
        spec = BoxSpec(Entry.CHECK, self.image.digest, (), Limits(**{**SMALL, **limits}), Tier.T1)
        return self.boxes.unsafe_create(spec, {}, ("-c", code))

    def run(self, code: str, **limits: int) -> Ran:
        return asyncio.run(self.live(code, **limits))

    async def live(self, code: str, **limits: int) -> Ran:
        box = self.box(code, **limits)
        began, most = time.monotonic(), 0
        try:
            pipes = await box.start()
            reading = asyncio.create_task(pipes.from_box.read(100_000))
            while box.state in (BoxState.STARTING, BoxState.RUNNING):
                most = max(most, processes.memory_bytes(box._pid))
                await asyncio.sleep(0.03)
            ending = await box.wait()
            return Ran((await reading).decode(), ending, time.monotonic() - began, most / 2**20)
        finally:
            await box.kill(Cause.CANCELLED)
            await box.destroy()


@pytest.fixture(scope="module")
def range_() -> Iterator[Range]:
    home = Path(tempfile.mkdtemp(prefix="darkroom-range-"))
    home.chmod(0o711)
    images.build(recipes.CHECKOUT / "images" / "sql")
    os.environ["CANARY"] = CANARY
    yield Range(home)
    del os.environ["CANARY"]
    assert list(home.iterdir()) == [], "a box left something on the host"
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def inside(range_: Range) -> dict[str, bool]:
    """What every attack gained in a box."""
    return dict(json.loads(range_.run(TEXT).told))


@pytest.fixture(scope="module")
def weak() -> dict[str, bool]:
    """The same attacks behind bubblewrap's namespaces alone, the host's files read-only: most of them succeed."""
    walls = ["bwrap", "--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", "--tmpfs", "/tmp", "--unshare-uts"]
    python = Path(
        sys.base_prefix, "bin", "python3"
    )  # the virtual environment may lie below /tmp, which is covered
    words = [*walls, "--", str(python), "-I", "-c", TEXT]
    told = subprocess.run(words, capture_output=True, text=True, env={"CANARY": CANARY}, timeout=30)
    return dict(json.loads(told.stdout))


# What the weak box is no control for: this kernel has no such thing, or there is nothing of that name on the
# host.
OTHER_CONTROLS = {
    "sockets: kernel cryptography", "environment of the launcher", "open files of the launcher", "the image",
    "the interpreter", "the inputs", "a terminal", "a device of one's own", "sockets: virtual machine",
    "new privileges",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_from_inside_is_refused(attack: str, inside: dict[str, bool]) -> None:
    assert inside[attack] is False


@needs_root
@pytest.mark.parametrize("attack", sorted(set(ATTACKS) - OTHER_CONTROLS))
def test_the_same_attack_succeeds_where_the_walls_are_missing(attack: str, weak: dict[str, bool]) -> None:
    assert weak[attack] is True


# --- what a box can see -----------------------------------------------------


def test_the_launchers_environment_and_open_files_do_not_reach_a_box(range_: Range) -> None:
    """40, 43. The control: a bubblewrap that is started carelessly shows both."""
    read, write = os.pipe()
    os.set_inheritable(read, True)
    look = (
        "import os,sys\nfor pid in os.listdir('/proc'):\n"
        "    if pid.isdigit(): sys.stdout.write(open(f'/proc/{pid}/environ').read())\n"
        "print(len(os.listdir('/proc/self/fd')))"
    )
    told = range_.run(look).told
    careless = [
        "bwrap",
        "--ro-bind",
        "/",
        "/",
        "--unshare-pid",
        "--proc",
        "/proc",
        "--clearenv",
        "--",
        sys.executable,
    ]
    control = subprocess.run([*careless, "-I", "-c", look], capture_output=True, text=True, close_fds=False)
    os.close(read)
    os.close(write)
    assert CANARY not in told and told.endswith("4\n"), "three standard files and the one that lists them"
    assert CANARY in control.stdout and not control.stdout.endswith("\n4\n")


def test_nothing_of_the_host_is_in_a_box(range_: Range) -> None:
    """41. The canary lies where a box's folder lies; from inside neither it nor any folder above can be found."""
    (range_.home / CANARY).write_text(CANARY)
    walk = (
        "import os\nfor folder, folders, files in os.walk('/'):\n"
        "    if folder == '/': folders[:] = [f for f in folders if f not in ('proc', 'box', 'python')]\n"
        "    print(folder, files)"
    )
    told = range_.run(walk).told
    control = subprocess.run(
        [sys.executable, "-c", f"import os; print(os.listdir({str(range_.home)!r}))"], capture_output=True
    )
    (range_.home / CANARY).unlink()
    assert CANARY not in told and "/out" in told
    assert CANARY.encode() in control.stdout


@needs_root
def test_every_box_has_a_user_id_of_its_own(range_: Range) -> None:
    """87. Control: without the step that changes it, a box's process would be root's on the host."""

    async def users() -> list[int]:
        boxes = [range_.box("import sys; sys.stdin.read()") for _ in range(2)]
        for box in boxes:
            await box.start()
        found = [Path(f"/proc/{processes.tree(box._pid)[-1]}").stat().st_uid for box in boxes]
        for box in boxes:
            await box.kill(Cause.CANCELLED)
            await box.destroy()
        return found

    uids = asyncio.run(users())
    assert len(set(uids)) == 2 and os.geteuid() not in uids
    words = ["bwrap", "--unshare-user", "--uid", "1000", "--ro-bind", "/", "/", "--", "sleep", "5"]
    careless = subprocess.Popen(words)
    time.sleep(0.2)
    assert Path(f"/proc/{processes.tree(careless.pid)[-1]}").stat().st_uid == 0
    careless.kill()
    careless.wait()


def test_what_one_box_plants_the_next_does_not_find(range_: Range) -> None:
    """45, 49. The control: within one box it is found."""
    places = "['/tmp/sitecustomize.py', '/tmp/x.pth', '/dev/shm/x', '/out/x']"
    plant = f"import os\nfor p in {places}: open(p, 'w').write('{CANARY}')\n"
    look = f"import os\nprint([p for p in {places} if os.path.exists(p)])"
    assert range_.run(plant + look).told.count("x") >= 3
    assert range_.run(look).told == "[]\n"


# --- using too much -----------------------------------------------------


def within(ran: Ran, seconds: float = 8.0) -> None:
    """Killed or ended within its limit and 2 s, and never far above its memory."""
    assert ran.seconds <= seconds and ran.memory_mb <= SMALL["memory_mb"] + 64


def test_a_fork_bomb_stays_small(range_: Range) -> None:
    """46. It cannot have more processes than its limit, and goes with its box."""
    ran = range_.run("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", wall_s=2)
    assert ran.ending.cause in (Cause.WALL, Cause.MEMORY, Cause.CPU)
    within(ran, 4)


def test_forks_are_refused_beyond_the_limit(range_: Range) -> None:
    """46. Control: below the limit they are not."""
    count = (
        "import os, time\nn = 0\n"
        "try:\n    while n < 100:\n        if os.fork() == 0: time.sleep(3); os._exit(0)\n        n += 1\n"
        "except OSError: pass\nprint(n)"
    )
    born = int(range_.run(count).told)
    assert 8 <= born <= SMALL["processes"] + 2


@pytest.mark.parametrize(
    "bomb",
    {
        "bytes": "x = []\nwhile True: x.append(bytearray(2**20))",
        "mapped": "import mmap\nx = []\nwhile True: m = mmap.mmap(-1, 2**24); m.write(b'x' * 2**24); x.append(m)",
        "many processes": "import os\nfor _ in range(6): os.fork()\nx = []\nwhile True: x.append(bytearray(2**18))",
        "engine": (
            "import sys; sys.path.append('/box'); import duckdb\n"
            "duckdb.sql(\"select repeat('x', 2000000000)\").fetchall()"
        ),
    }.items(),
    ids=lambda bomb: bomb[0],
)
def test_a_memory_bomb_ends_its_box(range_: Range, bomb: tuple[str, str]) -> None:
    """22, 46."""
    ran = range_.run(bomb[1], processes=64)
    assert ran.ending.state in (BoxState.KILLED, BoxState.FAILED)
    assert ran.seconds <= 8


def test_modest_memory_is_no_bomb(range_: Range) -> None:
    """The control of the bombs."""
    ran = range_.run("x = bytearray(60 * 2**20); print(len(x))")
    assert ran.ending.state is BoxState.EXITED and ran.told == f"{60 * 2**20}\n"


@pytest.mark.parametrize(("folder", "size_mb"), [("/tmp", 8), ("/dev/shm", 16)])
def test_temporary_space_ends_at_its_size(range_: Range, folder: str, size_mb: int) -> None:
    """46. Control: up to its size it can be filled."""
    fill = (
        "n = 0\ntry:\n    while n < 500:\n"
        f"        n += open(f'{folder}/{{n}}', 'wb', buffering=0).write(b'x' * 2**20) // 2**20\n"
        "except OSError as e: print(n, e.errno)"
    )
    told = [int(word) for word in range_.run(fill).told.split()]
    assert size_mb - 1 <= told[0] <= size_mb and told[1] == errno.ENOSPC


@pytest.mark.parametrize(
    "flood",
    [
        "for n in range(100000):\n    open(f'/out/{n}', 'wb').write(b'x' * 2**20)",
        "for n in range(1000000): open(f'/out/{n}', 'wb')",
        "import os\nfor n in range(100000): os.makedirs(f'/out/{n}/a/b/c')",
    ],
    ids=["bytes", "files", "folders"],
)
def test_a_flood_of_outputs_ends_its_box(range_: Range, flood: str) -> None:
    """46."""
    ran = range_.run(flood)
    assert ran.ending.cause is Cause.OUTPUT
    assert ran.seconds <= 3


def test_descriptors_and_threads_end_at_their_limits(range_: Range) -> None:
    """46."""
    files = "n = []\ntry:\n    while True: n.append(open('/dev/null'))\nexcept OSError: print(len(n))"
    assert int(range_.run(files).told) < SMALL["files"]
    threads = (
        "import threading, time\nn = 0\n"
        "try:\n    while n < 200: threading.Thread(target=time.sleep, args=(1,), daemon=True).start(); n += 1\n"
        "except RuntimeError: pass\nprint(n, flush=True)\nimport os; os._exit(0)"
    )
    assert int(range_.run(threads).told) <= SMALL["processes"] + 2


def test_processor_time_ends_at_its_limit(range_: Range) -> None:
    """22."""
    ran = range_.run("while True: pass", cpu_s=1, wall_s=30)
    assert ran.ending.cause is Cause.CPU


def test_a_box_that_cannot_dump_core_holds_no_rows_on_the_disk(range_: Range) -> None:
    """86. The limit is zero inside; the control: it is not for every process here."""
    told = range_.run("import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0])").told
    assert told == "0\n"


def test_a_child_that_outlives_its_parent_goes_with_the_box(range_: Range) -> None:
    """47. Double fork and a new session; the control: while the box lives, it is there."""
    code = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(60)\n    os._exit(0)\n"
        "os.wait(); print('up', flush=True); sys.stdin.read()"
    )

    async def scenario() -> tuple[list[int], list[int]]:
        box = range_.box(code, wall_s=20)
        pipes = await box.start()
        await pipes.from_box.readline()
        before = processes.tree(box._pid)
        pipes.to_box.close()
        await box.wait()
        alive = [pid for pid in before if Path(f"/proc/{pid}").exists()]
        await box.destroy()
        return before, alive

    before, after = asyncio.run(scenario())
    assert len(before) >= 3, "monitor, first process, the child of the child"
    assert after == []


def test_a_busy_box_does_not_stop_its_neighbour(range_: Range) -> None:
    """46. A neighbour's small work is done beside a fork bomb."""

    async def both() -> tuple[Ran, Ran]:
        bomb = asyncio.create_task(
            range_.live("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", wall_s=4)
        )
        await asyncio.sleep(0.5)
        neighbour = await range_.live("print(sum(range(10**6)))", wall_s=20)
        return await bomb, neighbour

    bomb, neighbour = asyncio.run(both())
    assert neighbour.ending.state is BoxState.EXITED and neighbour.told.strip() == "499999500000"
    assert bomb.ending.state is BoxState.KILLED


def test_many_boxes_in_a_row_leave_nothing(range_: Range) -> None:
    """No process, folder, mount or descriptor of ours stays; control: the boxes did run."""

    def count() -> tuple[int, int, int]:
        mounts = len(Path("/proc/self/mountinfo").read_text().splitlines())
        return len(processes.tree(os.getpid())), len(os.listdir("/proc/self/fd")), mounts

    range_.run("print(1)")
    before = count()
    assert [range_.run("print(1)").told for _ in range(20)] == ["1\n"] * 20
    assert count() == before
