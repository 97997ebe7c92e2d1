"""Attacks that need two boxes, or somebody outside: neighbours, orphans, other users, what crashes and ends leave."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from plans.decision import Tier
from sandbox import cgroups, processes, reaper
from sandbox.attacks.attack import Attack, CannotRun, NotHere, Verdict
from sandbox.attacks.ground import Ground
from sandbox.contract import Cause, Wall
from sandbox.process_box import ProcessBox

GONE_S, TRIES = 2.0, 3
"""How long anything of a box may outlive it, and how often that is tried: once, the reason can be a machine that stood
still.
"""

PATIENCE_S = 20.0
"""How long one looks before what is still there counts as there for good; where the wall against it is off, as in a
control, one does not look so long.
"""

_CHECKOUT = Path(__file__).resolve().parents[2]
_NEIGHBOUR = """
import sys
kept = bytearray(sys.argv[1].encode())
for path in ("/tmp/secret", "/dev/shm/secret", "/out/secret"):
    try:
        with open(path, "wb") as file: file.write(kept)
    except OSError: pass
sys.stdout.write("up\\n"); sys.stdout.flush()
sys.stdin.read()
"""
_READER = """
import re, sys
found = set()
for line in open(f"/proc/{sys.argv[1]}/maps"):
    span, rights, *_ = line.split()
    start, end = (int(number, 16) for number in span.split("-"))
    if "r" not in rights or end - start > 64 << 20 or start > 1 << 47: continue
    with open(f"/proc/{sys.argv[1]}/mem", "rb", buffering=0) as memory:
        try:
            memory.seek(start)
            found |= set(re.findall(rb"canary-[0-9a-f]{24}", memory.read(end - start) or b""))
        except OSError: pass
sys.stdout.write(" ".join(sorted(each.decode() for each in found)))
"""
_PLANT = """
import os
places = ("/tmp/sitecustomize.py", "/tmp/x.pth", "/dev/shm/x", "/out/x", "/spill/x", "/in/x", "/box/x", "/python/x")
planted = []
for path in places:
    try:
        with open(path, "w") as file: file.write({canary!r})
        planted.append(path)
    except OSError: pass
print(len(planted), flush=True)
os._exit(1)  # so that nothing of it is collected
"""
_LOOK = """
import os, re, sys
with open("/tmp/own", "w") as file: file.write(sys.argv[1])
found = set()
for place in ("/tmp", "/dev/shm", "/out", "/spill", "/in", "/links", "/gpu", "/etc"):
    for folder, folders, files in os.walk(place):
        for path in (os.path.join(folder, name) for name in files):
            if not os.path.isfile(path) or os.path.islink(path): continue
            try:
                with open(path, "rb") as file: content = file.read(1 << 20)
            except OSError: continue
            found |= set(re.findall(rb"canary-[0-9a-f]+", content))
for path in ("/box/sitecustomize.py", "/box/planted.pth", "/python/lib/planted"):
    if os.path.exists(path): found.add(path)
print(sorted(found))
"""
_ORPHANS = """
import os, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(600)
        os._exit(0)
for _ in range(3): os.wait()
print("up", flush=True)
sys.stdin.read()
"""
_CRASH = """
import os, resource, sys
kept = bytearray(sys.argv[1].encode())
os.chdir("/out")
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
if os.fork() == 0: os.abort()
os.wait()
"""
_SPILL = """
import sys; sys.path.append("/box")
import importlib, pathlib
engine, box = importlib.import_module("inside.engine"), importlib.import_module("plans.box")
limits = box.Limits(512, 16, 256, 8, 60, 60, 64, 64, 1)
connection = engine.open_engine(pathlib.Path("/spill"), limits)
connection.execute("SET memory_limit = '64MiB'")
connection.execute("CREATE TABLE t AS SELECT '" + sys.argv[1] + "' || (i * 7919) AS s FROM range(3000000) r(i)")
print("up", flush=True)
sys.stdin.read()
"""


@contextlib.asynccontextmanager
async def _up(
    ground: Ground, code: str, *arguments: str, **limits: int
) -> AsyncIterator[tuple[ProcessBox, Any]]:
    """Yield a box whose text has said that it is up, and that waits for the end of its input."""
    allowed = replace(ground.limits, **limits)
    async with ground.living("-c", code, *arguments, limits=allowed) as (box, pipes):
        if not await asyncio.wait_for(pipes.from_box.readline(), 60):
            raise CannotRun("the box ended before it was up")
        yield box, pipes


async def neighbours_files(ground: Ground) -> Verdict:
    """A box looks for what another holds, on the host and by way of its processes."""
    canary = ground.planted.canary("neighbour")
    source = ground.home / "input"
    source.write_text(canary)
    source.chmod(0o600)  # so that the box gets a copy, as of a file that only its owner may read
    async with _up(ground.given({"secret": source}), _NEIGHBOUR, canary) as (box, _):
        source.unlink()
        roots = [Path("/proc", str(pid), "root") for pid in processes.tree(box.pid)]
        places = [f"{box.folder}/{name}/secret" for name in ("in", "out")] + [
            f"{root}/tmp/secret" for root in roots
        ]
        told = await ground.attack("surroundings", only=["neighbours-files"], neighbour=places)
    found = told["neighbours-files"]
    return Verdict(found.gained, found.why or "read what the neighbour wrote")


async def memory_from_outside(ground: Ground) -> Verdict:
    """A process with the user id of one box reads the memory of another."""
    if os.geteuid() != 0:
        raise NotHere("only root gives boxes user ids of their own; here all have the launcher's")
    canary = ground.planted.canary("memory")
    async with _up(ground, _NEIGHBOUR, canary) as (box, _), _up(ground, _NEIGHBOUR, "other") as (other, _):
        user, victim = _user(other), _innermost(box)
        setpriv = shutil.which("setpriv") or "setpriv"
        words = [setpriv, f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all"]
        words += ["--bounding-set=-all", "--", sys.executable, "-I", "-S", "-c", _READER, str(victim)]
        told = await _output(words)
    gained = canary.encode() in told
    return Verdict(gained, f"as user {user}: " + ("read the canary" if gained else "cannot read it"))


async def same_user(ground: Ground) -> Verdict:
    """Two boxes, or a box and its launcher, have the same user on the host."""
    async with _up(ground, _NEIGHBOUR, "one") as (box, _), _up(ground, _NEIGHBOUR, "two") as (other, _):
        users = {_user(box), _user(other), os.geteuid()}
    if os.geteuid() != 0:
        raise NotHere("only root gives boxes user ids of their own; here all have the launcher's")
    return Verdict(len(users) < 3, f"{len(users)} users for two boxes and their launcher")


async def planted_for_the_next(ground: Ground) -> Verdict:
    """What one box plants wherever it can, the next one finds, or the launcher collects."""
    canary = ground.planted.canary("planted")
    first = await ground.run(_PLANT.format(canary=canary))
    if not first.told.strip().isdigit() or int(first.told) < 3:
        raise CannotRun("the box could not plant anything, so there is nothing to find")
    own = ground.planted.canary("own")
    second = await ground.run(_LOOK, own)
    if own.encode() not in second.told:
        raise CannotRun("the second box did not even find what it had planted itself")
    gained = canary.encode() in second.told
    left = _search(ground.home, canary)
    return Verdict(
        gained or bool(left), f"planted in {int(first.told)} places, found in {len(left) + gained}"
    )


async def outlives_its_box(ground: Ground) -> Verdict:
    """Double forks with sessions of their own are there after their box has ended."""
    async with _up(ground, _ORPHANS) as (box, pipes):
        before = processes.tree(box.pid)
        pipes.to_box.close()
        await box.wait()
        alive = await _still_alive(before, PATIENCE_S)
    if len(before) < 4 and ground.tier is Tier.T1:
        raise CannotRun("the orphans did not come up")
    return Verdict(bool(alive), f"{len(before)} processes before, {len(alive)} after the end")


async def outlives_a_kill(ground: Ground) -> Verdict:
    """The same after a kill, of a frozen box too: all is gone within 2 s."""
    slowest = 0.0
    for freeze in (False, True):
        took = PATIENCE_S
        for _ in range(TRIES):
            alive, again = await _killed(ground, freeze=freeze)
            if alive:
                return Verdict(True, f"{len(alive)} processes live on after the kill")
            took = min(took, again)
            if took <= GONE_S:
                break
        slowest = max(slowest, took)
    return Verdict(slowest > GONE_S, f"gone after {slowest:.2f} s")


async def _killed(ground: Ground, *, freeze: bool) -> tuple[list[int], float]:
    """Kill a box; return what of it lives on, and how long it took until nothing did."""
    async with _up(ground, _ORPHANS) as (box, _):
        before = processes.tree(box.pid)
        if freeze:
            box.freeze()
        began = time.monotonic()
        await box.kill(Cause.REVOKED)
        alive = await _still_alive(before, PATIENCE_S)
        return alive, time.monotonic() - began


async def outlives_its_launcher(ground: Ground) -> Verdict:
    """The launcher is killed, and its box goes on. What the launcher leaves, the reaper of its heir finds."""
    home = ground.home / "launcher"
    home.mkdir()
    home.chmod(0o711)
    try:
        pids = await _killed_launcher(ground, home)
        alive = await _still_alive(pids, GONE_S if Wall.PARENT in ground.without else PATIENCE_S)
        for pid in alive:  # a control leaves them
            processes.send(pid, signal.SIGKILL)
    finally:
        name = cgroups.group_name(home)
        left = await asyncio.to_thread(reaper.reap, home, range(0), cgroups.Cgroups.open(name))
        cgroups.forget(name)
        home.rmdir()
    how = f"{len(alive)} of {len(pids)} processes alive after their launcher was killed; {left.folders} folders reaped"
    return Verdict(bool(alive), how)


async def _killed_launcher(ground: Ground, home: Path) -> list[int]:
    """Have a launcher of its own start a box in `home`, kill it, and return the processes that the box had."""
    walls = ",".join(sorted(wall.name for wall in ground.without))
    words = [sys.executable, "-P", "-m", "sandbox.attacks.orphan", ground.tier.value, str(home), walls]
    launcher = await asyncio.create_subprocess_exec(
        *words,
        stdout=asyncio.subprocess.PIPE,
        cwd=_CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(_CHECKOUT)},
    )
    try:
        if launcher.stdout is None or not (line := await asyncio.wait_for(launcher.stdout.readline(), 60)):
            raise CannotRun("the launcher that was to be killed did not start its box")
    finally:
        with contextlib.suppress(ProcessLookupError):
            launcher.kill()
        await launcher.wait()
    return [int(word) for word in line.split()]


async def core_dump(ground: Ground) -> Verdict:
    """A box crashes in a folder that lies on the disk; its memory is found there afterwards."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    canary = ground.planted.canary("crashed")
    async with ground.living("-c", _CRASH, canary) as (box, _):
        await box.wait()
        left = _search(box.folder, canary) + _search(ground.home, canary)
    if pattern.startswith(("|", "/")) and Wall.CORE_DUMPS in ground.without:
        raise NotHere(f"this kernel takes core dumps elsewhere ({pattern[:40]})")
    return Verdict(bool(left), "memory lies on the disk" if left else "nothing is left on the disk")


async def plain_spill(ground: Ground) -> Verdict:
    """An engine spills more than its memory; the rows are found on the disk in clear."""
    canary = ground.planted.canary("spilled")
    async with _up(ground, _SPILL, canary, spill_mb=256) as (box, _):
        spilled = sum(path.stat().st_size for path in (box.folder / "spill").rglob("*") if path.is_file())
        left = _search(box.folder, canary)
    if spilled < 1 << 20:
        raise CannotRun("the engine did not spill")
    return Verdict(bool(left), f"{spilled >> 20} MiB spilled, in clear in {len(left)} files")


async def memory_of_a_gpu(_: Ground) -> Verdict:
    """What one box leaves in the memory of a GPU, the next one reads."""
    raise NotHere("boxes get no GPU on this node")


async def left_on_the_host(ground: Ground) -> Verdict:
    """Some boxes in a row leave a process, folder or descriptor."""
    await ground.run("print(1)")  # after which the image is held open, once
    before = _resources(ground)
    for _ in range(5):
        await ground.run("print(1)")
    until = time.monotonic() + PATIENCE_S
    while (after := _resources(ground)) != before and time.monotonic() < until:
        await asyncio.sleep(0.05)
    return Verdict(after != before, f"before {before}, after {after} (processes, descriptors, folders)")


def _resources(ground: Ground) -> tuple[int, int, int]:
    folders = sum(
        1 for path in ground.home.iterdir() if path.is_dir() and not path.name.startswith("images-")
    )
    return len(processes.tree(os.getpid())), len(os.listdir("/proc/self/fd")), folders


def _innermost(box: ProcessBox) -> int:
    return processes.tree(box.pid)[-1]


def _user(box: ProcessBox) -> int:
    return Path(f"/proc/{_innermost(box)}").stat().st_uid


async def _output(words: list[str]) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env={}, cwd="/"
    )
    return (await process.communicate())[0]


async def _still_alive(pids: Iterable[int], patience_s: float) -> list[int]:
    waiting = list(pids)
    await processes.gone(waiting, patience_s)
    return [pid for pid in waiting if not await processes.gone([pid], 0)]


def _search(folder: Path, canary: str) -> list[Path]:
    """Return the files below a folder in which the canary lies in clear."""
    found, wanted = [], canary.encode()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and wanted in path.read_bytes():
            found.append(path)
    return found


_NONE = "what it would need is the state before the attack, which the attack itself looks at first"
_WATCH = "killing is the launcher's work, not a wall of the box; the attack sees the processes live before"


def _made(number: int, name: str, title: str, scenario: Any, **more: Any) -> Attack:
    section = "H" if number in (86, 87) else "C"
    return Attack(name=name, number=number, section=section, title=title, scenario=scenario, **more)


ATTACKS = (
    _made(45, "plant-for-the-next", "planting for the next box", planted_for_the_next, no_control=_NONE, sample=True),
    _made(47, "outlive-the-end", "processes that outlive their box", outlives_its_box, no_control=_WATCH, sample=True),
    _made(47, "outlive-a-kill", "processes that outlive a kill", outlives_a_kill, no_control=_WATCH),
    _made(47, "outlive-the-launcher", "a box that outlives its launcher", outlives_its_launcher,
          walls=frozenset({Wall.PARENT}), sample=True),
    _made(47, "leave-something", "boxes that leave something on the host", left_on_the_host, no_control=_NONE),
    _made(48, "memory-of-a-gpu", "memory left in a GPU", memory_of_a_gpu, no_control="no GPU is given to boxes"),
    _made(49, "neighbours-files", "files of a neighbouring box", neighbours_files,
          walls=frozenset({Wall.USER, Wall.VIEW, Wall.LANDLOCK})),
    _made(86, "core-dump", "memory on the disk after a crash", core_dump,
          walls=frozenset({Wall.CORE_DUMPS, Wall.SYSCALLS})),
    _made(86, "plain-spill", "rows in what an engine spills", plain_spill,
          no_control="the engine encrypts it; tests/inside/test_engine.py finds the canary in a plain spill"),
    _made(87, "memory-from-outside", "memory read by another box's user", memory_from_outside,
          walls=frozenset({Wall.USER}), sample=True),
    _made(87, "same-user", "two boxes under one user", same_user, walls=frozenset({Wall.USER})),
)  # fmt: skip
